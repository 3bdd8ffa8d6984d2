"""What the status of policies says of live probes."""

from __future__ import annotations

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs.audit:9428"}}
CENTRAL, OWN = ObjectRef("ClusterAuditSink", "central"), ObjectRef("AuditSink", "own", "payments")
RULES = [{"level": "Metadata"}]
SNAPSHOT = Snapshot(
    audit_policies=(audit_policy(rules=RULES, sinkRefs=[{"kind": "AuditSink", "name": "own"}]),),
    cluster_audit_policies=(cluster_policy(rules=RULES, sinkRefs=[{"kind": "ClusterAuditSink", "name": "central"}]),),
    audit_sinks=(parsed("AuditSink", "own", STORE, "payments"),),
    cluster_audit_sinks=(parsed("ClusterAuditSink", "central", STORE),),
    control_planes=(control_plane(),),
    namespaces=(NamespaceFact("payments"), NamespaceFact("web")),
)
[TENANTS] = SNAPSHOT.audit_policies
[PLATFORMS] = SNAPSHOT.cluster_audit_policies


def missing(sink, action="pod-exec"):
    return ActionProof(action, ProofOutcome.MISSING, "found none in time", sink)


def status(policy, places):
    proofs = {} if places is None else {"main": places}
    found = statuses(SNAPSHOT, plan(SNAPSHOT), {}, proofs=proofs)[policy.ref]
    shipping = next(each for each in found["conditions"] if each["type"] == "Shipping")
    return found["coverage"], (shipping["reason"], shipping["message"])


def test_without_probes_nothing_is_said_of_them():
    coverage, _ = status(TENANTS, None)
    assert "proof" not in coverage
    assert coverage.get("verified", 0) == 0


def test_a_namespaces_policy_speaks_of_its_namespace():
    coverage, _ = status(TENANTS, {"payments": PlaceProof(frozenset({"pod-exec"})), "web": PlaceProof()})
    assert (coverage["verified"], coverage["proof"]) == (1, {"contradicted": 0, "missing": 0, "unproved": 0})
    assert status(TENANTS, {})[0]["verified"] == 0


def test_a_cluster_wide_policy_speaks_of_all_places():
    places = {"payments": PlaceProof(frozenset({"pod-exec"})), "": PlaceProof(frozenset({"node-change"}))}
    assert status(PLATFORMS, places)[0]["verified"] == 2


@pytest.mark.parametrize(
    ("outcome", "reason", "count"),
    [
        (ProofOutcome.MISSING, "ProbeMissing", "missing"),
        (ProofOutcome.CONTRADICTED, "ProbeContradicted", "contradicted"),
    ],
)
def test_what_probes_say_against_a_sink_is_said_in_the_condition(outcome, reason, count):
    against = ActionProof("pod-exec", outcome, "get pods/exec: why", OWN)
    coverage, shipping = status(TENANTS, {"payments": PlaceProof(frozenset(), (against,))})
    assert shipping == (reason, "AuditSink payments/own: probe of pod-exec: get pods/exec: why")
    assert coverage["proof"][count] == 1
    [finding] = coverage["proof"]["findings"]
    assert (finding["action"], finding["outcome"], finding["sink"]) == ("pod-exec", outcome.value, str(OWN))


def test_a_tenants_sink_that_loses_records_is_no_word_in_anybody_elses_status():
    places = {
        "payments": PlaceProof(frozenset(), (missing(OWN),)),
        "web": PlaceProof(frozenset({"pod-exec"})),
    }
    coverage, shipping = status(PLATFORMS, places)
    assert (coverage["verified"], coverage["proof"]["missing"]) == (1, 0)
    assert shipping[0] != "ProbeMissing"


def test_a_platforms_sink_that_loses_records_of_a_namespace_is_said_with_the_namespace():
    places = {"payments": PlaceProof(frozenset(), (missing(CENTRAL),)), "web": PlaceProof(frozenset({"pod-exec"}))}
    coverage, shipping = status(PLATFORMS, places)
    assert coverage["verified"] == 0
    assert shipping[0] == "ProbeMissing"
    assert "in payments: found none in time" in shipping[1]
    assert status(TENANTS, places)[1][0] != "ProbeMissing"


def test_what_is_unproved_somewhere_only_is_not_unproved():
    unproved = ActionProof("pod-exec", ProofOutcome.UNPROVED, "another rule")
    places = {"payments": PlaceProof(frozenset(), (unproved,)), "web": PlaceProof(frozenset({"pod-exec"}))}
    assert status(PLATFORMS, places)[0]["proof"]["unproved"] == 0
    assert status(TENANTS, places)[0]["proof"]["unproved"] == 1


def test_findings_are_bounded_and_counts_are_not():
    many = tuple(missing(OWN, f"action-{number}") for number in range(30))
    proof = status(TENANTS, {"payments": PlaceProof(frozenset(), many)})[0]["proof"]
    assert (proof["missing"], len(proof["findings"])) == (30, 20)
