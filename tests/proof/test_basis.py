"""Probes are held against what the verdicts in status are about, and not sent while that is on its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.proof.basis import bases, settled
from audit_operator.proof.selecting import prober_in
from tests.plan.objects import cluster_policy, control_plane, parsed

STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs.audit:9428"}}
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
PROBES = {"enabled": True, "exclude": ["pod-exec"]}
SNAPSHOT = Snapshot(
    cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL),),
    cluster_audit_sinks=(parsed("ClusterAuditSink", "central", STORE),),
    control_planes=(control_plane(probes=PROBES),),
    namespaces=(NamespaceFact("web"), NamespaceFact("payments")),
)
COMPILED = plan(SNAPSHOT).compiled["main"]


def server(digest, *, ready=True):
    return ApiServerObservation("a", ApiServerState.RUNNING, running_digest=digest, ready=ready)


def basis(*servers, snapshot=SNAPSHOT):
    seen = replace(snapshot, observations={"main": servers})
    planned = plan(seen)
    return bases(seen, planned, prober_in("audit-operator")).get("main") if "main" in settled(seen, planned) else None


def test_every_namespace_is_a_place_and_so_is_none():
    made = basis(server(COMPILED.desired.digest))
    assert made.policy == COMPILED.policy
    assert made.places == ("", "payments", "web")
    assert "pod-exec" in made.selector.at("web").unproved


@pytest.mark.parametrize(
    "servers",
    [(), (server(COMPILED.desired.digest), server("b" * 64)), (server(COMPILED.desired.digest, ready=False),)],
)
def test_nothing_is_sent_in_the_middle_of_a_roll_out(servers):
    assert basis(*servers) is None


def test_an_api_server_that_stays_with_another_policy_is_held_against_what_is_asked_for():
    assert basis(server("")).policy == COMPILED.policy
    assert basis(server("b" * 64)).policy == COMPILED.policy


def test_whoever_does_not_ask_for_probes_or_ships_nowhere_has_none():
    running = server(COMPILED.desired.digest)
    assert basis(running, snapshot=replace(SNAPSHOT, control_planes=(control_plane(),))) is None
    off = control_plane(probes={"enabled": False})
    assert basis(running, snapshot=replace(SNAPSHOT, control_planes=(off,))) is None
    nowhere = replace(SNAPSHOT, cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}]),))
    assert basis(running, snapshot=nowhere) is None
