"""Answers that are remembered for a short while, and not too many of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Memory(Generic[K, V]):
    """A bounded memory, in which what was put first goes first.

    Attributes:
        seconds: after which an answer is forgotten; it is not renewed by being asked for.
        most: answers.
        now: a clock that never goes back.
    """

    seconds: float
    most: int
    now: Callable[[], float] = time.monotonic
    _held: OrderedDict[K, tuple[float, V]] = field(default_factory=OrderedDict)

    def get(self, key: K) -> V | None:
        """What was put, if that is not too long ago."""
        found = self._held.get(key)
        if found is None:
            return None
        if self.now() - found[0] >= self.seconds:
            del self._held[key]
            return None
        return found[1]

    def put(self, key: K, value: V) -> None:
        """Remember from now on."""
        self._held.pop(key, None)
        self._held[key] = (self.now(), value)
        while len(self._held) > self.most:
            self._held.popitem(last=False)
