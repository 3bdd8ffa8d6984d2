"""What statuses are evidence of: never more than they say of the present spec."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from audit_operator.api.compliance import Framework
from audit_operator.api.observations import ApiServerObservation
from audit_operator.api.policy_status import MAX_FINDINGS, ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof
from audit_operator.compliance.controls import EvidenceKind
from audit_operator.compliance.facts import LiveProof, Shown, Standing
from audit_operator.compliance.judgement import Outcome, judge
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.compliance import Said
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.status import statuses
from tests.compliance.policies import coverage_of
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

KEY = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA" + "A" * 43 + "=\n-----END PUBLIC KEY-----\n"
VERIFIED = {"sinkRef": {"name": "worm"}, "publicKeys": [KEY], "verification": {"publicKeys": [KEY]}}
SINCE = "2026-11-28T12:00:00Z"
PLANE = control_plane(driver="StaticPod", staticPod={"enrolled": True})
POLICY = audit_policy(
    preset="Baseline",
    sinkRefs=[{"kind": "ClusterAuditSink", "name": "central"}],
    compliance={"frameworks": ["PCI-DSS-4", "CIS"]},
)


def sink(**more):
    return parsed(
        "ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs"}, **more}
    )


def status(generation=1, more=None, **conditions):
    made = [
        {"type": name, "status": value[0], "reason": value[1], "message": "m", "lastTransitionTime": SINCE}
        for name, value in conditions.items()
    ]
    return {"observedGeneration": generation, "conditions": made, **(more or {})}


GOOD = {
    "Programmed": ("True", "Programmed"),
    "Shipping": ("True", "Delivering"),
    "RetentionEnforced": ("True", "Enforced"),
}
HOLDERS = {name: {"subjects": 2, "unexpected": 0} for name in ("readers", "writers", "canDisable")}


def facts(policy=POLICY, store=None, plane=PLANE, **said):
    store = store or sink(seals=VERIFIED)
    said = {
        "of_policy": status(**GOOD),
        "of_sink": status(Sealed=("True", "Sealed")),
        "of_plane": status(more={"permissions": HOLDERS}, Programmed=GOOD["Programmed"]),
    } | said
    documents = {policy.ref: said["of_policy"], store.ref: said["of_sink"], plane.ref: said["of_plane"]}
    snapshot = Snapshot(audit_policies=(policy,), cluster_audit_sinks=(store,), namespaces=(NamespaceFact("payments"),))
    return Said(documents, Sinks.of(snapshot)).facts("payments", coverage_of("Baseline", "payments"), [policy], plane)


def standing(kind, **known):
    found = {each.standing for each in facts(**known).observed[kind]}
    assert len(found) == 1
    return found.pop()


def test_what_was_all_observed_passes_with_the_time_since_when():
    [_, pci] = judge([Framework.PCI_DSS_4, Framework.CIS], facts())
    verdicts = {each.control.id: each.outcome for each in pci.judged if each.control.evidence}
    assert set(verdicts.values()) == {Outcome.PASS, Outcome.NOT_APPLICABLE}
    assert {each for each, verdict in verdicts.items() if verdict is Outcome.NOT_APPLICABLE} == {"10.2.1.6"}
    assert facts().observed[EvidenceKind.IN_FORCE][0].seen == SINCE


@pytest.mark.parametrize("kind", [EvidenceKind.IN_FORCE, EvidenceKind.DELIVERED, EvidenceKind.RETAINED])
def test_a_status_of_an_older_spec_is_evidence_of_nothing(kind):
    assert standing(kind) is Standing.HOLDS
    assert standing(kind, of_policy=status(generation=0, **GOOD)) is Standing.NOT_OBSERVED
    assert standing(kind, of_policy={}) is Standing.NOT_OBSERVED


def test_an_api_server_without_the_policy_speaks_neither_for_nor_against_it():
    for reason in ("Pending", "RolledBack"):
        assert standing(EvidenceKind.IN_FORCE, of_policy=status(Programmed=("False", reason))) is Standing.NOT_OBSERVED


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("False", "Drifted"), Standing.FAILS),
        (("False", "Pending"), Standing.NOT_OBSERVED),
        (("Unknown", "SinkUnreachable"), Standing.NOT_OBSERVED),
        (("Unknown", "Unsupported"), Standing.NOT_OBSERVED),
    ],
)
def test_retention_that_is_not_known_is_no_pass_and_no_failure(condition, expected):
    assert standing(EvidenceKind.RETAINED, of_policy=status(RetentionEnforced=condition)) is expected


def proved(**proof):
    return status(more={"coverage": {"proof": proof}}, **GOOD)


def test_what_live_probes_have_shown_is_evidence_for_and_against():
    finding = {"action": "pod-exec", "outcome": "Contradicted", "sink": "ClusterAuditSink central", "message": "level"}
    said = proved(
        verifiedActions=["secrets-read", "pod-logs-read"],
        contradictedActions=["pod-attach", "pod-exec"],
        missingActions=["pod-logs-read"],
        findings=[finding],
    )
    shown = facts(of_policy=said).shown
    assert {action: each.proof for action, each in shown.items()} == {
        "secrets-read": LiveProof.VERIFIED,
        "pod-logs-read": LiveProof.MISSING,
        "pod-exec": LiveProof.CONTRADICTED,
        "pod-attach": LiveProof.CONTRADICTED,
    }
    assert shown["pod-exec"].said == "level (ClusterAuditSink central)"
    verdicts = {each.control.id: each.outcome for each in judge([Framework.PCI_DSS_4], facts(of_policy=said))[0].judged}
    assert verdicts["10.2.1.2"] is Outcome.FAIL


def test_an_earlier_releases_status_that_names_only_findings_speaks_against_as_well():
    said = proved(contradicted=1, findings=[{"action": "pod-exec", "outcome": "Contradicted", "message": "level"}])
    assert facts(of_policy=said).shown["pod-exec"].proof is LiveProof.CONTRADICTED


def test_proof_of_an_older_spec_or_of_other_namespaces_is_none():
    old = status(generation=0, more={"coverage": {"proof": {"verifiedActions": ["pod-exec"]}}}, **GOOD)
    assert facts(of_policy=old).shown == {}
    said = proved(verifiedActions=["pod-exec"], contradictedActions=["secrets-read"])
    assert set(facts(policy=cluster_policy(preset="Baseline"), of_policy=said).shown) == {"secrets-read"}


def test_what_a_probe_found_in_one_namespace_is_said_of_no_other():
    def finding(message, action="pod-exec"):
        return {"action": action, "outcome": "Contradicted", "message": message, "sink": "lab-secret-store"}

    policy = cluster_policy(preset="Baseline")

    def shown(namespace, *findings, listed=("pod-exec",)):
        said = proved(contradictedActions=list(listed), findings=list(findings))
        snapshot = Snapshot(cluster_audit_policies=(policy,))
        return Said({policy.ref: said}, Sinks.of(snapshot)).facts(namespace, None, [policy], None).shown

    in_lab, of_cluster = finding("in lab: level"), finding("level")
    assert shown("payments", in_lab) == {}
    assert shown("lab", in_lab)["pod-exec"].proof is LiveProof.CONTRADICTED
    assert shown("", in_lab)["pod-exec"].proof is LiveProof.CONTRADICTED
    assert shown("payments", of_cluster)["pod-exec"].proof is LiveProof.CONTRADICTED
    # Where it was found is not said, or not of all places: nothing is claimed of this one.
    for findings in ((), [in_lab] * MAX_FINDINGS):
        found = shown("payments", *findings)["pod-exec"]
        assert (found.proof, "lab" in found.said) == (LiveProof.CLAIMED, False)
        assert "does not say in which namespaces" in found.said


def test_an_action_that_something_may_speak_against_here_was_not_observed():
    said = Shown(LiveProof.CLAIMED, "a live probe speaks against it")
    known = replace(facts(), shown={"pod-exec": said})
    [pci] = judge([Framework.PCI_DSS_4], known)
    [judged] = [each for each in pci.judged if each.control.id == "10.2.1.2"]
    assert judged.outcome is Outcome.CANNOT_BE_JUDGED
    assert "a live probe speaks against it" in judged.reason


def test_seals_that_nobody_compares_with_records_prove_nothing_of_records():
    assert standing(EvidenceKind.SEALED) is Standing.HOLDS
    unverified = {name: each for name, each in VERIFIED.items() if name != "verification"}
    assert standing(EvidenceKind.SEALED, store=sink(seals=unverified)) is Standing.NOT_OBSERVED
    assert standing(EvidenceKind.SEALED, of_sink=status(Sealed=("False", "SealMissing"))) is Standing.FAILS
    assert standing(EvidenceKind.SEALED, of_sink=status(Sealed=("False", "VerifyOverdue"))) is Standing.NOT_OBSERVED


def test_a_policy_that_ships_nowhere_has_no_store_that_keeps_or_seals():
    nowhere = facts(policy=audit_policy(preset="Baseline"))
    assert nowhere.asked is None
    assert nowhere.observed[EvidenceKind.SEALED] == ()
    verdicts = {each.control.id: each.outcome for each in judge([Framework.PCI_DSS_4], nowhere)[0].judged}
    assert verdicts["10.3.4"] is Outcome.CANNOT_BE_JUDGED


def test_somebody_unexpected_fails_and_where_nobody_has_looked_nothing_is_known():
    one = {**HOLDERS, "readers": {"subjects": 3, "unexpected": 1}}
    assert standing(EvidenceKind.READERS, of_plane=status(more={"permissions": one})) is Standing.FAILS
    assert standing(EvidenceKind.READERS, of_plane=status()) is Standing.NOT_OBSERVED
    assert standing(EvidenceKind.WRITERS) is Standing.HOLDS


def test_records_that_may_be_kept_for_ever_do_not_expire():
    assert standing(EvidenceKind.EXPIRES) is Standing.FAILS
    limited = audit_policy(
        preset="Baseline", sinkRefs=POLICY.model_dump(by_alias=True)["spec"]["sinkRefs"], retention={"maximum": "30d"}
    )
    assert standing(EvidenceKind.EXPIRES, policy=limited) is Standing.HOLDS


@pytest.mark.parametrize(
    ("sidecars", "expected"),
    [
        (None, Standing.NOT_OBSERVED),
        ({"expected": 3, "answering": 2}, Standing.NOT_OBSERVED),
        ({"expected": 3, "answering": 3}, Standing.HOLDS),
        ({"expected": 3, "answering": 3, "quarantined": [{"source": "v/a.log", "lines": 5}]}, Standing.FAILS),
    ],
)
def test_application_logs_have_the_fields_where_every_pod_says_that_none_is_broken(sidecars, expected):
    logs = {"podSelector": {"matchLabels": {"app": "a"}}, "files": [{"volume": "logs", "path": "a.log"}]}
    policy = audit_policy(preset="Baseline", applicationLogs=logs)
    said = status(more={"sidecars": sidecars} if sidecars else {}, **GOOD)
    assert standing(EvidenceKind.FIELDS, policy=policy, of_policy=said) is expected
    assert standing(EvidenceKind.FIELDS) is Standing.NOT_APPLICABLE


def test_flags_are_known_only_where_we_write_them_and_saw_them_run():
    assert standing(EvidenceKind.LOG_AGE) is Standing.HOLDS
    short = control_plane(driver="StaticPod", staticPod={"enrolled": True}, log={"maxAge": 7})
    assert standing(EvidenceKind.LOG_AGE, plane=short) is Standing.FAILS
    assert standing(EvidenceKind.LOG_AGE, of_plane=status(Programmed=("False", "Pending"))) is Standing.NOT_OBSERVED
    assert standing(EvidenceKind.LOG_AGE, plane=control_plane()) is Standing.NOT_OBSERVED


def observed(*policies, running=True, proofs=MappingProxyType({}), sinks=(), **spec):
    plane = control_plane(**spec)
    snapshot = Snapshot(
        audit_policies=tuple(each for each in policies if each.metadata.namespace),
        cluster_audit_policies=tuple(each for each in policies if not each.metadata.namespace),
        control_planes=(plane,),
        namespaces=(NamespaceFact("payments"), NamespaceFact("lab")),
        cluster_audit_sinks=sinks,
    )
    digest = plan(snapshot).compiled["main"].desired.digest if running else ""
    server = ApiServerObservation("local", digest, digest, ready=True)
    snapshot = replace(snapshot, observations={"main": (server,)})
    return statuses(snapshot, plan(snapshot), {}, proofs={"main": proofs} if proofs else {})


def test_status_has_the_counts_of_each_framework_and_the_rate_over_all():
    policy = audit_policy(rules=[{"level": "None"}], compliance={"frameworks": ["PCI-DSS-4", "SOC2"]})
    found = observed(policy, cluster_policy(preset="Baseline"))[policy.ref]
    pci, soc2 = found["compliance"]
    assert pci["framework"] == "PCI-DSS-4"
    assert (pci["passed"], pci.get("failed", 0), pci["notApplicable"]) == (6, 0, 1)
    assert soc2 == {"framework": "SOC2", "notJudged": 9} | {name: 0 for name in soc2 if soc2[name] == 0}
    assert found["metrics"] == {"compliancePassingRate": "100%"}


def test_a_contradiction_in_one_namespace_lowers_the_rate_there_alone():
    wanted = {"rules": [{"level": "Metadata"}], "compliance": {"frameworks": ["PCI-DSS-4"]}}
    sinks = {"sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}]}
    wrong, right = audit_policy(**wanted, **sinks), audit_policy("other", "lab", **wanted, **sinks)
    against = ActionProof("pod-exec", ProofOutcome.CONTRADICTED, "level", sink().ref)
    places = {"payments": PlaceProof(frozenset(), (against,)), "lab": PlaceProof(frozenset({"pod-exec"}))}
    found = observed(wrong, right, cluster_policy(preset="Baseline"), proofs=places, sinks=(sink(),))
    assert "10.2.1.2" in found[wrong.ref]["compliance"][0]["failing"]
    assert "failing" not in found[right.ref]["compliance"][0]


def test_a_policy_that_no_api_server_runs_has_no_rate():
    policy = audit_policy(preset="Baseline", compliance={"frameworks": ["PCI-DSS-4"]})
    found = observed(policy, cluster_policy(preset="Baseline"), running=False)[policy.ref]
    assert found["compliance"][0]["passed"] == 0
    assert "metrics" not in found


def test_what_failed_is_named():
    policy = audit_policy(rules=[{"level": "RequestResponse"}], compliance={"frameworks": ["CIS"]})
    found = observed(policy)[policy.ref]
    assert found["compliance"][0]["failing"] == ["3.2.2"]
    assert found["metrics"] == {"compliancePassingRate": "0%"}


def test_a_policy_that_names_no_framework_is_told_nothing_of_any():
    policy = audit_policy(preset="Baseline")
    assert "compliance" not in observed(policy)[policy.ref]


def test_policies_of_which_the_same_is_said_share_it():
    asked = {"preset": "Baseline", "compliance": {"frameworks": ["PCI-DSS-4"]}}
    one, other = audit_policy("payments", **asked), audit_policy("lab", **asked)
    found = observed(one, other)
    assert found[one.ref] is found[other.ref]
