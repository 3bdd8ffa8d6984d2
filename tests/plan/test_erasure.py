"""What forbids an erasure, by store and namespace."""

from __future__ import annotations

from audit_operator.api.findings import ObjectRef
from audit_operator.plan.erasure import Obstacles, Why, keep_hours
from audit_operator.plan.snapshot import InvalidObject
from tests.plan.objects import parsed
from tests.plan.test_retention import everybodys, planned_of, sink, tenants

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


def test_a_hold_in_another_store_forbids_nothing_here_but_to_destroy_keys():
    policy = tenants("payments", legalHold=True)
    other = sink("other", "http://elsewhere:9428")
    made = obstacles(policy, sinks=(CENTRAL, other))
    assert made.to("payments", other) == ()
    assert whys(made.to("payments")) == [(Why.LEGAL_HOLD, "AuditPolicy payments/own")]


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
