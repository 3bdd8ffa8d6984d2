"""Policies say which of their detections could not tell all events apart; others say nothing of it."""

from __future__ import annotations

from audit_operator.api.findings import ObjectRef, Severity
from audit_operator.api.observations import EVERYWHERE, ShipperObservation
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.counting import NOT_COUNTED, resolved
from audit_operator.plan.crowding import CROWDED
from audit_operator.plan.shipping_status import ShippingFacts
from audit_operator.plan.snapshot import CountingLimits
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy, cluster_policy, control_plane

RULES = [{"level": "Metadata"}]
DETECTIONS = [{"name": "exec", "preset": "Exec"}, {"name": "refused", "preset": "ForbiddenBurst"}]
SNAPSHOT = Snapshot(
    audit_policies=(
        audit_policy("a", rules=RULES, detections=DETECTIONS),
        audit_policy("b", rules=RULES, detections=DETECTIONS),
    ),
    cluster_audit_policies=(cluster_policy(rules=RULES, detections=DETECTIONS),),
    control_planes=(control_plane(),),
    namespaces=(NamespaceFact("a"), NamespaceFact("b")),
    counting=CountingLimits(64),
)


def condition(policy, place):
    return resolved(policy.spec.detections[place], namespaced=bool(policy.metadata.namespace))[1]


IN_NAMESPACES = condition(SNAPSHOT.audit_policies[0], 1)
BY_CLUSTER = condition(SNAPSHOT.cluster_audit_policies[0], 1)


def said(*crowded):
    shippers = tuple(ShipperObservation(f"n{number}", crowded=(each,)) for number, each in enumerate(crowded))
    found = statuses(SNAPSHOT, plan(SNAPSHOT), {}, {"main": ShippingFacts(shippers=shippers)})
    findings = {
        policy.ref: found[policy.ref].get("composition", {}).get("findings", []) for policy in SNAPSHOT.policies()
    }
    return {ref: [each for each in those if each["id"] == CROWDED] for ref, those in findings.items()}


def test_it_is_said_in_the_namespace_in_which_it_happened():
    found = said((IN_NAMESPACES, "a"))
    [finding] = found.pop(ObjectRef("AuditPolicy", "pci", "a"))
    assert finding["path"] == "spec.detections[1]"
    assert finding["severity"] == Severity.WARNING
    assert "refused" in finding["message"]
    assert not any(found.values())


def test_cluster_wide_policies_say_it_wherever_it_happened():
    cluster = SNAPSHOT.cluster_audit_policies[0].ref
    assert [ref for ref, each in said((BY_CLUSTER, "")).items() if each] == [cluster]


def test_what_one_shipper_says_of_a_namespace_is_enough():
    found = said((IN_NAMESPACES, "a"), (IN_NAMESPACES, "b"), (IN_NAMESPACES, "b"))
    assert {ref.namespace: len(each) for ref, each in found.items() if each} == {"a": 1, "b": 1}


def test_where_there_are_too_many_places_to_name_all_say_it_that_ask_for_that():
    found = said((IN_NAMESPACES, EVERYWHERE))
    assert {ref.namespace: len(each) for ref, each in found.items() if each} == {"a": 1, "b": 1}


def test_where_there_is_room_nothing_is_said():
    assert not any(said().values())


def test_where_no_shipper_of_ours_runs_nobody_knows_whether_anything_is_counted():
    found = statuses(SNAPSHOT, plan(SNAPSHOT), {})
    for policy in SNAPSHOT.policies():
        [finding] = found[policy.ref]["composition"]["findings"]
        assert (finding["id"], finding["severity"]) == (NOT_COUNTED, Severity.INFO)
        assert "AUDIT_OPERATOR_SHIPPERS" in finding["mend"]
