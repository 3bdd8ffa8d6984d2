"""`LocalShipper`: the shipper of an API server on this machine, for driver `Process`.

The collector outlives the operator, as the API server does, and the next operator takes it over: events are shipped
also while there is none.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.observations import ShipperObservation
from audit_operator.controlplane import os_process
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.controlplane.shipper.keeper import Keeper, ShipperTimes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit_operator.api.findings import Finding
    from audit_operator.plan.collector_files import CollectorFiles, Places

_UNSEEN_FOR = 120.0
"""Seconds after which what was seen last says nothing any more."""


class LocalShipper:
    """Keeps the collector that a folder describes. Implements `shippers.Shippers`."""

    def __init__(  # noqa: PLR0913  # what it consists of
        self,
        folder: Path,
        binary: Path,
        audit_log: Path,
        changed: Callable[[], None],
        *,
        node: str = "local",
        times: ShipperTimes = ShipperTimes(),  # noqa: B008  # frozen
    ) -> None:
        """Does nothing yet; `deliver` starts the work.

        Args:
            folder: of the collector (see `collector`).
            binary: of the collector.
            audit_log: of the API server.
            changed: is called in the event loop when `deliver` or `observe` may have a new answer.
            node: name of the shipper in observations.
            times: see there.
        """
        self._collector = Collector(folder)
        self._audit_log = audit_log
        self._closing = threading.Event()
        self._keeper = Keeper(self._collector, binary, self.places, node, times=times, halted=self._closing.is_set)
        self._changed = changed
        self._files: CollectorFiles | None = None
        self._shown: object = None
        self._work: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def places(self) -> Places:
        """Where the collector finds its files; other ports once those that were chosen turn out to be taken."""
        return self._collector.places(self._audit_log)

    async def deliver(self, files: CollectorFiles | None) -> tuple[Finding, ...]:
        """See `shippers.Shippers`."""
        if self._work is None:
            self._work = asyncio.create_task(self._keep(), name="shipper")
        self._raise_if_broken()
        if files != self._files:
            self._files = files
            self._wake.set()
        return self._keeper.refusal(files.digest) if files else ()

    async def observe(self) -> tuple[ShipperObservation, ...]:
        """See `shippers.Shippers`."""
        self._raise_if_broken()
        if self._files is None:
            return ()
        seen = self._keeper.seen or ShipperObservation(self._keeper.node, last_error="it is being started")
        if time.monotonic() - self._keeper.looked_at > _UNSEEN_FOR:
            seen = replace(seen, healthy=False, last_error="nothing has been seen of it for some minutes")
        return (seen,)

    async def aclose(self) -> None:
        """Stop working; the collector stays up, unless nothing is to be shipped."""
        self._closing.set()
        self._wake.set()
        if self._work is not None:
            await self._work
            if self._files is None:
                await asyncio.to_thread(self._collector.stop)

    async def _keep(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            delay = await asyncio.to_thread(self._step, self._files)
            files = self._files
            refused = self._keeper.refusal(files.digest) if files else ()
            shown = self._keeper.seen, refused, self._keeper.places
            if shown != self._shown:
                self._shown = shown
                self._changed()
            await os_process.woken(self._wake, await asyncio.to_thread(self._collector.process), delay)

    def _step(self, files: CollectorFiles | None) -> float:
        delay = self._keeper.step(files)
        self._keeper.places = self.places
        return delay

    def _raise_if_broken(self) -> None:
        """A bug in the work must not look like a collector that takes long."""
        if self._work is not None and self._work.done() and not self._closing.is_set():
            self._work.result()
