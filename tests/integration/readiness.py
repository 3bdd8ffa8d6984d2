"""Waiting for servers that tests have started."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_STEP = 0.05


def await_answer(process: subprocess.Popen[bytes], url: str, log: Path, *, patience: float) -> None:
    """Until the URL is answered with success.

    Fails with the end of the log if it is not within so many seconds, or the process ends.
    """
    for _ in range(int(patience / _STEP)):
        if process.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                    return
            except OSError:
                time.sleep(_STEP)
                continue
        break
    raise AssertionError(f"{url} is not up:\n{log.read_text()[-3000:]}")
