"""From what a collector counts to what is true of the way to a sink.

A collector's counters begin at 0 whenever it loads a configuration. Here they are added up, so that sums never fall.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from audit_operator.api.observations import ExporterFigures, Flow

STALLED_AFTER = 10.0
"""Seconds without a record sent while some wait, from which on that is a backlog."""
BEHIND_FOR, BEHIND_BYTES = 60.0, 4 * 2**20
"""So many bytes waiting at the least, for so many seconds, are a backlog also where records are sent."""
LOSS_SHOWN = 3600.0
"""Seconds for which a loss is shown."""


@dataclass(slots=True)
class Sum:
    """A counter that goes on where another one began anew."""

    total: int = 0
    _epoch: str = ""
    _last: int = 0

    def add(self, epoch: str, value: int) -> int:
        """Take note of a counter's value; `epoch` tells apart the runs in which it began at 0. Returns the sum."""
        if epoch != self._epoch or value < self._last:
            self._epoch, self._last = epoch, 0
        self.total += value - self._last
        self._last = value
        return self.total


@dataclass(slots=True)
class Way:
    """The way to one sink, for as long as the settings of its exporter stay the same.

    Times are in seconds of a clock that never goes back.
    """

    sent: Sum = field(default_factory=Sum)
    failed: Sum = field(default_factory=Sum)
    not_queued: Sum = field(default_factory=Sum)
    cut: Sum = field(default_factory=Sum)
    figures: ExporterFigures = field(default_factory=ExporterFigures)
    _proven: bool = False
    _looks: int = 0
    _stalled: float | None = None
    _lost: float | None = None
    _sent_before_loss: int = 0
    _waiting: deque[tuple[float, int]] = field(default_factory=deque)

    def see(self, now: float, epoch: str, seen: ExporterFigures) -> Flow:
        """Take note of what the collector counts now."""
        before = self.figures
        self.figures = ExporterFigures(
            self.sent.add(epoch, seen.sent),
            self.failed.add(epoch, seen.failed),
            self.not_queued.add(epoch, seen.not_queued),
            seen.queue,
            seen.capacity,
            self.cut.add(epoch, seen.cut),
        )
        if (self.figures.failed, self.figures.not_queued) != (before.failed, before.not_queued):
            self._lost, self._sent_before_loss = now, self.figures.sent
        moves = self._looks > 0 and self.figures.sent > before.sent
        self._looks += 1
        if not seen.queue or moves:
            self._stalled = None
            # What had been sent before anybody looked says nothing about what waits now.
            self._proven = True
        if seen.queue and self._stalled is None:
            self._stalled = now
        self._waiting.append((now, seen.queue))
        while len(self._waiting) > 1 and self._waiting[1][0] <= now - BEHIND_FOR:
            self._waiting.popleft()
        return self._flow(now)

    def stalled_for(self, now: float) -> float:
        """Seconds, at least, for which none of the records that wait was sent; 0 while none waits."""
        return now - self._stalled if self._stalled is not None else 0.0

    def _flow(self, now: float) -> Flow:
        if self._lost is not None and now - self._lost < LOSS_SHOWN:
            return Flow.LOSSY
        if (self._stalled is not None and now - self._stalled >= STALLED_AFTER) or self._is_behind(now):
            return Flow.BACKLOG
        # After a loss, only what is sent later shows that it flows again.
        return Flow.FLOWING if self.figures.sent > self._sent_before_loss and self._proven else Flow.NOTHING

    def _is_behind(self, now: float) -> bool:
        seen_for = now - self._waiting[0][0]
        return seen_for >= BEHIND_FOR and min(size for _, size in self._waiting) >= BEHIND_BYTES
