"""Somebody who does what a page says, block by block and in one folder; tests/docs/blocks.py has the form."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.docs.blocks import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.docs.blocks import Block

ANOTHER_TERMINAL = "another-terminal"
_PATIENCE = 60.0
_SHELL = "set -euo pipefail\n[ ! -e .environment ] || source .environment\n{}\nexport -p > .environment\n"


@dataclass
class ReaderOfAPage:
    """What was typed goes on from what was typed before: variables that are exported, and files.

    Attributes:
        folder: where commands are typed, and files saved.
        environment: of the first shell.
        report: told how long each block took.
        timeout: of one block, in seconds.
    """

    folder: Path
    environment: Mapping[str, str]
    report: Callable[[str], None]
    timeout: float = 600.0
    _output: Path | None = None
    _terminals: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _count: int = 0

    def follow(self, block: Block) -> None:
        """Do what one block says. A command that fails, or prints something else than promised, fails the test."""
        match block.kind:
            case "yaml" if block.title:
                (self.folder / block.title).write_text(block.text, encoding="utf-8")
            case "sh" if block.title == ANOTHER_TERMINAL:
                self._terminals.append(self._start(block))
            case "sh":
                self._type(block)
            case "text":
                self._see(block)

    def close(self) -> None:
        """Close the terminals that are still open."""
        for each in self._terminals:
            each.terminate()
            each.wait()

    def _start(self, block: Block) -> subprocess.Popen[bytes]:
        self._count += 1
        self._output = self.folder / f".output-{self._count}"
        with self._output.open("wb") as output:
            # The last command takes the shell's place, so that it ends with it.
            script = _SHELL.format("") + f"exec {block.text}" if block.title else _SHELL.format(block.text)
            return subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env=dict(self.environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def _type(self, block: Block) -> None:
        began = time.monotonic()
        shell = self._start(block)
        try:
            status = shell.wait(self.timeout)
        finally:
            shell.kill()
        self.report(f"line {block.line}, {time.monotonic() - began:.1f} s: {block.text.strip()}\n{self._printed()}")
        assert status == 0, f"line {block.line} ended with status {status}: {block.text}\n{self._printed()}"

    def _see(self, block: Block) -> None:
        """At once of what has ended; of what goes on, as soon as it says it."""
        deadline = time.monotonic() + (_PATIENCE if any(each.poll() is None for each in self._terminals) else 0)
        while line := missing(block.text, self._printed()):
            said = f"line {block.line} promises\n{line}\nand there is\n{self._printed()}"
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def _printed(self) -> str:
        return self._output.read_text(encoding="utf-8") if self._output else ""
