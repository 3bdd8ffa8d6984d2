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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.sink import AuditSink
from audit_operator.controller.origins import origin
from audit_operator.plan.sinks import Sinks
from audit_operator.proof.basis import bases
from audit_operator.proof.comparison import Compared, Outcome, compare
from audit_operator.proof.requests import Marks, ProbeRequest
from audit_operator.proof.standing import Result, most_at_once, share, standing
from audit_operator.sinks.store import Failure, Found, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.proof_observations import PlaceProof
    from audit_operator.cluster.probing import Unsent
    from audit_operator.cluster.rate_limit import RateLimit
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
_CLOCKS = timedelta(hours=1)
"""By how much the clocks of API servers may be behind ours."""

_SILENT = "the store did not answer in time"
_PENDING = Compared(Outcome.PENDING)
_NO_ANSWER = "no answer yet"

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


class Figures(Protocol):
    """Where results are counted."""

    def count(self, plane: str, sink: ObjectRef, outcome: str, seconds: float | None) -> None:
        """One request in one sink; `seconds` until all its records were found, where they were."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeTimes:
    """Seconds: between two visits of a place; until records must be found; between two looks at a sink.

    `settle` is how long the same must have been predicted; `per_second` how many requests are sent at the most.
    """

    every: float = 3600.0
    patience: float = 120.0
    look: float = 2.0
    settle: float = 30.0
    per_second: float = 1.0


@dataclass(slots=True)
class _Sent:
    """A request on its way: what must be found, when it was sent, what was found so far, and how long that took."""

    request: ProbeRequest
    prediction: Prediction
    at: float = 0.0
    trouble: str = ""
    found: dict[ObjectRef, Compared | str] = field(default_factory=dict)
    took: dict[ObjectRef, float] = field(default_factory=dict)

    @property
    def foretold(self) -> tuple[object, ...]:
        """What of the prediction does not depend on the marks of the request."""
        prediction = self.prediction
        return self.request.aim, tuple(sorted(prediction.levels.items())), prediction.user, prediction.sinks


@dataclass(slots=True)
class _Known:
    """Of one place: when it is due, how it is treated, what was predicted there, and the results so far."""

    due: float = 0.0
    treatment: object = None
    foretold: tuple[object, ...] = ()
    turn: int = 0
    visited: float = 0.0
    results: dict[Aim, Result] = field(default_factory=dict)


@dataclass(slots=True)
class LiveProbes:
    """Probes the places of those control planes that ask for it; `on_change` is called when something else is true.

    `tenants` says whether stores are asked whose addresses tenants choose. `rate` bounds what is sent.
    """

    sender: Sender
    stores: ProbedStores
    prober: User
    figures: Figures
    rate: RateLimit
    on_change: Callable[[], None]
    times: ProbeTimes = field(default_factory=ProbeTimes)
    tenants: bool = True
    _facts: tuple[Snapshot, Plan] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _bases: dict[str, Basis] = field(default_factory=dict)
    _sinks: Mapping[ObjectRef, Sink] = field(default_factory=dict)
    _opened: dict[ObjectRef, OpenStore] = field(default_factory=dict)
    _known: dict[Place, _Known] = field(default_factory=dict)
    _observations: defaultdict[str, dict[str, PlaceProof]] = field(default_factory=lambda: defaultdict(dict))
    _visits: dict[Place, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def observations(self) -> Mapping[str, Mapping[str, PlaceProof]]:
        """What is known of every place that was visited, by control plane."""
        return {plane: dict(places) for plane, places in self._observations.items()}

    def oldest(self) -> dict[str, float]:
        """When the place was visited, in seconds since the epoch, that waits longest, by control plane."""
        found: dict[str, float] = {}
        for (plane, _), known in self._known.items():
            found[plane] = min(found.get(plane, known.visited), known.visited)
        return {plane: at for plane, at in found.items() if at}

    def error_rate(self) -> dict[str, float]:
        """Requests whose records are wrong or missing in some sink, of all that were sent, by control plane."""
        sent, wrong = defaultdict[str, int](int), defaultdict[str, int](int)
        for (plane, _), known in self._known.items():
            for result in known.results.values():
                sent[plane] += not result.trouble
                wrong[plane] += any(_is_wrong(each) for each in result.sinks.values())
        return {plane: wrong[plane] / count for plane, count in sent.items() if count}

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
        self._changed.set()

    async def run(self) -> None:
        """Go round for ever. Raises nothing: a bug must not be the end of what else the operator does."""
        try:
            while True:
                try:
                    await self._turn()
                except Exception as error:  # noqa: BLE001 - see the docstring
                    _LOG.error("Probes not sent: %s", origin(error), extra={"reason": type(error).__name__})
                    await asyncio.sleep(self.times.look)
        finally:
            for each in self._visits.values():
                each.cancel()
            await asyncio.gather(*self._visits.values(), return_exceptions=True)

    async def _turn(self) -> None:
        """Begin the visits that are due, and wait until there is something to do."""
        if self._changed.is_set():
            self._changed.clear()
            await self._learn()
        now = time.monotonic()
        self._visits = {place: task for place, task in self._visits.items() if not task.done()}
        waiting = sorted((known.due, place) for place, known in self._known.items() if place not in self._visits)
        for due, place in waiting:
            if due > now or len(self._visits) >= _AT_ONCE:
                break
            self._visits[place] = asyncio.create_task(self._visit(place), name=f"probe {place}")
        due = min((due for due, place in waiting if place not in self._visits), default=now + _LONGEST_PAUSE)
        pause = due - now if len(self._visits) < _AT_ONCE else _LONGEST_PAUSE
        waking = asyncio.create_task(self._changed.wait())
        await asyncio.wait(
            [waking, *self._visits.values()], timeout=max(pause, 0.1), return_when=asyncio.FIRST_COMPLETED
        )
        waking.cancel()

    async def _learn(self) -> None:
        if self._facts is None:
            return
        snapshot, planned = self._facts
        self._bases, treatments = await asyncio.to_thread(_learnt, snapshot, planned, self.prober)
        self._sinks = Sinks.of(snapshot).existing
        self._opened = {ref: each for ref, each in self._opened.items() if ref in self._sinks}
        for place, treatment in treatments.items():
            known = self._known.setdefault(place, _Known())
            if known.treatment != treatment:
                # Of all at once, if need be: what it costs to look closer comes with the visits, which are bounded.
                known.treatment = treatment
                self._settle(place, known)
        existing = {each.name for each in snapshot.namespaces} | {""}
        for place in self._known.keys() - treatments.keys():
            # In the middle of a roll-out there is nothing to hold probes against; that is no reason to forget all.
            if place[0] not in self._observations or place[1] not in existing:
                del self._known[place]
                self._observations.get(place[0], {}).pop(place[1], None)

    async def _visit(self, place: Place) -> None:
        known, basis = self._known[place], self._bases.get(place[0])
        known.due = time.monotonic() + self.times.settle
        try:
            if basis is None:
                self._forget(place, known)
            else:
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
            self._settle(place, known)
            return
        known.foretold = foretold
        known.due = time.monotonic() + self.times.every
        for each in probes:
            await self.rate.wait()
            unsent = await self.sender.send(each.request)
            each.at, each.trouble = time.monotonic(), unsent.message if unsent else ""
        await self._read_back([each for each in probes if not each.trouble])
        now = self._bases.get(place[0])
        if now is not basis and (now is None or not await asyncio.to_thread(_same, now, probes)):
            known.due = time.monotonic() + self.times.settle
            return
        known.turn, known.visited = known.turn + 1, time.time()
        self._note(place, known, selection, probes)

    async def _read_back(self, probes: list[_Sent]) -> None:
        """Look into the sinks until all is found, or the time is over."""
        end = time.monotonic() + self.times.patience
        while True:
            over = time.monotonic() >= end
            waiting = [(each, sink) for each in probes for sink in each.prediction.sinks if _waits(each, sink)]
            if not waiting:
                return
            witnesses = _witnesses(probes)
            silent: list[ObjectRef] = []
            for each, sink in waiting:
                # One that does not answer is not asked for every other record as well.
                found: Compared | str = _SILENT if over else _PENDING
                if sink not in silent:
                    found = await self._asked(each, sink, over=over, witness=witnesses.get(sink, 0.0))
                if found is _NO_ANSWER:
                    silent.append(sink)
                    found = _SILENT if over else _PENDING
                each.found[sink] = found
                if isinstance(found, Compared) and found.outcome is Outcome.VERIFIED and each.prediction.levels:
                    each.took[sink] = time.monotonic() - each.at
            if over:
                return
            await asyncio.sleep(self.times.look)

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
        marks = sent.request.marks
        since = datetime.now(UTC) - timedelta(seconds=time.monotonic() - sent.at) - _CLOCKS
        try:
            async with asyncio.timeout(_ASKED_WITHIN):
                found = await store.store.find(marks.audit_id, None, since=since)
        except TimeoutError:
            return _NO_ANSWER
        match found:
            case Found():
                texts = [each.text for each in found.records]
                return compare(sent.prediction, marks, texts, over=over, witnessed=witness > sent.at)
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
        if place not in self._known:
            return
        for each in probes:
            known.results[each.request.aim] = Result(dict(each.found), each.trouble)
            for sink, compared in each.found.items():
                outcome = compared.outcome if isinstance(compared, Compared) else Outcome.UNKNOWN
                self.figures.count(place[0], sink, outcome.value, each.took.get(sink))
        asked = set(selection.requests)
        known.results = {aim: result for aim, result in known.results.items() if aim in asked}
        seen, places = standing(selection, known.results), self._observations[place[0]]
        if places.get(place[1]) != seen:
            said = [finding for finding in seen.findings if finding.sink is not None]
            if said:
                extra = {"object": f"{place[0]} {place[1]}", "reason": said[0].outcome.value, "findings": len(said)}
                _LOG.warning("Probe of %s in %s: %s", said[0].action, said[0].sink, said[0].message, extra=extra)
            places[place[1]] = seen
            self.on_change()

    def _settle(self, place: Place, known: _Known) -> None:
        """What is predicted has changed, or is new. Shippers have still to hear of it: then the place is due."""
        self._forget(place, known)
        known.foretold, known.due = (), time.monotonic() + self.times.settle

    def _forget(self, place: Place, known: _Known) -> None:
        """What was proved of something else is no proof."""
        known.results.clear()
        if self._observations.get(place[0], {}).pop(place[1], None) is not None:
            self.on_change()


def _learnt(snapshot: Snapshot, planned: Plan, prober: User) -> tuple[dict[str, Basis], dict[Place, object]]:
    """What probes are held against, and how each place is treated."""
    made = bases(snapshot, planned, prober)
    return made, {(name, place): treated for name, basis in made.items() for place, treated in basis.treatments()}


def _prepared(basis: Basis, place: str, most: int, turn: int) -> tuple[Selection, list[_Sent], tuple[object, ...]]:
    """What is sent now, of all that can be asked there, and what is foretold of all of it.

    First comes what must leave no record: what is sent later bears witness that records do come.
    """
    selection = basis.selector.at(place)
    every = [_sent(basis, aim) for aim in selection.requests]
    now = set(share(selection.requests, most, turn))
    probes = sorted((each for each in every if each.request.aim in now), key=lambda each: bool(each.prediction.levels))
    return selection, probes, tuple(each.foretold for each in every)


def _sent(basis: Basis, aim: Aim) -> _Sent:
    request = ProbeRequest.of(aim, _marks())
    return _Sent(request, basis.predict(request))


def _same(basis: Basis, probes: list[_Sent]) -> bool:
    """Whether that basis predicts of these requests what was predicted of them."""
    return all(basis.predict(each.request) == each.prediction for each in probes)


def _marks() -> Marks:
    return Marks(str(uuid.uuid4()), f"probe-{_word()}", _word())


def _word() -> str:
    """Letters alone: digits might look like somebody's number to a redaction."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))


def _waits(sent: _Sent, sink: ObjectRef) -> bool:
    found = sent.found.get(sink)
    return found is None or (isinstance(found, Compared) and found.outcome is Outcome.PENDING)


def _witnesses(probes: list[_Sent]) -> dict[ObjectRef, float]:
    """When the last request was sent whose records were found, by sink."""
    seen: dict[ObjectRef, float] = {}
    for each in probes:
        for sink, found in each.found.items():
            if isinstance(found, Compared) and found.outcome is Outcome.VERIFIED and each.prediction.levels:
                seen[sink] = max(seen.get(sink, 0.0), each.at)
    return seen


def _is_wrong(found: Compared | str) -> bool:
    return isinstance(found, Compared) and found.outcome in (Outcome.CONTRADICTED, Outcome.MISSING)
