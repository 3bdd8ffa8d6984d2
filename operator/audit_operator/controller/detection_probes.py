"""Measures how long detections take to be seen: from a refused request to the count of whatever it is about.

Counters cannot tell one probe from another. So for a measurement all others wait, until the counters have been quiet
for a while; then each detection has one request, and the first count that rises is that of the first one about it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.detection_times import DetectionTimes
from audit_operator.api.way_figures import MISSING, step_up
from audit_operator.controller.origins import origin
from audit_operator.plan.counting import resolved
from audit_operator.proof.detecting import AskedDetection, trials
from audit_operator.proof.hours import HOUR, LastDay, Steady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import Histogram

    from audit_operator.controller.live_probes import LiveProbes, Sender
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.shipping_status import ShippingFacts
    from audit_operator.proof.basis import Basis
    from audit_operator.proof.detecting import Trial
    from audit_operator.proof.requests import Marks

_LOG = logging.getLogger(__name__)


def counted_probes(facts: ShippingFacts | None) -> Mapping[str, int] | None:
    """Events of probes by condition, of all shippers of a control plane; None unless all of them say so.

    One that does not run what was planned would leave out what it has not heard of yet.
    """
    if facts is None or facts.files is None or not facts.shippers:
        return None
    total: Counter[str] = Counter()
    for shipper in facts.shippers:
        if not shipper.healthy or shipper.config != facts.files.digest or shipper.figures.probed is None:
            return None
        total.update(dict(shipper.figures.probed))
    return total


@dataclass(frozen=True, slots=True)
class DetectionTiming:
    """Seconds: between two measurements; until a count must be seen; between two looks; how long counts are quiet."""

    every: float = 3600.0
    patience: float = 120.0
    look: float = 1.0
    quiet: float = 15.0


@dataclass(slots=True)
class _Known:
    """Of one condition: how long its counts took in the last day, and whether the last one came."""

    took: LastDay[str] = field(default_factory=LastDay)
    steady: Steady = field(default_factory=Steady)
    missed: bool = False

    def seconds(self, hour: int) -> float | None:
        """What is to be said of it."""
        total = self.took.total(hour)
        mean = step_up(total["milliseconds"] / total["counted"] / 1000) if total["counted"] else None
        said = self.steady.say(hour, mean)
        return MISSING if self.missed else said


@dataclass(slots=True)
class DetectionProbes:
    """Measures the detections of those control planes that are probed, while `probes` wait.

    `counts` has what was counted of probes by condition, as `counted_probes` says it of a control plane.
    """

    probes: LiveProbes
    sender: Sender
    counts: Callable[[str], Mapping[str, int] | None]
    seconds: Histogram
    marks: Callable[[], Marks]
    timing: DetectionTiming = field(default_factory=DetectionTiming)
    clock: Callable[[], float] = time.time
    _facts: tuple[Snapshot, Plan] | None = None
    _known: dict[str, dict[str, _Known]] = field(default_factory=dict)
    _unmeasured: dict[str, frozenset[str]] = field(default_factory=dict)
    _said: Mapping[str, DetectionTimes] = field(default_factory=dict)

    @property
    def times(self) -> Mapping[str, DetectionTimes]:
        """What was measured, by control plane; a control plane is absent where nothing was tried."""
        return self._said

    def follow(self, snapshot: Snapshot, planned: Plan) -> None:
        """Measure what these facts ask for from now on."""
        self._facts = snapshot, planned

    async def run(self) -> None:
        """Measure for ever. Raises nothing: a bug must not be the end of what else the operator does."""
        while True:
            bases = dict(self.probes.bases)
            soon = not bases
            for plane, basis in bases.items():
                try:
                    soon = not await self._measure(plane, basis) or soon
                except Exception as error:  # noqa: BLE001 - see the docstring
                    extra = {"object": plane, "reason": type(error).__name__}
                    _LOG.error("Detections not measured: %s", origin(error), extra=extra)
            self._say()
            await asyncio.sleep(self.timing.quiet if soon else self.timing.every)

    async def _measure(self, plane: str, basis: Basis) -> bool:
        """Once; returns whether that is all for now. One that is in vain has all others wait, so it has its turn too.

        Else somebody with the prober's token could keep all probes from being sent, by never being quiet.
        """
        detections = list(self._detections(plane, basis))
        if not detections:
            self._known.pop(plane, None)
            self._unmeasured.pop(plane, None)
            return True
        found = await asyncio.to_thread(trials, detections, basis, self.marks)
        wanted = {each.id for each in detections}
        measured = frozenset[str]().union(*(each.ids for each in found)) & wanted
        if measured and self.counts(plane) is None:
            return False
        async with self.probes.gate:
            before = await self._quiet(plane) if measured else None
            took = await self._took(plane, found, before) if before is not None else None
        now = self.probes.bases.get(plane)
        if now is None or (now is not basis and not await asyncio.to_thread(_same, now, basis, found)):
            return False  # what was sent may have been recorded, or counted, otherwise
        self._unmeasured[plane] = frozenset(wanted - measured)
        known = self._known.setdefault(plane, {})
        for gone in known.keys() - measured:
            del known[gone]
        for each in (took or {}).items():
            self._note(plane, known.setdefault(each[0], _Known()), each[1])
        return True

    def _note(self, plane: str, known: _Known, took: float | None) -> None:
        known.missed = took is None
        if took is not None:
            known.took.add(self._hour(), {"milliseconds": round(took * 1000), "counted": 1})
            self.seconds.labels(plane).observe(took)

    async def _quiet(self, plane: str) -> Mapping[str, int] | None:
        """The counts once they have been the same for a while; None where they are not, or are not seen."""
        since = time.monotonic()
        end = since + self.timing.patience + self.timing.quiet
        last = self.counts(plane)
        while time.monotonic() < end:
            if last is None:
                return None
            if time.monotonic() - since >= self.timing.quiet:
                return last
            await asyncio.sleep(self.timing.look)
            now = self.counts(plane)
            if now != last:
                last, since = now, time.monotonic()
        return None

    async def _took(
        self, plane: str, found: tuple[Trial, ...], before: Mapping[str, int]
    ) -> dict[str, float | None] | None:
        """How long each count took; None where one was not seen in time. Where nobody says, nothing."""
        sent: dict[str, float] = {}
        took: dict[str, float] = {}
        unsure = False
        async with asyncio.TaskGroup() as group:
            # Looked for meanwhile: sending all of them takes a while, by which the first one would be said to be late.
            sending = group.create_task(self._send(found, sent))
            while not sending.done() or (sent.keys() - took.keys() and not self._over(sent)):
                await asyncio.sleep(self.timing.look)
                counts = self.counts(plane)
                unsure = unsure or counts is None
                risen = {each for each, count in (counts or {}).items() if count > before.get(each, 0)}
                now = time.monotonic()
                took |= {each: now - at for each, at in sent.items() if each in risen and each not in took}
        return {each: took.get(each) for each in sent if each in took or not unsure}

    async def _send(self, found: tuple[Trial, ...], sent: dict[str, float]) -> None:
        """Note when the first request was answered that each detection is about."""
        for trial in found:
            await self.probes.rate.wait()
            if await self.sender.send(trial.request) is None:
                for identity in trial.ids:
                    sent.setdefault(identity, time.monotonic())

    def _over(self, sent: Mapping[str, float]) -> bool:
        return time.monotonic() >= max(sent.values()) + self.timing.patience

    def _detections(self, plane: str, basis: Basis) -> Iterator[AskedDetection]:
        """One for each condition that is counted: the first policy that asks for it stands for all."""
        if self._facts is None:
            return
        snapshot, planned = self._facts
        counted = {each.id for each in basis.shipping.counting.counts}
        for policy in snapshot.policies():
            namespace = policy.metadata.namespace
            for each in policy.spec.detections if planned.assigned.get(policy.ref) == plane else ():
                own, identity = resolved(each, namespaced=bool(namespace))
                if identity in counted:
                    counted.discard(identity)
                    yield AskedDetection(identity, own.condition, namespace)

    def _say(self) -> None:
        said = {}
        for plane in self._known.keys() | self._unmeasured.keys():
            every = {identity: each.seconds(self._hour()) for identity, each in self._known.get(plane, {}).items()}
            known = {identity: each for identity, each in every.items() if each is not None}
            said[plane] = DetectionTimes(known, self._unmeasured.get(plane, frozenset()))
        if said != self._said:
            self._said = said
            self.probes.on_change()

    def _hour(self) -> int:
        return int(self.clock()) // HOUR


def _same(now: Basis, before: Basis, found: tuple[Trial, ...]) -> bool:
    """Whether the same is predicted of these requests, and counted."""
    alike = all(now.predict(each.request) == before.predict(each.request) for each in found)
    return alike and now.shipping.counting == before.shipping.counting
