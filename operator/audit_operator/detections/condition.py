"""Conditions on one audit event: what rules of every language come down to.

Languages differ in what a comparison with a field that is not there amounts to: false, so that its negation is true,
or unknown, so that its negation is unknown as well. A test says which of the two it means.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from audit_operator.detections.pattern import Pattern

Path = tuple[str, ...]
"""Keys from the root of an event; lists on the way are gone through. ``("objectRef", "resource")``."""

Truth = bool | None
"""None is unknown."""


class Reading(StrEnum):
    """What a rule takes of the value at a path."""

    PLAIN = "plain"
    REPOSITORY = "repository"
    """An image without tag and digest."""
    JSON_TEXT = "json"
    """An object, as text."""
    PARAMETER = "parameter"
    """The first value of a parameter of a URL."""
    MILLISECONDS = "milliseconds"
    """A duration as Go writes it, such as ``1.5s``, as a number of milliseconds."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value, or values, of an event. `argument` names the parameter of a URL."""

    path: Path
    reading: Reading = Reading.PLAIN
    argument: str = ""

    def read(self, value: Any) -> tuple[str, ...]:
        """What rules see of the value at the path."""
        match self.reading:
            case Reading.REPOSITORY:
                return tuple(each.partition(":")[0].partition("@")[0] for each in _scalars(value))
            case Reading.JSON_TEXT:
                return (json.dumps(value, separators=(",", ":")),)
            case Reading.PARAMETER:
                query = str(value).partition("?")[2]
                return tuple(parse_qs(query, keep_blank_values=True).get(self.argument, ())[:1])
            case Reading.MILLISECONDS:
                return _milliseconds(str(value))
            case _:
                return tuple(_scalars(value))

    def values(self, event: Mapping[str, Any]) -> tuple[str, ...]:
        """What rules see of an event; nothing if it is not there."""
        return tuple(each for found in _at(event, self.path) for each in self.read(found))


@dataclass(frozen=True, slots=True)
class Test:
    """Whether a field has a value that fits one of the patterns; without patterns, whether it has any.

    Attributes:
        every: whether all values of the field must fit.
        unknown_if_absent: whether it is unknown, and not false, where the field is not there.
        place: what stands in the rule, for people.
    """

    field: Field
    patterns: tuple[Pattern, ...] = ()
    every: bool = False
    unknown_if_absent: bool = False
    place: str = ""

    @property
    def cost(self) -> int:
        """Steps that a comparison with one value takes."""
        return 1 + sum(each.cost for each in self.patterns)

    def holds(self, values: tuple[str, ...]) -> Truth:
        """For these values of the field."""
        if not self.patterns:
            return bool(values)
        if not values:
            return None if self.unknown_if_absent else False
        fitting = (self.fits(each) for each in values)
        return all(fitting) if self.every else any(fitting)

    def fits(self, value: str) -> bool:
        """Whether one value fits one of the patterns."""
        return not self.patterns or any(each.fits(value) for each in self.patterns)


@dataclass(frozen=True, slots=True)
class Constant:
    """Something that is the same for all events."""

    truth: Truth


@dataclass(frozen=True, slots=True)
class Negation:
    """Not."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """And; true of no parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Or; false of no parts."""

    parts: tuple[Condition, ...]


Condition = Test | Constant | Negation | Every | Some

TRUE, FALSE, UNKNOWN = Constant(truth=True), Constant(truth=False), Constant(None)


def evaluate(condition: Condition, event: Mapping[str, Any]) -> Truth:
    """The truth of a condition for an event, by the logic of Kleene."""
    folded = fold(condition, lambda test: Constant(test.holds(test.field.values(event))))
    return folded.truth if isinstance(folded, Constant) else None


def fold(condition: Condition, known: Callable[[Test], Constant | None]) -> Condition:
    """The condition with all that is known put in; `known` gives None for a test of which nothing is known."""
    match condition:
        case Test():
            return known(condition) or condition
        case Negation(part):
            inner = fold(part, known)
            if isinstance(inner, Constant):
                return Constant(None if inner.truth is None else not inner.truth)
            return Negation(inner)
        case Every(parts):
            return _join(parts, known, decisive=False)
        case Some(parts):
            return _join(parts, known, decisive=True)
        case _:
            return condition


def _join(parts: tuple[Condition, ...], known: Callable[[Test], Constant | None], *, decisive: bool) -> Condition:
    kept: list[Condition] = []
    for part in parts:
        inner = fold(part, known)
        if not isinstance(inner, Constant):
            kept.append(inner)
        elif inner.truth is decisive:
            return inner
        elif inner.truth is None and UNKNOWN not in kept:
            kept.append(inner)
    if not kept:
        return Constant(not decisive)
    return kept[0] if len(kept) == 1 else (Some if decisive else Every)(tuple(kept))


def may_be(condition: Condition, *, truth: bool) -> bool:
    """Whether a condition can have that truth at all, as far as its constants tell."""
    match condition:
        case Constant(found):
            return found is truth
        case Negation(part):
            return may_be(part, truth=not truth)
        case Every(parts) | Some(parts):
            needed = all if isinstance(condition, Every) is truth else any
            return needed(may_be(part, truth=truth) for part in parts)
        case _:
            return True


def tests_of(condition: Condition) -> Iterator[Test]:
    """Every test that stands in a condition."""
    match condition:
        case Test():
            yield condition
        case Negation(part):
            yield from tests_of(part)
        case Every(parts) | Some(parts):
            for part in parts:
                yield from tests_of(part)


def _at(value: Any, path: Path) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _at(each, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s|µs|us|ns))+")
_UNITS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}


def _milliseconds(text: str) -> tuple[str, ...]:
    if not _DURATION.fullmatch(text):
        return ()
    parts = re.findall(r"([0-9.]+)(h|ms|m|s|µs|us|ns)", text)
    return (str(sum(float(number) * _UNITS[unit] for number, unit in parts)),)


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, dict):
        yield json.dumps(value, separators=(",", ":"))
    else:
        yield str(value)
