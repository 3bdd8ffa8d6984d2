"""A small file system of its own: a disk that runs full as disks do, with holes and delayed allocation."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPARE = 48 * 2**20
_OVERHEAD = 8 * 2**20
"""Of the file system itself, at the most."""


def unavailable() -> str:
    """Why this machine cannot have one; empty if it can."""
    if os.geteuid() != 0:
        return "only root can mount a small file system"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    return f"no {missing[0]} to make a small file system with" if missing else ""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """Mounted at a folder."""

    folder: Path
    _ballast: Path

    def free(self) -> int:
        """Bytes."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def relieve(self) -> None:
        """Somebody cleans up: there is room again, for all that a test writes."""
        self._ballast.unlink()


@contextmanager
def mounted(folder: Path, room: int) -> Iterator[SmallDisk]:
    """With so many bytes free at first; gone at the end of the block, when nobody may use it any more."""
    folder.mkdir(exist_ok=True)
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(room + _SPARE + _OVERHEAD)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", image)
    _run("mount", "-o", "loop", image, folder)
    try:
        disk = SmallDisk(folder, folder / "ballast")
        with disk._ballast.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, disk.free() - room)
        yield disk
    finally:
        _run("umount", folder)
        image.unlink()


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # tools of the system
    assert done.returncode == 0, done.stderr
