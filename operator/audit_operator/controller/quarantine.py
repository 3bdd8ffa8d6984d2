"""Keeps apart the objects that bring out a defect of ours, until they change: nobody else has to wait for its mend."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.plan.isolation import Suspect, culprits, present, suspects, without

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit_operator.plan import Snapshot

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Quarantine:
    """Which objects are kept apart.

    Attributes:
        patience: seconds that a search may take. Plans are made again and again in it, in a thread beside the event
            loop; nothing else is planned meanwhile.
    """

    patience: float = 120.0
    _aside: tuple[Suspect, ...] = ()
    _good: Snapshot | None = None
    _in_vain: tuple[str, tuple[Suspect, ...]] = ("", ())

    def without(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what takes the place of the objects that are kept apart."""
        self._aside = present(snapshot, self._aside)
        return without(snapshot, self._aside)

    def approve(self, snapshot: Snapshot) -> None:
        """All that is made of a snapshot could be made of this one."""
        self._good, self._in_vain = snapshot, ("", ())

    async def search(self, snapshot: Snapshot, what: str, work: Callable[[Snapshot], object]) -> bool:
        """Whether objects were found without which `work`, which has failed, succeeds; they are kept apart then.

        For what is searched, `what`, the same objects are looked through once only.
        """
        suspected = suspects(snapshot, self._good)
        if not suspected or (what, suspected) == self._in_vain:
            return False
        deadline = time.monotonic() + self.patience

        def works(aside: Sequence[Suspect]) -> bool:
            try:
                work(without(snapshot, aside))
            except Exception:  # noqa: BLE001 - whether there is one is the question
                return False
            return True

        found = await asyncio.to_thread(culprits, suspected, works, lambda: time.monotonic() < deadline)
        if not found:
            self._in_vain = what, suspected
            _LOG.error("No object was found without which %s works", what, extra={"reason": "NotIsolated"})
            return False
        self._aside = (*self._aside, *found)
        for each in found:
            _LOG.error("Set aside until it changes", extra={"object": str(each.present.ref), "reason": "SetAside"})
        return True
