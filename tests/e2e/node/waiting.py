"""Waiting for what takes a while, with an error that says what was waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.1


def wait_for(
    what: str, ready: Callable[[], bool], timeout: float = 120.0, check: Callable[[], None] = lambda: None
) -> None:
    """Poll until `ready` says so; `check` raises when there is no hope any more.

    Raises:
        TimeoutError: not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not ready():
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(INTERVAL)
