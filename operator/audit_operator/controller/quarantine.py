"""Keeps apart the objects that bring out a defect of ours, until they change: nobody else has to wait for its mend."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.plan.isolation import Suspect, culprits, present, suspects, without

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit_operator.plan import Snapshot

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE = 3600.0


@dataclass(slots=True)
class Quarantine:
    """Which objects are kept apart.

    Attributes:
        patience: seconds that a search may take. Plans are made again and again in it, in a thread beside the event
            loop; nothing else is planned meanwhile. After one that took longer, none for the same is begun for as
            long again, and for twice as long each time, up to an hour.
    """

    patience: float = 120.0
    _aside: tuple[Suspect, ...] = ()
    _good: Snapshot | None = None
    clock: Callable[[], float] = time.monotonic
    _in_vain: dict[str, tuple[Suspect, ...]] = field(default_factory=dict)
    _unfinished: dict[str, _Unfinished] = field(default_factory=dict)

    def without(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what takes the place of the objects that are kept apart."""
        self._aside = present(snapshot, self._aside)
        return without(snapshot, self._aside)

    def approve(self, snapshot: Snapshot) -> None:
        """All that is made of a snapshot could be made of this one."""
        self._good = snapshot
        self._in_vain.clear()
        self._unfinished.clear()

    async def search(self, snapshot: Snapshot, what: str, work: Callable[[Snapshot], object]) -> bool:
        """Whether objects were found without which `work`, which has failed, succeeds; they are kept apart then.

        For what is searched, `what`, the same objects are looked through to the end once only.
        """
        suspected, before = suspects(snapshot, self._good), self._unfinished.get(what, _Unfinished())
        if not suspected or self._in_vain.get(what) == suspected or self.clock() < before.rests_until:
            return False
        deadline = self.clock() + self.patience

        def works(aside: Sequence[Suspect]) -> bool:
            try:
                work(without(snapshot, aside))
            except Exception:  # noqa: BLE001 - whether there is one is the question
                return False
            return True

        found = await asyncio.to_thread(culprits, suspected, works, lambda: self.clock() < deadline)
        if found is None and self.clock() >= deadline:
            pause = min(_LONGEST_PAUSE, self.patience * 2.0 ** min(before.times, 32))
            self._unfinished[what] = _Unfinished(before.times + 1, self.clock() + pause)
            _LOG.error("The search for what keeps %s from working took too long", what, extra={"reason": "OutOfTime"})
            return False
        self._unfinished.pop(what, None)
        if not found:
            self._in_vain[what] = suspected
            _LOG.error("No object was found without which %s works", what, extra={"reason": "NotIsolated"})
            return False
        self._aside = (*self._aside, *found)
        for each in found:
            _LOG.error("Set aside until it changes", extra={"object": str(each.present.ref), "reason": "SetAside"})
        return True


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """How often in a row a search had not the time that it needs, and when it may be begun again."""

    times: int = 0
    rests_until: float = float("-inf")
