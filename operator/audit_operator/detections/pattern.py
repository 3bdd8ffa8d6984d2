"""What a rule compares a value with.

A pattern can also say which values might fit it, for whoever looks for an event that fires a rule; what it says is
tried, never trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILLER = "x"
_MOST_PARTS = 64


class Comparison(StrEnum):
    """How a value is compared with the text of a pattern."""

    EQUALS = "equals"
    CONTAINS = "contains"
    STARTS = "starts with"
    ENDS = "ends with"
    GLOB = "is like"
    """``*`` is anything, and nothing too."""
    REGEX = "matches"
    """All of the value, as ``re.fullmatch``."""
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


_ORDER = frozenset({Comparison.BELOW, Comparison.AT_MOST, Comparison.ABOVE, Comparison.AT_LEAST})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A comparison with a text; of orders, with a number."""

    comparison: Comparison
    text: str
    ignore_case: bool = False

    @property
    def pins(self) -> bool:
        """Whether one value alone fits, so that nothing fits if that value does not."""
        return self.comparison is Comparison.EQUALS and not self.ignore_case

    @property
    def cost(self) -> int:
        """Steps that a comparison with one value takes, about."""
        return 1 + self.text.count("*") if self.comparison is Comparison.GLOB else 1

    def fits(self, value: str) -> bool:
        """Whether the value fits."""
        if self.comparison in _ORDER:
            return self._in_order(value)
        text = self.text
        if self.comparison is Comparison.REGEX:
            flags = re.DOTALL | (re.IGNORECASE if self.ignore_case else re.NOFLAG)
            return re.fullmatch(text, value, flags) is not None
        if self.ignore_case:
            text, value = text.lower(), value.lower()
        return _compare(value, self.comparison, text)

    def examples(self) -> Iterator[str]:
        """Values that may fit; some of them are as different from the text as can be."""
        match self.comparison:
            case Comparison.EQUALS:
                yield self.text
            case Comparison.CONTAINS:
                yield from (self.text, f"{_FILLER}{self.text}{_FILLER}")
            case Comparison.STARTS:
                yield from (f"{self.text}{_FILLER}", self.text)
            case Comparison.ENDS:
                yield from (f"{_FILLER}{self.text}", self.text)
            case Comparison.GLOB:
                yield from (self.text.replace("*", _FILLER), self.text.replace("*", ""))
            case Comparison.REGEX:
                yield from _examples_of_regex(self.text)
            case _:
                yield from self._neighbours()

    def _in_order(self, value: str) -> bool:
        try:
            number, limit = float(value), float(self.text)
        except ValueError:
            return False
        match self.comparison:
            case Comparison.BELOW:
                return number < limit
            case Comparison.AT_MOST:
                return number <= limit
            case Comparison.ABOVE:
                return number > limit
            case _:
                return number >= limit

    def _neighbours(self) -> Iterator[str]:
        if self.text.lstrip("-").isdigit():
            yield from (str(int(self.text) + each) for each in (0, 1, -1))


def _compare(value: str, comparison: Comparison, text: str) -> bool:
    match comparison:
        case Comparison.EQUALS:
            return value == text
        case Comparison.CONTAINS:
            return text in value
        case Comparison.STARTS:
            return value.startswith(text)
        case Comparison.GLOB:
            return _is_like(value, text)
        case _:
            return value.endswith(text)


def _is_like(value: str, glob: str) -> bool:
    """Whether a value fits a glob: the first place for each part will do.

    As a regular expression, many stars and a value that nearly fits would take for ever, and tenants write both.
    """
    first, *rest = glob.split("*")
    if not rest:
        return value == first
    *inner, last = rest
    end = len(value) - len(last)
    if not value.startswith(first) or not value.endswith(last) or len(first) > end:
        return False
    at = len(first)
    for part in inner:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _examples_of_regex(expression: str) -> Iterator[str]:
    """Of simple expressions each alternative, with fillers for what may be anything."""
    inner = re.sub(r"\.[*+]", "", expression)
    for part in re.split(r"[|()]", inner)[:_MOST_PARTS]:
        plain = re.sub(r"\\s[*+]?", " ", part)
        plain = re.sub(r"\\(.)", r"\1", plain)
        yield from (plain, f"{_FILLER}{plain}{_FILLER}")
    yield _FILLER
