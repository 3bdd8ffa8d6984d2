"""How many lines a collector could not read, or not as a whole, by namespace and reason.

It is asked only where there are more of them than before: what else it counts for detections may be large.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.observations import EVERYWHERE, UnreadableLines
from audit_operator.controlplane.shipper.counts import TooMuch, samples
from audit_operator.controlplane.shipper.crowding import labels_of
from audit_operator.shipping.collector.unreadable import METRIC, NAMESPACE, REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERIES = f"{METRIC}_total{{"
"""Begins each of its lines in Prometheus' text format."""
_MOST = 256
"""Namespaces, each with a reason, that are told by name; they travel in an annotation."""
_REMEMBERED = 20_000


@dataclass(slots=True)
class UnreadableTally:
    """Adds up what is new; so a sum never falls, whatever becomes of series.

    Attributes:
        address: where the collector shows what it counts, as ``HOST:PORT``.
    """

    address: Callable[[], str]
    _asked: tuple[str, int] = ("", 0)
    _again: bool = False
    _last: dict[str, int] = field(default_factory=dict)
    _sums: Counter[tuple[str, str]] = field(default_factory=Counter)

    def see(self, epoch: str, number: int) -> tuple[UnreadableLines, ...]:
        """Take note that there are so many of them in this run of the collector; returns the sums."""
        asked = (epoch, number)
        if asked != self._asked or self._again:
            found = self._read()
            # What is counted may not be shown yet.
            self._asked, self._again = asked, found is None or asked != self._asked
            self._add(found or {})
        return self._told()

    def _read(self) -> Mapping[str, str] | None:
        try:
            return samples(self.address(), (SERIES,))
        except TooMuch:
            return None  # `ShownCounts` says so

    def _add(self, found: Mapping[str, str]) -> None:
        for series, value in found.items():
            labels, count = labels_of(series), int(float(value))
            place = (labels.get(NAMESPACE, ""), labels.get(REASON, ""))
            if place not in self._sums and len(self._sums) >= _REMEMBERED:
                place = (EVERYWHERE, place[1])
            self._sums[place] += max(0, count - self._last.get(series, 0))
        if found:
            self._last = {series: int(float(value)) for series, value in found.items()}

    def _told(self) -> tuple[UnreadableLines, ...]:
        """Those with the most lines by name, all others together for each reason."""
        places = self._sums.most_common()
        rest: Counter[tuple[str, str]] = Counter()
        for (_, reason), count in places[_MOST:]:
            rest[EVERYWHERE, reason] += count
        told = sorted([*places[:_MOST], *rest.items()])
        return tuple(UnreadableLines(namespace, reason, count) for (namespace, reason), count in told if count)
