"""A tenant's store is somewhere else than on the machine that ships."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.plan import Snapshot, plan
from audit_operator.plan.local_addresses import is_local_url
from audit_operator.plan.shipping import shipping
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.snapshot import NamespaceFact
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy, control_plane, parsed

LOCAL = [
    "127.0.0.1", "127.9.9.9", "[::1]", "169.254.169.254", "[fe80::1]", "0.1.2.3", "[::]", "224.0.0.1", "[ff02::1]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fd00:ec2::254]",
    "168.63.129.16", "localhost", "LOCALHOST", "localhost.", "logs.localhost", "localhost.localdomain",
    "metadata.google.internal", "metadata", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "0",
    "a.0x7f", "1.2.3.256",
]  # fmt: skip
ELSEWHERE = [
    "10.0.0.7", "192.0.2.1", "[2001:db8::1]", "logs.audit", "logs.payments", "localhost.example", "store1",
    "metadata.example",
]  # fmt: skip
SINK, POLICY = ObjectRef("AuditSink", "own", "payments"), ObjectRef("AuditPolicy", "pci", "payments")
STORES = {
    "VictoriaLogs": ("victoriaLogs", {"url": "http://127.0.0.1:9428"}),
    "Loki": ("loki", {"url": "http://localhost:3100"}),
    "OTLP": ("otlp", {"endpoint": "http://[::1]:4318/x"}),
    "OpenSearch": ("openSearch", {"url": "https://169.254.169.254"}),
    "Elasticsearch": ("elasticsearch", {"url": "https://127.1:9200"}),
    "S3": ("s3", {"bucket": "logs", "endpoint": "http://0.0.0.0:9000"}),
}


@pytest.mark.parametrize("host", LOCAL)
def test_these_are_local_however_they_are_written(host):
    assert is_local_url(f"http://{host}:9428/path")


@pytest.mark.parametrize("host", ELSEWHERE)
def test_these_are_not(host):
    assert not is_local_url(f"http://{host}:9428/path")


def facts(type_, kind="AuditSink"):
    field, section = STORES[type_]
    sink = parsed(kind, "own", {"type": type_, field: section}, "payments" if kind == "AuditSink" else "")
    policy = audit_policy(rules=[{"level": "Request"}], sinkRefs=[{"kind": kind, "name": "own"}])
    return Snapshot(
        audit_policies=(policy,),
        control_planes=(control_plane(),),
        namespaces=(NamespaceFact("payments"),),
        **{"audit_sinks" if kind == "AuditSink" else "cluster_audit_sinks": (sink,)},
    )


def conditions(status):
    return {each["type"]: each for each in status["conditions"]}


@pytest.mark.parametrize("type_", STORES)
def test_a_tenants_sink_there_is_refused_with_the_field_and_nothing_is_shipped_to_it(type_):
    snapshot = facts(type_)
    planned = plan(snapshot)
    assert shipping(snapshot, planned, "main") is None
    said = statuses(snapshot, planned, {})
    sink, policy = conditions(said[SINK]), conditions(said[POLICY])
    assert (sink["Accepted"]["status"], sink["Accepted"]["reason"]) == ("False", "Invalid")
    assert sink["Accepted"]["message"].startswith(f"spec.{STORES[type_][0]}.")
    assert sink["Stalled"]["status"] == "True"
    assert (policy["ResolvedRefs"]["status"], policy["ResolvedRefs"]["reason"]) == ("False", "SinkNotPermitted")
    assert "spec.sinkRefs[0]" in policy["ResolvedRefs"]["message"]
    assert policy["Shipping"]["reason"] == "SinkNotUsable"
    assert [each.id for each in planned.findings[SINK]] == ["sink-address-local"]


def test_the_platforms_sinks_may_be_there_and_all_if_the_operator_is_told_so():
    cluster_wide = facts("VictoriaLogs", "ClusterAuditSink")
    assert shipping(cluster_wide, plan(cluster_wide), "main").sinks == (ObjectRef("ClusterAuditSink", "own"),)
    told = replace(facts("VictoriaLogs"), local_sinks=True)
    assert shipping(told, plan(told), "main").sinks == (SINK,)
    assert Sinks.of(told).barred == {}
