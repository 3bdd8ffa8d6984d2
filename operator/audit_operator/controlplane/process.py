"""Driver `Process`: a kube-apiserver on this machine, restarted whenever its audit policy changes.

For the demo, the tests, and API servers that somebody runs without a kubelet. The API server is no child of the
operator in any sense that matters: it outlives it, and the next operator takes it over. While there is an operator,
one that dies is started again.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from audit_operator.controlplane import os_process
from audit_operator.controlplane.api_server import ApiServer
from audit_operator.controlplane.rollout import Rollout, RolloutSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ApiServerObservation, DesiredPolicy


class ProcessDriver:
    """Delivers to the API server that a folder describes (see `api_server`). Implements `driver.Driver`."""

    def __init__(
        self,
        folder: Path,
        changed: Callable[[], None],
        *,
        name: str = "local",
        settings: RolloutSettings = RolloutSettings(),  # noqa: B008  # frozen
    ) -> None:
        """Does nothing yet; `deliver` starts the work.

        Args:
            folder: of the API server.
            changed: is called in the event loop when `deliver` or `observe` may have a new answer.
            name: of the API server in observations.
            settings: times.
        """
        self._server = ApiServer(folder)
        self._rollout = Rollout(self._server, name=name, settings=settings, changed=self._restart_begins)
        self._changed = changed
        self._desired: DesiredPolicy | None = None
        self._seen: ApiServerObservation | None = None
        self._retry = False
        self._work: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._closing = threading.Event()

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:
        """Make this the policy that is wanted; returns at once, with the refusal if it was refused before."""
        if self._work is None:
            self._loop = asyncio.get_running_loop()
            self._work = asyncio.create_task(self._converge(), name="control plane process")
        self._raise_if_broken()
        if desired != self._desired:
            self._desired = desired
            self._wake.set()
        return self._rollout.refusal(desired.digest)

    async def hold(self) -> None:
        """Nothing to do: what runs is kept running."""

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """What the API server runs now."""
        self._raise_if_broken()
        return (await asyncio.to_thread(self._rollout.observe, self._desired),)

    async def retry(self) -> None:
        """Try the desired policy again although it has failed, unless that is less than `retry_after` seconds ago."""
        self._retry = True
        self._wake.set()

    async def aclose(self) -> None:
        """Stop working; a step that is under way is finished, but readiness is not waited for. The server stays up."""
        self._closing.set()
        self._wake.set()
        if self._work is not None:
            await self._work

    async def _converge(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            retry, self._retry = self._retry, False
            desired = self._desired
            delay = await asyncio.to_thread(self._rollout.converge, desired, self._closing.is_set, retry=retry)
            seen = await asyncio.to_thread(self._rollout.observe, desired)
            if seen != self._seen:
                self._seen = seen
                self._changed()
            await os_process.woken(self._wake, await asyncio.to_thread(self._server.process), delay)

    def _restart_begins(self) -> None:
        """Called by the thread that converges."""
        if self._loop is not None:
            self._seen = None
            self._loop.call_soon_threadsafe(self._changed)

    def _raise_if_broken(self) -> None:
        """A bug in the work must not look like an API server that takes long."""
        if self._work is not None and self._work.done() and not self._closing.is_set():
            self._work.result()
