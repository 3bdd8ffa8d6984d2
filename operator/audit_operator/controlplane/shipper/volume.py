"""How much is written in a day into the files that a collector reads, seen by how they grow.

An API server keeps its files by number and size, whoever has read them, so that it must be known how long these last.
What is written between a rotation and the next look is missed, and so is what was written while nobody looked: it is
never more than the truth. Nothing is made out of a part of a day but what was seen in it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.controlplane.shipper.reading import OpenFile

_DAY = 24 * 3600.0
_SLOT = 600.0
"""Seconds that are remembered as one, and that may lie between two looks."""


@dataclass(slots=True)
class Volume:
    """Of one collector's files. Times are of a clock that never goes back."""

    _sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    _slots: deque[tuple[float, int]] = field(default_factory=deque)
    _looked: float = 0.0
    _most: int = 0

    def see(self, now: float, files: Iterable[OpenFile]) -> int:
        """Take note of the files as they are; the most bytes, at least, that were written in any 24 hours so far."""
        sizes = {each.identity: each.size for each in files}
        # What was not seen before, or not for a while, may have been written long ago.
        before = self._sizes if now - self._looked <= _SLOT else sizes
        grown = sum(max(0, size - before.get(identity, size)) for identity, size in sizes.items())
        self._sizes, self._looked = sizes, now
        if self._slots and now - self._slots[-1][0] < _SLOT:
            began, written = self._slots.pop()
            self._slots.append((began, written + grown))
        else:
            self._slots.append((now, grown))
        # What a slot has may have been written before it began, by as much as lies between two looks.
        while self._slots[0][0] <= now - (_DAY - _SLOT):
            self._slots.popleft()
        self._most = max(self._most, sum(written for _, written in self._slots))
        return self._most
