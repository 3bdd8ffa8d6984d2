"""What the status of policies says of how long their detections take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.detection_times import DetectionTimes
from audit_operator.api.way_figures import MISSING, WayFigures
from audit_operator.plan import plan
from audit_operator.plan.counting import resolved
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy, cluster_policy
from tests.plan.test_proof_status import CENTRAL, SNAPSHOT

NAMES = {"forbidden": "ForbiddenBurst", "secrets": "SecretEnumeration", "binding": "ClusterAdminBinding"}
DETECTIONS = [{"name": name, "preset": preset} for name, preset in NAMES.items()]
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
DETECTING = replace(
    SNAPSHOT,
    audit_policies=(audit_policy(rules=[{"level": "Metadata"}], detections=DETECTIONS[:1]),),
    cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, detections=DETECTIONS),),
)
[TENANTS], [PLATFORMS] = DETECTING.audit_policies, DETECTING.cluster_audit_policies
OWN = resolved(TENANTS.spec.detections[0], namespaced=True)[1]
FORBIDDEN, SECRETS, BINDING = (resolved(each, namespaced=False)[1] for each in PLATFORMS.spec.detections)


def metrics(policy, seconds, unmeasured=(), figures=None):
    times = DetectionTimes(seconds, frozenset(unmeasured))
    found = statuses(DETECTING, plan(DETECTING), {}, figures={"main": figures or {}}, detected={"main": times})
    return found[policy.ref].get("metrics")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ({FORBIDDEN: 5.0}, "5s"),
        ({FORBIDDEN: 5.0, SECRETS: 10.0}, "10s"),
        ({FORBIDDEN: 1.0, SECRETS: 3.0}, "2s"),
        ({FORBIDDEN: 5.0, SECRETS: MISSING}, "missing"),
        ({FORBIDDEN: 5.0, OWN: 60.0}, "5s"),
    ],
)
def test_the_mean_is_over_the_policys_own_detections_and_never_smaller_than_it_is(seconds, said):
    assert metrics(PLATFORMS, seconds) == {"meanTimeToDetect": said}


def test_what_nobody_can_measure_is_named():
    assert metrics(PLATFORMS, {FORBIDDEN: 5.0}, [BINDING]) == {
        "meanTimeToDetect": "5s",
        "unmeasuredDetections": ["binding"],
    }


def test_a_namespaces_detection_is_its_own():
    assert metrics(TENANTS, {FORBIDDEN: 60.0, OWN: 1.0}) == {"meanTimeToDetect": "1s"}


def test_without_a_measurement_nothing_is_said_and_the_other_figures_stay():
    assert metrics(PLATFORMS, {}) is None
    assert metrics(PLATFORMS, {}, figures={CENTRAL: WayFigures(lost=0)}) == {"loggingErrorRate": "0%"}
