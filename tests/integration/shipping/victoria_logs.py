"""A real VictoriaLogs on loopback.

with victoria_logs(tmp_path) as url:
    ...
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets import VICTORIA_LOGS_VERSION, Asset, Tool, provide_one
from tests.integration.readiness import await_answer
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 60.0


@cache
def binary() -> Path:
    return provide_one(Asset(Tool.VICTORIA_LOGS, VICTORIA_LOGS_VERSION))


@contextmanager
def victoria_logs(folder: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """Run until the end of the block; what it stores stays in the folder. Gives its address."""
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


def _tell_end(code: int, log: Path) -> None:
    """A store that is gone looks like one that cannot be reached; whoever reads a failed test must see which it was."""
    print(f"VictoriaLogs ended by itself with {code}; the end of its log:")  # noqa: T201
    print("\n".join(log.read_text(errors="replace").splitlines()[-60:]))  # noqa: T201
