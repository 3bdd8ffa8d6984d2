"""What adopting would change is shown before anybody allows it."""

from __future__ import annotations

from dataclasses import replace

from audit_operator.api.findings import Severity
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.plan import Snapshot, plan
from audit_operator.plan.adoption import ADOPTION, differences
from tests.plan.objects import cluster_policy, control_plane

EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
METADATA = EVERYTHING.replace("RequestResponse", "Metadata")
NOTHING = EVERYTHING.replace("RequestResponse", "None")


def compiled(*rules):
    policies = (cluster_policy(rules=list(rules)),)
    return plan(Snapshot(cluster_audit_policies=policies, control_planes=(control_plane(),))).compiled["main"]


OURS = compiled({"level": "Metadata"})


def node(name, policy):
    return ApiServerObservation(name, state=ApiServerState.BLOCKED, blocked="AdoptionRequired", foreign_policy=policy)


def found(*servers, ours=OURS):
    return list(differences(servers, ours, builtin_catalogue()))


def test_a_node_that_awaits_no_adoption_has_nothing_to_compare():
    assert found(replace(node("cp-1", ""), state=ApiServerState.RUNNING)) == []


def test_a_policy_under_which_less_is_recorded_than_now_warns_and_says_where():
    findings = found(node("cp-1", EVERYTHING))
    assert findings
    assert {each.id for each in findings} == {ADOPTION}
    assert findings[0].severity is Severity.WARNING
    assert "RequestResponse now on cp-1" in findings[0].message
    assert "Metadata if adopted" in findings[0].message


def test_what_only_gets_better_is_no_warning():
    findings = found(node("cp-1", NOTHING))
    assert findings
    assert {each.severity for each in findings} == {Severity.INFO}
    assert "None now on cp-1" in findings[0].message


def test_what_gets_worse_comes_first():
    ours = compiled({"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]})
    mixed = METADATA.replace("- level", "- level: None\n  resources: [{group: '', resources: [secrets]}]\n- level")
    severities = [each.severity for each in found(node("cp-1", mixed), ours=ours)]
    assert set(severities) == {Severity.WARNING, Severity.INFO}
    assert severities == sorted(severities, key=lambda each: each is Severity.INFO)


def test_where_every_critical_action_is_recorded_alike_that_is_said():
    [finding] = found(node("cp-1", METADATA))
    assert finding.severity is Severity.INFO
    assert "record every critical action alike" in finding.message


def test_nodes_with_the_same_policy_are_named_together_and_others_apart():
    same = [node(f"cp-{number}", METADATA) for number in range(5)]
    messages = [each.message for each in found(*same, node("cp-9", METADATA + "# another\n"))]
    assert [each.partition(" and the compiled")[0] for each in messages] == [
        "the audit policy on cp-0, cp-1, cp-2 and 2 more",
        "the audit policy on cp-9",
    ]


def test_a_policy_that_cannot_be_read_is_said_to_be_one():
    [finding] = found(node("cp-1", "no policy"))
    assert finding.severity is Severity.WARNING
    assert "cannot be read" in finding.message
