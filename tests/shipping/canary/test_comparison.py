"""Whatever is not as it must be is said, with the line that it came of."""

from __future__ import annotations

import json

import pytest

from audit_operator.shipping.canary.comparison import all_there, differences
from audit_operator.shipping.canary.planted import Canary, Planted
from audit_operator.shipping.search_index import TEXT, TIME

EVENT = {"auditID": "1", "stage": "S", "level": "Metadata", "code": 200}
ATTRIBUTES = {"auditID": "1", "stage": "S", "level": "Metadata"}
PLANTED = Planted(
    name="it",
    line="",
    exporters=("x",),
    attributes=ATTRIBUTES,
    time="T",
    event=EVENT,
    loose=("body",),
    gone=("s3cret",),
)
SILENT = Planted(name="silence", line="", exporters=(), attributes={"auditID": "2", "stage": "S"})
BROKEN = Planted(name="broken", line="", exporters=("y",), attributes={"quarantine": "why", "namespace": "a"})
CANARY = Canary(log="", planted=(PLANTED, SILENT, BROKEN))
RIGHT = {TIME: "T", TEXT: json.dumps(EVENT), **ATTRIBUTES}
QUARANTINED = {TIME: "T", TEXT: "", **BROKEN.attributes}


def said(x, y=(QUARANTINED,)):
    return [str(each) for each in differences(CANARY, {"x": x, "y": y})]


def test_what_is_as_it_must_be_is_passed_over_also_twice():
    assert said([RIGHT, RIGHT]) == []
    assert all_there(CANARY, {"x": [RIGHT], "y": [QUARANTINED]})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({TIME: "U"}, "it: its time is U, and not T"),
        ({"level": "Request"}, 'it: its attribute level is "Request", and should be "Metadata"'),
        ({"more": "1"}, 'it: it has a attribute more, "1", and should have none'),
        ({TEXT: "{"}, 'it: it is no JSON object any more, but "{"'),
        ({TEXT: json.dumps({**EVENT, "code": 201})}, "it: its field code is 201, and should be 200"),
        ({TEXT: json.dumps({**EVENT, "body": 1})}, "it: body is there"),
        ({TEXT: json.dumps({**EVENT, "code": "s3cret"})}, "it: a value is still in it that must be taken out"),
    ],
)
def test_what_is_not_is_said(changed, why):
    assert why in said([{**RIGHT, **changed}])


def test_what_lacks_something_is_said():
    short = {name: value for name, value in RIGHT.items() if name != "level"}
    assert said([short]) == ['it: its attribute level is missing, and should be "Metadata"']


def test_what_does_not_arrive_or_elsewhere_is_said():
    assert said([]) == ["it: did not arrive at x"]
    assert not all_there(CANARY, {"x": []})
    assert said([RIGHT], [QUARANTINED, RIGHT]) == ["it: arrived at y, where it does not belong"]
    silent = {TIME: "T", TEXT: "", **SILENT.attributes}
    assert said([RIGHT, silent]) == ["silence: arrived at x, where it does not belong"]


def test_what_is_of_no_line_is_said():
    [why] = said([RIGHT, {TIME: "T", TEXT: "", "auditID": "9", "stage": "S"}])
    assert why.startswith("a record of no line: arrived at x with")
