"""What a node counts of processes in a memory cgroup of their own.

Resident memory counts the pages of a program once for each process that runs it, and a node has them once, and takes
them back when it needs room. So the kubelet's working set is measured, too: what `kubectl top pod` shows, and what an
eviction looks at (cAdvisor: usage less `inactive_file`).
"""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryCgroup:
    """One, by its folder."""

    folder: Path

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command that runs another one in it."""
        enter = f'echo $$ > {self.folder}/cgroup.procs && exec "$@"'
        return ["/bin/sh", "-c", enter, "sh", *argv]

    def working_set(self) -> int:
        """Bytes."""
        v1 = self.folder / "memory.usage_in_bytes"
        usage, key = (v1, "total_inactive_file") if v1.exists() else (self.folder / "memory.current", "inactive_file")
        stat = dict(each.split() for each in (self.folder / "memory.stat").read_text().splitlines())
        return int(usage.read_text()) - int(stat[key])


@contextmanager
def memory_cgroup() -> Iterator[MemoryCgroup]:
    """A new one, below that of all processes. Needs root; what ran in it must have ended with the block."""
    parent = _V1 if _V1.is_dir() else _V2
    folder = parent / f"audit-operator-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield MemoryCgroup(folder)
    finally:
        folder.rmdir()
