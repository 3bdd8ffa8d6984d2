"""Rounds of live probes: what is found is said, what breaks is seen in the next round, and gone after the mend."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import ProofOutcome
from audit_operator.cluster.probing import Unsent
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.controller.live_probes import LiveProbes, ProbeTimes
from audit_operator.controller.metrics import Metrics
from audit_operator.coverage.catalogue import Sender
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.proof.prediction import stages_of
from audit_operator.proof.requests import sent_by
from audit_operator.proof.selecting import prober_in
from audit_operator.sinks.store import Failure, Found, Reason, Record
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs.audit:9428"}}
CENTRAL, OWN = ObjectRef("ClusterAuditSink", "central"), ObjectRef("AuditSink", "own", "payments")
ME = prober_in("audit-operator")
TO_OWN = [{"kind": "AuditSink", "name": "own"}]
CONFIG_MAP = {"driver": "ConfigMap", "configMap": {"namespace": "kube-system", "name": "policy"}}
SNAPSHOT = Snapshot(
    audit_policies=(audit_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_OWN),),
    cluster_audit_policies=(
        cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=[{"kind": "ClusterAuditSink", "name": "central"}]),
    ),
    audit_sinks=(parsed("AuditSink", "own", STORE, "payments"),),
    cluster_audit_sinks=(parsed("ClusterAuditSink", "central", STORE),),
    control_planes=(control_plane(**CONFIG_MAP, probes={"enabled": True}),),
    namespaces=(NamespaceFact("payments"),),
)


@dataclass
class Cluster:
    """API server, shipper and stores in one, for faults that real ones do not have on demand."""

    records: dict[ObjectRef, list[Record]] = field(default_factory=lambda: {CENTRAL: [], OWN: []})
    sent: list[str] = field(default_factory=list)
    unsent: str = ""
    away: set[ObjectRef] = field(default_factory=set)
    spoil: dict = field(default_factory=dict)
    loses: set[ObjectRef] = field(default_factory=set)
    breaks: set[ObjectRef] = field(default_factory=set)
    asked: int = 0

    async def send(self, request):
        self.sent.append(request.marks.audit_id)
        if self.unsent or request.aim.sender is Sender.ANONYMOUS:
            return Unsent(self.unsent or "the API server takes no anonymous requests")
        user = sent_by(request.aim.sender, ME)
        seen = request.attributes(user)
        for stage in stages_of(seen, request.aim.sender):
            event = {
                "auditID": request.marks.audit_id,
                "stage": stage.value,
                "level": "Metadata",
                "verb": seen.verb,
                "requestURI": request.uri.replace(request.marks.canary, "[REDACTED]"),
                "user": {"username": user.name} if user else {},
                "objectRef": {"namespace": seen.namespace},
                **self.spoil,
            }
            for sink in (CENTRAL, *([OWN] if seen.namespace == "payments" else [])):
                if sink not in self.loses:
                    text = json.dumps(event)
                    self.records[sink].append(Record(event["auditID"], stage.value, datetime.now(UTC), text))
        return None

    async def open(self, sink, _known=None):
        return SimpleNamespace(store=SimpleNamespace(find=partial(self.find, sink.ref)))

    async def find(self, sink, audit_id, _stage, *, since):
        assert since < datetime.now(UTC)
        self.asked += 1
        if sink in self.breaks:
            raise ValueError(sink)
        if sink in self.away:
            return Failure(Reason.UNREACHABLE, "no connection", "wait")
        return Found(tuple(each for each in self.records[sink] if each.audit_id == audit_id), 0, complete=True)


class World:
    def __init__(self, **times):
        self.cluster, self.metrics, self.changes = Cluster(), Metrics(), 0
        self.probes = LiveProbes(
            self.cluster,
            self.cluster,
            ME,
            self.metrics.probe_counts(),
            RateLimit(10_000.0, burst=1000),
            self.changed,
            ProbeTimes(**{"every": 0.1, "patience": 0.5, "look": 0.02, "settle": 0.05, "per_second": 1000.0, **times}),
        )

    def changed(self):
        self.changes += 1

    def seen(self, place="payments"):
        return self.probes.observations.get("main", {}).get(place)

    def outcomes(self, place="payments"):
        """By outcome, what was found out about actions that can happen here."""
        seen = self.seen(place)
        return {(each.outcome, each.sink) for each in seen.findings if each.action != "anonymous-access"}

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
                await asyncio.sleep(0.01)

    async def until_proved(self):
        await self.until(lambda: self.seen() and len(self.seen().verified) > 30 and not self.outcomes())


@pytest.fixture
async def world():
    made = World()
    made.probes.follow(SNAPSHOT, plan(SNAPSHOT))
    task = asyncio.create_task(made.probes.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_every_action_is_proved_and_the_same_is_said_once(world):
    await world.until_proved()
    await world.until(lambda: world.seen("") is not None)
    [finding] = [each for each in world.seen().findings if each.action == "anonymous-access"]
    assert finding.outcome is ProofOutcome.UNKNOWN
    changes, sent = world.changes, len(world.cluster.sent)
    await world.until(lambda: len(world.cluster.sent) > 3 * sent)
    assert world.changes == changes
    assert len(set(world.cluster.sent)) == len(world.cluster.sent)
    assert world.probes.error_rate() == {"main": 0.0}
    assert world.probes.oldest()["main"] > 0


@pytest.mark.parametrize(
    ("spoil", "outcome", "said"),
    [
        ({"level": "Request"}, ProofOutcome.CONTRADICTED, "level: predicted Metadata at"),
        ({"objectRef": {"namespace": "web"}}, ProofOutcome.CONTRADICTED, "namespace: predicted payments, found web"),
        ({"stage": "RequestReceived"}, ProofOutcome.MISSING, "found RequestReceived"),
        ({"user": {"username": "mallory"}}, ProofOutcome.FOREIGN, "somebody must have read"),
    ],
)
async def test_what_breaks_is_seen_and_gone_after_the_mend(world, spoil, outcome, said):
    await world.until_proved()
    world.cluster.spoil = spoil
    await world.until(lambda: (outcome, CENTRAL) in world.outcomes())
    assert any(said in each.message for each in world.seen().findings if each.outcome is outcome)
    world.cluster.spoil = {}
    await world.until_proved()


async def test_a_sink_that_loses_records_is_told_from_one_that_does_not(world):
    await world.until_proved()
    world.cluster.loses = {OWN}
    await world.until(lambda: world.outcomes() == {(ProofOutcome.MISSING, OWN)})
    assert world.probes.error_rate()["main"] > 0
    text = "".join(
        f"{each.name}{each.labels}" for family in world.metrics.registry.collect() for each in family.samples
    )
    assert "'outcome': 'Missing'" in text


async def test_a_store_that_is_away_proves_nothing_and_blames_nobody(world):
    await world.until_proved()
    world.cluster.away = {OWN}
    await world.until(lambda: world.outcomes() == {(ProofOutcome.UNKNOWN, OWN)})
    assert world.probes.error_rate() == {"main": 0.0}


async def test_without_a_way_to_send_nothing_is_proved(world):
    world.cluster.unsent = "there is no token"
    await world.until(lambda: world.seen() is not None)
    assert world.outcomes() == {(ProofOutcome.UNKNOWN, None)}
    assert not world.seen().verified
    assert world.cluster.asked == 0


async def test_a_control_plane_that_wants_no_probes_has_none(world):
    await world.until_proved()
    off = replace(SNAPSHOT, control_planes=(control_plane(**CONFIG_MAP),))
    world.probes.follow(off, plan(off))
    assert world.probes.observations == {}
    await asyncio.sleep(1.0)
    sent = len(world.cluster.sent)
    await asyncio.sleep(0.5)
    assert len(world.cluster.sent) == sent
    assert world.probes.observations == {}


async def test_what_was_proved_of_another_policy_is_no_proof_and_all_is_proved_anew(world):
    world.probes.times = replace(world.probes.times, every=3600.0)
    await world.until_proved()
    more = replace(SNAPSHOT, audit_policies=(audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN),))
    world.probes.follow(more, plan(more))
    await world.until(lambda: world.seen() is None)
    world.cluster.spoil = {"level": "Request"}
    await world.until_proved()


async def test_in_the_middle_of_a_roll_out_nothing_is_claimed(world):
    await world.until_proved()
    nobody_yet = replace(SNAPSHOT, control_planes=(control_plane(probes={"enabled": True}),))
    world.probes.follow(nobody_yet, plan(nobody_yet))
    await world.until(lambda: world.seen() is None)


async def test_a_bug_in_asking_one_store_keeps_nobody_elses_proof(world):
    world.cluster.breaks = {OWN}
    await world.until(lambda: world.seen() is not None)
    assert world.outcomes() == {(ProofOutcome.UNKNOWN, OWN)}
    await world.until(lambda: world.seen("") and world.seen("").verified)


async def test_a_namespace_that_is_gone_is_forgotten(world):
    await world.until_proved()
    gone = replace(SNAPSHOT, namespaces=(), audit_policies=())
    world.probes.follow(gone, plan(gone))
    await world.until(lambda: "payments" not in world.probes.observations["main"])


async def test_nothing_is_sent_until_the_same_has_been_predicted_for_a_while():
    patient = World(settle=30.0)
    patient.probes.follow(SNAPSHOT, plan(SNAPSHOT))
    task = asyncio.create_task(patient.probes.run())
    await asyncio.sleep(1.0)
    task.cancel()
    assert patient.cluster.sent == []
