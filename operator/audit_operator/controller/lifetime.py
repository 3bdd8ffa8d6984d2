"""How long a process of ours works: alone in its folder, and until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from audit_operator.controlplane.files import exclusive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_LOCK_RETRY = 1.0


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def alone(lock: Path, stop: asyncio.Event, work: Callable[[], Awaitable[int]], *, waiting: str) -> int:
    """Work while holding a lock; 0 if `stop` is set before it can be had.

    `waiting` is logged as often as another process is found to hold it.
    """
    while not stop.is_set():
        try:
            with exclusive(lock, wait=False):
                return await work()
        except BlockingIOError:
            _LOG.info("%s", waiting, extra={"reason": "Locked"})
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOCK_RETRY):
                    await stop.wait()
    return 0
