"""Goes round all places with live probes: sends, reads back from every sink, and says what came of it.

What is predicted changes with policies, namespaces and sinks, and shippers follow a little later. So a place is visited
only if the same has been predicted there for a while, and what was found is dropped if it has changed meanwhile.

A sink that is slow or hostile costs the visits of those places that ship to it, for a bounded time, and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
import time
import uuid
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.sink import AuditSink
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.controller.origins import origin
from audit_operator.plan.sinks import Sinks
from audit_operator.proof.basis import bases, settled
from audit_operator.proof.comparison import Compared, Outcome, compare
from audit_operator.proof.memory import RememberedPlace, RememberedPlane
from audit_operator.proof.requests import NAMELESS, Marks, ProbeRequest
from audit_operator.proof.standing import JUDGED, Result, most_at_once, share, standing
from audit_operator.proof.treatment import digest
from audit_operator.sinks.store import Failure, Found, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.proof_observations import PlaceProof
    from audit_operator.cluster.probing import Unsent
    from audit_operator.controller.sink_access import OpenStore
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.sinks import Sink
    from audit_operator.policy.model import User
    from audit_operator.proof.basis import Basis
    from audit_operator.proof.prediction import Prediction
    from audit_operator.proof.requests import Aim
    from audit_operator.proof.selecting import Selection

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16
"""Visits at the same time: one whose records do not come takes all of its patience."""
_LONGEST_PAUSE = 60.0
_LETTERS = 16
_ASKED_WITHIN = 10.0
_FIVE_MINUTES = 300.0
_CLOCKS = timedelta(hours=1)
"""By how much the clocks of API servers may be behind ours."""

_SILENT = "the store did not answer in time"
_CAME = (Outcome.VERIFIED, Outcome.CONTRADICTED)
_PENDING = Compared(Outcome.PENDING)
_NO_ANSWER = "no answer yet"
_NOT_KNOWN = "not known"
"""How a place is treated where nobody knows the policy, or nothing is shipped anywhere."""

Place = tuple[str, str]
"""A control plane, and a namespace or ``""``."""


class Sender(Protocol):
    """Where requests are sent."""

    async def send(self, request: ProbeRequest) -> Unsent | None:
        """Send one; None if it was answered as it should be."""
        ...


class ProbedStores(Protocol):
    """Where stores are opened."""

    async def open(self, sink: Sink, known: OpenStore | None = None) -> OpenStore | Failure:
        """The store of a sink."""
        ...


class Memory(Protocol):
    """Where what was proved outlives the operator. Neither raises anything."""

    async def read(self) -> Mapping[str, RememberedPlane]:
        """What is remembered, by control plane."""
        ...

    async def write(self, planes: Mapping[str, RememberedPlane]) -> bool:
        """Remember this instead; returns whether it is."""
        ...


class Figures(Protocol):
    """Where results are counted."""

    def count(self, plane: str, sink: ObjectRef, outcome: str, seconds: float | None) -> None:
        """One request in one sink; `seconds` until all its records were found, where they were."""
        ...

    def forget(self, sink: ObjectRef) -> None:
        """It is gone; there may be many like it."""
        ...

    def remembered(self, plane: str) -> RememberedPlane:
        """What was counted, for whoever comes next."""
        ...

    def recall(self, planes: Mapping[str, RememberedPlane]) -> None:
        """Go on with what was counted before; this comes once, and before anything else is."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeTimes:
    """Seconds: between two visits of a place; until records must be found; between two looks at a sink.

    `settle` is how long the same must have been predicted; `per_second` how many requests are sent at the most; `keep`
    until what was proved is remembered, and ten times that where nothing else is said of it; `learnt` how long a status
    waits until it is known what of the proof is about something else by now.
    """

    every: float = 3600.0
    patience: float = 120.0
    look: float = 2.0
    settle: float = 30.0
    per_second: float = 1.0
    keep: float = 60.0
    learnt: float = 30.0


def nameless_limit(most: int = 12) -> RateLimit:
    """For requests under no name: within any five minutes `most` of them, which are two or more; half of them at once.

    So a new leader, who knows nothing of the one before, adds half of them once.
    """
    return RateLimit((most - most // 2) / _FIVE_MINUTES, burst=most // 2)


@dataclass(slots=True)
class _Sent:
    """A request on its way: what must be found, when it was sent, what was found so far, and how long that took.

    `at` is by the clock that only goes forward, `sent` since the epoch.
    """

    request: ProbeRequest
    prediction: Prediction
    at: float = 0.0
    sent: float = 0.0
    trouble: str = ""
    found: dict[ObjectRef, Compared | str] = field(default_factory=dict)
    took: dict[ObjectRef, float] = field(default_factory=dict)

    @property
    def arrived(self) -> bool:
        """Whether it was sent, and answered as it should be."""
        return bool(self.at) and not self.trouble

    @property
    def foretold(self) -> tuple[object, ...]:
        """What of the prediction does not depend on the marks of the request."""
        prediction = self.prediction
        return self.request.aim, tuple(sorted(prediction.levels.items())), prediction.user, prediction.sinks


@dataclass(slots=True)
class _Known:
    """Of one place: when it is due, how it is treated, what was predicted there, and the results so far.

    Results are by the number of the request, which is the same as long as the same is foretold of all requests. Where
    something else is to be found there is another object from then on: so a visit knows that its own is out of date.
    `since` is when the place became known, as `visited` is when it was visited, which is 0 until then. `nameless_at` is
    when requests under no name had their turn, by the clock that only goes forward, and `nameless` whether they have
    had it since something else is foretold.
    """

    due: float = 0.0
    treatment: str = ""
    foretold: str = ""
    turn: int = 0
    visited: float = 0.0
    results: dict[int, Result] = field(default_factory=dict)
    since: float = field(default_factory=time.time)
    nameless_at: float = float("-inf")
    nameless: bool = False


@dataclass(slots=True)
class LiveProbes:
    """Probes the places of those control planes that ask for it; `on_change` is called when something else is true.

    `tenants` says whether stores are asked whose addresses tenants choose. `rate` bounds what is sent, and
    `nameless` besides what is sent under no name; whoever holds the `gate` is alone with what is sent.
    """

    sender: Sender
    stores: ProbedStores
    prober: User
    figures: Figures
    rate: RateLimit
    on_change: Callable[[], None]
    times: ProbeTimes = field(default_factory=ProbeTimes)
    tenants: bool = True
    memory: Memory | None = None
    nameless: RateLimit = field(default_factory=nameless_limit)
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    _facts: tuple[Snapshot, Plan] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _bases: dict[str, Basis] = field(default_factory=dict)
    _sinks: Mapping[ObjectRef, Sink] = field(default_factory=dict)
    _opened: dict[ObjectRef, OpenStore] = field(default_factory=dict)
    _known: dict[Place, _Known] = field(default_factory=dict)
    _observations: defaultdict[str, dict[str, PlaceProof]] = field(default_factory=lambda: defaultdict(dict))
    _visits: dict[Place, asyncio.Task[None]] = field(default_factory=dict)
    _nameless_visits: dict[Place, asyncio.Task[None]] = field(default_factory=dict)
    _recalled: bool = False
    _remembered: dict[str, RememberedPlane] = field(default_factory=dict)
    _learnt: asyncio.Event = field(default_factory=asyncio.Event)
    _compared: bool = False
    _doubted: bool = False
    _keeping: asyncio.Task[None] | None = None
    _unkept: float = float("inf")

    @property
    def observations(self) -> Mapping[str, Mapping[str, PlaceProof]]:
        """What is known of every place that was visited, by control plane."""
        return {plane: dict(places) for plane, places in self._observations.items()}

    @property
    def bases(self) -> Mapping[str, Basis]:
        """What probes are held against now, by control plane."""
        return self._bases

    def oldest(self) -> dict[str, float]:
        """When the place was visited, in seconds since the epoch, that waits longest, by control plane.

        One that was not visited yet waits since it became known: it hides nobody else.
        """
        found: dict[str, float] = {}
        for (plane, _), known in self._known.items():
            at = known.visited or known.since
            found[plane] = min(found.get(plane, at), at)
        return found

    def error_rate(self) -> dict[str, float]:
        """Requests whose records are wrong or missing in some sink, of those that could be judged, by control plane."""
        judged, wrong = defaultdict[str, int](int), defaultdict[str, int](int)
        for (plane, _), known in self._known.items():
            for result in known.results.values():
                judged[plane] += any(_is_judged(each) for each in result.sinks.values())
                wrong[plane] += any(_is_wrong(each) for each in result.sinks.values())
        return {plane: wrong[plane] / count for plane, count in judged.items() if count}

    def follow(self, snapshot: Snapshot, planned: Plan) -> None:
        """Probe on these facts from now on."""
        self._facts = snapshot, planned
        enabled = {
            each.metadata.name for each in snapshot.control_planes if each.spec.probes and each.spec.probes.enabled
        }
        for plane in enabled:
            self._observations.setdefault(plane, {})
        for plane in set(self._observations) - enabled:
            del self._observations[plane]
        self._compared = False
        self._learnt.clear()
        self._changed.set()

    async def proved(self) -> Mapping[str, Mapping[str, PlaceProof]]:
        """The observations, once they are about what is followed now, and what was proved before is known.

        Needs `follow` to have been called, and `run` to run. It waits, but not for ever. If it cannot be said what is
        about something else by now, nothing is verified; what speaks against somebody stands.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._learnt.wait(), self.times.learnt)
        if self._compared:
            return self.observations
        self._doubted = True
        return {
            plane: {place: _unverified(each) for place, each in places.items()}
            for plane, places in self.observations.items()
        }

    async def run(self) -> None:
        """Go round for ever. Raises nothing: a bug must not be the end of what else the operator does."""
        nameless = asyncio.create_task(self._go_round_nameless(), name="nameless probes")
        try:
            while True:
                try:
                    await self._turn()
                except Exception as error:  # noqa: BLE001 - see the docstring
                    _LOG.error("Probes not sent: %s", origin(error), extra={"reason": type(error).__name__})
                    await asyncio.sleep(self.times.look)
        finally:
            visits = [nameless, *self._nameless_visits.values(), *self._visits.values()]
            for each in visits:
                each.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._keep_at_last(), _ASKED_WITHIN)

    async def _recall(self) -> None:
        """Read what was proved before, by this operator or another one."""
        try:
            if self.memory is not None and self._observations:
                self._remembered = dict(await self.memory.read())
        finally:
            self.figures.recall(self._remembered)

    def _taken_up(self, place: Place, treatment: str) -> bool:
        """Whether it was proved of this place before, treated as it is now, and is known again."""
        plane = self._remembered.get(place[0])
        seen = plane.places.get(place[1]) if plane is not None else None
        if seen is None or seen.treatment != treatment or place[0] not in self._observations:
            return False
        times = self.times
        # What is unknown without a sink was not sent, and will not be this time.
        at_once = any(each.sink is not None for each in seen.proof.findings)
        pause = times.settle if at_once else max(times.settle, min(seen.visited - time.time(), 0.0) + times.every)
        due = time.monotonic() + pause
        self._known[place] = _Known(due, treatment, seen.foretold, seen.turn, seen.visited, dict(seen.results))
        self._known[place].nameless_at = time.monotonic() - max(time.time() - seen.visited, 0.0)
        self._known[place].nameless = not at_once
        self._observations[place[0]][place[1]] = seen.proof
        return True

    async def _keep(self) -> None:
        """Remember what was proved, if there is anything new."""
        if self.memory is None or self._unkept == float("inf"):
            return
        places: dict[str, dict[str, RememberedPlace]] = {plane: {} for plane in self._observations}
        for (plane, place), known in self._known.items():
            if (proof := self._observations.get(plane, {}).get(place)) is not None:
                places[plane][place] = RememberedPlace(
                    known.treatment, known.foretold, known.visited, known.turn, proof, dict(known.results)
                )
        self._unkept = float("inf")
        planes = {plane: replace(self.figures.remembered(plane), places=each) for plane, each in places.items()}
        written = False
        try:
            written = await self.memory.write(planes)
        finally:
            if not written:  # also where whoever writes is told to end
                self._unkept = time.monotonic() + self.times.keep

    async def _keep_at_last(self) -> None:
        """What is being written must not come after what is newer."""
        if self._keeping is not None:
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._keep()

    def _to_keep(self, *, soon: bool) -> None:
        self._unkept = min(self._unkept, time.monotonic() + self.times.keep * (1 if soon else 10))

    async def _turn(self) -> None:
        """Begin the visits that are due, and wait until there is something to do."""
        if self._changed.is_set():
            self._changed.clear()
            try:
                await self._learn()
            except Exception:
                # Nobody else might say again for long that something has changed.
                asyncio.get_running_loop().call_later(self.times.settle, self._changed.set)
                raise
        now = time.monotonic()
        if self._keeping is not None and self._keeping.done():
            kept, self._keeping = self._keeping, None
            kept.result()
        if self._keeping is None and now >= self._unkept:
            # Nobody waits for it: an API server that is away must not keep old proof standing.
            self._keeping = asyncio.create_task(self._keep(), name="keep proof")
        self._visits = {place: task for place, task in self._visits.items() if not task.done()}
        waiting = sorted((known.due, place) for place, known in self._known.items() if place not in self._visits)
        for due, place in waiting:
            if due > now or len(self._visits) >= _AT_ONCE:
                break
            self._visits[place] = asyncio.create_task(self._visit(place), name=f"probe {place}")
        due = min((due for due, place in waiting if place not in self._visits), default=now + _LONGEST_PAUSE)
        pause = due - now if len(self._visits) < _AT_ONCE else _LONGEST_PAUSE
        keeping = [self._keeping] if self._keeping is not None else []
        if not keeping:
            pause = min(pause, self._unkept - now)
        waking = asyncio.create_task(self._changed.wait())
        await asyncio.wait(
            [waking, *keeping, *self._visits.values()], timeout=max(pause, 0.1), return_when=asyncio.FIRST_COMPLETED
        )
        waking.cancel()

    async def _learn(self) -> None:
        if self._facts is None:
            return
        facts = self._facts
        try:
            await self._learn_of(*facts)
            self._compared = facts is self._facts
        finally:
            if facts is self._facts:
                self._learnt.set()
        if self._compared and self._doubted:
            self._doubted = False
            self.on_change()

    async def _learn_of(self, snapshot: Snapshot, planned: Plan) -> None:
        ready, treatments = await asyncio.to_thread(_held_against, snapshot, planned, self.prober)
        if not self._recalled:
            self._recalled = True
            await self._recall()
        begun = ready.keys() - self._bases.keys()
        known_before, self._bases, self._sinks = self._sinks, ready, Sinks.of(snapshot).existing
        for gone in known_before.keys() - self._sinks.keys():
            self.figures.forget(gone)
        self._opened = {ref: each for ref, each in self._opened.items() if ref in self._sinks}
        existing = {each.name for each in snapshot.namespaces} | {""}
        for place in self._known.keys() - treatments.keys():
            if place[0] not in self._observations or place[1] not in existing:
                del self._known[place]
                self._observations.get(place[0], {}).pop(place[1], None)
            else:
                treatments[place] = _NOT_KNOWN
        for place, treatment in treatments.items():
            known = self._known.get(place)
            if known is None or known.treatment != treatment:
                # Of all at once, if need be: what it costs to look closer comes with the visits, which are bounded.
                if not self._taken_up(place, treatment):
                    self._settle(place, treatment)
            elif place[0] in begun:
                # What is proved stands through a roll-out of the same; the next visit comes once all has settled.
                known.due = max(known.due, time.monotonic() + self.times.settle)
        # The first plan of an operator may lack what the next one has; what is proved from here on is seen anew.
        for plane in ready:
            self._remembered.pop(plane, None)

    async def _go_round_nameless(self) -> None:
        """Send what has no name, of one place after the other: so few may be sent that nobody else can wait for them.

        Whose turn is longest ago comes first, and whoever changes his policies all the time, after the others. Of those
        who had none yet, namespaces with policies come first: there somebody looks at it.
        """
        while True:
            self._nameless_visits = {place: task for place, task in self._nameless_visits.items() if not task.done()}
            place = self._next_nameless()
            if place is None:
                await asyncio.sleep(self.times.look)
                continue
            all_sent = asyncio.Event()
            visit = asyncio.create_task(self._visit_nameless(place, all_sent), name=f"nameless probes {place}")
            self._nameless_visits[place] = visit
            await all_sent.wait()

    def _next_nameless(self) -> Place | None:
        """Of those places of which it is known what is foretold there."""
        before = time.monotonic() - self.times.every
        policies = self._facts[0].audit_policies if self._facts else ()
        looked_at = {each.metadata.namespace for each in policies}
        due = [
            (known.nameless_at, place[1] not in looked_at, place)
            for place, known in self._known.items()
            if known.foretold
            and place[0] in self._bases
            and place not in self._nameless_visits
            and (not known.nameless or known.nameless_at < before)
        ]
        return min(due)[2] if due else None

    async def _visit_nameless(self, place: Place, all_sent: asyncio.Event) -> None:
        try:
            known, basis = self._known.get(place), self._bases.get(place[0])
            if known is None or basis is None:
                return  # it is gone since
            known.nameless_at, known.nameless = time.monotonic(), True
            selection, probes, foretold = await asyncio.to_thread(_prepared_nameless, basis, place[1])
            if foretold != known.foretold:
                return  # the next visit of the place sees that, too
            await self._send_and_read_back(probes, time.monotonic() + self.times.patience, all_sent)
            if probes and await self._holds(place, known, basis, probes):
                self._note(place, known, selection, probes)
            else:
                known.nameless = not probes
            if not probes:
                await asyncio.sleep(self.times.look)  # looking costs time, and nothing else bounds it
        except Exception as error:  # noqa: BLE001 - a bug in one place must not be the end of the others
            extra = {"object": f"{place[0]} {place[1]}", "reason": type(error).__name__}
            _LOG.error("A place could not be probed: %s", origin(error), extra=extra)
        finally:
            all_sent.set()

    async def _visit(self, place: Place) -> None:
        known, basis = self._known[place], self._bases.get(place[0])
        known.due = time.monotonic() + self.times.settle
        try:
            # In the middle of a roll-out there is nothing to hold probes against; that is no reason to forget all.
            if basis is not None:
                await self._probe(place, known, basis)
        except Exception as error:  # noqa: BLE001 - a bug in one place must not be the end of the others
            known.due = time.monotonic() + self.times.every
            # Without the error's text, which may quote what a Secret holds.
            extra = {"object": f"{place[0]} {place[1]}", "reason": type(error).__name__}
            _LOG.error("A place could not be probed: %s", origin(error), extra=extra)

    async def _probe(self, place: Place, known: _Known, basis: Basis) -> None:
        most = most_at_once(len(self._known), self.times.per_second)
        selection, probes, foretold = await asyncio.to_thread(_prepared, basis, place[1], most, known.turn)
        if known.foretold and foretold != known.foretold:
            self._settle(place, known.treatment)
            return
        if not known.foretold:
            known.results.clear()  # numbers of requests mean nothing without
        known.foretold = foretold
        known.due = time.monotonic() + self.times.every
        end = time.monotonic() + self.times.patience
        await self._send_and_read_back(probes, end)
        if not await self._holds(place, known, basis, probes):
            known.due = time.monotonic() + self.times.settle
            return
        known.turn, known.visited = known.turn + 1, time.time()
        self._to_keep(soon=False)
        self._note(place, known, selection, probes)

    async def _holds(self, place: Place, known: _Known, basis: Basis, probes: list[_Sent]) -> bool:
        """Whether what was sent and where it was looked for is still what is to be proved, and was all the time."""
        while (now := self._bases.get(place[0])) is not basis:
            if now is None or not await asyncio.to_thread(_same, now, probes):
                return False
            basis = now
        return self._known.get(place) is known

    async def _send_and_read_back(self, probes: list[_Sent], end: float, all_sent: asyncio.Event | None = None) -> None:
        """Each sink is looked into on its own, and while others are sent: else what waits would count as on its way."""
        sending = asyncio.create_task(self._send_all(probes, end))
        sinks = {sink for each in probes for sink in each.prediction.sinks}
        reading = [asyncio.create_task(self._read_back(sink, probes, sending)) for sink in sinks]
        if all_sent is not None:
            sending.add_done_callback(lambda _: all_sent.set())
        try:
            await asyncio.gather(sending, *reading)
        finally:
            for each in (sending, *reading):
                each.cancel()

    async def _send_all(self, probes: list[_Sent], end: float) -> None:
        for each in probes:
            await self._send(each, end)

    async def _send(self, each: _Sent, end: float) -> None:
        """Send one; while the API server is away, as in a roll-out, once more until `end`: the next round is far."""
        while True:
            if each.request.aim.sender in NAMELESS:
                await self.nameless.wait()
            await self.rate.wait()
            async with self.gate:
                unsent = await self.sender.send(each.request)
            each.at, each.sent, each.trouble = time.monotonic(), time.time(), unsent.message if unsent else ""
            if unsent is None or not unsent.again or time.monotonic() >= end:
                return
            await asyncio.sleep(self.times.look)

    async def _read_back(self, sink: ObjectRef, probes: list[_Sent], sending: asyncio.Task[None]) -> None:
        """Look into a sink until all is found that must be there, or its time is over; then for what must not be."""
        wanted = [each for each in probes if sink in each.prediction.sinks]
        recorded = [each for each in wanted if each.prediction.levels]
        while True:
            all_sent = sending.done()
            await self._look(sink, [each for each in recorded if each.arrived and _waits(each, sink)])
            if all_sent and not any(each.arrived and _waits(each, sink) for each in recorded):
                break
            await asyncio.sleep(self.times.look)
        silent = [each for each in wanted if each.arrived and not each.prediction.levels]
        over = max((each.at for each in silent), default=0.0) + self.times.patience
        await asyncio.sleep(max(over - time.monotonic(), 0.0))
        await self._look(sink, silent, witness=_witness(recorded, sink))

    async def _look(self, sink: ObjectRef, probes: list[_Sent], *, witness: float | None = None) -> None:
        """Ask for each, the last time if its time is over or a witness, or that there is none, is known."""
        is_silent = False
        for each in probes:
            over = witness is not None or time.monotonic() >= each.at + self.times.patience
            # One that does not answer is not asked for every other record as well.
            found: Compared | str = _NO_ANSWER
            if not is_silent:
                found = await self._asked(each, sink, over=over, witness=witness or 0.0)
            if found is _NO_ANSWER:
                is_silent = True
                found = _SILENT if over else _PENDING
            each.found[sink] = found
            if isinstance(found, Compared) and found.outcome is Outcome.VERIFIED and each.prediction.levels:
                each.took[sink] = time.monotonic() - each.at

    async def _asked(self, sent: _Sent, sink: ObjectRef, *, over: bool, witness: float) -> Compared | str:
        """What was found. Raises nothing: a bug that one sink brings about must not keep the others' proof."""
        try:
            return await self._found(sent, sink, over=over, witness=witness)
        except Exception as error:  # noqa: BLE001 - see the docstring
            # Without the error's text, which may quote what a Secret holds.
            extra = {"object": str(sink), "reason": type(error).__name__}
            _LOG.error("A store could not be asked for a probe: %s", origin(error), extra=extra)
            return "the store could not be asked; the operator's log says why"

    async def _found(self, sent: _Sent, sink: ObjectRef, *, over: bool, witness: float) -> Compared | str:
        store = await self._open(sink)
        if isinstance(store, str):
            return store
        since = datetime.now(UTC) - timedelta(seconds=time.monotonic() - sent.at) - _CLOCKS
        try:
            async with asyncio.timeout(_ASKED_WITHIN):
                found = await store.store.find(sent.request.marks.audit_id, None, since=since)
        except TimeoutError:
            return _NO_ANSWER
        match found:
            case Found():
                texts = [each.text for each in found.records]
                witnessed = witness > sent.at
                return compare(sent.prediction, texts, over=over, witnessed=witnessed, complete=found.complete)
            case Unsupported():
                return f"such a store cannot be asked for a record: {found.reason}"
            case Failure():
                return f"the store could not be asked: {found.reason}" if over else _PENDING

    async def _open(self, sink: ObjectRef) -> OpenStore | str:
        wanted = self._sinks.get(sink)
        if wanted is None:
            return "there is no such sink any more"
        if isinstance(wanted, AuditSink) and not self.tenants:
            return "the operator is set to ask no stores of AuditSinks"
        opened = await self.stores.open(wanted, self._opened.get(sink))
        if isinstance(opened, Failure):
            return f"the store could not be opened: {opened.reason}"
        self._opened[sink] = opened
        return opened

    def _note(self, place: Place, known: _Known, selection: Selection, probes: list[_Sent]) -> None:
        if place[0] not in self._observations:
            return  # nobody wants to know any more
        numbers = {aim: number for number, aim in enumerate(selection.requests)}
        for each in probes:
            known.results[numbers[each.request.aim]] = Result(dict(each.found), each.trouble, each.sent)
            for sink, compared in each.found.items():
                if sink not in self._sinks:
                    continue
                outcome = compared.outcome if isinstance(compared, Compared) else Outcome.UNKNOWN
                self.figures.count(place[0], sink, outcome.value, each.took.get(sink))
        # One that was remembered with a number beyond was made up by somebody.
        results = {aim: known.results[number] for aim, number in numbers.items() if number in known.results}
        seen, places = standing(selection, results, self.times.patience), self._observations[place[0]]
        if places.get(place[1]) != seen:
            said = [finding for finding in seen.findings if finding.sink is not None]
            if said:
                extra = {"object": f"{place[0]} {place[1]}", "reason": said[0].outcome.value, "findings": len(said)}
                _LOG.warning("Probe of %s in %s: %s", said[0].action, said[0].sink, said[0].message, extra=extra)
            places[place[1]] = seen
            self._to_keep(soon=True)
            self.on_change()

    def _settle(self, place: Place, treatment: str) -> None:
        """What is to be found has changed, or is new: what was proved of something else is no proof.

        Shippers have still to hear of it: then the place is due.
        """
        due = time.monotonic() + self.times.settle
        before = self._known.get(place, _Known())
        self._known[place] = replace(before, due=due, treatment=treatment, foretold="", results={}, nameless=False)
        if self._observations.get(place[0], {}).pop(place[1], None) is not None:
            self._to_keep(soon=True)
            self.on_change()


def _unverified(proof: PlaceProof) -> PlaceProof:
    """What speaks against somebody alone."""
    tallies = tuple(replace(each, verified=frozenset()) for each in proof.tallies)
    return replace(proof, verified=frozenset(), tallies=tallies)


def _held_against(snapshot: Snapshot, planned: Plan, prober: User) -> tuple[dict[str, Basis], dict[Place, str]]:
    """What probes are held against now, and how each place is treated once API servers run what is planned.

    The latter also while they are on their way: proof of what was planned before is none of what is planned now.
    """
    made, ready = bases(snapshot, planned, prober), settled(snapshot, planned)
    return {name: each for name, each in made.items() if name in ready}, _treatments(made)


def _treatments(made: Mapping[str, Basis]) -> dict[Place, str]:
    return {(name, place): treated for name, basis in made.items() for place, treated in basis.treatments().items()}


def _prepared(basis: Basis, place: str, most: int, turn: int) -> tuple[Selection, list[_Sent], str]:
    """What is sent now, of all that can be asked there under a name, and what is foretold of all of it.

    First comes what must leave no record: what is sent later bears witness that records do come.
    """
    selection, every, foretold = _all_at(basis, place)
    now = set(share([aim for aim in selection.requests if aim.sender not in NAMELESS], most, turn))
    return selection, _silent_first(each for each in every if each.request.aim in now), foretold


def _prepared_nameless(basis: Basis, place: str) -> tuple[Selection, list[_Sent], str]:
    """The same of what is asked under no name, with a witness from the others if some of it must leave no record."""
    selection, every, foretold = _all_at(basis, place)
    nameless = [each for each in every if each.request.aim.sender in NAMELESS]
    others = (each for each in every if each.request.aim.sender not in NAMELESS and each.prediction.levels)
    silent = any(not each.prediction.levels for each in nameless)
    return selection, [*_silent_first(nameless), *(islice(others, 1) if silent else ())], foretold


def _all_at(basis: Basis, place: str) -> tuple[Selection, list[_Sent], str]:
    selection = basis.selector.at(place)
    every = [_sent(basis, aim) for aim in selection.requests]
    return selection, every, digest(*(each.foretold for each in every))


def _silent_first(probes: Iterable[_Sent]) -> list[_Sent]:
    return sorted(probes, key=lambda each: bool(each.prediction.levels))


def _sent(basis: Basis, aim: Aim) -> _Sent:
    request = ProbeRequest.of(aim, new_marks())
    return _Sent(request, basis.predict(request))


def _same(basis: Basis, probes: list[_Sent]) -> bool:
    """Whether that basis predicts of these requests what was predicted of them."""
    return all(basis.predict(each.request) == each.prediction for each in probes)


def new_marks() -> Marks:
    """Of a request that was never sent before."""
    return Marks(str(uuid.uuid4()), f"probe-{_word()}", _word())


def _word() -> str:
    """Letters alone: digits might look like somebody's number to a redaction."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))


def _waits(sent: _Sent, sink: ObjectRef) -> bool:
    found = sent.found.get(sink)
    return found is None or (isinstance(found, Compared) and found.outcome is Outcome.PENDING)


def _witness(recorded: list[_Sent], sink: ObjectRef) -> float:
    """When the last request was sent whose records were found; 0 if not all were.

    Requests come to any of several API servers: one of which nothing is found bears witness to nothing, and which of
    them had the request that must leave no record is not known.
    """
    arrived = [each for each in recorded if each.arrived]
    outcomes = [each.found.get(sink) for each in arrived]
    if not all(isinstance(each, Compared) and each.outcome in _CAME for each in outcomes):
        return 0.0
    return max((each.at for each in arrived), default=0.0)


def _is_judged(found: Compared | str) -> bool:
    return isinstance(found, Compared) and found.outcome in JUDGED


def _is_wrong(found: Compared | str) -> bool:
    return isinstance(found, Compared) and found.outcome in (Outcome.CONTRADICTED, Outcome.MISSING)
