"""A collector that is kept running beside an event loop, by whoever has files for it: operator, or node."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.observations import ShipperObservation
from audit_operator.controlplane import os_process
from audit_operator.controlplane.shipper.keeper import Keeper, ShipperTimes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit_operator.api.findings import Finding
    from audit_operator.controlplane.shipper.collector import Collector
    from audit_operator.controlplane.shipper.counts import Counts
    from audit_operator.plan.collector_files import CollectorFiles

_UNSEEN_FOR = 120.0
"""Seconds after which what was seen last says nothing any more."""


class KeptCollector:
    """Works in threads, one step at a time. All methods return at once, but for `aclose`."""

    def __init__(
        self,
        collector: Collector,
        binary: Path,
        changed: Callable[[], None],
        *,
        node: str,
        times: ShipperTimes = ShipperTimes(),  # noqa: B008  # frozen
    ) -> None:
        """Does nothing yet; `keep` starts the work.

        Args:
            collector: what is worked on.
            binary: of the collector.
            changed: is called in the event loop when `seen` or `refusal` may have a new answer.
            node: name of the shipper in observations.
            times: see there.
        """
        self._collector = collector
        self._closing = threading.Event()
        self._keeper = Keeper(
            collector, binary, node, times=times, halted=self._closing.is_set, superseded=self._is_superseded
        )
        self._changed = changed
        self._files: CollectorFiles | None = None
        self._stepped: CollectorFiles | None = None
        self._shown: object = None
        self._work: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def keep(self, files: CollectorFiles | None) -> None:
        """Run with these files from now on; None ends the collector."""
        if self._work is None:
            self._work = asyncio.create_task(self._keep(), name="shipper")
        self._raise_if_broken()
        if files != self._files:
            self._files = files
            self._wake.set()

    def refusal(self) -> tuple[Finding, ...]:
        """Why it does not run with these files, if it was tried in vain."""
        return self._keeper.refusal(self._files.digest) if self._files else ()

    def seen(self) -> ShipperObservation | None:
        """What was seen of it last; None where nothing is to be shipped."""
        self._raise_if_broken()
        if self._files is None:
            return None
        seen = self._keeper.seen or ShipperObservation(self._keeper.node, last_error="it is being started")
        if time.monotonic() - self._keeper.looked_at > _UNSEEN_FOR:
            seen = replace(seen, healthy=False, last_error="nothing has been seen of it for some minutes")
        return seen

    async def counts(self) -> Counts | None:
        """What it has counted for detections; None where nothing is counted."""
        return await asyncio.to_thread(self._keeper.counts.look)

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
            self._stepped = self._files
            delay = await asyncio.to_thread(self._keeper.step, self._stepped)
            shown = self._keeper.seen, self.refusal()
            if shown != self._shown:
                self._shown = shown
                self._changed()
            await os_process.woken(self._wake, await asyncio.to_thread(self._collector.process), delay)

    def _is_superseded(self) -> bool:
        return self._files is not self._stepped

    def _raise_if_broken(self) -> None:
        """A bug in the work must not look like a collector that takes long."""
        if self._work is not None and self._work.done() and not self._closing.is_set():
            self._work.result()
