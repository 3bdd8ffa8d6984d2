"""Reports of objects: what they claim, and what they leave open."""

from datetime import UTC, datetime

import pytest

from audit_operator.api.policy_status import Verdict
from audit_operator.cli.inputs import facts_of
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import assess
from audit_operator.plan import plan
from audit_operator.report.building import ReportFacts, build
from audit_operator.report.evidence import MOST_POLICIES
from audit_operator.report.html import to_html
from audit_operator.report.markdown import to_markdown
from audit_operator.report.phrasing import figures, share

NOW = datetime(2026, 11, 28, 20, tzinfo=UTC)
GROUP = "audit-operator.dev/v1alpha1"
SINK = {"kind": "ClusterAuditSink", "name": "central"}
PLANE = {
    "apiVersion": GROUP,
    "kind": "AuditControlPlane",
    "metadata": {"name": "default"},
    "spec": {"default": True, "driver": "Process"},
}
BASE = {
    "apiVersion": GROUP,
    "kind": "ClusterAuditPolicy",
    "metadata": {"name": "base"},
    "spec": {"rules": [{"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}]},
}


def condition(type_, status, reason="Programmed"):
    return {"type": type_, "status": status, "reason": reason, "lastTransitionTime": "2026-11-01T00:00:00Z"}


def tenant(namespace, preset="Baseline", generation=1, **status):
    return {
        "apiVersion": GROUP,
        "kind": "AuditPolicy",
        "metadata": {"name": "own", "namespace": namespace, "generation": generation},
        "spec": {"preset": preset},
        **({"status": status} if status else {}),
    }


def report_of(*objects, namespaces=(), existing=(), plane=None):
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in existing]
    facts = facts_of([plane or PLANE, *objects, *made])
    assert not facts.findings
    planned = plan(facts.snapshot)
    compiled = planned.compiled["default"]
    return build(
        ReportFacts(
            snapshot=facts.snapshot,
            assigned=planned.assigned,
            control_plane="default",
            policy=compiled.policy,
            digest=compiled.desired.digest,
            given=False,
            catalogue=builtin_catalogue(),
            findings=(),
            namespaces=namespaces,
            made=NOW,
            by="a test",
        )
    ), compiled.policy


def test_namespaces_that_are_alike_share_a_row_and_their_findings():
    report, _ = report_of(BASE, tenant("payments"), tenant("bank"), existing=["shop", "dev"])
    assert [(each.cluster, each.namespaces) for each in report.groups] == [
        (True, ()),
        (False, ("dev", "shop")),
        (False, ("bank", "payments")),
    ]
    shop = next(index for index, each in enumerate(report.groups) if "shop" in each.namespaces)
    exec_ = next(each for each in report.findings if each.action == "pod-exec" and shop in each.groups)
    assert exec_.verdict is Verdict.GAP
    assert "pods/exec" in exec_.mend
    assert report.counts.total == sum(len(each.verdicts) * each.size for each in report.groups)


def test_each_row_says_what_coverage_says_of_the_namespace():
    report, policy = report_of(BASE, tenant("payments"), existing=["shop", "kube-system", "audit-system"])
    for group in report.groups:
        for namespace in group.namespaces:
            coverage = assess(policy, builtin_catalogue(), namespace=namespace)
            assert {each.action.id: each.verdict for each in coverage.actions} == group.verdicts


def test_every_verdict_that_is_not_covered_has_a_finding_for_its_group():
    report, _ = report_of(BASE, tenant("payments"), existing=["shop"])
    found = {(each.action, group) for each in report.findings for group in each.groups}
    assert found == {
        (action, index)
        for index, group in enumerate(report.groups)
        for action, verdict in group.verdicts.items()
        if verdict is not Verdict.COVERED
    }


def test_without_a_status_nothing_is_claimed():
    report, _ = report_of(BASE)
    [policy] = report.policies
    assert not policy.observed
    assert policy.verified is None
    said = {each.title: each for each in figures(report)}
    assert said["Running"].value == "0/1"
    assert said["Running"].good is False
    assert said["Proved"].value == "0"


def test_what_a_status_says_of_an_earlier_spec_shows_nothing_about_this_one():
    conditions = [condition("Programmed", "True"), condition("Shipping", "True", "Shipping")]
    old, _ = report_of(tenant("x", generation=2, observedGeneration=1, conditions=conditions))
    assert old.policies[0].outdated
    assert next(each for each in figures(old) if each.title == "Running").value == "0/1"
    new, _ = report_of(tenant("x", generation=2, observedGeneration=2, conditions=conditions))
    assert next(each for each in figures(new) if each.title == "Running").value == "1/1"


def test_what_nobody_asks_for_is_neither_kept_nor_lost():
    conditions = [condition("Shipping", "Unknown", "NotRequested"), condition("RetentionEnforced", "True", "Enforced")]
    report, _ = report_of(tenant("x", observedGeneration=1, conditions=conditions), BASE)
    said = {each.title: (each.value, each.good) for each in figures(report)}
    assert said["Arriving"] == ("0/1", False)
    assert said["Kept"] == ("1/2", False)
    alone, _ = report_of(tenant("x", observedGeneration=1, conditions=conditions))
    said = {each.title: (each.value, each.good) for each in figures(alone)}
    assert said["Arriving"] == ("0/0", None)
    assert said["Kept"] == ("1/1", True)


def test_what_probes_contradict_is_told_among_the_first():
    coverage = {"score": "1/2", "covered": 1, "partial": 0, "gaps": 0, "leaks": 1, "total": 2, "verified": 1}
    proof = {"contradicted": 1, "findings": [{"action": "pod-exec", "outcome": "Contradicted", "message": "why"}]}
    report, _ = report_of(tenant("x", coverage={**coverage, "basis": "Desired", "proof": proof}))
    said = next(each for each in figures(report) if each.title == "Proved")
    assert (said.value, said.good) == ("1", False)
    assert "1 contradicted" in said.note


def pci(**more):
    judged = tenant("x", observedGeneration=1, conditions=[condition("Programmed", "True")], **more)
    return {**judged, "spec": {"preset": "Baseline", "compliance": {"frameworks": ["PCI-DSS-4"]}}}


def delivered(*objects):
    """The control plane, saying that the policy of these objects is delivered."""
    digest = plan(facts_of([PLANE, *objects]).snapshot).compiled["default"].desired.digest
    status = {"observedGeneration": 1, "digest": digest}
    return {**PLANE, "metadata": {"name": "default", "generation": 1}, "status": status}


def controls(*objects, plane=None):
    report, _ = report_of(*objects, plane=plane)
    [policy] = report.policies
    return {each.id: each for each in policy.controls}


def test_each_control_has_what_its_verdict_rests_on():
    found = controls(pci(), plane=delivered(pci()))
    roles = found["10.2.1.5"]
    assert (roles.verdict, roles.proof) == ("Pass", "Claimed")
    assert {"coverage/rbac-bindings-change", "AuditPolicy x/own status.conditions[Programmed]"} <= {
        each.source for each in roles.evidence
    }
    assert [each.verdict for each in found.values()] == sorted(
        (each.verdict for each in found.values()), key=["Fail", "Pass", "CannotBeJudged", "NotApplicable"].index
    )


def test_what_a_probe_contradicts_stands_in_the_evidence():
    coverage = {"score": "1/2", "covered": 1, "partial": 0, "gaps": 0, "leaks": 1, "total": 2, "verified": 1}
    proof = {"contradicted": 1, "contradictedActions": ["pod-exec"], "verifiedActions": ["secrets-read"]}
    proof |= {"oldest": "2026-11-27"}
    wrong = pci(coverage={**coverage, "basis": "Desired", "proof": proof})
    found = controls(wrong, plane=delivered(wrong))["10.2.1.2"]
    assert (found.verdict, found.proof) == ("Fail", "Contradicted")
    assert "coverage/pod-exec" in {each.source for each in found.evidence if each.standing == "Fails"}
    [proved] = [each for each in found.evidence if each.proof == "Verified"]
    assert (proved.source, proved.seen) == ("coverage/secrets-read", "2026-11-27")


def test_statuses_about_another_policy_pass_nothing():
    found = controls(pci())
    assert found["10.2.1.5"].verdict == "CannotBeJudged"
    assert any("not the one that the operator says it delivers" in each.said for each in found["10.2.1.5"].evidence)


def test_without_a_status_or_a_framework_no_control_is_told():
    assert controls(tenant("x", observedGeneration=1)) == {}
    bare = {**tenant("x"), "spec": {"preset": "Baseline", "compliance": {"frameworks": ["PCI-DSS-4"]}}}
    assert controls(bare) == {}


def during_an_outage(number):
    many = []
    for namespace in range(number):
        each = pci(retention=[])
        each["metadata"] = {"name": "own", "namespace": f"n{namespace:03}", "generation": 1}
        each["status"]["conditions"].append(condition("Shipping", "False", "SinkUnreachable"))
        many.append(each)
    return many


def test_of_many_policies_what_failed_is_told():
    many = during_an_outage(MOST_POLICIES + 1)
    report, _ = report_of(*many, plane=delivered(*many))
    first, last = report.policies[0], report.policies[-1]
    assert {each.verdict for each in first.controls} > {"Fail"}
    assert {each.verdict for each in last.controls} == {"Fail"}
    assert first.controls_left_out == 0
    assert len(last.controls) + last.controls_left_out == len(first.controls)


def test_where_everything_fails_everywhere_a_report_has_its_bounds_and_counts_what_it_leaves_out(monkeypatch):
    many = during_an_outage(3)
    whole, _ = report_of(*many, plane=delivered(*many))
    each = len(whole.policies[0].controls)
    lines = sum(len(control.evidence) for control in whole.policies[0].controls)
    monkeypatch.setattr("audit_operator.report.evidence.MOST_CONTROLS_IN_ALL", each + 2)
    monkeypatch.setattr("audit_operator.report.evidence.MOST_LINES_IN_ALL", lines + 1)
    report, _ = report_of(*many, plane=delivered(*many))
    first, second, third = report.policies
    assert first == whole.policies[0]
    assert (len(second.controls), second.controls_left_out) == (2, each - 2)
    assert second.controls == tuple(control for control in second.controls if control.verdict == "Fail")
    assert [len(control.evidence) for control in second.controls] == [1, 0]
    assert [len(control.evidence) + control.left_out for control in second.controls] == [
        len(control.evidence) + control.left_out for control in whole.policies[1].controls[:2]
    ]
    assert (third.controls, third.controls_left_out) == ((), each)
    said = f"{each} controls are not listed, of so many policies."
    assert said in to_markdown(report)
    assert said in to_html(report)


def test_bars_of_retention_have_their_ends_from_the_class_and_the_age_of_the_oldest_record():
    line = {"sink": SINK, "class": "min90d-max400d", "desired": "d", "state": "Enforced"}
    report, _ = report_of(tenant("x", retention=[{**line, "oldest": "2026-11-26T20:00:00Z"}, line]))
    known, unknown = report.policies[0].retention
    assert (known.minimum_hours, known.maximum_hours, known.oldest_hours) == (90 * 24, 400 * 24, 48)
    assert unknown.oldest_hours is None


def test_whoever_asks_for_a_namespace_learns_nothing_of_others():
    selecting = {**BASE, "spec": {**BASE["spec"], "namespaceSelector": {"matchLabels": {"a": "b"}}}}
    report, _ = report_of(selecting, tenant("payments"), tenant("bank"), namespaces=("payments",))
    assert [each.namespaces for each in report.groups] == [("payments",)]
    assert [each.title for each in report.policies] == ["AuditPolicy payments/own"]
    assert "bank" not in report.model_dump_json()


def test_nor_by_what_a_cluster_wide_policy_says_of_probes_there():
    coverage = {"score": "1/2", "covered": 1, "partial": 0, "gaps": 0, "leaks": 1, "total": 2, "basis": "Desired"}
    said = [
        {"action": "pod-exec", "outcome": "Contradicted", "message": f"{where}create pods/exec: level"}
        for where in ("in bank: ", "in payments: ", "")
    ]
    base = {
        **BASE,
        "metadata": {"name": "base", "generation": 1},
        "spec": {**BASE["spec"], "compliance": {"frameworks": ["PCI-DSS-4"]}},
        "status": {"observedGeneration": 1, "coverage": {**coverage, "proof": {"contradicted": 1, "findings": said}}},
    }
    everything, _ = report_of(base, existing=["payments", "bank"], plane=delivered(base))
    assert any("in bank" in line.said for each in everything.policies[0].controls for line in each.evidence)
    report, _ = report_of(base, existing=["payments", "bank"], namespaces=("payments",))
    assert "bank" not in report.model_dump_json()
    assert len(report.policies[0].proof.findings) == 2


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(9999, 10000, "99.9%"), (1, 1, "100%"), (0, 0, "-"), (1, 8, "12.5%"), (0, 5, "0%")]
)
def test_shares_are_never_rounded_up(part, whole, text):
    assert share(part, whole) == text
