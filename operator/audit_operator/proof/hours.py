"""What was counted in the last 24 hours, and figures of it that do not flicker.

An hour counts as a whole: what is said is of the present hour and the 23 before it. A figure is said worse at once, and
better when an hour begins at the earliest, so that a status with it is written twice an hour at the most.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from audit_operator.api.way_figures import BOUNDS, MISSING, Latency, WayFigures, part, step_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOUR = 3600
_HOURS = 24
_K = TypeVar("_K")
_STEPS = (*BOUNDS, MISSING)

CountedHour = tuple[int, int, int, tuple[tuple[int, int], ...]]
"""An hour of the epoch; records taken, and lost; and probes by the number of the step that they took, from 0 on."""


@dataclass(slots=True)
class LastDay(Generic[_K]):
    """Counts by what is counted. `hour` is that of the epoch; an earlier one than the last counts as the last."""

    _hours: deque[tuple[int, Counter[_K]]] = field(default_factory=deque)

    def add(self, hour: int, counts: Mapping[_K, int]) -> None:
        """Count so many more."""
        if not self._hours or hour > self._hours[-1][0]:
            self._hours.append((hour, Counter()))
        self._hours[-1][1].update(counts)

    def total(self, hour: int) -> Counter[_K]:
        """All that was counted within the day that ends with this hour; what is older is forgotten."""
        total: Counter[_K] = Counter()
        for counts in self.within(hour).values():
            total.update(counts)
        return total

    def within(self, hour: int) -> dict[int, Counter[_K]]:
        """The same by hour."""
        while self._hours and self._hours[0][0] <= hour - _HOURS:
            self._hours.popleft()
        return dict(self._hours)


@dataclass(slots=True)
class Steady:
    """A figure that is said worse at once, and better when an hour begins."""

    _hour: int = -1
    _said: float | None = None

    def say(self, hour: int, now: float | None) -> float | None:
        """What is to be said of a figure that is so now; None where nothing is known."""
        if hour == self._hour and self._said is not None:
            now = self._said if now is None else max(now, self._said)
        self._hour, self._said = hour, now
        return now


@dataclass(slots=True)
class WayWindow:
    """Of the way to one sink: records that were taken and lost, and how long records of probes took."""

    _records: LastDay[str] = field(default_factory=LastDay)
    _probes: LastDay[float] = field(default_factory=LastDay)
    _lost: Steady = field(default_factory=Steady)
    _quantiles: tuple[Steady, Steady, Steady] = field(default_factory=lambda: (Steady(), Steady(), Steady()))

    def add_records(self, hour: int, sent: int, lost: int) -> None:
        """Records that the store has taken, and that were given up, since this was called the last time."""
        if sent or lost:
            self._records.add(hour, {"sent": sent, "lost": lost})

    def add_probe(self, hour: int, seconds: float) -> None:
        """A probe whose records were all found after so long; MISSING for one of which some were not."""
        self._probes.add(hour, {step_up(seconds): 1})

    def hours(self, hour: int) -> tuple[CountedHour, ...]:
        """All that was counted within the day that ends with this hour, for whoever goes on with it."""
        records, probes = self._records.within(hour), self._probes.within(hour)
        return tuple(
            (
                each,
                records.get(each, Counter())["sent"],
                records.get(each, Counter())["lost"],
                tuple((_STEPS.index(step), count) for step, count in sorted(probes.get(each, Counter()).items())),
            )
            for each in sorted(records.keys() | probes.keys())
        )

    @classmethod
    def of(cls, hours: Iterable[CountedHour]) -> WayWindow:
        """Goes on with what was counted. Raises IndexError for a step that there is not."""
        window = cls()
        for hour, sent, lost, probes in sorted(hours):
            window.add_records(hour, sent, lost)
            window._probes.add(hour, {_STEPS[step]: count for step, count in probes})
        return window

    def figures(self, hour: int) -> WayFigures:
        """What is to be said now."""
        records = self._records.total(hour)
        every = records["sent"] + records["lost"]
        lost = self._lost.say(hour, part(records["lost"], every) if every else None)
        probes = self._probes.total(hour)
        found = (
            each.say(hour, quantile(probes, share))
            for each, share in zip(self._quantiles, (0.5, 0.95, 0.99), strict=True)
        )
        p50, p95, p99 = found
        latency = None if p50 is None or p95 is None or p99 is None else Latency(p50, p95, p99)
        return WayFigures(None if lost is None else int(lost), latency)


def quantile(counts: Mapping[float, int], share: float) -> float | None:
    """The smallest value that at least this share of all does not exceed; None of nothing. `counts` is by value."""
    total, seen = sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if counts[value] and seen >= share * total:
            return value
    return None
