"""`incident` as its user sees it, with a store that answers every question alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.cli import main
from tests.cli.one_answer import OneAnswer
from tests.ports import free_ports

NOW = datetime.now(UTC)
EVENT = {"user": {"username": "jane"}, "objectRef": {"resource": "secrets"}}


def row(number, **more):
    time = (NOW - timedelta(seconds=100 - number)).isoformat()
    own = {"_time": time, "_msg": json.dumps(EVENT), "auditID": f"id-{number}", "stage": "ResponseComplete"}
    return {**own, "namespace": "shop", "username": "jane", "verb": "get", "resource": "secrets", "name": "db", **more}


def sink(name, url):
    return {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "ClusterAuditSink",
        "metadata": {"name": name},
        "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": url}},
    }


@pytest.fixture
def store(tmp_path):
    with OneAnswer() as server:
        server.sink = tmp_path / "sink.json"
        server.sink.write_text(json.dumps(sink("central", server.url)))
        server.nothing_for = "unseen"
        yield server


def collected(store, folder, *arguments):
    return main(["incident", "-f", str(store.sink), "-n", "shop", "-o", str(folder), *arguments])


def entries(folder):
    return [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]


def test_an_audit_id_leads_to_its_user_and_its_object(store, tmp_path):
    store.rows = [row(1), row(2)]
    assert collected(store, tmp_path / "case", "--audit-id", "id-1") == 0
    found = entries(tmp_path / "case")
    assert [each["auditID"] for each in found] == ["id-1", "id-2"]
    assert {"audit ID id-1", "user jane", "object secrets/db in shop"} <= set(found[0]["why"])
    assert found[0]["sinks"] == ["central"]
    asked = json.loads((tmp_path / "case" / "questions.json").read_text())
    assert asked["whole"] is True
    assert 2 * len(asked["questions"]) == len(store.queries)  # each also for what came before the namespace was seen


def test_a_sink_that_is_away_makes_the_bundle_not_whole_and_the_others_are_asked(store, tmp_path, capsys):
    absent = next(free_ports())
    store.rows = [row(1)]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(sink("worm", f"http://127.0.0.1:{absent}")))
    assert collected(store, tmp_path / "case", "--user", "jane", "-f", str(other)) == 1
    assert len(entries(tmp_path / "case")) == 1
    assert "not whole" in capsys.readouterr().err
    assert "NOT WHOLE: worm" in (tmp_path / "case" / "timeline.txt").read_text()


def test_a_sink_that_cannot_be_opened_or_read_makes_the_bundle_not_whole_and_ends_nothing(store, tmp_path):
    store.rows = [row(1)]
    broken = sink("broken", store.url)
    broken["spec"]["credentials"] = {"type": "Bearer", "secretRef": {"name": "gone", "namespace": "audit-system"}}
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    odd = sink("odd", store.url)
    odd["spec"]["type"] = "NoSuchStore"
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    files = ["-f", str(tmp_path / "broken.json"), "-f", str(tmp_path / "odd.json")]
    assert collected(store, tmp_path / "case", "--user", "jane", *files) == 1
    assert len(entries(tmp_path / "case")) == 1
    said = json.loads((tmp_path / "case" / "questions.json").read_text())
    assert said["whole"] is False
    assert set(said["notAsked"]) == {"broken", "(unknown)"}
    assert "NOT WHOLE: broken was not asked" in (tmp_path / "case" / "timeline.txt").read_text()


def test_an_object_of_a_namespace_needs_no_other_name(store, tmp_path):
    store.rows = [row(1)]
    arguments = ["incident", "-f", str(store.sink), "-o", str(tmp_path / "case"), "--object", "shop/secrets/db"]
    assert main(arguments) == 0
    assert len(entries(tmp_path / "case")) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--audit-id", "x"], "say whose records, with -n"),
        (["-n", "shop", "--since", "1h", "--until", "2h"], "--since must be before --until"),
        (["-n", "shop", "--sink", "absent"], "there is no sink absent"),
    ],
)
def test_wrong_usage_is_said_and_nothing_is_written(store, tmp_path, capsys, arguments, said):
    assert main(["incident", "-f", str(store.sink), "-o", str(tmp_path / "case"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "case").exists()


def test_a_folder_that_is_there_is_left_alone(store, tmp_path, capsys):
    assert collected(store, tmp_path) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_folder_of_records_that_is_missing_leaves_nothing_behind(tmp_path, capsys):
    out = tmp_path / "case" / "17"
    asked = ["incident", "--user", "jane", "-n", "shop", "--files", str(tmp_path / "missing"), "-o", str(out)]
    assert main(asked) == 2
    assert "missing: there is no such folder" in capsys.readouterr().err
    assert not out.parent.exists()
    (tmp_path / "missing").mkdir()
    main(asked)
    assert (out / "SHA256SUMS").exists(), "the corrected call is not in the way of the first"
