"""However many sinks tenants make, nodes' disks and what shippers are told have an end, and who has few has his."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.plan import NamespaceFact, plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.shares import IN_MEMORY, ON_DISK, SINKS_OF_TENANTS, beyond_bounds, room_of
from audit_operator.plan.shipping import shipping
from tests.plan.objects import audit_policy
from tests.plan.test_shipping import CENTRAL, SNAPSHOT, sink

MIB = 2**20


def own(name, namespace="payments"):
    return ObjectRef("AuditSink", name, namespace)


def with_sinks(*names):
    wanted = [{"kind": "AuditSink", "name": name} for name in names]
    policies = [audit_policy(name=f"p{each['name']}", rules=[{"level": "Request"}], sinkRefs=[each]) for each in wanted]
    sinks = tuple(sink("AuditSink", name, "payments") for name in names)
    return replace(SNAPSHOT, audit_policies=tuple(policies), audit_sinks=sinks)


def files(snapshot):
    return collector_files(shipping(snapshot, plan(snapshot), "main"), snapshot, "main")


def test_of_the_sinks_of_a_namespace_the_first_four_are_written_to_and_the_others_say_why():
    made = files(with_sinks(*"fbadec"))
    assert set(made.sinks) == {CENTRAL, *map(own, "abcd")}
    assert set(made.findings) == {own("e"), own("f")}
    assert "4 AuditSinks of a namespace" in made.findings[own("e")].message


def test_the_sinks_of_one_namespace_take_nothing_from_another():
    assert beyond_bounds([*map(own, "abcd"), own("z", "web"), CENTRAL]) == {}


def test_who_has_one_sink_has_it_whatever_the_number_of_others():
    many = [own(name, f"n{number}") for number in range(SINKS_OF_TENANTS) for name in "abc"]
    last = own("z", "zz")
    left_out = beyond_bounds([*many, last, *(ObjectRef("ClusterAuditSink", f"c{each}") for each in range(9))])
    assert len(many) + 1 - len(left_out) == SINKS_OF_TENANTS
    assert {each.name for each in left_out} == {"b", "c", "z"}  # one namespace more than there is room for
    assert last in left_out
    assert last not in beyond_bounds([*many[3:], last])


@pytest.mark.parametrize(
    ("count", "on_disk", "in_memory"),
    [(0, 256, 64), (1, 256, 64), (3, 256, 32), (16, 256, 8), (17, 128, 4), (33, 64, 2), (SINKS_OF_TENANTS, 8, 0.25)],
)
def test_the_queues_of_all_tenants_together_have_an_end(count, on_disk, in_memory):
    room = room_of([*(own("a", f"n{number}") for number in range(count)), CENTRAL], "file_storage/queues")
    assert (room.on_disk_of_tenant, room.in_memory_of_tenant) == (on_disk * MIB, in_memory * MIB)
    assert count * room.on_disk_of_tenant <= ON_DISK
    assert count * room.in_memory_of_tenant <= IN_MEMORY


def test_the_queues_of_tenants_shrink_and_those_of_the_platform_do_not():
    names = [f"n{number:02}" for number in range(40)]
    policies = tuple(
        audit_policy(rules=[{"level": "Request"}], sinkRefs=[{"kind": "AuditSink", "name": "own"}], namespace=each)
        for each in names
    )
    snapshot = replace(
        SNAPSHOT,
        namespaces=tuple(map(NamespaceFact, names)),
        audit_policies=policies,
        audit_sinks=tuple(sink("AuditSink", "own", each) for each in names),
    )
    config = files(snapshot).config
    assert config.count(f'"queue_size": {64 * MIB},') == 40
    assert config.count(f'"queue_size": {4096 * MIB},') == 1


def test_so_do_those_in_memory():
    snapshot = with_sinks(*"abc")
    lossy = {"delivery": {"guarantee": "BestEffort"}}
    sinks = tuple(sink("AuditSink", name, "payments", **lossy) for name in "abc")
    central = (sink("ClusterAuditSink", "central", **lossy),)
    config = files(replace(snapshot, audit_sinks=sinks, cluster_audit_sinks=central)).config
    assert config.count(f'"queue_size": {32 * MIB},') == 3
    assert config.count(f'"queue_size": {64 * MIB},') == 1
