"""Proof of one treatment is no proof of another, and what others ask for makes none untrue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.plan import NamespaceFact, plan
from audit_operator.proof.basis import bases
from audit_operator.proof.selecting import prober_in
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed
from tests.proof.test_basis import PROBES, SNAPSHOT, STORE, TO_CENTRAL

ENVELOPE = replace(SNAPSHOT, control_planes=(control_plane(probes=PROBES, precision="Envelope"),))
OTHER_STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://other.audit:9428"}}
RULES = [{"level": "Request", "verbs": ["create"]}]


def treatments(snapshot):
    return bases(snapshot, plan(snapshot), prober_in("audit-operator"))["main"].treatments()


def of_payments(**spec):
    return (audit_policy("payments", "own", **spec),)


BEFORE = treatments(ENVELOPE)


def test_the_same_facts_are_the_same_treatment():
    assert treatments(replace(ENVELOPE)) == BEFORE
    assert set(BEFORE) == {"", "payments", "web"}


def test_a_namespaces_own_policy_changes_its_treatment_and_nobody_elses():
    before, after = treatments(SNAPSHOT), treatments(replace(SNAPSHOT, audit_policies=of_payments(rules=RULES)))
    assert before["payments"] != after["payments"]
    assert before["web"] == after["web"]


def test_where_the_api_server_records_the_same_for_all_the_level_that_is_shipped_counts():
    webs = audit_policy("web", "own", rules=RULES)
    without, both = (replace(ENVELOPE, audit_policies=(webs, *each)) for each in ((), of_payments(rules=RULES)))
    assert plan(without).compiled["main"].policy == plan(both).compiled["main"].policy
    assert treatments(without)["payments"] != treatments(both)["payments"]
    assert treatments(without)["web"] == treatments(both)["web"]


@pytest.mark.parametrize(
    "changed",
    [
        {"cluster_audit_sinks": (parsed("ClusterAuditSink", "central", OTHER_STORE),)},
        {
            "cluster_audit_policies": (
                cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, redaction={"profiles": ["PII"]}),
            )
        },
        {"control_planes": (control_plane(probes={"enabled": True}, precision="Envelope"),)},
        {"control_planes": (control_plane(probes={**PROBES, "bodies": True}, precision="Envelope"),)},
    ],
)
def test_another_store_redaction_or_choice_of_probes_is_another_treatment_everywhere(changed):
    after = treatments(replace(ENVELOPE, **changed))
    assert all(after[place] != BEFORE[place] for place in BEFORE)


@pytest.mark.parametrize(
    "changed",
    [
        {"namespaces": (*SNAPSHOT.namespaces, NamespaceFact("another"))},
        {"cluster_audit_sinks": (parsed("ClusterAuditSink", "central", {**STORE, "retentionEnforcement": "Report"}),)},
    ],
)
def test_what_makes_no_proof_untrue_is_no_other_treatment(changed):
    after = treatments(replace(ENVELOPE, **changed))
    assert all(after[place] == BEFORE[place] for place in BEFORE)
