"""What forbids an erasure, by store and namespace."""

from __future__ import annotations

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink import AuditSinkStatus
from audit_operator.api.sink_retention import ClassRetention, RetentionOfSink, ToldNamespaces
from audit_operator.plan.erasure import Obstacles, Why, keep_hours
from audit_operator.plan.retention import store_of
from audit_operator.plan.snapshot import NAME_LABEL, InvalidObject
from tests.plan.objects import cluster_policy, parsed
from tests.plan.test_retention import SHIPS, everybodys, planned_of, sink, tenants

CENTRAL = sink()


def obstacles(*policies, unreadable=(), **more):
    return Obstacles.of(planned_of(*policies, **more)[0], unreadable)


def whys(found):
    return [(each.why, str(each.object)) for each in found]


def test_a_legal_hold_forbids_everything_and_is_named():
    found = obstacles(tenants("payments", legalHold=True), tenants("web", maximum="30d")).to("payments", CENTRAL)
    assert whys(found) == [(Why.LEGAL_HOLD, "AuditPolicy payments/own")]
    assert keep_hours(found) is None
    assert str(found[0]) == "legal hold of AuditPolicy payments/own"


def test_a_minimum_forbids_up_to_its_age_and_the_longest_counts():
    policies = tenants("payments", minimum="10d"), tenants("payments", "pci", frameworks=["PCI-DSS-4"])
    found = obstacles(*policies).to("payments", CENTRAL)
    assert keep_hours(found) == 366 * 24
    assert any("minimum of 366d of AuditPolicy payments/pci (" in str(each) for each in found)


def test_a_policy_may_say_that_its_own_minimum_is_no_duty_and_nobody_elses():
    def hours(*policies):
        return keep_hours(obstacles(*policies).to("payments", CENTRAL))

    waived = tenants("payments", minimum="10d", erasable=True)
    assert hours(waived) == 0
    assert hours(waived, tenants("payments", "other", minimum="5d")) == 5 * 24
    assert hours(tenants("payments", minimum="10d", erasable=True, frameworks=["PCI-DSS-4"])) == 366 * 24
    assert hours(tenants("payments", minimum="10d", erasable=True, immutable=True)) == 10 * 24
    assert hours(tenants("payments", minimum="10d", erasable=True, legalHold=True)) is None


def test_nothing_forbids_where_nobody_keeps():
    found = obstacles(tenants("payments", legalHold=True)).to("web", CENTRAL)
    assert (found, keep_hours(found)) == ((), 0)


def test_a_minimum_in_another_store_forbids_nothing_here_but_to_destroy_keys():
    policy = tenants("payments", minimum="10d")
    other = sink("other", "http://elsewhere:9428")
    made = obstacles(policy, sinks=(CENTRAL, other))
    assert made.to("payments", other) == ()
    assert whys(made.to("payments")) == [(Why.MINIMUM, "AuditPolicy payments/own")]


def test_a_hold_counts_in_every_store_since_its_policy_may_have_named_another_sink_before():
    other = sink("other", "http://elsewhere:9428")
    made = obstacles(tenants("payments", legalHold=True), sinks=(CENTRAL, other))
    assert whys(made.to("payments", other)) == [(Why.LEGAL_HOLD, "AuditPolicy payments/own")]


def picking(selector, **retention):
    return cluster_policy("held", **SHIPS, retention=retention, namespaceSelector=selector)


@pytest.mark.parametrize("retention", [{"legalHold": True}, {"minimum": "30d"}])
def test_what_keeps_records_outlives_their_namespace_and_the_labels_that_it_had(retention):
    made = obstacles(picking({"matchLabels": {"keep": "yes"}}, **retention))
    assert made.to("gone", CENTRAL)
    assert made.to("web", CENTRAL) == ()
    by_name = obstacles(picking({"matchLabels": {NAME_LABEL: "gone", "keep": "yes"}}, **retention))
    assert by_name.to("gone", CENTRAL)
    assert by_name.to("other", CENTRAL) == ()
    assert obstacles(cluster_policy("c", **SHIPS, retention=retention, scopes=["Cluster"])).to("gone", CENTRAL) == ()


def remembering(*, store="", kind="ClusterAuditSink", namespace="", **said):
    bare = sink(kind=kind, namespace=namespace)
    one = ClassRetention(
        name="c",
        desired="",
        state=RetentionState.ENFORCED,
        told=(ToldNamespaces(namespaces=("gone", "payments")),),
        **said,
    )
    known = RetentionOfSink(store=store or store_of(bare), classes=(one,))
    return bare.model_copy(update={"status": AuditSinkStatus(retention=known)})


def test_what_the_status_of_a_sink_remembers_forbids_it_in_its_store():
    held = remembering(legal_hold=True)
    found = obstacles(sinks=(held,)).to("gone", CENTRAL)
    assert list(map(str, found)) == ["legal hold that the status of ClusterAuditSink central remembers"]
    assert keep_hours(obstacles(sinks=(remembering(minimum="30d"),)).to("gone", CENTRAL)) == 30 * 24
    assert keep_hours(obstacles(sinks=(remembering(minimum="some time"),)).to("gone", CENTRAL)) is None
    assert obstacles(sinks=(held,)).to("web", CENTRAL) == ()
    assert obstacles(sinks=(held,)).to("gone", sink("other", "http://elsewhere:9428")) == ()
    assert obstacles(sinks=(remembering(legal_hold=True, store="another"),)).to("gone", CENTRAL) == ()


def test_a_policy_that_waives_its_minimum_waives_what_is_remembered_of_it():
    remembered = remembering(minimum="10d")
    made = obstacles(tenants("payments", minimum="10d", erasable=True), sinks=(remembered,))
    assert keep_hours(made.to("payments", CENTRAL)) == 0
    assert keep_hours(made.to("gone", CENTRAL)) == 10 * 24


def test_what_the_status_of_a_tenants_sink_says_is_about_its_own_namespace_alone():
    theirs = remembering(legal_hold=True, kind="AuditSink", namespace="payments")
    made = obstacles(sinks=(CENTRAL, theirs))
    assert made.to("payments", CENTRAL)
    assert made.to("gone", CENTRAL) == ()


def test_another_sink_of_the_same_store_is_the_same_store():
    same = sink("same", "http://LOGS:9428/")
    assert obstacles(tenants("payments", legalHold=True), sinks=(CENTRAL, same)).to("payments", same)


def test_a_cluster_wide_hold_is_one_for_namespaces_that_are_gone_and_for_records_of_none():
    made = obstacles(everybodys(legalHold=True))
    for namespace in ("payments", "gone", ""):
        assert keep_hours(made.to(namespace, CENTRAL)) is None


def test_a_hold_counts_also_where_the_sink_takes_no_more_of_it():
    closed = parsed(
        "ClusterAuditSink",
        "central",
        {
            "type": "VictoriaLogs",
            "victoriaLogs": {"url": "http://logs:9428"},
            "allowedNamespaces": {"matchLabels": {"a": "b"}},
        },
    )
    assert obstacles(tenants("payments", legalHold=True), sinks=(closed,)).to("payments", closed)


def test_what_cannot_be_read_forbids_it_in_its_namespace_or_everywhere():
    broken = InvalidObject(ObjectRef("AuditPolicy", "x", "payments"), 1, ())
    made = obstacles(invalid=[broken])
    assert whys(made.to("payments")) == [(Why.UNREADABLE, "AuditPolicy payments/x")]
    assert made.to("web") == ()
    everywhere = obstacles(unreadable=[ObjectRef("ClusterAuditPolicy", "x")])
    assert keep_hours(everywhere.to("web", CENTRAL)) is None
