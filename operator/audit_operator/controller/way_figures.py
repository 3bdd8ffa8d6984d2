"""Measures the ways to sinks: what shippers say that they have given up, and how long records of probes took.

Shippers count since they began, so that what is new is the difference to the last look. What one has counted before it
was seen for the first time is of the last day only where it began within that day; else nobody knows when it was.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.observations import ExporterFigures
from audit_operator.api.way_figures import MISSING, WayFigures
from audit_operator.proof.comparison import Outcome
from audit_operator.proof.hours import HOUR, WayWindow
from audit_operator.proof.memory import RememberedCount, RememberedPlane, RememberedWay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.observations import ShipperObservation
    from audit_operator.controller.probe_metrics import ProbeCounts
    from audit_operator.plan.shipping_status import ShippingFacts

_DAY = 24 * HOUR
_NOT_SAID = 0.0
_Way = tuple[str, "ObjectRef"]
_Source = tuple[str, str, str]
"""A control plane, one of its shippers, and an exporter of that."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """By one shipper, for one sink, since it began; `seen` is when it said so."""

    since: float
    sent: int
    lost: int
    seen: float

    @classmethod
    def of(cls, since: float, figures: ExporterFigures, seen: float) -> _Counted:
        return cls(since, figures.sent, figures.failed + figures.not_queued, seen)

    def after(self, before: _Counted | None, now: float) -> tuple[int, int]:
        """How many more were taken and lost than at the last look."""
        if before is None:
            return (self.sent, self.lost) if now - self.since < _DAY else (0, 0)
        if self.since != before.since or self.sent < before.sent or self.lost < before.lost:
            return self.sent, self.lost  # it has begun anew
        return self.sent - before.sent, self.lost - before.lost


@dataclass(slots=True)
class WayMeasures:
    """Keeps the figures of all ways; `counts` has the exact ones of probes, `clock` gives seconds since the epoch.

    Where it `waits`, nothing is looked at until it is known what was counted before.
    """

    counts: ProbeCounts
    waits: bool = False
    clock: Callable[[], float] = time.time
    _windows: dict[_Way, WayWindow] = field(default_factory=dict)
    _counted: dict[_Source, _Counted] = field(default_factory=dict)
    _said: dict[_Way, WayFigures] = field(default_factory=dict)

    @property
    def said(self) -> Mapping[str, Mapping[ObjectRef, WayFigures]]:
        """What is to be said of each way, by control plane and sink."""
        found: defaultdict[str, dict[ObjectRef, WayFigures]] = defaultdict(dict)
        for (plane, sink), figures in self._said.items():
            found[plane][sink] = figures
        return found

    def remembered(self, plane: str) -> RememberedPlane:
        """What was counted, for whoever comes next."""
        hours = {way: window.hours(self._hour()) for way, window in self._windows.items() if way[0] == plane}
        ways = tuple(RememberedWay(sink, each) for (_, sink), each in sorted(hours.items()))
        counts = tuple(
            RememberedCount(shipper, exporter, each.since, each.sent, each.lost, int(each.seen))
            for (of, shipper, exporter), each in sorted(self._counted.items())
            if of == plane
        )
        return RememberedPlane(ways=ways, counts=counts)

    def recall(self, planes: Mapping[str, RememberedPlane]) -> None:
        """Go on with what was counted before; what was counted meanwhile comes with the next look."""
        self.waits = False
        for plane, known in planes.items():
            for each in known.ways:
                past = (hour for hour in each.hours if hour[0] <= self._hour())
                with suppress(IndexError):  # somebody else's doing
                    self._windows[plane, each.sink] = WayWindow.of(past)
            for count in known.counts:
                seen = min(count.seen or self.clock(), self.clock())
                counted = _Counted(count.since, count.sent, count.lost, seen)
                self._counted[plane, count.shipper, count.exporter] = counted
        self._say()

    def count(self, plane: str, sink: ObjectRef, outcome: str, seconds: float | None) -> None:
        """One request in one sink; `seconds` until all its records were found, where they were."""
        self.counts.count(plane, sink, outcome, seconds)
        if outcome == Outcome.MISSING.value:
            seconds = MISSING
        if seconds is not None:
            self._window(plane, sink).add_probe(self._hour(), seconds)

    def forget(self, sink: ObjectRef) -> None:
        """It is gone: its exact counts are, and what is said of the way there ends with the day."""
        self.counts.forget(sink)

    def look(self, facts: Mapping[str, ShippingFacts]) -> bool:
        """Note what shippers have counted; returns whether something else is to be said of some way."""
        if self.waits:
            return False
        counted = dict(self._counts(facts))
        for (way, source), now in counted.items():
            self._window(*way).add_records(self._hour(), *now.after(self._counted.get(source), self.clock()))
        # Of a shipper that is not seen for a while, the last count is kept, so that nothing is counted twice; but nodes
        # come and go, and of one that comes back after a day, nothing is taken for new.
        sources = {source: now for (_, source), now in counted.items()}
        since = self.clock() - _DAY
        kept = {key: each for key, each in self._counted.items() if key[0] in facts and each.seen > since}
        self._counted = {**kept, **sources}
        return self._say()

    def _counts(self, facts: Mapping[str, ShippingFacts]) -> Iterator[tuple[tuple[_Way, _Source], _Counted]]:
        for plane, known in facts.items():
            sinks = {exporter: sink for sink, exporter in (known.files.sinks if known.files else {}).items()}
            for shipper in known.shippers:
                since = _since(shipper)
                for each in shipper.exporters:
                    # Without any, its report had no room for them.
                    if (sink := sinks.get(each.exporter)) is not None and each.figures != ExporterFigures():
                        key = (plane, sink), (plane, shipper.node, each.exporter)
                        yield key, _Counted.of(since, each.figures, self.clock())

    def _say(self) -> bool:
        hour, before = self._hour(), self._said
        every = {way: window.figures(hour) for way, window in self._windows.items()}
        self._said = {way: figures for way, figures in every.items() if figures != WayFigures()}
        self._windows = {way: window for way, window in self._windows.items() if way in self._said}
        return self._said != before

    def _window(self, plane: str, sink: ObjectRef) -> WayWindow:
        return self._windows.setdefault((plane, sink), WayWindow())

    def _hour(self) -> int:
        return int(self.clock()) // HOUR


def _since(shipper: ShipperObservation) -> float:
    """When it began to count; of one that does not say so, nothing is taken for new."""
    return shipper.figures.since.timestamp() if shipper.figures.since is not None else _NOT_SAID
