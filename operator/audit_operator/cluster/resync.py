"""Complete lists, at start and then periodically, so that no lost watch event is believed for longer than one interval.

A list that fails is tried again until it succeeds, and the store is left as it is meanwhile; health checks read how old
the last proof is. The interval counts from the start of a round and not from the last event, so that a busy cluster
cannot postpone it for ever.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.cluster.facts import FactStore
    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import RestClient

_LOG = logging.getLogger(__name__)

HURRY_SECONDS = 60.0
"""How long lists are frequent after a gap; longer than the longest pause between two attempts of a watch."""

HURRIED_INTERVAL = 10.0
"""Seconds between two lists then."""


@dataclass(slots=True)
class Resync:
    """Keeps `store` true by listing `watched` every `interval` seconds.

    Attributes:
        page_size: objects per request.
        listed_at: per kind, the event loop's time when its last complete list began; that is how old the proof is.
        failures: lists that could not be completed, since the start.
        synced: set once every kind has been listed.
    """

    client: RestClient
    store: FactStore
    watched: Sequence[Resource]
    interval: float = 300.0
    page_size: int = 500
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=30.0))
    listed_at: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _hurry_until: float = float("-inf")

    async def run(self) -> None:
        """List for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._hurry.clear()
            began = loop.time()
            await self._list_all()
            pause = min(self.interval, HURRIED_INTERVAL) if began < self._hurry_until else self.interval
            # Whoever asks for hurry gets a list that begins after that, but not one after the other.
            await asyncio.sleep(max(0.0, min(pause, HURRIED_INTERVAL) - (loop.time() - began)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), max(0.0, began + pause - loop.time()))

    def hurry(self) -> None:
        """A watch had a gap: list now, and again and again for a while, until all watches are sure to be back."""
        self._hurry_until = asyncio.get_running_loop().time() + HURRY_SECONDS
        self._hurry.set()

    def age(self, now: float) -> float:
        """Seconds since the oldest proof; infinite before the first complete round. `now` is the event loop's time."""
        if not self.store.synced:
            return float("inf")
        return now - min(self.listed_at.values())

    async def _list_all(self) -> None:
        """One round: every kind, each until it succeeds."""
        failed = 0
        missing = list(self.watched)
        while missing:
            missing = [each for each in missing if not await self._list(each)]
            if missing:
                await asyncio.sleep(self.backoff.delay(failed))
                failed += 1
        self.synced.set()

    async def _list(self, resource: Resource) -> bool:
        started, began = asyncio.get_running_loop().time(), self.store.begin_list()
        try:
            listing = await self.client.list(
                resource, lambda document: self.store.fact_of(resource, document), page_size=self.page_size
            )
        except (ApiError, ApiUnreachableError, InconsistentListError) as error:
            self.failures += 1
            _LOG.warning("Cannot list %s: %s", resource.plural, error, extra={"reason": "ListFailed"})
            return False
        self.store.replace(resource, began, listing)
        self.listed_at[resource.kind] = started
        return True
