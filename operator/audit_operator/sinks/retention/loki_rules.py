"""How long Loki keeps a stream, by its rules `retention_stream`, as far as that can be said without asking it.

Rules may speak of labels whose values nobody here knows, or in regular expressions that are better not run, as whoever
runs the store has written them. So the answer is a range: the earliest and the latest age at which records may go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from math import floor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NEVER = 100 * 365 * 24
"""Hours from which on a period counts as none: nobody can ask for a longer one."""

SHORTEST = 24
"""Hours. https://grafana.com/docs/loki/latest/operations/storage/retention/: Loki takes no shorter period."""
_UNITS = {"ms": 1 / 3_600_000, "s": 1 / 3600, "m": 1 / 60, "h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|y)")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w|y)){1,8}")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\\n]|\\.)*"|`[^`]*`)\s*(,|$)')
_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|U0010[0-9a-fA-F]{4}|["\\])')
_PREFIX = re.compile(r"([a-zA-Z0-9_-]+)\.\*")
_LITERAL = re.compile(r"(?:[a-zA-Z0-9_ -]|\\x\{(?:10[0-9a-f]{4}|[0-9a-f]{1,5})\})*")
_NOT_PLAIN = re.compile(r"[^a-zA-Z0-9_ -]")
_HEX = re.compile(r"\\x\{([0-9a-f]{1,6})\}")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector, with the value as Loki reads it.

    `names` are the values that a regular expression takes which is a list of them; None: it is something else.
    """

    label: str
    operator: str
    value: str
    names: frozenset[str] | None = field(init=False)

    def __post_init__(self) -> None:
        """Read the list once: it may have thousands of names, and is asked about each of them."""
        object.__setattr__(self, "names", _names(self.value) if self.operator in {"=~", "!~"} else None)

    def holds(self, labels: Mapping[str, str]) -> bool | None:
        """Of a stream with these labels, where a label without a value is none; None: that cannot be said."""
        value = labels.get(self.label)
        if value is None:
            return None
        if self.operator in {"=", "!="}:
            return (value == self.value) is (self.operator == "=")
        found = value in self.names if self.names is not None else _found(self.value, value)
        return None if found is None else found is (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Rule:
    """One of `retention_stream`. `hours`: the age at which records of its streams go; None: never."""

    matchers: tuple[Matcher, ...]
    priority: int
    hours: int | None

    def applies(self, labels: Mapping[str, str]) -> bool | None:
        """To a stream with these labels; None: that cannot be said."""
        held = [each.holds(labels) for each in self.matchers]
        return False if False in held else None if None in held else True


@dataclass(frozen=True, slots=True)
class Kept:
    """Ages in hours between which records of a stream go; None: they never do."""

    earliest: int | None
    latest: int | None


def kept(labels: Mapping[str, str], levels: Iterable[Sequence[Rule]], period: int | None) -> Kept:
    """How long streams with these labels are kept; of labels that are not named, nothing is known.

    Rules of the first level that has one that applies count (the tenant's before the global ones), of those the one of
    the highest priority; without any, `period`. Of equal priorities, Loki does not say which one counts.
    """
    possible: list[int | None] = []
    for level in levels:
        ordered = sorted(level, key=lambda each: -each.priority)
        for _, group in groupby(ordered, key=lambda each: each.priority):
            said = [(each.applies(labels), each.hours) for each in group]
            possible += [hours for applies, hours in said if applies is not False]
            if any(applies for applies, _ in said):
                return _range(possible)
    return _range([*possible, period])


def rules(listed: Any) -> tuple[Rule, ...] | None:
    """From `retention_stream` as Loki shows it; None where it is something else, of which nothing is known."""
    if listed is None:
        return ()
    if not isinstance(listed, list):
        return None
    made = [_rule(each) for each in listed]
    return None if None in made else tuple(each for each in made if each is not None)


def one_of(names: Iterable[str]) -> str:
    """A regular expression that matches these names and nothing else; `Matcher.names` has them."""
    return "|".join(_NOT_PLAIN.sub(lambda each: f"\\x{{{ord(each[0]):x}}}", each) for each in names)


def matchers(selector: str) -> tuple[Matcher, ...] | None:
    """Those of a stream selector, which nothing may follow; None where it is none, or one that is better not read."""
    text = selector.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inner, found = text[1:-1].rstrip(), []
    at = 0
    while at < len(inner):
        read = _MATCHER.match(inner, at)
        value = None if read is None else _unquoted(read[3])
        if read is None or value is None:
            return None
        found.append(Matcher(read[1], read[2], value))
        at = read.end()
    return tuple(found)


def period(value: Any) -> int | None:
    """Hours of a duration as Loki writes it, rounded down; None where it is none."""
    text = str(value)
    if text == "0":
        return 0
    if _DURATION.fullmatch(text) is None:
        return None
    return floor(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)) + 1e-9)


def _rule(listed: Any) -> Rule | None:
    if not isinstance(listed, dict):
        return None
    found = matchers(str(listed.get("selector", "")))
    hours = period(listed.get("period", ""))
    priority = listed.get("priority", 0)
    if found is None or hours is None or hours < SHORTEST or not isinstance(priority, int):
        return None
    return Rule(found, priority, None if hours >= NEVER else hours)


def _range(possible: list[int | None]) -> Kept:
    ends = [each for each in possible if each is not None]
    return Kept(min(ends, default=None), None if len(ends) < len(possible) else max(ends))


def _names(pattern: str) -> frozenset[str] | None:
    parts = pattern.split("|")
    if not all(_LITERAL.fullmatch(each) for each in parts):
        return None
    return frozenset(_HEX.sub(lambda each: chr(int(each[1], 16)), each) for each in parts)


def _found(pattern: str, value: str) -> bool | None:
    """Whether an anchored pattern matches; None where it is not one of a few that are surely understood."""
    if pattern == ".*":
        return True
    if pattern == ".+":
        return value != ""
    prefix = _PREFIX.fullmatch(pattern)
    return None if prefix is None else value.startswith(prefix[1])


def _unquoted(literal: str) -> str | None:
    """The value of a literal of Go; None where it has an escape that no label of ours needs."""
    inner = literal[1:-1]
    if literal[0] == "`":
        return inner
    if "\\" in _ESCAPE.sub("", inner):
        return None
    return _ESCAPE.sub(lambda each: each[1] if len(each[1]) == 1 else chr(int(each[1][1:], 16)), inner)
