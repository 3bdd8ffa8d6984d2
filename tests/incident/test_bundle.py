from __future__ import annotations

import hashlib
import json
import stat
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.incident.bundle import Asked, Bundle, write_bundle
from audit_operator.incident.leads import Lead
from audit_operator.incident.timeline import Timeline
from audit_operator.sinks.selection import Attribute
from audit_operator.sinks.store import Record

NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)
LEAD = Lead("user jane", NOW, NOW + timedelta(hours=1), ((Attribute.USER, "jane"),))


def record(stage="ResponseComplete", seconds=0, text="{}", audit_id="id-1", **attributes):
    return Record(audit_id, stage, NOW + timedelta(seconds=seconds), text, attributes)


def bundle_of(timeline, *asked, left_out=0):
    return Bundle(timeline.entries(), asked or (Asked("central", LEAD, ("shop",), 1),), left_out, "2026-11-28", "1.0")


def test_a_record_of_several_sinks_and_for_several_reasons_is_there_once():
    timeline = Timeline()
    for sink, why in (("central", "a"), ("worm", "a"), ("central", "b")):
        timeline.add(record(namespace="shop"), sink, why)
    timeline.add(record(namespace="shop", text="{} "), "worm", "a")
    entries = timeline.entries()
    assert [(sorted(each.sinks), sorted(each.why)) for each in entries] == [
        (["central", "worm"], ["a", "b"]),
        (["worm"], ["a"]),
    ]


def test_entries_are_in_order_of_time_and_then_of_stages():
    timeline = Timeline()
    for each in (record(seconds=9), record("ResponseComplete"), record("Panic"), record("RequestReceived")):
        timeline.add(each, "central", "a")
    assert [each.record.stage for each in timeline.entries()] == [
        "RequestReceived",
        "ResponseComplete",
        "Panic",
        "ResponseComplete",
    ]


def test_files_have_the_hashes_that_are_said_and_are_for_their_owner_alone(tmp_path):
    timeline = Timeline()
    timeline.add(record(text="\ud800", namespace="shop"), "central", "user jane")
    folder = tmp_path / "cases" / "17"
    write_bundle(folder, bundle_of(timeline))
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {"events.ndjson", "timeline.txt", "questions.json"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(FileExistsError):
        write_bundle(folder, bundle_of(timeline))


def test_what_cannot_be_written_to_its_end_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(path, content):
        if path.name == "questions.json":
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    with monkeypatch.context() as patched:
        patched.setattr("audit_operator.incident.bundle._write", full)
        with pytest.raises(OSError, match="No space"):
            write_bundle(tmp_path / "made" / "x", bundle_of(Timeline()))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "timeline.txt").write_text("of somebody else")
    with pytest.raises(FileExistsError):
        write_bundle(tmp_path / "x", bundle_of(Timeline()))
    assert (tmp_path / "x" / "timeline.txt").read_text() == "of somebody else"


def test_people_read_who_did_what_as_whom_where_it_is_and_where_it_is_not(tmp_path):
    timeline = Timeline()
    event = json.dumps({"impersonatedUser": {"username": "root\x1b[2J"}})
    own = {
        "username": "jane",
        "verb": "delete",
        "resource": "secrets",
        "name": "db",
        "namespace": "shop",
        "code": "200",
    }
    timeline.add(record(text=event, **own), "central", "user jane")
    timeline.add(record(seconds=1, text="plain\nline", pod="web-1", audit_id=""), "worm", "user jane")
    asked = (Asked("central", LEAD, ("shop",), 1), Asked("worm", LEAD, ("shop",), 1, "unreachable"))
    write_bundle(tmp_path / "x", bundle_of(timeline, *asked, left_out=3))
    text = (tmp_path / "x" / "timeline.txt").read_text()
    assert "jane as root\\x1b[2J delete secrets db in shop: 200" in text
    assert "in central; not found in worm" in text
    assert "web-1: plain\\nline" in text
    assert "NOT WHOLE: worm, user jane: unreachable" in text
    assert "NOT WHOLE: 3 further leads" in text


def test_questions_say_what_was_asked_and_whether_the_answer_is_whole(tmp_path):
    write_bundle(tmp_path / "x", bundle_of(Timeline(), Asked("central", LEAD, ("shop",), 0, "timed out")))
    said = json.loads((tmp_path / "x" / "questions.json").read_text())
    assert said["whole"] is False
    [question] = said["questions"]
    assert question["equal"] == {"username": "jane"}
    assert (question["sink"], question["namespaces"], question["whole"]) == ("central", ["shop"], False)
