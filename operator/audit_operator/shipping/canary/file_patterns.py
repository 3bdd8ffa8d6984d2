"""Whether a path is one that a pattern of log files takes in, without a regular expression.

Tenants write these patterns. As a regular expression, one with a dozen ``*`` keeps Python's engine busy for ever, and
with it everything else in the process. Here each sign of a pattern costs a few operations on one number, whose bits are
the positions in the path that the signs so far may have led to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDERS, _STARS, _DIGIT = "**/", "*", "[0-9]"
_SIGN = re.compile(r"\*\*/|\*+|\[0-9\]|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path, ready to be compared.

    Attributes:
        length: of the path.
        places: positions of each sign that stands in it, as bits.
    """

    length: int
    places: Mapping[str, int]

    @classmethod
    def of(cls, path: str) -> Self:
        """From its text."""
        places: dict[str, int] = {}
        for position, sign in enumerate(path):
            places[sign] = places.get(sign, 0) | 1 << position
        return cls(len(path), places)

    def matches(self, pattern: str) -> bool:
        """Whether a pattern as in `LogFiles.include` leads to the end of the path, and to no other place."""
        reached = 1
        for sign in _SIGN.findall(pattern):
            reached = self._after(sign, reached)
            if not reached:
                return False
        return bool(reached >> self.length & 1)

    def _after(self, sign: str, reached: int) -> int:
        slashes = self.places.get("/", 0)
        if sign == _FOLDERS:
            # Behind any slash that does not lie before the first position.
            first = reached & -reached
            return reached | (slashes & -first) << 1
        if sign.startswith(_STARS):
            # A carry runs through all that is no slash, from each position up to the next slash.
            within = ~slashes & ((1 << self.length) - 1)
            return reached | ((within + (reached & within)) ^ within)
        return (reached & self._places(sign)) << 1

    def _places(self, sign: str) -> int:
        if sign == _DIGIT:
            return sum(self.places.get(each, 0) for each in "0123456789")
        return self.places.get(sign, 0)
