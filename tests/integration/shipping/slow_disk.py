"""A disk that takes its time with some files of a process, and with no others.

async with slow_disk.slow(pid, [folder / "queue"]):
    ...
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

_SECONDS = 20
"""For each time that the process waits for the disk: longer than a test looks at it."""


def unavailable() -> str:
    """Why this machine cannot have one; empty if it can."""
    if os.geteuid() != 0:
        return "only root can slow down a process that it has not started"
    return "" if shutil.which("strace") else "no strace to slow down a process with"


@asynccontextmanager
async def slow(pid: int, files: Iterable[Path]) -> AsyncIterator[None]:
    """Until the end of the block, or of the process."""
    paths = [argument for file in files for argument in ("-P", str(file))]
    delay = f"fdatasync,fsync:delay_enter={_SECONDS * 1_000_000}"
    strace = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-p", str(pid), *paths, "-e", "trace=fdatasync,fsync", "-e", f"inject={delay}"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert strace.stderr is not None
    try:
        said = await strace.stderr.readline()
        assert b"attached" in said, said.decode()
        rest = asyncio.create_task(strace.stderr.read())
        yield
    finally:
        with suppress(ProcessLookupError):
            strace.terminate()
        await strace.wait()
    await rest
