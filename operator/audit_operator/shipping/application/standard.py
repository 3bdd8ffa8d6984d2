"""The standard that application logs are held to: who did what, when, how it ended, and what ties it together.

Checked here for the command line, and by the collector (`reading`); the two must give the same verdict on every line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.shipping.collector.times import RFC3339

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 2**20
"""Bytes of the longest line, in UTF-8; sinks may take less."""

WHITE_SPACE = " \t\r\n"
"""Around a line, it is not a part of it; nothing else makes no line."""

AHEAD = 24 * 3600
"""Seconds that a clock may be ahead. What lies further in the future, stores drop and say they have it."""
EARLIEST, LATEST = 31_536_000, 7_258_118_400
"""Seconds of 1971 and of 2200, in UTC: what is outside is no time, but a number in the wrong unit."""
NUMBER = r"^[0-9]{1,13}(?:[.][0-9]{1,9})?$"
"""A number in a string, as some loggers write it."""


class StandardField(StrEnum):
    """Fields that every line has, by the names that records carry them under."""

    TIME = "time"
    USER = "user"
    ACTION = "action"
    RESULT = "result"
    ID = "id"
    CORRELATION_ID = "correlationId"


TEXTS = tuple(each for each in StandardField if each is not StandardField.TIME)
"""Fields that are strings, and not empty."""


class Reason(StrEnum):
    """Why a line is in quarantine; of several reasons, the first one in this order."""

    OUTSIDE = "file outside of its volume"
    TOO_LONG = "too long"
    NO_OBJECT = "no JSON object"
    NO_TIME = "no time"
    NO_USER = "no user"
    NO_ACTION = "no action"
    NO_RESULT = "no result"
    NO_ID = "no id"
    NO_CORRELATION_ID = "no correlationId"
    TIME_UNREADABLE = "time is not written as the policy says"
    TIME_AHEAD = "time lies ahead"
    USER_NO_TEXT = "user is no text"
    ACTION_NO_TEXT = "action is no text"
    RESULT_NO_TEXT = "result is no text"
    ID_NO_TEXT = "id is no text"
    CORRELATION_ID_NO_TEXT = "correlationId is no text"
    NOT_REDACTED = "cannot be redacted"


def missing(name: StandardField) -> Reason:
    """That a field is not there, or null."""
    return Reason(f"no {name}")


def no_text(name: StandardField) -> Reason:
    """That a field is no string, or an empty one."""
    return Reason(f"{name} is no text")


@dataclass(frozen=True, slots=True)
class Standard:
    """What the lines of one policy's applications must be like."""

    fields: FieldMapping = field(default_factory=FieldMapping)
    time_format: TimeFormat = TimeFormat.RFC3339
    longest_line: int = LONGEST_LINE

    def places(self, name: StandardField) -> tuple[tuple[str, ...], ...]:
        """Where a field may stand, as keys from the outermost object; the first place that has something counts.

        The steps of a dotted path lead into nested objects. Some loggers write the path as one key, dots and all: that
        is the second place.
        """
        return places(self.path(name))

    def path(self, name: StandardField) -> str:
        """The dotted path of a field."""
        written = self.fields
        paths = (written.time, written.user, written.action, written.result, written.id, written.correlation_id)
        return dict(zip(StandardField, paths, strict=True))[name]

    def breaches(self, line: str, now: float) -> tuple[Reason, ...]:
        """Every rule that a line breaks, in the order of `Reason`; none if it keeps to the standard.

        `line` may have white space around it. `now` is in seconds since 1970.
        """
        line = line.strip(WHITE_SPACE)
        if len(line.encode("utf-8", "surrogatepass")) > self.longest_line:
            return (Reason.TOO_LONG,)
        parsed = _parsed(line)
        if not isinstance(parsed, dict):
            return (Reason.NO_OBJECT,)
        found = set(self._broken(parsed, now))
        return tuple(each for each in Reason if each in found)

    def _broken(self, parsed: dict[str, Any], now: float) -> Iterator[Reason]:
        for name in StandardField:
            value = self._value(parsed, name)
            if value is None:
                yield missing(name)
            elif name is StandardField.TIME:
                yield from self._wrong_time(value, now)
            elif not isinstance(value, str) or not value:
                yield no_text(name)

    def _value(self, parsed: dict[str, Any], name: StandardField) -> Any:
        for keys in self.places(name):
            value: Any = parsed
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                return value
        return None

    def _wrong_time(self, value: Any, now: float) -> Iterator[Reason]:
        moment = _rfc3339(value) if self.time_format is TimeFormat.RFC3339 else _unix(value, self.time_format)
        if moment is None:
            yield Reason.TIME_UNREADABLE
        elif moment > now + AHEAD:
            yield Reason.TIME_AHEAD


def places(path: str) -> tuple[tuple[str, ...], ...]:
    """See `Standard.places`."""
    nested = tuple(path.split("."))
    return (nested,) if len(nested) == 1 else (nested, (path,))


def per_second(time_format: TimeFormat) -> int:
    """Of the unit in which numbers are counted."""
    return 1000 if time_format is TimeFormat.UNIX_MILLISECONDS else 1


def _parsed(line: str) -> Any:
    try:
        return json.loads(line, parse_int=_number, parse_float=_number, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float:
    """As the collector reads numbers, in double precision."""
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return number


def _no_number(text: str) -> float:
    raise ValueError(text)


def _rfc3339(value: Any) -> float | None:
    if not isinstance(value, str) or not matches(RFC3339, value):
        return None
    # Python's own parser takes at most six digits of a second.
    return datetime.fromisoformat(re.sub("[.][0-9]+", "", value)).timestamp()


def _unix(value: Any, time_format: TimeFormat) -> float | None:
    if isinstance(value, str) and matches(NUMBER, value):
        value = float(value)
    if not isinstance(value, float):
        return None
    unit = per_second(time_format)
    return value / unit if EARLIEST * unit <= value < LATEST * unit else None


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern that ends in ``$`` matches; to Python, that also is before a last line feed."""
    return re.search(pattern, text, re.ASCII) is not None and not text.endswith("\n")
