"""An audit log as the API server writes it: an event is one write, and a file that is full is renamed.

Source: gopkg.in/natefinch/lumberjack.v2, which kube-apiserver writes with.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TOGETHER = 20
"""Lines between two looks at the clock."""


class AuditLog:
    """The files of one API server. `write` and `rotate` may be called from different threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = self._open()

    def write(self, text: bytes) -> None:
        """Append something in one write."""
        with self._lock:
            os.write(self._file, text)

    def write_all(self, lines: Iterable[bytes], per_second: float) -> None:
        """Append lines, each with its line feed, at a steady rate."""
        began = time.monotonic()
        for number, line in enumerate(lines):
            if number % _TOGETHER == 0:
                time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            self.write(line)

    def rotate(self) -> None:
        """Put the file aside under a name with the time, and begin a new one."""
        with self._lock:
            os.close(self._file)
            while True:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
                aside = self.path.with_name(f"{self.path.stem}-{now}{self.path.suffix}")
                if not aside.exists():
                    break
                time.sleep(0.001)
            self.path.rename(aside)
            self._file = self._open()

    def close(self) -> None:
        with self._lock:
            os.close(self._file)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
