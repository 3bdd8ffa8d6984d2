"""What a collector has counted for detections, as Prometheus reads it from whoever keeps that collector.

Counters begin anew with every configuration, and what was counted since the last scrape would go with them. So the last
values of series that have ended are shown for some minutes more; `start` tells them apart from those that come after.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.controlplane.shipper.crowding import Crowding
from audit_operator.detections.series import ALL_EVENTS, CROWDED_EVENTS, EVENTS, SINCE
from audit_operator.shipping.collector.counting import CONTROL_PLANE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOG = logging.getLogger(__name__)

_TIMEOUT = 2.0
_MOST_BYTES = 64 * 2**20
_SHOWN_FOR = 600.0
"""Seconds for which a series that has ended is shown: several scrapes."""
_MOST_ENDED = 50_000
_TOLD, _OF_ALL, _CROWDED = (f"{each}{{" for each in (EVENTS, ALL_EVENTS, CROWDED_EVENTS))


@dataclass(frozen=True, slots=True)
class Counts:
    """Samples, as lines of Prometheus' text format, and since when the oldest count, in seconds since 1970."""

    lines: tuple[str, ...]
    since: float


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last value of a series, when it was gone, and since when its collector had counted."""

    value: str
    at: float
    since: float | None


class ShownCounts:
    """The counts of one collector. Blocks; any thread may use it."""

    def __init__(self, address: Callable[[], str], since: Callable[[], float | None]) -> None:
        """`address` is where the collector shows them (``HOST:PORT``), `since` when it began to, or None."""
        self._address, self._began = address, since
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}
        self._ended: dict[str, _Ended] = {}
        self._since: float | None = None
        self._crowding = Crowding()
        self.hidden = 0
        """How often there was too much to show any of it."""

    def look(self, *, at_last: bool = False) -> Counts | None:
        """Read them, and remember them; None where nothing is counted, and never was. `at_last`: see `Crowding.see`."""
        with self._lock:
            since = self._began()
            found = self._found(at_last=at_last) if since is not None else {}
            if since is not None and self._since is not None and not found.keys().isdisjoint(self._last):
                since = min(since, self._since)  # a configuration may be written before it is loaded
            self._remember(found, since)
            if since is None and not self._ended:
                return None
            lines = [*self._last.items(), *((series, each.value) for series, each in self._ended.items())]
            # What a new Prometheus takes for counted since then must not be older.
            known = filter(None, [since, *(each.since for each in self._ended.values())])
            return Counts(tuple(f"{series} {value}" for series, value in lines), min(known, default=0.0))

    def begin_anew(self) -> None:
        """The collector is about to: look once more, and take what comes then for new."""
        self.look(at_last=True)
        with self._lock:
            self._crowding.begin_anew()

    def crowded(self) -> tuple[tuple[str, str], ...]:
        """See `Crowding.places`."""
        with self._lock:
            return self._crowding.places(time.monotonic())

    def _found(self, *, at_last: bool) -> dict[str, str]:
        read = self._read()
        if read is None:
            return {}
        told = {series: value for series, value in read.items() if series.startswith(_TOLD)}
        return told | self._crowding.see(read, time.monotonic(), at_last=at_last)

    def _remember(self, found: dict[str, str], since: float | None) -> None:
        now = time.monotonic()
        ended = {series: _Ended(value, now, self._since) for series, value in self._last.items() if series not in found}
        kept = {series: each for series, each in self._ended.items() if now - each.at < _SHOWN_FOR}
        self._ended = {series: each for series, each in {**kept, **ended}.items() if series not in found}
        for oldest in list(self._ended)[: max(0, len(self._ended) - _MOST_ENDED)]:
            del self._ended[oldest]
        self._last, self._since = found, since

    def _read(self) -> dict[str, str] | None:
        """Values by series, also of those that are not shown; None where the collector does not say."""
        try:
            return samples(self._address(), (_TOLD, _OF_ALL))
        except TooMuch:
            # Of the rest nothing would be known, and its last line may be half a number.
            self.hidden += 1
            _LOG.error("what was counted for detections is not shown: there is too much", extra={"limit": _MOST_BYTES})
            return None


class TooMuch(Exception):  # noqa: N818  # a state of the collector
    """There is more than anybody should read."""


def samples(address: str, begins: tuple[str, ...]) -> dict[str, str] | None:
    """Values by series that begin so, as they are shown at ``HOST:PORT``; None where nothing says it. Blocks.

    Raises:
        TooMuch: see there.
    """
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            return None
        answer = response.read(_MOST_BYTES + 1)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if len(answer) > _MOST_BYTES:
        raise TooMuch
    text = answer.decode(errors="replace")
    if not text.endswith("\n"):
        return None  # it was cut: its last value may be half a number
    found = (line.rpartition(" ") for line in text.split("\n") if line.startswith(begins))
    return {series: value for series, _, value in found if value[:1].isdigit()}


def text_of(counts: Iterable[tuple[str, Counts]]) -> bytes:
    """Prometheus' text format of the counts of several control planes, by name; empty where nothing is counted."""
    found = list(counts)
    if not found:
        return b""
    since = [f'{SINCE}{{{CONTROL_PLANE}="{plane}"}} {each.since:.3f}' for plane, each in found if each.since]
    lines = [
        f"# HELP {SINCE} When the collector began to count, or the one before it, while its last counts are shown.",
        f"# TYPE {SINCE} gauge",
        *since,
        f"# HELP {EVENTS} Events that the condition of some detection holds for.",
        f"# TYPE {EVENTS} counter",
        *(line for _, each in found for line in each.lines if line.startswith(_TOLD)),
        f"# HELP {CROWDED_EVENTS} Such events that had no room to be told apart, by namespace alone.",
        f"# TYPE {CROWDED_EVENTS} counter",
        *(line for _, each in found for line in each.lines if line.startswith(_CROWDED)),
    ]
    return ("\n".join(lines) + "\n").encode()
