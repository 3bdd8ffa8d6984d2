"""From what one store answers each time it is asked to what is true of it.

A store that is busy, or a network that hiccups, is no news; one that answers with a refusal is. And what a store has
thrown away is known only by the growth of its counters, which begin at 0 whenever it starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.store_observations import Drop, StoreFigures, StoreObservation, StoreState
from audit_operator.sinks.store import Failure, Health, Reason, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.sinks.store import Store

SILENT_AFTER = 2
"""Questions in a row without an answer, from which on a store counts as unreachable."""
DROPS_SHOWN = 3600.0
"""Seconds for which it is shown that a store has thrown something away."""

_STATES = {
    Reason.UNAUTHENTICATED: StoreState.UNAUTHENTICATED,
    Reason.FORBIDDEN: StoreState.UNAUTHENTICATED,
    Reason.CREDENTIALS_INVALID: StoreState.UNAUTHENTICATED,
    Reason.TLS_FILES_INVALID: StoreState.UNAUTHENTICATED,
    Reason.TLS_FAILED: StoreState.REFUSING,
    Reason.ADDRESS_INVALID: StoreState.REFUSING,
    Reason.NOT_FOUND: StoreState.REFUSING,
    Reason.REFUSED: StoreState.REFUSING,
    Reason.TOO_LARGE: StoreState.REFUSING,
    Reason.REDIRECTED: StoreState.REDIRECTING,
}
"""What stays as it is until somebody changes something; everything else may be over by the next time."""

_DROPS = {
    "too_small_timestamp": Drop.TOO_OLD,
    "too_big_timestamp": Drop.TOO_NEW,
    "too_many_fields": Drop.TOO_MANY_FIELDS,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking a store once; `seconds` is how long that took."""

    trouble: Failure | Unsupported | None = None
    health: Health | None = None
    seconds: float = 0.0


async def ask(store: Store) -> Failure | Unsupported | Health | None:
    """Whether a store takes writes, and what it says of itself; None where it takes them and says nothing."""
    checked = await store.check()
    if isinstance(checked, Failure | Unsupported):
        return checked
    health = await store.health()
    # A proxy that lets writes through need not let this through.
    return health if isinstance(health, Health) else None


@dataclass(slots=True)
class StoreWatch:
    """One store, for as long as its sink's spec stays the same. Times are of a clock that never goes back."""

    failures: int = 0
    observation: StoreObservation = field(default_factory=StoreObservation)
    _counted: dict[Drop, int] | None = None
    _totals: dict[Drop, int] = field(default_factory=dict)
    _dropped_at: dict[Drop, float] = field(default_factory=dict)

    def note(self, now: float, asked: Asked) -> StoreObservation:
        """Take note of one answer."""
        state, message, mend = self._judged(asked)
        if asked.health is not None and asked.health.dropped is not None:
            self._count(now, asked.health.dropped)
        up = asked.trouble is None and state is StoreState.TAKING
        drops = tuple(each for each in Drop if now - self._dropped_at.get(each, -DROPS_SHOWN) < DROPS_SHOWN)
        figures = StoreFigures(up, asked.seconds, dict(self._totals))
        self.observation = StoreObservation(state, message, mend, drops, figures)
        return self.observation

    def _judged(self, asked: Asked) -> tuple[StoreState, str, str]:
        trouble, before = asked.trouble, self.observation
        if isinstance(trouble, Unsupported):
            return StoreState.NOT_ASKED, trouble.reason, ""
        if isinstance(trouble, Failure):
            self.failures += 1
            state = _STATES.get(trouble.reason, StoreState.UNREACHABLE)
            if state is StoreState.UNREACHABLE and self.failures < SILENT_AFTER:
                return before.state, before.message, before.mend
            return state, trouble.message, trouble.mend
        self.failures = 0
        if asked.health is not None and not asked.health.writable:
            return StoreState.REFUSING, "the store is read-only, as it is when its disk is full", "give it room"
        return StoreState.TAKING, "", ""

    def _count(self, now: float, dropped: Mapping[str, int]) -> None:
        counted: dict[Drop, int] = {}
        for reason, value in dropped.items():
            drop = _DROPS.get(reason, Drop.OTHER)
            counted[drop] = counted.get(drop, 0) + value
        before, self._counted = self._counted, counted
        for drop, value in counted.items():
            self._totals.setdefault(drop, 0)
            # What had been counted before anybody looked may be of any time.
            grown = 0 if before is None else value - before.get(drop, 0)
            grown = value if grown < 0 else grown
            if grown:
                self._totals[drop] += grown
                self._dropped_at[drop] = now
