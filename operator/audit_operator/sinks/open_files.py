"""Files of a day that are read twice, only so many of them open at once: namespaces are more than descriptors."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Self

from audit_operator.sinks.dated_files import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit_operator.sinks.dated_files import DatedFile

AT_ONCE = 128
"""Of a process that may have 1024 descriptors, and reads several answers."""


@dataclass(slots=True)
class OpenFiles:
    """Contents by the number of their file. What is open is read to its end, whatever becomes of its name."""

    root: Path
    files: Sequence[DatedFile]
    _open: OrderedDict[int, tuple[ExitStack, IO[bytes]]] = field(default_factory=OrderedDict)
    _seen: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._close_oldest()

    def get(self, number: int) -> IO[bytes]:
        """The content, at any place; the one that was asked for longest ago may be closed.

        Raises:
            UNREADABLE: it cannot be opened, or another file has its name since it was.
        """
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number][1]
        if len(self._open) >= AT_ONCE:
            self._close_oldest()
        with ExitStack() as stack:
            content = stack.enter_context(opened(self.root, self.files[number]))
            found = os.fstat(content.fileno())
            if self._seen.setdefault(number, (found.st_dev, found.st_ino)) != (found.st_dev, found.st_ino):
                message = "another file has its name by now"
                raise OSError(message)
            self._open[number] = stack.pop_all(), content
        return content

    def _close_oldest(self) -> None:
        _, (stack, _) = self._open.popitem(last=False)
        stack.close()
