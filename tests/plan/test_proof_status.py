"""What the status of policies says of live probes."""

from __future__ import annotations

from datetime import date

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof, Tally
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.proof_status import ProofOfPlane, proof_claim
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


def proved(sink, *actions):
    return PlaceProof(frozenset(actions), (), (Tally(sink, len(actions), 0, frozenset(actions)),))


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
    assert (coverage["verified"], coverage["proof"]) == (
        1,
        {"contradicted": 0, "missing": 0, "unproved": 0, "verifiedActions": ["pod-exec"]},
    )
    assert status(TENANTS, {})[0]["verified"] == 0


def test_a_cluster_wide_policy_speaks_of_all_places():
    places = {"payments": proved(CENTRAL, "pod-exec"), "": proved(CENTRAL, "node-change")}
    assert status(PLATFORMS, places)[0]["verified"] == 2


def test_what_was_found_in_a_tenants_store_alone_is_no_proof_for_a_cluster_wide_policy():
    unknown = ActionProof("pod-exec", ProofOutcome.UNKNOWN, "the store could not be asked", CENTRAL)
    places = {"payments": proved(OWN, "pod-exec"), "web": PlaceProof(frozenset(), (unknown,))}
    assert status(PLATFORMS, places)[0]["verified"] == 0
    assert status(TENANTS, places)[0]["verified"] == 1


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
    assert coverage["proof"][f"{count}Actions"] == ["pod-exec"]


def test_a_tenants_sink_that_loses_records_is_no_word_in_anybody_elses_status():
    places = {
        "payments": PlaceProof(frozenset(), (missing(OWN),)),
        "web": proved(CENTRAL, "pod-exec"),
    }
    coverage, shipping = status(PLATFORMS, places)
    assert (coverage["verified"], coverage["proof"]["missing"]) == (1, 0)
    assert shipping[0] != "ProbeMissing"


def test_a_platforms_sink_that_loses_records_of_a_namespace_is_said_with_the_namespace():
    places = {"payments": PlaceProof(frozenset(), (missing(CENTRAL),)), "web": proved(CENTRAL, "pod-exec")}
    coverage, shipping = status(PLATFORMS, places)
    assert coverage["verified"] == 0
    assert shipping[0] == "ProbeMissing"
    assert "in payments: found none in time" in shipping[1]
    assert status(TENANTS, places)[1][0] != "ProbeMissing"


def test_what_is_unproved_somewhere_only_is_not_unproved():
    unproved = ActionProof("pod-exec", ProofOutcome.UNPROVED, "another rule")
    places = {"payments": PlaceProof(frozenset(), (unproved,)), "web": proved(CENTRAL, "pod-exec")}
    assert status(PLATFORMS, places)[0]["proof"]["unproved"] == 0
    assert status(TENANTS, places)[0]["proof"]["unproved"] == 1


def test_the_day_of_the_oldest_probe_is_said():
    places = {"payments": PlaceProof(oldest=date(2026, 11, 28)), "web": PlaceProof(oldest=date(2026, 11, 27))}
    assert status(TENANTS, places)[0]["proof"]["oldest"] == "2026-11-28"
    assert status(PLATFORMS, places)[0]["proof"]["oldest"] == "2026-11-27"


def test_findings_are_bounded_and_counts_are_not():
    many = tuple(missing(OWN, f"action-{number}") for number in range(30))
    proof = status(TENANTS, {"payments": PlaceProof(frozenset(), many)})[0]["proof"]
    assert (proof["missing"], len(proof["findings"])) == (30, 20)


def test_a_namespace_of_which_much_is_said_hides_no_other():
    many = tuple(missing(CENTRAL, f"action-{number}") for number in range(37))
    places = {"aaa": PlaceProof(frozenset(), many), "payments": PlaceProof(frozenset(), (missing(CENTRAL),))}
    findings = status(PLATFORMS, places)[0]["proof"]["findings"]
    assert [each["message"].partition(":")[0] for each in findings[:3]] == ["in aaa", "in payments", "in aaa"]


def test_a_sink_that_breaks_namespace_by_namespace_is_said_in_steps():
    broken = PlaceProof(frozenset(), tuple(missing(CENTRAL, f"action-{number}") for number in range(8)))
    places, said = {}, set()
    for number in range(400):
        places[f"n{number:03}"] = broken
        said.add(proof_claim(ProofOfPlane(places).of_policy("", (CENTRAL,))).message)
    assert {each.partition(" (")[2] for each in said} == {
        f"and at least {step} more: see coverage.proof)" for step in (1, 10, 100, 1000)
    }
    assert len(said) == 4


def test_a_message_has_an_end():
    against = ActionProof("pod-exec", ProofOutcome.MISSING, "x" * 40_000, OWN)
    assert len(status(TENANTS, {"payments": PlaceProof(frozenset(), (against,))})[1][1]) < 32_768
