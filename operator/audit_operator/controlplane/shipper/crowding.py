"""How many events had no room to be told apart, which no counter says that drops them.

Every event is counted by namespace as well, where there is always room: what was added to that and to no other series
of the condition was not told apart. Whoever keeps the collector can say so in a series that only rises: it knows when
the collector begins anew, and holds sums of a while ago against what is told apart now, so that nothing that is still
on its way is taken for missing. From afar, the difference is at times too large or too small.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from audit_operator.api.observations import EVERYWHERE
from audit_operator.detections.series import ALL_EVENTS, CONTROL_PLANE, CROWDED_EVENTS, DETECTION, NAMESPACE, PROBE
from audit_operator.shipping.collector.counting import START

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEMBERED = 3600.0
"""Seconds for which places are named: nobody looks all the time."""
_BEHIND = 2.0
"""Seconds that sums, and what is told apart, may be apart; collectors add up once a second."""
_LONGEST_GAP = 1800.0
"""Seconds between two looks, within which no series can have come and gone."""
_MOST = 256
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def labels_of(series: str) -> dict[str, str]:
    """Labels as Prometheus' text format has them, with its escapes.

    From the first one on: whoever begins elsewhere may take the end of a value for a label.
    """
    return dict(_LABEL.findall(series))


class _Place(NamedTuple):
    control_plane: str
    detection: str
    namespace: str


@dataclass(frozen=True, slots=True)
class _Series:
    """What does not change of one: where it counts, if it does, and whether it is a sum by namespace."""

    place: _Place | None
    is_sum: bool

    @classmethod
    def of(cls, series: str) -> _Series:
        labels = labels_of(series)
        place = _Place(labels.get(CONTROL_PLANE, ""), labels.get(DETECTION, ""), labels.get(NAMESPACE, ""))
        return cls(None if labels.get(PROBE) else place, series.startswith(f"{ALL_EVENTS}{{"))


@dataclass(slots=True)
class Crowding:
    """Follows the series of one collector, from one of its beginnings to the next. `now` is a monotonic clock's."""

    _began: float = 0.0
    _looked: float | None = None
    _sums_unknown_since: float | None = None
    _former: set[str] = field(default_factory=set)
    _last: dict[str, tuple[_Series, float]] = field(default_factory=dict)
    _told: defaultdict[_Place, float] = field(default_factory=lambda: defaultdict(float))
    _sums: defaultdict[_Place, float] = field(default_factory=lambda: defaultdict(float))
    _earlier: tuple[float, dict[_Place, float]] = (0.0, {})
    _crowded: dict[_Place, float] = field(default_factory=dict)
    _grew: dict[tuple[str, str], float] = field(default_factory=dict)

    def begin_anew(self) -> None:
        """The collector is about to: what it has shown so far says no more, and all that it shows then is new."""
        self._began, self._looked = time.time(), time.monotonic()
        self._former |= self._last.keys()
        self._last, self._crowded, self._sums_unknown_since = {}, {}, None
        self._told.clear()
        self._sums.clear()
        self._earlier = self._looked, {}

    def see(self, found: Mapping[str, str], now: float, *, at_last: bool = False) -> dict[str, str]:
        """Values by series of what is counted now; those of what had no room, which never fall.

        `at_last` says that the collector is not asked again before it begins anew: what is known must do, though a sum
        may just be ahead. Who makes it begin anew all the time must not hide anything by that.
        """
        if self._former.isdisjoint(found):
            self._former = set()
            self._follow(found, now, at_last=at_last)
        else:
            # The former collector still answers: what it has begun meanwhile is nothing of the next one.
            self._former |= found.keys()
        return {self._series(place): f"{value:.0f}" for place, value in self._crowded.items()}

    def places(self, now: float) -> tuple[tuple[str, str], ...]:
        """Conditions, each with a namespace in which some event was not told apart within the last hour.

        The namespace is empty for those that tell no namespaces apart. Where there are more than 256, the conditions
        with the most of them stand once, with EVERYWHERE.
        """
        self._grew = {place: at for place, at in self._grew.items() if now - at < _REMEMBERED}
        by_condition: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for place in self._grew:
            by_condition[place[0]].append(place)
        most_first = sorted(by_condition, key=lambda condition: (-len(by_condition[condition]), condition))
        left = len(self._grew)
        for condition in most_first:
            if left <= _MOST:
                break
            left -= len(by_condition[condition]) - 1
            by_condition[condition] = [(condition, EVERYWHERE)]
        return tuple(sorted(place for those in by_condition.values() for place in those))

    def _follow(self, found: Mapping[str, str], now: float, *, at_last: bool) -> None:
        unknown = self._looked is None or now - self._looked > _LONGEST_GAP
        if unknown:
            # What was there before anybody looked says nothing: some of the series beside it may be forgotten already.
            self._began = self._began or time.time()
            self._sums_unknown_since = now
        seen: dict[str, tuple[_Series, float]] = {}
        for name, text in found.items():
            series, before = self._last.get(name) or (_Series.of(name), 0.0)
            value = float(text)
            seen[name] = series, value
            if series.place is None or value == before or unknown:
                continue
            if not series.is_sum:
                self._told[series.place] += value - before
            elif self._sums_unknown_since is None:
                self._sums[series.place] += value - before
        self._last, self._looked = seen, now
        if self._sums_unknown_since is not None and now - self._sums_unknown_since >= _BEHIND:
            self._sums_unknown_since = None
        self._compare(now, at_last=at_last)

    def _compare(self, now: float, *, at_last: bool) -> None:
        taken, sums = (-_BEHIND, self._sums) if at_last else self._earlier
        if now - taken < _BEHIND:
            return
        for place, number in sums.items():
            if (missing := number - self._told[place]) > self._crowded.get(place, 0.0):
                self._crowded[place] = missing
                self._grew[place.detection, place.namespace] = now
        self._earlier = now, dict(self._sums)

    def _series(self, place: _Place) -> str:
        namespace = f'{NAMESPACE}="{place.namespace}",' if place.namespace else ""
        start = f'{START}="{self._began * 1000:.0f}"'
        plane = f'{CONTROL_PLANE}="{place.control_plane}"'
        return f'{CROWDED_EVENTS}{{{plane},{DETECTION}="{place.detection}",{namespace}{start}}}'
