"""Goes round the stores of sinks: what do they keep, what may they delete now, and what is there afterwards.

What a store says is believed, not what it was told. A store that is away keeps the state that was last proved. Nothing
is announced, nor deleted, that does not stand in the sink's status as the API server has it: the status is read again
before each round.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.retention_observations import RetentionFigures, RetentionObservation
from audit_operator.api.sink import AuditSink, RetentionEnforcement
from audit_operator.api.sink_retention import MAX_CLASSES, MAX_NAMESPACES
from audit_operator.cluster.resources import resource_of
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.controller.origins import origin
from audit_operator.controller.retention_folders import Folders, former_clusters, found_in, holding, moment
from audit_operator.controller.retention_memory import Memory, drifted, remembering
from audit_operator.controller.retention_protection import Protections
from audit_operator.plan.retention import store_of
from audit_operator.retention.classes import first
from audit_operator.retention.demand import period
from audit_operator.retention.judgement import Judgement, judge, without_deletion
from audit_operator.retention.orders import steps, withdrawn
from audit_operator.sinks.access import failure
from audit_operator.sinks.retention.protocol import Done, Observed, Order
from audit_operator.sinks.store import Failure, Reason, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document
    from audit_operator.plan.retention import SinkDemands
    from audit_operator.plan.sinks import Sink
    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.judgement import Facts, Mends
    from audit_operator.retention.orders import Step
    from audit_operator.sinks.retention.protocol import RetentionStore

_LOG = logging.getLogger(__name__)
_PLATFORM, _TENANTS = 2, 2
"""How many stores are gone through at the same time: the platform's, and tenants'."""
_SPREAD = 0.1
_SOON = 5.0
"""Seconds within which a sink that is new, or of which something else is demanded, has its turn."""
_AGAIN = 60.0
"""Seconds after which one is tried again that could not be asked, or still deletes; twice as many each time."""
_UNCLEAR = "a policy, sink or control plane cannot be read, or a policy there belongs to no control plane"
_REPORT_ONLY = "set spec.retentionEnforcement of the sink to Enforce, or delete them by hand"


class Sinks(Protocol):
    """Where sinks are read as the API server has them."""

    async def get(self, resource: Resource, *, name: str, namespace: str = "") -> Document:
        """One object. Raises ApiError, ApiUnreachableError."""
        ...


class RetentionStores(Protocol):
    """Where stores are opened."""

    async def open_retention(self, sink: Sink, clusters: tuple[str, ...]) -> RetentionStore | Failure:
        """The store of a sink; `clusters` are the names that records of ours carry."""
        ...


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """Seconds: between two rounds, and until the store must have answered everything in one."""

    every: float = 3600.0
    patience: float = 600.0


@dataclass(slots=True)
class _Followed:
    """A sink, what is demanded of it, and the task that sees to it; `wake` is set when something else is demanded.

    While a round deletes, `planned` has what, and `limit` is how it can be ended at once. `former` are clusters that
    ship there no more, and may have folders there; `before` is what is at its store for what it was earlier;
    `halted` is whether nothing goes on there that was ordered earlier.
    """

    sink: Sink
    demands: SinkDemands
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    deleted: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    planned: tuple[Step, ...] = ()
    limit: asyncio.Timeout | None = None
    former: frozenset[str] = frozenset()
    before: frozenset[asyncio.Task[None]] = frozenset()
    halted: bool = False
    protections: Protections = field(default_factory=Protections)

    def __post_init__(self) -> None:
        self.protections.begin(self.demands.classes)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names under which records of ours have come there."""
        return (*self.demands.clusters, *sorted(self.former.difference(self.demands.clusters)))

    def demand(self, demands: SinkDemands) -> bool:
        """Something else from now on; what is being deleted and must not be, is deleted no further.

        Whether something is protected that was not.
        """
        more = self.protections.see(self.demands.classes, demands.classes)
        self.demands = demands
        self.wake.set()
        if self.limit is not None and not self.limit.expired() and withdrawn(self.planned, demands.classes):
            self.limit.reschedule(asyncio.get_running_loop().time())
        return more


@dataclass(frozen=True, slots=True)
class _Known:
    """What was remembered when a round began, with what was seen to protect records up to that turn."""

    memory: Memory
    turn: int


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of a round: what was demanded and remembered when it began, what was done, and what is there now.

    `changed` are classes whose rules somebody else had changed before; `enforced` is whether the store could be told.
    """

    demands: SinkDemands
    known: _Known
    planned: tuple[Step, ...]
    seen: Observed
    folders: Folders
    changed: frozenset[str]
    enforced: bool

    def facts(self, wanted: RetentionClass) -> Facts:
        """Of one class."""
        facts = self.seen.facts[wanted.name]
        if not self.enforced:
            return replace(facts, can_delete=False)
        return replace(facts, gaps=(*facts.gaps, *self.folders.gaps(wanted)))


@dataclass(slots=True)
class RetentionRounds:
    """Sees to the stores that it is told to follow; `on_change` is called when something else is true of one.

    `observations` has what was found, by sink; one is absent until what its status said has been read. `now` is the
    time that ages and announcements are counted from.
    """

    sinks: Sinks
    stores: RetentionStores
    on_change: Callable[[], None]
    fence: Callable[[], None]
    times: RoundTimes = field(default_factory=RoundTimes)
    tenants: bool = True
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    observations: dict[ObjectRef, RetentionObservation] = field(default_factory=dict)
    _followed: dict[ObjectRef, _Followed] = field(default_factory=dict)
    _protections: dict[ObjectRef, Protections] = field(default_factory=dict)
    """Of sinks that are not followed now."""
    _existing: frozenset[str] = frozenset()
    _parting: set[asyncio.Task[None]] = field(default_factory=set)
    _platform: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PLATFORM))
    _tenants: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_TENANTS))

    def follow(
        self, sinks: Iterable[Sink], demands: Mapping[ObjectRef, SinkDemands], existing: frozenset[str] = frozenset()
    ) -> None:
        """See to those of which something is demanded, and to no others. `existing` are the namespaces that exist."""
        self._existing = existing
        wanted: dict[ObjectRef, Sink] = {}
        for each in sinks:
            if each.ref in demands:
                wanted[each.ref] = each
            elif each.ref not in self._followed and not isinstance(each, AuditSink):
                self._without_demand(each.ref, Protections(), ())
        before: dict[ObjectRef, frozenset[asyncio.Task[None]]] = {}
        for ref, known in list(self._followed.items()):
            if ref not in wanted or wanted[ref].spec != known.sink.spec:
                classes = demands[ref].classes if ref in wanted else ()
                before[ref] = self._follow_no_more(known, wanted.get(ref), classes)
        for ref, sink in wanted.items():
            if (followed := self._followed.get(ref)) is None:
                protections = self._protections.pop(ref, None) or Protections()
                earlier = before.get(ref, frozenset())
                followed = self._followed[ref] = _Followed(sink, demands[ref], protections=protections, before=earlier)
                followed.task = asyncio.create_task(self._attend(followed), name=f"retention {ref}")
            elif followed.demands != demands[ref] and followed.demand(demands[ref]) and ref in self.observations:
                # Said at once: nobody knows when the store will have answered.
                self._note(followed, self.observations[ref], followed.protections.turn - 1)

    def _follow_no_more(
        self, known: _Followed, later: Sink | None, classes: Iterable[RetentionClass]
    ) -> frozenset[asyncio.Task[None]]:
        """As it is now; `later` is what it is from now on, with these classes.

        Returns what must have ended before that is seen to: two rounds at one store would undo each other's orders.
        """
        ref = known.sink.ref
        if known.task is not None:
            known.task.cancel()
        del self._followed[ref]
        self.observations.pop(ref, None)
        if later is not None:
            self._protections[ref] = known.protections
        elif not isinstance(known.sink, AuditSink):
            self._without_demand(ref, known.protections, known.demands.classes)
        there = later is not None and store_of(later) == store_of(known.sink)
        before = frozenset(each for each in (*known.before, known.task) if each is not None and not each.done())
        # Nothing is ever deleted through an AuditSink.
        enforced = not isinstance(known.sink, AuditSink) and _enforces(known.sink)
        if enforced and not (there and later and _enforces(later) and not withdrawn(known.planned, classes)):
            parting = asyncio.create_task(self._part(known), name=f"end of retention {ref}")
            self._parting.add(parting)
            parting.add_done_callback(self._parting.discard)
            before |= {parting}
        return before if there else frozenset()

    def _without_demand(self, ref: ObjectRef, known: Protections, classes: Iterable[RetentionClass]) -> None:
        """Remember that nothing of it was to be deleted, until something is demanded again."""
        if ref not in self._protections:
            known.end(classes)
            self._protections[ref] = known

    async def aclose(self) -> None:
        """Go round no more; a deletion that a store has begun goes on there."""
        tasks = [each.task for each in self._followed.values() if each.task is not None]
        tasks += self._parting
        self._followed.clear()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend(self, followed: _Followed) -> None:
        if followed.before:
            await asyncio.wait(followed.before)
        tries = 0
        while True:
            pause = random.uniform(0.0, min(_SOON, self.times.every))  # noqa: S311  # spreads load
            await asyncio.sleep(pause)
            followed.wake.clear()
            async with self._tenants if isinstance(followed.sink, AuditSink) else self._platform:
                done = await self._round(followed)
            tries = 0 if done else tries + 1
            pause = _pause(tries, self.times.every)
            try:
                async with asyncio.timeout(pause * random.uniform(1.0 - _SPREAD, 1.0 + _SPREAD)):  # noqa: S311
                    await followed.wake.wait()
            except TimeoutError:
                continue

    async def _round(self, followed: _Followed) -> bool:
        """Once; whether that was all. Raises nothing but what `fence` raises: a bug must not be the end of asking."""
        sink = followed.sink
        try:
            known = await self._remembered(followed)
        except (ApiError, ApiUnreachableError) as error:
            extra = {"object": str(sink.ref), "reason": type(error).__name__}
            _LOG.warning("What the status of a sink says about retention cannot be read", extra=extra)
            return False
        if sink.ref not in self.observations:
            self._note(followed, RetentionObservation(known.memory.status), known.turn)
        try:
            async with asyncio.timeout(self.times.patience) as limit:
                return await self._go(followed, known, limit)
        except TimeoutError:
            if followed.wake.is_set():
                return await self._halt(followed)
            found: Failure = failure(Reason.TIMED_OUT, f"the store did not answer within {self.times.patience:g} s")
        except Exception as error:  # noqa: BLE001 - see the docstring
            self.fence()
            # Without the error's text, which may quote what a Secret holds.
            extra = {"object": str(sink.ref), "reason": type(error).__name__}
            _LOG.error("A store could not be asked about retention: %s", origin(error), extra=extra)
            found = failure(Reason.CUT_OFF, "the store could not be asked; the operator's log says why")
        finally:
            followed.planned, followed.limit = (), None
        return self._without(followed, known, found)

    async def _halt(self, followed: _Followed) -> bool:
        """End deletions that a store has begun by order, and order none; False: it is to be asked again."""
        ref = followed.sink.ref
        self.fence()
        try:
            async with asyncio.timeout(self.times.patience):
                store = await self._open(followed.sink, followed.clusters)
                done = store if isinstance(store, Failure | Unsupported) else await store.enforce((), self.now())
        except TimeoutError:
            done = failure(Reason.TIMED_OUT, "the store did not answer")
        except Exception as error:  # noqa: BLE001 - a bug must not be the end of asking
            done = failure(Reason.CUT_OFF, origin(error))
        wrong = done if isinstance(done, Failure) else done.refused if isinstance(done, Done) else None
        if wrong is not None:
            extra = {"object": str(ref), "reason": wrong.reason.value}
            _LOG.warning("Deletions may go on in a store that were ordered before: %s", wrong.message, extra=extra)
        return False

    async def _part(self, followed: _Followed) -> None:
        """From a sink of which nothing is demanded any more, or that is another now."""
        if followed.task is not None:
            await asyncio.wait([followed.task])
        try:
            async with self._platform:
                await self._halt(followed)
        except Exception as error:  # noqa: BLE001 - what `fence` raises: nobody waits for this
            extra = {"object": str(followed.sink.ref), "reason": type(error).__name__}
            _LOG.warning("Deletions may go on in a store that were ordered before", extra=extra)

    async def _remembered(self, followed: _Followed) -> _Known:
        sink, protections = followed.sink, followed.protections
        resource = resource_of(sink.ref)
        document = await self.sinks.get(resource, name=sink.ref.name, namespace=sink.ref.namespace)
        said = self.observations.get(sink.ref)
        memory = protections.read(Memory.read(document, store_of(sink)), None if said is None else said.status)
        return _Known(memory, protections.turn)

    async def _go(self, followed: _Followed, known: _Known, limit: asyncio.Timeout) -> bool:
        sink, demands, now = followed.sink, followed.demands, self.now()
        followed.former |= former_clusters(known.memory.folders, demands.clusters)
        store = await self._open(sink, followed.clusters)
        if isinstance(store, Failure | Unsupported):
            return self._without(followed, known, store)
        enforces = _enforces(sink)
        if not enforces and not followed.halted and not isinstance(sink, AuditSink):
            # It may have been set while nobody was there to take away what was ordered before.
            await self._halt(followed)
        seen = await store.observe(demands.classes, now)
        if not isinstance(seen, Observed):
            return self._without(followed, known, seen)
        followed.halted = not enforces
        # Whatever cannot be remembered has no protection the next time.
        kept = first(demands.classes, MAX_CLASSES)
        fits = [each.name for each in demands.classes if each.name in kept and len(each.namespaces) <= MAX_NAMESPACES]
        deletes = {name for name in fits if name in seen.facts and seen.facts[name].can_delete} if enforces else set()
        planned = steps(_counted(demands, seen), known.memory.namespaces, deletes, now)
        found = found_in(seen, demands.clusters, followed.former, now)
        folders = Folders.of(known.memory.folders, planned, found, self._existing)
        changed = folders.changed(known.memory.ordered, seen) if enforces else frozenset[str]()
        done: Done | Unsupported | Failure = Done({})
        if followed.protections.turn != known.turn or withdrawn(planned, followed.demands.classes):
            return False
        followed.planned, followed.limit = planned, limit
        if enforces:
            self.fence()
            orders = [Order(each.wanted, each.namespaces, each.delete_after) for each in planned]
            done = await store.enforce(orders, now, folders.limits)
            if isinstance(done, Done):
                self._count(followed, done)
                seen = await store.observe(demands.classes, self.now())
                seen = _refused(demands, seen, done.refused) if done.refused and isinstance(seen, Observed) else seen
        if isinstance(done, Failure):
            return self._without(followed, known, done)
        if not isinstance(seen, Observed):
            return self._without(followed, known, seen)
        mends = store.mends if enforces else replace(store.mends, delete=_REPORT_ONLY)
        if isinstance(done, Unsupported):
            enforces, mends = False, replace(store.mends, delete=done.reason)
        self._found(followed, _Looked(demands, known, planned, seen, folders, changed, enforces), mends)
        return not (seen.uncounted or (isinstance(done, Done) and (done.under_way or done.uncounted)))

    async def _open(self, sink: Sink, clusters: tuple[str, ...]) -> RetentionStore | Failure | Unsupported:
        if isinstance(sink, AuditSink) and not self.tenants:
            return Unsupported("the operator is set to ask no stores of AuditSinks")
        return await self.stores.open_retention(sink, clusters)

    def _count(self, followed: _Followed, done: Done) -> None:
        for name, count in done.deleted.items():
            followed.deleted[name] += count
            if count:
                extra = {"object": str(followed.sink.ref), "class": name, "records": count, "reason": "Deleted"}
                _LOG.info("Records were deleted that were older than policies allow", extra=extra)
        for name, wrong in done.uncounted.items():
            extra = {"object": str(followed.sink.ref), "class": name, "reason": wrong.reason.value}
            _LOG.warning("What a store has of a class could not be counted: %s", wrong.message, extra=extra)

    def _found(self, followed: _Followed, looked: _Looked, mends: Mends) -> None:
        memory, seen = looked.known.memory, looked.seen
        now = self.now()
        by_class: defaultdict[str, list[Step]] = defaultdict(list)
        for each in looked.planned:
            by_class[each.wanted.name].append(each)
        made: list[tuple[tuple[Step, ...], Facts, Judgement]] = []
        for name, group in by_class.items():
            if name not in seen.facts:
                continue
            facts = looked.facts(group[0].wanted)
            judged = judge(group[0].wanted, facts, mends)
            if drifted(memory, name, judged, seen.settings):
                judged = Judgement(RetentionState.DRIFTED, f"its settings were changed, and did once: {judged.reason}")
            elif name in looked.changed:
                extra = {"object": str(followed.sink.ref), "class": name, "reason": "Drifted"}
                _LOG.warning("A rule that the operator had set was changed, and is set again", extra=extra)
                said = f"; {judged.reason}" if judged.reason else ""
                judged = Judgement(
                    RetentionState.DRIFTED, f"the rule of its folder was changed, and is set again{said}"
                )
            made.append((tuple(group), facts, _with_steps(judged, group)))
        before = self.observations.get(followed.sink.ref)
        earlier = before.figures.verified if before is not None else 0.0
        figures = RetentionFigures(
            True,
            earlier if seen.uncounted else now.timestamp(),
            {name: facts.overdue for name, facts in seen.facts.items()},
            dict(followed.deleted),
        )
        uncounted = {name: f"{each.message} ({each.mend})" for name, each in seen.uncounted.items()}
        kept = first(looked.demands.classes, MAX_CLASSES)
        carried = memory.carried(each for each in looked.demands.classes if each.name in uncounted.keys() & kept)
        status = remembering(memory, seen.settings, made, now, carried)
        status = status.model_copy(update={"folders": looked.folders.status(enforced=looked.enforced)})
        found = RetentionObservation(status, asked=True, uncounted=uncounted, figures=figures)
        self._note(followed, found, looked.known.turn)

    def _without(self, followed: _Followed, known: _Known, found: Failure | Unsupported) -> bool:
        """No answer: what was last proved stays, with its time. Of a store that cannot be asked, nothing is claimed."""
        if isinstance(found, Unsupported):
            nothing = known.memory.status.model_copy(update={"classes": (), "settings": "", "folders": ()})
            self._note(followed, RetentionObservation(nothing, found.reason, unsupported=True), known.turn)
            return True
        said = f"{found.message} ({found.mend})"
        if not isinstance(followed.sink, AuditSink) and found.reason in _ABOUT_SECRETS:
            # Its Secrets are named to nobody in whose status this stands; the log names them.
            said = "the Secrets of this sink cannot be used (let its owner see the operator's log)"
        before = self.observations.get(followed.sink.ref)
        figures = replace(before.figures if before else RetentionFigures(), up=False)
        if before is None or before.trouble != said:
            extra = {"object": str(followed.sink.ref), "reason": found.reason.value}
            _LOG.warning("A store could not be asked about retention: %s", found.message, extra=extra)
        asked = before is not None and before.asked
        status = holding(known.memory.status, followed.demands.classes)
        self._note(followed, RetentionObservation(status, said, asked=asked, figures=figures), known.turn)
        return False

    def _note(self, followed: _Followed, found: RetentionObservation, turn: int) -> None:
        """Say what was found, with what was seen to protect records since that turn."""
        ref = followed.sink.ref
        if self._followed.get(ref) is not followed:
            return
        found = replace(found, status=followed.protections.applied(found.status, turn))
        before, self.observations[ref] = self.observations.get(ref), found
        if found != before:
            self.on_change()


def _enforces(sink: Sink) -> bool:
    return sink.spec.retention_enforcement is RetentionEnforcement.ENFORCE


_ABOUT_SECRETS = (Reason.SECRET_UNREADABLE, Reason.CREDENTIALS_INVALID)


def _counted(demands: SinkDemands, seen: Observed) -> Iterable[RetentionClass]:
    """Classes of which the store said something; of the others, all stays as it was, and nothing is deleted."""
    return (each for each in demands.classes if each.name in seen.facts)


def _refused(demands: SinkDemands, seen: Observed, refused: Failure) -> Observed:
    """The same, of a store that took no deletion when it was told."""
    facts = {
        each.name: without_deletion(each, seen.facts[each.name], refused.message) for each in _counted(demands, seen)
    }
    return replace(seen, facts=facts)


def _pause(tries: int, every: float) -> float:
    """Seconds until the next round, after so many that were not all: more do not help a store that is overloaded."""
    return min(_AGAIN * 2.0 ** min(tries - 1, 10), every) if tries else every


def _with_steps(judged: Judgement, group: list[Step]) -> Judgement:
    """A class of which something waits is Pending, where nothing is worse."""
    said = [judged.reason] if judged.reason else []
    waiting = sorted({each.told.announced for each in group if each.told.announced}, key=lambda each: each.due)
    said += [
        f"records older than {period(each.delete_after)} are deleted from {moment(each.due)} on, of "
        f"{sum(len(step.namespaces) for step in group if step.told.announced == each)} namespaces"
        for each in waiting
    ]
    unclear = sum(len(set(step.namespaces) & step.wanted.unclear) for step in group)
    said += [f"nothing is deleted of {unclear} namespaces for now: {_UNCLEAR}"] if unclear else []
    if judged.state is RetentionState.ENFORCED and said:
        return Judgement(RetentionState.PENDING, "; ".join(said))
    return Judgement(judged.state, "; ".join(said))
