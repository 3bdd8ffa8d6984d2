"""Whatever protects records and was seen gives its week, in whatever order rounds, writes, failures and deaths come."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink_retention import ClassRetention, RetentionOfSink, ToldNamespaces
from audit_operator.cluster.rest import ApiUnreachableError
from audit_operator.controller.retention import RetentionRounds
from audit_operator.controller.retention_memory import Memory
from audit_operator.controller.retention_protection import protecting
from audit_operator.plan.retention import SinkDemands, store_of
from audit_operator.retention.change import GRACE, Announcement
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import Facts, Mends
from audit_operator.retention.orders import Remembered, Told
from audit_operator.retention.protection import Protection, guarded, newly
from audit_operator.sinks.access import failure
from audit_operator.sinks.retention.protocol import Done, Observed
from audit_operator.sinks.store import Reason
from tests.examples import examples
from tests.plan.objects import parsed

NOW = datetime(2026, 11, 28, tzinfo=UTC)
REF = ObjectRef("ClusterAuditSink", "central")
SINK = parsed("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs"}})
DAY = 24
MAX30, MAX10 = Demand(maximum=30 * DAY), Demand(maximum=10 * DAY)
DEMANDS = {
    "30d": MAX30,
    "10d": MAX10,
    "hold": replace(MAX30, legal_hold=True),
    "20d at least": Demand(20 * DAY, 30 * DAY),
    "no maximum": Demand(minimum=5 * DAY),
    "nothing": None,
    "nothing of anybody": None,
}


NOBODY = "nothing of anybody"


def demands(demand, *, confirmed):
    classes = [RetentionClass(Demand(maximum=99 * DAY), ("another",))]
    if demand is not None:
        classes.append(RetentionClass(demand, ("web",), confirmed=frozenset({"web"} if confirmed else ())))
    return SinkDemands(tuple(classes), ("main",))


def as_if_for_weeks():
    """What is remembered of a namespace whose records have been deleted after 30 days for a long time."""
    told = ToldNamespaces(namespaces=("web",), delete_after="30d", settled=True)
    one = ClassRetention(name=MAX30.name, desired="at most 30d", state=RetentionState.ENFORCED, told=(told,))
    return {"status": {"retention": to_json(RetentionOfSink(store=store_of(SINK), classes=(one,)))}}


@dataclass
class Seen:
    """What protected the records of a namespace, and when: of one life of the operator, or of all that it wrote."""

    spans: list = field(default_factory=list)  # [protection, until]; None: it still does

    def demand(self, now, demand):
        self.spans = [[each, until if until is not None else now] for each, until in self.spans]
        self.spans.append([Protection(endless=True) if demand is None else Protection.by(demand), None])

    def copy(self, now):
        return Seen([[each, until if until is not None else now] for each, until in self.spans])

    def forbids(self, now, after):
        return [
            each
            for each, until in self.spans
            if (until is None or until + GRACE > now) and (each.endless or each.minimum > after)
        ]


@dataclass(frozen=True)
class Dead:
    """The operator is killed; what is demanded changes before the next one begins, or does not."""

    meanwhile: str = ""


class Life:
    """One operator after the other, an API server, a store, and what somebody demands."""

    def __init__(self):
        self.document, self.time = as_if_for_weeks(), NOW
        self.demanded, self.confirmed, self.anybody = MAX30, False, True
        self.written, self.meanwhile, self.fails = Seen(), {}, ""
        self.mends = Mends("", "", "")
        self.ordered, self.wrong = [], []

    async def begin(self):
        self.rounds = RetentionRounds(self, self, lambda: None, lambda: None, now=lambda: self.time)
        self.seen = Seen()
        self.show()

    def show(self):
        self.seen.demand(self.time, self.demanded)
        self.follow()

    def follow(self):
        wanted = {REF: demands(self.demanded, confirmed=self.confirmed)} if self.anybody else {}
        self.rounds.follow([SINK], wanted)

    async def get(self, resource, *, name, namespace=""):  # noqa: ARG002 - the protocol's
        document = json.loads(json.dumps(self.document))
        self.happens("read")
        if self.fails == "read":
            raise ApiUnreachableError("gone")
        return document

    async def open_retention(self, sink, clusters):  # noqa: ARG002 - the protocol's
        return self

    def happens(self, where):
        for act in self.meanwhile.pop(where, ()):
            self.act(act)

    async def observe(self, classes, now):  # noqa: ARG002 - the protocol's
        self.happens("observe")
        if self.fails == "observe":
            return failure(Reason.UNREACHABLE, "no connection")
        return Observed({each.name: Facts(9999, can_delete=True) for each in classes})

    async def enforce(self, orders, now, folders=None):  # noqa: ARG002 - the protocol's
        self.happens("enforce")
        for _ in range(3):
            await asyncio.sleep(0)  # a round that is to end ends here
        for order in orders:
            if "web" in order.namespaces and order.delete_after is not None:
                self.ordered.append(order.delete_after)
                self.wrong += self.seen.forbids(self.time, order.delete_after)
                self.wrong += self.written.forbids(self.time, order.delete_after)
        return Done({})

    def act(self, act):
        if act in DEMANDS:
            self.demanded, self.anybody = DEMANDS[act], act != NOBODY
            self.show()
        elif act == "confirm":
            self.confirmed = not self.confirmed
            self.follow()
        elif act == "write" and REF in self.rounds.observations:
            self.document = {"status": {"retention": to_json(self.rounds.observations[REF].status)}}
            self.written = Seen([*self.written.spans, *self.seen.copy(self.time).spans])
        elif act in ("day", "week"):
            self.time += timedelta(days=1 if act == "day" else GRACE.days)

    async def round(self, fails, meanwhile):
        self.fails, self.meanwhile = fails, dict(meanwhile)
        followed = self.rounds._followed.get(REF)
        if followed is not None:
            followed.task.cancel()
            # Whoever follows a sink no more ends its task.
            followed.task = asyncio.create_task(self.rounds._round(followed))
            await asyncio.wait([followed.task])
            assert followed.task.cancelled() or followed.task.exception() is None
        self.fails, self.meanwhile = "", {}

    async def live(self, acts):
        await self.begin()
        for act in acts:
            if isinstance(act, str):
                self.act(act)
            elif isinstance(act, Dead):
                await self.rounds.aclose()  # as good as killed: it writes nothing
                if act.meanwhile:
                    self.demanded, self.anybody = DEMANDS[act.meanwhile], act.meanwhile != NOBODY
                await self.begin()
            else:
                await self.round(*act)
        await self.rounds.aclose()
        return self


simple = st.sampled_from([*DEMANDS, "confirm", "write", "write", "day"])
some = st.lists(simple, max_size=3)
turn = st.tuples(
    st.sampled_from(["", "", "", "read", "observe"]),
    st.dictionaries(st.sampled_from(["read", "observe", "enforce"]), some, max_size=2),
)
dead = st.builds(Dead, st.sampled_from(["", *DEMANDS]))
acts = st.lists(
    st.one_of(simple, simple, turn, turn, st.just("week"), dead),
    min_size=3,
    max_size=14,
)


@settings(max_examples=examples(1000))
@given(acts)
def test_nothing_is_ordered_within_a_week_of_what_was_seen_to_forbid_it(done):
    assert asyncio.run(Life().live(done)).wrong == []


ROUND = ("", {})


def lived(*done):
    return asyncio.run(Life().live(done)).ordered


def test_a_hold_that_was_lifted_before_anything_was_written_gives_its_week():
    assert lived(ROUND) == [30 * DAY]
    assert lived("hold", "30d", ROUND) == []
    assert lived(ROUND, "hold", "30d", ROUND) == [30 * DAY]
    assert lived(("", {"observe": ["hold", "30d"]}), ROUND) == []
    assert lived(("", {"read": ["hold", "30d"]}), ROUND) == []
    assert lived(("", {"enforce": ["hold", "30d"]}), ROUND) == []
    assert lived("hold", "30d", ROUND, "write", "week", ROUND, "write") == [30 * DAY]


def test_a_hold_that_was_seen_is_written_without_the_store_and_outlives_the_operator():
    assert lived(("observe", {}), "hold", "write", Dead("30d"), ROUND) == []
    assert lived(("observe", {}), "hold", Dead(), "30d", ROUND) == []
    # Nothing could be written, so that nothing is known; nobody can do better.
    assert lived(("observe", {}), "hold", Dead("30d"), ROUND) == [30 * DAY]


def test_what_was_seen_to_protect_is_remembered_while_nothing_at_all_is_demanded_of_a_sink():
    assert lived(ROUND, NOBODY, "30d", ROUND) == [30 * DAY]
    assert lived(ROUND, "hold", NOBODY, "30d", ROUND) == [30 * DAY]
    assert lived(ROUND, Dead(NOBODY), "30d", ROUND) == [30 * DAY]
    assert lived(NOBODY, "30d", ROUND, "write", "week", ROUND) == [30 * DAY]


def test_once_written_what_was_seen_is_left_to_memory_and_what_was_announced_comes_in_time():
    assert lived(ROUND, "hold", "write", ROUND, "write", "30d", ROUND, "write", "week", ROUND) == [30 * DAY] * 2


def test_a_minimum_that_was_lengthened_and_shortened_between_two_rounds_is_not_forgotten():
    begun = (ROUND, "write", "confirm")
    assert lived(*begun, "10d", ROUND) == [30 * DAY, 10 * DAY]
    assert lived(*begun, "20d at least", "10d", ROUND) == [30 * DAY, 30 * DAY]
    assert lived(*begun, "20d at least", "write", Dead("10d"), ROUND) == [30 * DAY, 30 * DAY]


def told(after, announced=None):
    return Told(after, announced, None, settled=True)


def test_a_lengthened_minimum_alone_costs_nothing_that_it_allows():
    known = Remembered(told(720, Announcement(480, NOW)), 100)
    assert guarded(known, Protection(480)) == replace(known, minimum=480)
    assert guarded(known, Protection(500)) == Remembered(told(720), 500)
    assert guarded(known, Protection(800)) == Remembered(told(None), 800)
    assert guarded(known, Protection(50)) is known
    assert guarded(known, Protection(endless=True)) == Remembered(Told(), 100)


def test_what_is_newly_protected_is_what_was_not():
    before = {"a": Protection(10), "b": Protection(10), "c": Protection(endless=True), "gone": Protection(10)}
    now = {"a": Protection(20), "b": Protection(5), "d": Protection(), "e": Protection(3), "c": Protection()}
    assert newly(before, now) == {"a": Protection(20), "e": Protection(3), "gone": Protection(endless=True)}


def test_many_minimums_never_make_a_status_that_cannot_be_written():
    groups = tuple(
        ToldNamespaces(namespaces=(f"ns{number}",), delete_after="30d", settled=True) for number in range(100)
    )
    one = ClassRetention(name=MAX30.name, desired="at most 30d", state=RetentionState.ENFORCED, told=groups)
    seen = {f"ns{number}": Protection(100 + number) for number in range(100)}
    made = protecting(RetentionOfSink(store="one", classes=(one,)), seen)
    again = RetentionOfSink.model_validate_json(json.dumps(to_json(made)), by_alias=True, by_name=False)
    known = Memory.of_status(again).namespaces
    assert len(known) == 63
    assert all(each.minimum == seen[name].minimum and each.told.delete_after == 720 for name, each in known.items())
