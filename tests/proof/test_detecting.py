"""A detection is measured by a request that it is about, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import pytest

from audit_operator.api.detection import Detection
from audit_operator.detections.condition import evaluate
from audit_operator.detections.own import preset_detections, resolve
from audit_operator.plan import plan
from audit_operator.proof.basis import bases
from audit_operator.proof.detecting import AskedDetection, events_of, trials
from audit_operator.proof.requests import Marks
from audit_operator.proof.selecting import prober_in
from tests.plan.objects import cluster_policy, control_plane
from tests.proof.test_basis import SNAPSHOT, TO_CENTRAL

PROBED = replace(SNAPSHOT, control_planes=(control_plane(probes={"enabled": True}),))
NUMBERS = count()
DEPLOYMENTS = {"group": "apps", "resources": ["deployments"]}


def basis(snapshot=PROBED):
    return bases(snapshot, plan(snapshot), prober_in("audit-operator"))["main"]


def marks():
    return Marks(f"id-{next(NUMBERS)}", "probe-abc", "canary")


def asked(namespace="", **selection):
    detection = Detection.model_validate_json(json.dumps({"name": "one", "selection": selection}))
    return AskedDetection("one", resolve(detection).condition, namespace)


def tried(*detections, made=None):
    return trials(detections, made or basis(), marks)


def test_of_the_presets_those_that_a_refusal_fires_are_measured():
    presets = [AskedDetection(each.name, each.condition) for each in preset_detections()]
    found = tried(*presets)
    assert {name for each in found for name in each.ids} == {"forbidden-burst", "secret-enumeration"}
    assert all(each.ids for each in found)


@pytest.mark.parametrize(
    ("selection", "target"),
    [
        ({}, "get pods"),
        ({"statusCodes": [403]}, "get pods"),
        (
            {"verbs": ["delete", "list"], "resources": [{"group": "apps", "resources": ["deployments"]}]},
            "list deployments.apps",
        ),
        ({"resources": [{"group": "", "resources": ["pods/exec"]}]}, "get pods/exec"),
        ({"users": ["system:serviceaccount:*"], "stages": ["RequestReceived"]}, "get pods"),
        ({"namespaces": ["payments"], "verbs": ["deletecollection"]}, "deletecollection pods"),
    ],
)
def test_a_request_is_made_of_what_the_selection_names(selection, target):
    [trial] = tried(asked(**selection))
    assert f"{trial.request.aim.operation.verb} {trial.request.aim.operation.target}" == target
    assert trial.ids == {"one"}
    condition = asked(**selection).condition
    assert any(evaluate(condition, event) for event in events_of(trial.request, basis()))


@pytest.mark.parametrize(
    "selection",
    [
        {"statusCodes": [200]},
        {"users": ["mallory"]},
        {"exceptUsers": ["system:serviceaccount:audit-operator:*"]},
        {"slowerThan": "1s"},
        {"namespaces": ["not-there"]},
        {"fields": [{"path": "requestObject.spec.hostNetwork", "values": ["true"]}]},
        {"resources": [{"group": "", "resources": ["secrets"], "resourceNames": ["the-one"]}]},
    ],
)
def test_what_no_refused_request_of_ours_is_stays_unmeasured(selection):
    assert tried(asked(**selection)) == ()


def test_a_namespaces_detection_is_tried_in_that_namespace():
    [trial] = tried(asked("payments", statusCodes=[403]))
    assert trial.request.aim.place == "payments"
    assert tried(asked("gone", statusCodes=[403])) == ()


def test_one_request_serves_all_that_are_about_it():
    others = replace(asked(statusCodes=[403]), id="other")
    [trial] = tried(asked(verbs=["get"]), others)
    assert trial.ids == {"one", "other"}


def test_what_is_not_recorded_is_not_measured():
    silent = cluster_policy(
        rules=[{"level": "None", "resources": [{"group": "", "resources": ["pods"]}]}, {"level": "Metadata"}],
        sinkRefs=TO_CENTRAL,
    )
    made = basis(replace(PROBED, cluster_audit_policies=(silent,)))
    assert tried(asked(resources=[{"group": "", "resources": ["pods"]}]), made=made) == ()


def test_what_nobody_wants_probed_is_not_sent_for_detections_either():
    off = replace(SNAPSHOT, control_planes=(control_plane(probes={"enabled": True, "exclude": ["secrets-read"]}),))
    secrets = asked(verbs=["get", "list"], resources=[{"group": "", "resources": ["secrets"]}])
    assert tried(secrets)
    assert tried(secrets, made=basis(off)) == ()
