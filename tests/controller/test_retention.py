import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import RetentionState
from audit_operator.cluster.rest import ApiUnreachableError
from audit_operator.controller.retention import RetentionRounds, RoundTimes, _pause
from audit_operator.plan.retention import SinkDemands
from audit_operator.retention.change import GRACE
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import Facts, Mends
from audit_operator.sinks.access import failure
from audit_operator.sinks.retention.protocol import Done, Observed
from audit_operator.sinks.store import Reason, Unsupported
from tests.plan.objects import parsed

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
REF = ObjectRef("ClusterAuditSink", "central")


LATE = failure(Reason.TIMED_OUT, "it took too long")


def sink(**more):
    return parsed(
        "ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs"}, **more}
    )


def demands(*demanded, confirmed=False):
    names = [f"ns{number}" for number in range(len(demanded))]
    classes = [
        RetentionClass(each, (name,), confirmed=frozenset({name} if confirmed else ()))
        for each, name in zip(demanded, names, strict=True)
    ]
    return SinkDemands(tuple(classes), ("main",))


@dataclass
class Store:
    """Has records of some ages, in hours, and deletes as it is told."""

    ages: dict = field(default_factory=dict)
    deletes_after: int = 10_000
    can_delete: bool = True
    away: object = None
    uncounted: set = field(default_factory=set)  # names of classes
    refused: object = None
    ordered: list = field(default_factory=list)
    mends: Mends = field(default_factory=lambda: Mends("keep longer", "let it delete", "lock it"))

    async def observe(self, classes, now):
        if self.away is not None:
            return self.away
        facts = {}
        for each in classes:
            if each.name in self.uncounted:
                continue
            after = each.demand.delete_after
            old = [age for name in each.namespaces for age in self.ages.get(name, ()) if after and age > after]
            facts[each.name] = Facts(self.deletes_after, can_delete=self.can_delete, oldest=now, overdue=len(old))
        return Observed(facts, f"{self.deletes_after} {self.can_delete}", dict.fromkeys(self.uncounted, LATE))

    async def enforce(self, orders, now, folders=None):  # noqa: ARG002 - the protocol's
        if self.away is not None:
            return self.away
        self.ordered.append({name: each.delete_after for each in orders for name in each.namespaces})
        deleted = {}
        if self.refused is not None:
            return Done({}, refused=self.refused)
        for each in orders:
            for name in each.namespaces if each.delete_after is not None else ():
                kept = [age for age in self.ages.get(name, ()) if age <= each.delete_after]
                deleted[each.wanted.name] = len(self.ages.get(name, ())) - len(kept)
                self.ages[name] = kept
        return Done(deleted)


@dataclass
class World:
    """The API server, with the status that the operator wrote last; the store; and the clock."""

    store: Store
    document: dict = field(default_factory=dict)
    reads: bool = True
    time: datetime = NOW
    rounds: RetentionRounds = None
    gets: int = 0

    async def get(self, resource, *, name, namespace=""):  # noqa: ARG002 - the protocol's
        self.gets += 1
        if not self.reads:
            raise ApiUnreachableError("gone")
        return json.loads(json.dumps(self.document))

    async def open_retention(self, sink, clusters):  # noqa: ARG002 - the protocol's
        return self.store

    async def forget(self):
        """The sink was made anew, or nothing was demanded of it for a while."""
        self.rounds.follow([], {})
        self.document = {}

    def written(self):
        if REF in self.rounds.observations:
            self.document = {"status": {"retention": to_json(self.rounds.observations[REF].status)}}

    async def settle(self, demanded):
        """As long as it takes until what is demanded is in force."""
        await self.go(sink(), demanded)
        return await self.go(sink(), demanded, days=GRACE.days)

    @property
    def seen(self):
        return self.rounds.observations[REF]

    async def turn(self):
        """Each round begins with a look at the status; what was begun before this is not counted."""
        end = self.gets + 4
        async with asyncio.timeout(60):
            while self.gets < end:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)

    async def go(self, sink_, demanded, days=0):
        """Some rounds, at a time that is so many days later."""
        self.time += timedelta(days=days)
        self.rounds.follow([sink_], {REF: demanded})
        await self.turn()
        return {each.name: each for each in self.seen.status.classes}


@asynccontextmanager
async def world(store):
    made = World(store)
    made.rounds = RetentionRounds(
        made, made, made.written, lambda: None, RoundTimes(every=0.01, patience=5.0), now=lambda: made.time
    )
    try:
        yield made
    finally:
        with suppress(asyncio.CancelledError):
            await made.rounds.aclose()


MAX30 = Demand(maximum=720)


async def test_a_deletion_is_announced_and_survives_a_restart_and_then_happens():
    async with world(Store({"ns0": [1000, 10]})) as one:
        [said] = (await one.go(sink(), demands(MAX30))).values()
        assert said.state is RetentionState.PENDING
        assert said.told[0].announced.due == "2026-12-05T12:00:00Z"
        assert "records older than 30d are deleted from 2026-12-05T12:00:00Z on" in said.reason
        document, time = one.document, one.time + GRACE - timedelta(seconds=1)
    async with world(Store({"ns0": [1000, 10]})) as two:
        two.document, two.time = document, time
        [said] = (await two.go(sink(), demands(MAX30))).values()
        assert two.store.ages == {"ns0": [1000, 10]}
        assert said.told[0].announced.since == "2026-11-28T12:00:00Z"
        [said] = (await two.go(sink(), demands(MAX30), days=1)).values()
        assert two.store.ages == {"ns0": [10]}
        assert (said.state, said.told[0].announced) == (RetentionState.ENFORCED, None)
        assert two.seen.figures.deleted == {MAX30.name: 1}


async def test_what_was_confirmed_is_deleted_at_once_and_what_does_not_stand_in_status_never():
    async with world(Store({"ns0": [1000, 10]})) as one:
        await one.settle(demands(Demand(maximum=2160)))
        await one.go(sink(), demands(MAX30, confirmed=True))
        assert one.store.ages == {"ns0": [10]}
    async with world(Store({"ns0": [1000, 10]})) as two:
        two.rounds.on_change = lambda: None  # nothing is ever written
        await two.go(sink(), demands(MAX30))
        await two.go(sink(), demands(MAX30), days=30)
        assert two.store.ages == {"ns0": [1000, 10]}


async def test_without_the_api_servers_word_no_store_is_told_anything():
    async with world(Store({"ns0": [1000]})) as one:
        one.reads = False
        one.rounds.follow([sink()], {REF: demands(MAX30, confirmed=True)})
        await one.turn()
        assert (one.rounds.observations, one.store.ordered) == ({}, [])


async def test_report_changes_nothing_and_says_what_is_not_as_it_should_be():
    async with world(Store({"ns0": [1000]})) as one:
        [said] = (await one.go(sink(retentionEnforcement="Report"), demands(MAX30, confirmed=True))).values()
        assert not any(one.store.ordered)
        assert said.state is RetentionState.PARTIAL
        assert "retentionEnforcement" in said.reason


async def test_a_store_that_is_away_keeps_what_was_proved_and_is_told_again_when_it_is_back():
    async with world(Store({"ns0": [10]})) as one:
        await one.settle(demands(MAX30, confirmed=True))
        proved = one.seen.status
        one.store.away = failure(Reason.UNREACHABLE, "no connection to the store")
        one.store.ages["ns0"].append(800)
        await one.go(sink(), demands(MAX30, confirmed=True), days=3)
        assert "no connection to the store" in one.seen.trouble
        assert one.seen.status == proved
        assert not one.seen.figures.up
        one.store.away = None
        await one.go(sink(), demands(MAX30, confirmed=True))
        assert (one.seen.trouble, one.store.ages) == ("", {"ns0": [10]})


async def test_a_class_that_cannot_be_counted_keeps_what_was_known_and_the_others_go_on():
    ninety = Demand(maximum=2160)
    async with world(Store({"ns0": [10], "ns1": [10]})) as one:
        proved = await one.settle(demands(MAX30, ninety))
        one.store.uncounted, one.store.ages = {MAX30.name}, {"ns0": [800], "ns1": [2200]}
        verified = one.seen.figures.verified
        said = await one.go(sink(), demands(MAX30, ninety), days=2)
        assert one.store.ages == {"ns0": [800], "ns1": []}
        assert said[MAX30.name] == proved[MAX30.name]
        assert said[ninety.name].last_verified > proved[ninety.name].last_verified
        assert (one.seen.trouble, one.seen.figures.verified) == ("", verified)
        assert "it took too long" in one.seen.trouble_of(MAX30.name)
        one.store.uncounted = set()
        await one.go(sink(), demands(MAX30, ninety))
        # What was in force still is: a store that was slow for a while costs no week.
        assert one.store.ages == {"ns0": [], "ns1": []}
        assert (one.seen.trouble_of(MAX30.name), one.seen.figures.verified) == ("", one.time.timestamp())


async def test_a_hold_on_a_class_that_cannot_be_counted_is_in_force_and_gives_its_week():
    async with world(Store({"ns0": [10]})) as one:
        await one.settle(demands(MAX30, confirmed=True))
        one.store.uncounted, one.store.ages = {HELD.name}, {"ns0": [800]}
        await one.go(sink(), demands(HELD, confirmed=True))
        await one.go(sink(), demands(MAX30, confirmed=True), days=1)
        assert one.store.ages == {"ns0": [800]}


async def test_a_store_that_refuses_to_delete_is_judged_without_deletion():
    async with world(Store({"ns0": [800]}, refused=failure(Reason.FORBIDDEN, "HTTP status 403"))) as one:
        [said] = (await one.settle(demands(MAX30))).values()
        assert (said.state, one.seen.trouble, one.store.ages) == (RetentionState.PARTIAL, "", {"ns0": [800]})
        assert "refuses the operator to delete" in said.reason
        assert "(HTTP status 403)" in said.reason
        one.store.refused = None
        [said] = (await one.go(sink(), demands(MAX30))).values()
        assert (said.state, one.store.ages) == (RetentionState.ENFORCED, {"ns0": []})


@pytest.mark.parametrize("change", [{"deletes_after": 100}, {"can_delete": False, "deletes_after": 20_000}])
async def test_settings_that_were_changed_by_hand_are_drift_until_they_are_good_again(change):
    both = replace(MAX30, minimum=480)
    async with world(Store({"ns0": [10]})) as one:
        good = {name: getattr(one.store, name) for name in change}
        [said] = (await one.settle(demands(both, confirmed=True))).values()
        assert said.state is RetentionState.ENFORCED
        for name, value in change.items():
            setattr(one.store, name, value)
        for _ in range(2):
            [said] = (await one.go(sink(), demands(both, confirmed=True))).values()
            assert said.state is RetentionState.DRIFTED
            assert said.reason
        for name, value in good.items():
            setattr(one.store, name, value)
        [said] = (await one.settle(demands(both, confirmed=True))).values()
        assert said.state is RetentionState.ENFORCED


async def test_what_never_was_good_enough_is_no_drift_and_to_switch_to_report_is_none_either():
    async with world(Store(can_delete=False)) as one:
        [said] = (await one.go(sink(), demands(MAX30))).values()
        assert said.state is RetentionState.PARTIAL
    async with world(Store()) as two:
        await two.go(sink(), demands(MAX30, confirmed=True))
        [said] = (await two.go(sink(retentionEnforcement="Report"), demands(MAX30, confirmed=True))).values()
        assert said.state is RetentionState.PARTIAL


async def test_a_hold_stops_deletion_at_once_and_a_change_of_class_takes_its_time():
    async with world(Store({"ns0": [10]})) as one:
        await one.settle(demands(MAX30, confirmed=True))
        one.store.ages["ns0"] = [800]
        held = replace(MAX30, legal_hold=True)
        assert list(await one.go(sink(), demands(held, confirmed=True))) == [held.name]
        assert one.store.ordered[-1] == {"ns0": None}
        await one.go(sink(), demands(MAX30, confirmed=True), days=1)
        assert one.store.ages == {"ns0": [800]}
        await one.go(sink(), demands(MAX30, confirmed=True), days=7)
        assert one.store.ages == {"ns0": []}


HELD = replace(MAX30, legal_hold=True)


@dataclass
class SlowStore(Store):
    """Takes its time: with every question (`asked`), or with a deletion (`begun`), until `go_on`."""

    slow: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def observe(self, classes, now):
        seen = await super().observe(classes, now)
        if self.slow == "observe":
            self.asked.set()
            await self.go_on.wait()
        return seen

    async def enforce(self, orders, now, folders=None):
        if self.slow == "enforce" and orders:
            self.begun.set()
            await self.go_on.wait()
        return await super().enforce(orders, now, folders)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("slow", ["observe", "enforce"])
async def test_a_hold_ends_the_round_that_is_under_way_before_anything_goes(slow):
    store = SlowStore({"ns0": [10]})
    async with world(store) as one:
        await one.settle(demands(MAX30))
        store.ages["ns0"], store.slow, told = [800], slow, len(store.ordered)
        await (store.asked if slow == "observe" else store.begun).wait()
        one.rounds.follow([sink()], {REF: demands(HELD)})
        if slow == "enforce":
            await until(lambda: {} in store.ordered[told:])
        store.slow = ""
        store.go_on.set()
        await until(lambda: store.ordered[-1] == {"ns0": None})
        await one.turn()
        assert {"ns0": 720} not in store.ordered[told:]
        assert store.ages == {"ns0": [800]}


@pytest.mark.parametrize("to", [{}, {REF: demands(MAX30)}], ids=["nothing-demanded", "report"])
async def test_deletions_under_way_are_stopped_when_a_sink_is_left_alone(to):
    store = SlowStore({"ns0": [10]})
    async with world(store) as one:
        await one.settle(demands(MAX30))
        store.ages["ns0"], store.slow = [800], "enforce"
        await store.begun.wait()
        one.rounds.follow([sink(retentionEnforcement="Report")], to)
        await until(lambda: store.ordered[-1] == {})
        assert store.ages == {"ns0": [800]}


@pytest.mark.parametrize(
    "between",
    [
        lambda one: one.go(sink(retentionEnforcement="Report"), demands(MAX30, confirmed=True)),
        lambda one: one.go(sink(), SinkDemands((RetentionClass(MAX30, ("other",)),), ("main",))),
        lambda one: one.forget(),
    ],
    ids=["on-report", "in-no-class", "status-lost"],
)
async def test_a_hold_that_nobody_remembers_any_more_is_no_reason_to_hasten(between):
    async with world(Store({"ns0": [10]})) as one:
        await one.settle(demands(MAX30, confirmed=True))
        one.store.ages["ns0"] = [800]
        await one.go(sink(), demands(HELD, confirmed=True))
        await between(one)
        await one.go(sink(), demands(MAX30, confirmed=True), days=GRACE.days - 1)
        await one.go(sink(), demands(MAX30, confirmed=True), days=GRACE.days - 1)
        assert one.store.ages == {"ns0": [800]}
        await one.go(sink(), demands(MAX30, confirmed=True), days=1)
        assert one.store.ages == {"ns0": []}


async def test_many_maximums_do_not_push_a_hold_out_of_what_is_remembered():
    many = [Demand(maximum=1000 + number) for number in range(64)]
    async with world(Store({"ns64": [800]})) as one:
        said = await one.go(sink(), demands(*many, HELD))
        assert len(said) == 64
        assert said[HELD.name].legal_hold


async def test_ten_thousand_namespaces_and_records_of_none_are_a_class_that_can_be_deleted_from():
    names = ("", *(f"ns{number:05}" for number in range(10_000)))
    many = SinkDemands((RetentionClass(MAX30, names, confirmed=frozenset(names)),), ("main",))
    async with world(Store({"ns09999": [800, 10]})) as one:
        await one.settle(many)
        assert one.store.ages["ns09999"] == [10]
        [said] = one.seen.status.classes
        assert said.state is RetentionState.ENFORCED
        assert [each.namespaces for each in said.told] == [names]


def test_a_store_that_does_not_manage_is_asked_less_and_less_often():
    assert [_pause(tries, 3600.0) for tries in (0, 1, 2, 3, 9, 10**6)] == [3600, 60, 120, 240, 3600, 3600]
    assert [_pause(tries, 1.0) for tries in (0, 1, 2)] == [1, 1, 1]


async def test_another_store_at_the_same_sink_is_another_matter():
    async with world(Store({"ns0": [800]})) as one:
        await one.go(sink(), demands(MAX30))
        one.document["status"]["retention"]["store"] = "VictoriaLogs url=elsewhere:80"
        await one.go(sink(), demands(MAX30), days=8)
        assert one.store.ages == {"ns0": [800]}


async def test_of_a_store_that_cannot_be_asked_nothing_is_claimed():
    async with world(Store(away=Unsupported("declare it there"))) as one:
        assert await one.go(sink(), demands(MAX30)) == {}
        assert (one.seen.unsupported, one.seen.trouble) == (True, "declare it there")


async def test_the_same_is_not_said_again_before_a_day_is_over():
    async with world(Store()) as one:
        changes = []
        await one.go(sink(), demands(MAX30, confirmed=True))
        one.rounds.on_change = lambda: (changes.append(1), one.written())
        for _ in range(5):
            one.time += timedelta(hours=1)
            await one.go(sink(), demands(MAX30, confirmed=True))
        assert changes == []
        await one.go(sink(), demands(MAX30, confirmed=True), days=1)
        assert changes == [1]
