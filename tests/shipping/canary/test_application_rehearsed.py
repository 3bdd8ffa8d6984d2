"""The lines that a sidecar's configuration is tried with, and for whom one trial is good."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.application.pipeline import ApplicationPipeline, LogFiles
from audit_operator.shipping.application.standard import Reason
from audit_operator.shipping.canary.application_lines import GONE
from audit_operator.shipping.canary.application_rehearsed import ApplicationRehearsal
from audit_operator.shipping.collector.configuration import Endpoints
from audit_operator.shipping.exporters import Exporter
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern

FOLDER = "/try"
ENDPOINTS = Endpoints("127.0.0.1:1", "127.0.0.1", 2)
KEPT, LOOSE = Exporter("otlp_http/kept", {"logs_endpoint": "http://a"}, False), Exporter("loki/loose", {}, True)


def files(*paths, volume="logs"):
    return tuple(LogFiles(volume, path, f"/mounted/{volume}") for path in paths)


PIPELINE = ApplicationPipeline(
    cluster="prod",
    namespace="shop",
    policy="orders",
    files=files("*.log"),
    redaction=RedactionDemand(),
    exporters=(KEPT, LOOSE),
    standard=(KEPT.id, LOOSE.id),
    quarantine=(KEPT.id, LOOSE.id),
    state="/state",
)


def rehearsal(**changed):
    return ApplicationRehearsal.of(replace(PIPELINE, **changed), ENDPOINTS)


def lines(**changed):
    return rehearsal(**changed).within(FOLDER).lines


def of(found, what):
    [line] = [each.planted for each in found if each.planted.name.startswith(f"{what}, in ")]
    return line


NEVER_ENDS = OwnPattern.parse("own", "(?:[^!]|[^!])*!", "y")
"""In Python, on any text without an exclamation mark; RE2 is done with it at once."""
SAME = {
    "names": {"cluster": "test", "namespace": "web", "policy": "other"},
    "stores": {
        "exporters": (replace(KEPT, id="otlp_http/b", config={"logs_endpoint": "http://b"}), LOOSE),
        "standard": ("otlp_http/b", LOOSE.id),
        "quarantine": ("otlp_http/b", LOOSE.id),
    },
    "own patterns": {"redaction": RedactionDemand(patterns=(NEVER_ENDS,))},
}
OTHER = {
    "files": {"files": files("*.txt")},
    "volume": {"files": files("*.log", volume="other")},
    "fields": {"fields": FieldMapping(user="who")},
    "times": {"time_format": TimeFormat.UNIX_SECONDS},
    "profiles": {"redaction": RedactionDemand(frozenset(RedactionProfile))},
    "pseudonyms": {"redaction": RedactionDemand(pseudonymize=frozenset({PseudonymizedField.USERNAME}))},
    "length": {"longest_line": 1000},
    "queues": {"exporters": (replace(KEPT, config={"sending_queue": {"queue_size": 7}}), LOOSE)},
    "guarantees": {"exporters": (KEPT, replace(LOOSE, detached=False))},
}


@pytest.mark.parametrize("changed", SAME.values(), ids=SAME)
def test_one_trial_is_good_for_policies_that_differ_in_names_stores_and_own_patterns_alone(changed):
    assert rehearsal(**changed).digest == rehearsal().digest


@pytest.mark.parametrize("changed", OTHER.values(), ids=OTHER)
def test_whatever_else_differs_has_a_trial_of_its_own(changed):
    assert rehearsal(**changed).digest != rehearsal().digest


def test_every_record_can_be_told_from_all_others_and_no_file_begins_like_another():
    found = lines(files=(*files("*.log", "a/app.log", "**/x.*"), *files("y", volume="other")))
    assert len({each.planted.key for each in found}) == len({each.path for each in found}) == len(found)
    assert len({each.planted.line[:20] for each in found}) == len(found)
    assert all(each.path.startswith(f"{FOLDER}/logs/") for each in found)


def test_patterns_full_of_stars_hold_nobody_up():
    stars = ("*a" * 20 + ".log", "**/" * 40 + "*b", "*" * 200 + "c", "trail")
    found = lines(files=files(*stars))
    assert {each.planted.attributes["files"] for each in found} == {f"logs/{each}" for each in stars}


def test_files_are_named_as_rotated_ones_are_and_none_as_compressed_ones():
    found = [each.path for each in lines(files=files("*.log"))]
    ends = (".log", ".log-1", "-2.log", ".3.log", ".log.4")
    assert found[:5] == [f"{FOLDER}/logs/logs/canary{each}" for each in ends]
    compressed = [each.path for each in lines(files=files("app.gz"))]
    assert compressed
    assert not any(each.endswith(".gz") for each in compressed)


def test_every_reason_but_that_of_redaction_is_tried():
    said = {each.planted.attributes.get("quarantine") for each in lines()}
    assert said == {None, *Reason} - {Reason.NOT_REDACTED}


def test_every_line_in_quarantine_is_to_be_counted():
    made = rehearsal().within(FOLDER)
    assert made.canary.unreadable == sum("quarantine" in each.planted.attributes for each in made.lines) > 10


def test_a_good_line_leaves_as_it_was_written_and_with_its_own_time():
    line = of(lines(), "a good line")
    assert (line.text, line.time) == (line.line, "2001-02-03T04:05:06Z")
    assert line.attributes["username"] == "jane@example.com"
    assert "quarantine" not in line.attributes


@pytest.mark.parametrize("profile", RedactionProfile)
def test_what_a_profile_names_is_gone_from_every_record(profile):
    found = lines(redaction=RedactionDemand(frozenset({profile})))
    assert any(GONE[profile] in each.planted.line for each in found)
    for each in found:
        assert each.planted.gone == (GONE[profile],)
        assert GONE[profile] not in json.dumps([each.planted.event, each.planted.text])


def test_without_redaction_everything_leaves_as_it_was_written():
    found = [each for each in lines(redaction=RedactionDemand(frozenset())) if not each.outside]
    longest = PIPELINE.longest_line
    assert [each.planted.text for each in found] == [each.planted.line[:longest] for each in found]


def test_a_name_becomes_the_same_pseudonym_everywhere_and_nothing_is_shipped_where_nobody_knows_it():
    hidden = RedactionDemand(pseudonymize=frozenset({PseudonymizedField.USERNAME}))
    found = lines(redaction=hidden)
    line = of(found, "a good line with what is to be taken out")
    assert line.event["user"] == line.attributes["username"]
    assert line.event["user"].startswith("p-")
    assert line.event["user"] in line.event["note"]
    assert of(found, "a line without user").text == f"[REDACTED: {len(of(found, 'a line without user').line)} bytes]"
    assert not any("jane" in json.dumps([each.planted.event, each.planted.text]) for each in found)


def test_of_what_lies_outside_nothing_is_shipped():
    [line] = [each.planted for each in lines() if each.outside]
    assert line.text == f"[REDACTED: {len(line.line)} bytes]"
    assert line.attributes["quarantine"] == "file outside of its volume"


def test_a_path_is_read_nested_or_as_one_key():
    mapped = FieldMapping(user="auth.user", id="trace.id", correlation_id="trace.id", time="@timestamp")
    found = lines(fields=mapped, time_format=TimeFormat.UNIX_MILLISECONDS)
    nested, flat = (of(found, each) for each in ("a good line", "a good line with paths for keys"))
    assert json.loads(nested.line)["auth"] == {"user": "jane@example.com"}
    assert json.loads(flat.line)["auth.user"] == "jane@example.com"
    assert nested.attributes["username"] == flat.attributes["username"] == "jane@example.com"
    assert nested.time == flat.time == "2001-02-03T04:05:06Z"


@pytest.mark.parametrize("key", ["canary", "password", "note", "contact", "card"])
@pytest.mark.parametrize("paths", [("{}", "id"), ("user", "{}.name"), ("{}", "canary-{}")])
def test_a_mandatory_field_by_a_name_of_ours_is_planted_as_by_any_other(key, paths):
    def made(user, identity):
        return lines(fields=FieldMapping(user=user, id=identity), redaction=RedactionDemand(frozenset()))

    named, usual = made(*(each.format(key) for each in paths)), made("somebody", "something")
    line = json.loads(of(named, "a good line with what is to be taken out").line)
    assert {gone for gone in GONE.values() if gone in json.dumps(line)} == set(GONE.values())
    assert len(line) == len(json.loads(of(usual, "a good line with what is to be taken out").line))
    said = {each.planted.attributes.get("quarantine") for each in named}
    assert said == {each.planted.attributes.get("quarantine") for each in usual}
    assert len({each.planted.line[:60] for each in named}) == len(named)


def test_stores_become_folders_and_nothing_of_a_mounted_volume_is_read():
    made = rehearsal().within(FOLDER)
    assert made.folders == {"dated_files/0": f"{FOLDER}/out/0", "dated_files/1": f"{FOLDER}/out/1"}
    text = json.dumps(made.configuration)
    assert "http://a" not in text
    assert "/mounted" not in text
    assert {each for line in made.lines for each in line.planted.exporters} == set(made.folders)
