from __future__ import annotations

import pytest

from audit_operator.detections.condition import evaluate
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.sigma import sigma_rules
from tests.detections.packs import EVERYTHING, METADATA, NOTHING, sigma

EVENT = {
    "verb": "create",
    "objectRef": {"resource": "pods", "subresource": "exec"},
    "requestURI": "/api/v1/namespaces/web/pods/x/exec?command=%2Fbin%2Fsh",
    "responseStatus": {"code": 403},
}


@pytest.mark.parametrize(
    ("detection", "truth"),
    [
        ("    s: {verb: CREATE}\n    condition: s", True),
        ("    s: {verb|cased: CREATE}\n    condition: s", False),
        ("    s: {verb: [get, create], objectRef.resource: pods}\n    condition: s", True),
        ("    s: [{verb: get}, {objectRef.resource: pods}]\n    condition: s", True),
        ("    s: {requestURI|contains: '%2fbin%2f'}\n    condition: s", True),
        ("    s: {requestURI|contains|all: [exec, nowhere]}\n    condition: s", False),
        ("    s: {requestURI|startswith: /api, responseStatus.code: 403}\n    condition: s", True),
        ("    s: {objectRef.resource: 'p?d*'}\n    condition: s", True),
        ("    s: {objectRef.name: null, objectRef.subresource|exists: true}\n    condition: s", True),
        ("    s: {responseStatus.code|gte: 400}\n    condition: s", True),
        ("    s: {verb|re: '^cre'}\n    condition: s", True),
        ("    a1: {verb: get}\n    a2: {verb: create}\n    f: {verb: create}\n    condition: 1 of a* and not f", False),
        ("    a1: {verb: get}\n    a2: {verb: create}\n    condition: all of them", False),
        ("    a1: {verb: get}\n    a2: {verb: create}\n    condition: [a1, a2]", True),
    ],
)
def test_conditions_hold_as_sigma_says(detection, truth):
    assert evaluate(sigma(detection).condition, EVENT) is truth


@pytest.mark.parametrize(
    ("detection", "said"),
    [
        ("    s: {hostPath: '*'}\n    condition: s", "s: hostPath: audit events have no field hostPath"),
        ("    s: {verb|base64: x}\n    condition: s", "the modifier base64 is not known"),
        ("    s: [word]\n    condition: s", "words without a field are not judged"),
        ("    s: {verb: get}\n    condition: s | count() > 5", "aggregations: how many events it takes is not judged"),
        ("    s: {verb: get}\n    condition: t", "no such search: 't'"),
        ("    s: {verb: get}\n    timeframe: 1m\n    condition: s", "timeframe"),
    ],
)
def test_what_is_not_understood_is_not_judged_and_named(detection, said):
    judgement = judge(sigma(detection), EVERYTHING)
    assert judgement.firing is Firing.UNJUDGED
    assert said in judgement.reason


def test_rules_about_other_logs_are_left_out():
    assert sigma_rules("title: x\nlogsource: {product: windows}\ndetection: {}", "f") == []


def test_refused_requests_are_seen_at_metadata_and_no_more_is_needed():
    rule = sigma("    s: {responseStatus.code: [401, 403]}\n    condition: s")
    judgement = judge(rule, METADATA)
    assert judgement.firing is Firing.CAN
    assert judgement.able > 500
    nothing = judge(rule, NOTHING)
    assert nothing.firing is Firing.CANNOT
    assert "is not recorded (rules[0])" in nothing.reason


def test_a_status_code_that_is_no_number_is_in_no_event():
    rule = sigma("    s: {responseStatus.code: ALLOW, verb: create, objectRef.resource: pods}\n    condition: s")
    assert judge(rule, EVERYTHING).firing is Firing.NEVER
