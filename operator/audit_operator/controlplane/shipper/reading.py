"""How far a collector is behind the files that it reads: it says so itself in no metric.

It keeps what it reads open, and the kernel knows how far it has read. So what it has not read yet is known to have been
there for at least as long as somebody saw the file that large. That is never more than the truth: what cannot be seen
counts as read.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_MOST_SEEN = 1000
"""Looks that are remembered; beyond that, every second one is."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file as a process has it open for reading.

    Attributes:
        identity: device and inode: the same file under any name.
        position: how far it was read, in bytes; what lies in the reader's buffer counts as read.
        size: in bytes.
    """

    identity: tuple[int, int]
    position: int
    size: int


def open_files(pid: int, but: Path, proc: Path = _PROC) -> Iterator[OpenFile]:
    """Regular files that a process has open for reading alone, but for those in a folder of its own."""
    own = f"{but.resolve()}/"
    descriptors: list[Path] = []
    with suppress(OSError):
        descriptors = list((proc / str(pid) / "fd").iterdir())
    for each in descriptors:
        with suppress(OSError, ValueError, KeyError):  # closed meanwhile
            if str(each.readlink()).startswith((own, "/proc/", "/sys/")):
                continue
            file = each.stat()
            if not stat.S_ISREG(file.st_mode):
                continue
            lines = (proc / str(pid) / "fdinfo" / each.name).read_text().splitlines()
            said = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if int(said["flags"], 8) & os.O_ACCMODE == os.O_RDONLY:
                yield OpenFile((file.st_dev, file.st_ino), int(said["pos"]), file.st_size)


@dataclass(slots=True)
class Reading:
    """What was seen of one collector's files. Times are of a clock that never goes back."""

    _read: dict[tuple[int, int], int] = field(default_factory=dict)
    _sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    _seen: deque[tuple[float, tuple[int, int], int]] = field(default_factory=deque)

    def see(self, now: float, files: list[OpenFile]) -> float:
        """Take note of the files as they are; for how many seconds, at least, something has waited to be read."""
        before = self._read
        # At each look of its own a collector begins at 0 for a moment. Only a file that was cut is read from there.
        self._read = {each.identity: min(each.size, max(each.position, before.get(each.identity, 0))) for each in files}
        if cut := {each.identity for each in files if each.size < self._sizes.get(each.identity, 0)}:
            # What was seen there is gone, and is not what is there now.
            self._seen = deque(each for each in self._seen if each[1] not in cut)
        self._sizes = {each.identity: each.size for each in files}
        for each in files:
            if each.size:
                self._seen.append((now, each.identity, each.size))
        while self._seen and self._is_read(*self._seen[0][1:]):
            self._seen.popleft()
        if len(self._seen) > _MOST_SEEN:
            self._seen = deque([self._seen[0], *list(self._seen)[1:][::2]])
        return now - self._seen[0][0] if self._seen else 0.0

    def unread(self, files: list[OpenFile]) -> int | None:
        """Bytes of files, as they were seen last, that were not read; None where no file is read."""
        return sum(each.size - self._read.get(each.identity, each.size) for each in files) if files else None

    def _is_read(self, identity: tuple[int, int], size: int) -> bool:
        return self._read.get(identity, size) >= size
