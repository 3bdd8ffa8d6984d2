"""Rounds of live probes: what is found is said, what breaks is seen in the next round, and gone after the mend."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.api.policy_status import ProofOutcome
from audit_operator.cluster.probing import Unsent
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.controller.live_probes import LiveProbes, ProbeTimes, nameless_limit
from audit_operator.controller.metrics import Metrics
from audit_operator.controller.proof_memory import ProofMemory
from audit_operator.controller.way_figures import WayMeasures
from audit_operator.controlplane.configmap import ConfigMapUnavailable
from audit_operator.coverage.catalogue import Sender
from audit_operator.detections.own import preset_detections
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.proof.prediction import stages_of
from audit_operator.proof.requests import NAMELESS, sent_by
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
OTHER = replace(SNAPSHOT, audit_policies=(audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN),))


@dataclass
class Cluster:
    """API server, shipper and stores in one, for faults that real ones do not have on demand."""

    records: dict[ObjectRef, list[Record]] = field(default_factory=lambda: {CENTRAL: [], OWN: []})
    sent: list[str] = field(default_factory=list)
    unsent: str = ""
    unreached: int = 0
    away: set[ObjectRef] = field(default_factory=set)
    spoil: dict = field(default_factory=dict)
    loses: set[ObjectRef] = field(default_factory=set)
    breaks: set[ObjectRef] = field(default_factory=set)
    partial: set[ObjectRef] = field(default_factory=set)
    silent: tuple[str, ...] = ()
    asked: int = 0

    async def send(self, request):
        if self.unreached:
            self.unreached -= 1
            return Unsent("the API server did not answer", again=True)
        self.sent.append(request.marks.audit_id)
        if self.unsent or request.aim.sender is Sender.ANONYMOUS:
            return Unsent(self.unsent or "the API server takes no anonymous requests")
        user = sent_by(request.aim.sender, ME)
        seen = request.attributes(user)
        for stage in () if seen.resource in self.silent else stages_of(seen, request.aim.sender):
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
        if sink in self.partial:
            return Found((), 0, complete=False)
        return Found(tuple(each for each in self.records[sink] if each.audit_id == audit_id), 0, complete=True)


class ConfigMaps:
    """Of a cluster in which nobody else writes."""

    def __init__(self):
        self.data, self.writes, self.away = None, 0, False

    async def read(self, _namespace, _name):
        if self.away:
            raise ConfigMapUnavailable("injected")
        return self.data

    async def apply(self, _namespace, _name, data, _annotations):
        if self.away:
            raise ConfigMapUnavailable("injected")
        self.data, self.writes = data, self.writes + 1


class World:
    def __init__(self, config_maps=None, **times):
        self.cluster, self.metrics, self.changes = Cluster(), Metrics(), 0
        self.config_maps = config_maps or ConfigMaps()
        self.measures = WayMeasures(self.metrics.probe_counts(), waits=True)
        self.probes = LiveProbes(
            self.cluster,
            self.cluster,
            ME,
            self.measures,
            RateLimit(10_000.0, burst=1000),
            self.changed,
            ProbeTimes(**{"every": 0.1, "patience": 0.5, "look": 0.02, "settle": 0.05, "per_second": 1000.0, **times}),
            memory=ProofMemory(self.config_maps, "audit-operator", "proof"),
            nameless=RateLimit(10_000.0, burst=1000),
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


@asynccontextmanager
async def running(made, snapshot=SNAPSHOT):
    made.probes.follow(snapshot, plan(snapshot))
    task = asyncio.create_task(made.probes.run())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def world():
    async with running(World()) as made:
        yield made


async def test_every_action_is_proved_and_the_same_is_said_once(world):
    await world.until_proved()
    for place in ("payments", ""):
        await world.until(
            lambda place=place: (
                (seen := world.seen(place))
                and "authn-failure-401" in seen.verified
                and any(each.action == "anonymous-access" for each in seen.findings)
            )
        )
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


async def test_where_nothing_could_be_judged_there_is_no_rate_of_errors(world):
    world.cluster.away = {CENTRAL, OWN}
    await world.until(lambda: world.seen() is not None and world.seen("") is not None)
    assert world.probes.error_rate() == {}


async def test_a_namespace_that_is_new_does_not_hide_how_long_others_wait():
    began = time.time()
    made = World(settle=3600.0)
    async with running(made):
        await made.until(made.probes.oldest)
        assert began <= made.probes.oldest()["main"] <= time.time()
        assert made.cluster.sent == []


async def test_of_a_sink_that_is_gone_no_metrics_stay(world):
    def shown():
        every = [each for family in world.metrics.registry.collect() for each in family.samples]
        return {
            each.labels["sink"]
            for each in every
            if each.name.startswith("audit_operator_probe") and "sink" in each.labels
        }

    await world.until_proved()
    assert shown() == {"clusterauditsink.central", "auditsink.payments.own"}
    gone = replace(SNAPSHOT, audit_policies=(), audit_sinks=())
    world.probes.follow(gone, plan(gone))
    await world.until(lambda: shown() == {"clusterauditsink.central"})
    sent = len(world.cluster.sent)
    await world.until(lambda: len(world.cluster.sent) > sent + 100)
    assert shown() == {"clusterauditsink.central"}


async def test_without_a_way_to_send_nothing_is_proved(world):
    world.cluster.unsent = "there is no token"
    await world.until(lambda: world.seen() is not None)
    assert world.outcomes() == {(ProofOutcome.UNKNOWN, None)}
    assert not world.seen().verified
    assert world.cluster.asked == 0


async def test_an_api_server_that_is_away_for_a_moment_gets_the_same_requests_within_the_visit():
    made = World(every=1000.0, patience=60.0)
    made.cluster.unreached = 5
    async with running(made):
        await made.until_proved()
        assert made.cluster.unreached == 0
        assert len(made.cluster.sent) == len(set(made.cluster.sent))


async def test_an_api_server_that_stays_away_keeps_no_visit_for_ever():
    made = World(every=1000.0, patience=0.1)
    made.cluster.unreached = 1_000_000
    async with running(made):
        await made.until(lambda: made.seen() is not None)
        assert made.outcomes() == {(ProofOutcome.UNKNOWN, None)}


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
    world.probes.follow(OTHER, plan(OTHER))
    await world.until(lambda: world.seen() is None)
    world.cluster.spoil = {"level": "Request"}
    await world.until_proved()


def with_servers(snapshot, *ready):
    """API servers that run the same, and are ready or not."""
    seen = tuple(
        ApiServerObservation(f"node-{number}", ApiServerState.RUNNING, running_digest="a" * 64, ready=each)
        for number, each in enumerate(ready)
    )
    plane = control_plane(probes={"enabled": True})
    return replace(snapshot, control_planes=(plane,), observations={"main": seen})


async def test_while_an_api_server_is_not_ready_what_was_found_of_the_same_policy_stands_and_nothing_is_sent():
    made = World()
    made.cluster.spoil = {"level": "Request"}
    async with running(made, with_servers(SNAPSHOT, True, True)):
        await made.until(lambda: made.seen() and (ProofOutcome.CONTRADICTED, CENTRAL) in made.outcomes())
        away = with_servers(SNAPSHOT, True, False)
        made.probes.follow(away, plan(away))
        await made.probes.proved()
        await asyncio.sleep(1.0)
        sent = len(made.cluster.sent)
        await asyncio.sleep(0.5)
        assert (ProofOutcome.CONTRADICTED, CENTRAL) in made.outcomes()
        assert len(made.cluster.sent) == sent


async def test_while_an_api_server_is_not_ready_proof_of_another_policy_is_gone_at_once():
    async with running(World(every=3600.0), with_servers(SNAPSHOT, True, True)) as made:
        await made.until_proved()
        away = with_servers(OTHER, True, False)
        made.probes.follow(away, plan(away))
        await made.probes.proved()
        assert made.seen() is None


async def test_the_first_status_of_another_policy_says_nothing_of_what_was_proved_before():
    async with running(World(every=3600.0)) as made:
        await made.until_proved()
        made.probes.follow(OTHER, plan(OTHER))
        await made.probes.proved()
        assert made.seen() is None
        made.cluster.spoil = {"level": "Request"}
        await made.until_proved()


async def test_a_memory_that_is_slow_to_write_keeps_no_proof_standing():
    made, written = World(every=3600.0, keep=0.05), asyncio.Event()
    writing = made.config_maps.apply

    async def apply(*what):
        made.config_maps.writes += 1
        await written.wait()
        await writing(*what)

    made.config_maps.apply = apply
    async with running(made):
        await made.until_proved()
        await made.until(lambda: made.config_maps.writes)
        made.probes.follow(OTHER, plan(OTHER))
        await made.probes.proved()
        assert made.seen() is None
        written.set()


async def test_where_a_bug_keeps_a_change_from_being_learnt_nothing_counts_as_verified(monkeypatch):
    made = World(every=3600.0)
    made.cluster.loses = {OWN}
    async with running(made):
        await made.until(lambda: made.seen() and made.seen("") and made.seen("").verified)
        with monkeypatch.context() as patched:
            patched.setattr("audit_operator.controller.live_probes.bases", None)
            made.probes.follow(SNAPSHOT, plan(SNAPSHOT))
            said = (await made.probes.proved())["main"]
        assert not any(each.verified for each in said.values())
        assert not any(tally.verified for each in said.values() for tally in each.tallies)
        assert any(each.outcome is ProofOutcome.MISSING for each in said["payments"].findings)
        changes = made.changes
        made.probes.follow(SNAPSHOT, plan(SNAPSHOT))
        await made.until(lambda: made.changes > changes)
        assert (await made.probes.proved())["main"][""].verified


async def test_what_has_no_name_is_sent_by_few_and_the_rest_does_not_wait_for_it():
    """However many namespaces there are, and however often they are visited."""
    made = World(per_second=100_000.0)
    made.probes.nameless = RateLimit(1 / 0.5, burst=1)
    nameless, began = [], time.monotonic()
    send = made.cluster.send

    async def sending(request):
        if request.aim.sender in NAMELESS:
            nameless.append((time.monotonic(), request.aim.place))
        return await send(request)

    made.cluster.send = sending
    many = replace(SNAPSHOT, namespaces=(NamespaceFact("payments"), *(NamespaceFact(f"n{each}") for each in range(9))))
    async with running(made, many):
        places = {"", "payments", *(f"n{each}" for each in range(9))}
        await made.until(lambda: all(made.seen(each) and len(made.seen(each).verified) > 5 for each in places))
        assert {place for _, place in nameless} != places
        await made.until(lambda: {place for _, place in nameless} == places)
        assert len(nameless) <= 1 + (time.monotonic() - began) / 0.5
        served = list(dict.fromkeys(place for _, place in nameless))
        assert [place for _, place in nameless][: len(served)].count(served[0]) < 4


async def test_within_any_five_minutes_no_more_is_sent_without_a_name_than_is_allowed(monkeypatch):
    now, sent = 0.0, []

    async def sleep(seconds):
        nonlocal now
        now += seconds

    loop = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr(
        "audit_operator.cluster.rate_limit.asyncio", SimpleNamespace(get_running_loop=lambda: loop, sleep=sleep)
    )
    limit = nameless_limit()
    for each in range(200):
        now += 7000.0 if each % 50 == 49 else 0.1 * (each % 3)
        await limit.wait()
        sent.append(now)
    assert max(sum(at <= each <= at + 300.0 for each in sent) for at in sent) == 12
    [preset] = [each for each in preset_detections() if each.name == "unauthenticated-burst"]
    assert preset.window == 300
    assert preset.threshold > 12 + limit.burst  # and what a new leader adds


async def test_what_was_found_in_a_store_is_no_proof_of_one_at_another_address():
    made, answers = World(every=3600.0, patience=60.0), asyncio.Event()
    find = made.cluster.find

    async def open_(sink, _known=None):
        async def at(audit_id, stage, *, since):
            is_empty = "new" in str(sink.spec.victoria_logs.url) or (sink.ref == OWN and not answers.is_set())
            return Found((), 0, complete=True) if is_empty else await find(sink.ref, audit_id, stage, since=since)

        return SimpleNamespace(store=SimpleNamespace(find=at))

    made.cluster.open = open_
    moved = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://new.audit:9428"}}
    elsewhere = replace(SNAPSHOT, cluster_audit_sinks=(parsed("ClusterAuditSink", "central", moved),))
    async with running(made):
        await made.until(lambda: made.seen(""))
        await made.until(lambda: len(made.cluster.records[OWN]) > 30)
        made.probes.follow(elsewhere, plan(elsewhere))
        await made.probes.proved()
        answers.set()
        made.probes.times = replace(made.probes.times, patience=0.5)
        await made.until(made.seen)
        assert not made.seen().verified
        assert made.outcomes() == {(ProofOutcome.MISSING, CENTRAL)}


async def test_what_was_found_of_other_requests_proves_no_action():
    # A part of all requests at each visit, as with many namespaces, and none of those that come first in time.
    made, answers, sent = World(every=3600.0, patience=60.0, per_second=10.1 / 86_400), asyncio.Event(), set()
    send, find = made.cluster.send, made.cluster.find

    async def sending(request):
        sent.add(request.aim)
        return await send(request)

    async def finding(sink, audit_id, stage, *, since):
        found = await find(sink, audit_id, stage, since=since)
        return found if answers.is_set() else Found((), 0, complete=True)

    made.cluster.send, made.cluster.find = sending, finding
    async with running(made):
        await made.until(lambda: sum(aim.place == "payments" for aim in sent) == 5)
        first = next(iter(made.probes.bases["main"].selector.at("payments").aims))
        probes = {"enabled": True, "exclude": [first]}
        fewer = replace(SNAPSHOT, control_planes=(control_plane(**CONFIG_MAP, probes=probes),))
        made.probes.follow(fewer, plan(fewer))
        await made.probes.proved()
        answers.set()
        await made.until(made.seen)
        aims = made.probes.bases["main"].selector.at("payments").aims
        assert all(set(aims[action]) <= sent for action in made.seen().verified)


SILENT_ABOUT_SECRETS = replace(
    SNAPSHOT,
    audit_policies=(),
    audit_sinks=(),
    cluster_audit_policies=(
        cluster_policy(
            rules=[{"level": "None", "resources": [{"group": "", "resources": ["secrets"]}]}, {"level": "Metadata"}],
            sinkRefs=[{"kind": "ClusterAuditSink", "name": "central"}],
        ),
    ),
)


async def test_silence_is_proof_where_all_else_is_found():
    async with running(World(every=3600.0), SILENT_ABOUT_SECRETS) as made:
        made.cluster.silent = ("secrets",)
        await made.until(made.seen)
        assert "secrets-read" in made.seen().verified


async def test_an_answer_that_is_not_all_proves_neither_silence_nor_loss():
    made = World(every=3600.0)
    made.cluster.partial = {CENTRAL}
    async with running(made, SILENT_ABOUT_SECRETS):
        await made.until(made.seen)
        assert made.outcomes() == {(ProofOutcome.UNKNOWN, CENTRAL)}
        assert not made.seen().verified
        assert {each.message.rpartition(", ")[2] for each in made.seen().findings if each.sink} == {
            "but the store has more than could be read"
        }


async def test_silence_has_no_witness_while_records_of_one_of_the_api_servers_do_not_come():
    made = World(every=3600.0)
    send = made.cluster.send

    async def sending(request):
        made.cluster.loses = {CENTRAL} if len(made.cluster.sent) % 2 else set()
        return await send(request)

    made.cluster.send, made.cluster.silent = sending, ("secrets",)
    async with running(made, SILENT_ABOUT_SECRETS):
        await made.until(made.seen)
        assert (ProofOutcome.MISSING, CENTRAL) in made.outcomes()
        assert "secrets-read" not in made.seen().verified


async def test_records_are_looked_for_while_others_are_still_sent():
    made = World(every=3600.0, patience=60.0)
    send = made.cluster.send

    async def sending(request):
        if len(made.cluster.sent) >= 3:
            await made.until(lambda: made.cluster.asked)
        return await send(request)

    made.cluster.send = sending
    async with running(made):
        await made.until_proved()


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


async def remembered():
    """What one operator leaves behind that has proved everything, and is ended."""
    async with running(World(every=3600.0)) as first:
        await first.until_proved()
        await first.until(lambda: first.seen("") is not None)
    return first.config_maps, first.probes.observations


async def test_what_one_operator_has_proved_the_next_one_knows_before_it_says_anything():
    kept, proved = await remembered()
    async with running(World(kept, every=3600.0)) as second:
        await second.probes.proved()
        assert second.probes.observations == proved
        assert {CENTRAL, OWN} == set(second.measures.said["main"])
        assert second.probes.error_rate() == {"main": 0.0}
        await asyncio.sleep(0.5)
        assert second.cluster.sent == []


async def test_what_was_proved_of_another_policy_is_not_remembered_of_this_one():
    kept, proved = await remembered()
    async with running(World(kept, settle=3600.0), OTHER) as second:
        await second.probes.proved()
        assert second.seen() is None
        assert second.seen("") != proved["main"]["payments"]


async def test_what_was_proved_is_known_again_though_the_first_plan_asks_for_something_else():
    """An operator that has seen no API server yet may plan otherwise for a moment."""
    async with running(World(every=3600.0), with_servers(SNAPSHOT, True, True)) as first:
        await first.until_proved()
        proved = first.seen()
    async with running(World(first.config_maps, every=3600.0), with_servers(OTHER, True, False)) as second:
        await second.probes.proved()
        assert second.seen() is None
        whole = with_servers(SNAPSHOT, True, True)
        second.probes.follow(whole, plan(whole))
        await second.probes.proved()
        assert second.seen() == proved


async def test_what_was_proved_before_comes_back_no_more_once_all_is_in_force():
    async with running(World(every=3600.0), with_servers(SNAPSHOT, True, True)) as first:
        await first.until_proved()
    once, again = with_servers(OTHER, True, True), with_servers(SNAPSHOT, True, True)
    async with running(World(first.config_maps, settle=3600.0), once) as second:
        await second.probes.proved()
        second.probes.follow(again, plan(again))
        await second.probes.proved()
        assert second.seen() is None


async def test_remembered_proof_is_looked_at_when_it_is_its_turn():
    kept, _ = await remembered()
    async with running(World(kept)) as second:
        second.cluster.loses = {OWN}
        await second.until(lambda: second.seen() and (ProofOutcome.MISSING, OWN) in second.outcomes())
        written = kept.writes
    assert kept.writes > written
    async with running(World(kept, settle=3600.0)) as third:
        await third.probes.proved()
        assert (ProofOutcome.MISSING, OWN) in third.outcomes()


async def test_a_memory_that_is_away_costs_proof_and_nothing_else():
    kept, _ = await remembered()
    kept.away = True
    async with running(World(kept, keep=0.05)) as second:
        await second.probes.proved()
        assert second.seen() is None
        await second.until_proved()
        kept.away, written = False, kept.writes
        await second.until(lambda: kept.writes > written)


async def test_a_memory_that_somebody_has_spoilt_is_none():
    kept, _ = await remembered()
    kept.data = {"main": "what is this", "gone": ""}
    async with running(World(kept)) as second:
        await second.probes.proved()
        assert second.seen() is None
        await second.until_proved()


async def test_facts_that_could_not_be_learnt_are_learnt_a_little_later(monkeypatch):
    made = World()

    def broken(_planes):
        monkeypatch.undo()
        raise OverflowError

    monkeypatch.setattr(made.probes, "figures", SimpleNamespace(recall=broken))
    async with running(made):
        await made.until_proved()


async def test_nothing_is_sent_until_the_same_has_been_predicted_for_a_while():
    patient = World(settle=30.0)
    patient.probes.follow(SNAPSHOT, plan(SNAPSHOT))
    task = asyncio.create_task(patient.probes.run())
    await asyncio.sleep(1.0)
    task.cancel()
    assert patient.cluster.sent == []
