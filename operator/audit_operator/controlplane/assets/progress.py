"""Saying what takes time: at once, and then at least every 15 seconds."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 15.0


def to_stderr(line: str) -> None:
    """Print a line where it does not mix with results."""
    sys.stderr.write(f"==> {line}\n")
    sys.stderr.flush()


@dataclass(slots=True)
class Progress:
    """Announces one piece of work; call `tick` often while it lasts.

    Attributes:
        what: is being done, and how long it usually takes.
        report: prints one line.
        clock: seconds, monotonic.
    """

    what: str
    report: Callable[[str], None] = to_stderr
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self.report(self.what)
        self._began = self.clock()
        self._next = self._began + INTERVAL

    def tick(self, detail: str = "") -> None:
        """Print a line if one is due."""
        now = self.clock()
        if now >= self._next:
            self._next = now + INTERVAL
            self.report(f"{self.what}: {now - self._began:.0f} s so far{', ' if detail else ''}{detail}")
