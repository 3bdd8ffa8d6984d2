"""A real VictoriaLogs on loopback.

with victoria_logs(tmp_path) as url:
    ...
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import aiohttp

from audit_operator.controlplane.assets import VICTORIA_LOGS_VERSION, Asset, Tool, provide_one
from tests.integration.readiness import await_answer
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 60.0
_UNSETTLED = re.compile(
    r'^vl_(?:storage_parts\{type="storage/inmemory"|active_merges\{type="storage/[a-z]+"|pending_rows\{type="storage")'
    r"\} [1-9]",
    re.MULTILINE,
)


@cache
def binary() -> Path:
    return provide_one(Asset(Tool.VICTORIA_LOGS, VICTORIA_LOGS_VERSION))


@contextmanager
def victoria_logs(folder: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """Run until the end of the block; what it stores stays in the folder. Gives its address.

    One from which is deleted writes to disk within a second: a deletion that meets that can end it, see `settled`.
    """
    if "-delete.enable" in arguments:
        arguments = (*arguments, "-inmemoryDataFlushInterval=1s")
    port = port or next(free_ports())
    with (folder / "victoria-logs.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # the binary of the asset module
            [
                binary(),
                f"-httpListenAddr=127.0.0.1:{port}",
                f"-storageDataPath={folder / 'victoria-logs'}",
                "-memory.allowedPercent=10",
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            await_answer(process, f"http://127.0.0.1:{port}/health", folder / "victoria-logs.log", patience=_PATIENCE)
            yield f"http://127.0.0.1:{port}"
        finally:
            if (ended := process.poll()) is not None:
                _tell_end(ended, folder / "victoria-logs.log")
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def settled(url: str) -> None:
    """Until all that it has is on disk, as records are that are old enough to be deleted.

    Otherwise a deletion may look at what is being written to disk, and panic (pull request 1659 of VictoriaLogs).
    """
    async with asyncio.timeout(_PATIENCE), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/metrics") as answer:
                shown = await answer.text()
            if not _UNSETTLED.search(shown):
                return
            await asyncio.sleep(0.2)


def _tell_end(code: int, log: Path) -> None:
    """A store that is gone looks like one that cannot be reached; whoever reads a failed test must see which it was."""
    print(f"VictoriaLogs ended by itself with {code}; the end of its log:")  # noqa: T201
    print("\n".join(log.read_text(errors="replace").splitlines()[-60:]))  # noqa: T201
