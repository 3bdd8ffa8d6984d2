from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from audit_operator.api.detection import Detection, DetectionPreset, DetectionSeverity, Selection
from audit_operator.api.rules import PresetName
from audit_operator.detections.condition import evaluate
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.own import condition_of, load_detections, preset_detections, resolve
from audit_operator.policy.model import Policy
from audit_operator.policy.presets import load_preset
from tests.detections.packs import EVERYTHING, METADATA

BASELINE = Policy(load_preset(PresetName.BASELINE))
EVENT = {
    "stage": "ResponseComplete",
    "verb": "create",
    "user": {"username": "system:serviceaccount:web:it", "groups": ["a"]},
    "objectRef": {"resource": "deployments", "subresource": "scale", "apiGroup": "apps", "namespace": "web"},
    "responseStatus": {"code": 201},
    "annotations": {"apiserver.latency.k8s.io/total": "1m2.5s"},
    "requestObject": {"spec": {"replicas": 3}},
}


def selected(**selection):
    return evaluate(condition_of(Selection.model_validate_json(json.dumps(selection))), EVENT)


@pytest.mark.parametrize(
    ("selection", "truth"),
    [
        ({}, True),
        ({"verbs": ("create",), "statusCodes": (200, 201)}, True),
        ({"statusCodes": (403,)}, False),
        ({"users": ("system:serviceaccount:*",)}, True),
        ({"exceptUsers": ("system:*",)}, False),
        ({"userGroups": ("a", "b")}, True),
        ({"namespaces": ("w*",)}, True),
        ({"exceptNamespaces": ("web",)}, False),
        ({"slowerThan": "60s"}, True),
        ({"slowerThan": "63s"}, False),
        ({"fields": ({"path": "requestObject.spec.replicas", "values": ("3",)},)}, True),
        ({"fields": ({"path": "responseObject.spec"},)}, False),
        ({"stages": ("RequestReceived",)}, False),
        *(
            ({"resources": ({"group": group, "resources": (spelling,)},)}, truth)
            for group, spelling, truth in [
                ("apps", "deployments", False),
                ("apps", "deployments/scale", True),
                ("apps", "deployments/*", True),
                ("apps", "*/scale", True),
                ("*", "*", True),
                ("", "deployments/scale", False),
            ]
        ),
    ],
)
def test_selections_select_as_rules_match(selection, truth):
    assert selected(**selection) is truth


def test_each_request_counts_once_and_a_failed_authentication_too():
    condition = condition_of(Selection())
    refused = {"stage": "ResponseStarted", "responseStatus": {"code": 401}}
    started = {"stage": "ResponseStarted", "responseStatus": {"code": 200}}
    assert [evaluate(condition, each) for each in (EVENT, refused, started)] == [True, True, False]


def test_what_is_absent_is_as_the_preset_says():
    own = resolve(Detection(name="it", preset=DetectionPreset.FORBIDDEN_BURST, threshold=100))
    preset = next(each for each in preset_detections() if each.name == "forbidden-burst")
    assert (own.name, own.threshold, own.window, own.group_by) == ("it", 100, preset.window, preset.group_by)
    plain = resolve(Detection(name="it", selection=Selection()))
    assert (plain.threshold, plain.window, plain.severity) == (1, 300, DetectionSeverity.MEDIUM)


def test_what_is_no_detection_is_told_with_its_place():
    head = "apiVersion: detections.audit-operator.dev/v1alpha1\nkind: AuditDetections\ndetections:\n"
    finding, *_ = load_detections(head + "- {name: it}\n", file="f.yaml")
    assert "must have a preset or a selection" in finding.message
    finding, *_ = load_detections(head + "- {name: it, preset: Exec, windw: 5m}\n")
    assert (finding.id, finding.mend) == ("unknown-key", "did you mean window?")


@pytest.mark.parametrize("detection", preset_detections(), ids=lambda each: each.name)
def test_every_preset_can_fire_with_the_policy_that_ships_and_where_everything_is_recorded(detection):
    assert judge(detection.rule(""), EVERYTHING).firing is Firing.CAN
    assert judge(detection.rule(""), BASELINE).firing in (Firing.CAN, Firing.PARTLY)


def test_a_preset_that_needs_bodies_cannot_fire_without_them():
    needing = [each.name for each in preset_detections() if judge(each.rule(""), METADATA).firing is Firing.CANNOT]
    assert needing == ["cluster-admin-binding"]


@pytest.mark.parametrize("value", ["499ms", "7ms", "0s"])
def test_times_that_the_api_server_does_not_note_are_refused(value):
    with pytest.raises(ValidationError, match="500ms at the least"):
        Selection(slower_than=value)
