"""Which texts are times to Go: the API server parses timestamps with `time.Parse`, which is laxer than RFC 3339.

One-digit hours, a comma before the fraction and zones of 24:60 pass; a missing zone does not. Source: `parse` in Go's
`time/format.go` (go.dev/issue/54580), used by `metav1.Time` and by go-yaml's `parseTimestamp`.
"""

from __future__ import annotations

import re
from datetime import date

_FRACTION = r"(?:[.,][0-9]+)?"
_ZONE = r"(?:Z|[+-]([0-9]{2}):([0-9]{2}))"
_RFC3339 = re.compile(
    rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})T([0-9]{{1,2}}):([0-9]{{2}}):([0-9]{{2}}){_FRACTION}{_ZONE}"
)
_CLOCK = rf"([0-9]{{1,2}}):([0-9]{{1,2}}):([0-9]{{1,2}}){_FRACTION}"
_DATE = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
_YAML = (
    re.compile(rf"{_DATE}[Tt]{_CLOCK}{_ZONE}"),
    re.compile(rf"{_DATE} +{_CLOCK}"),
    re.compile(_DATE),
)
_LIMITS = (23, 59, 59, 24, 60)  # hour, minute, second, hour and minute of the zone


def is_rfc3339(text: str) -> bool:
    """Whether `time.Parse(time.RFC3339, text)` succeeds."""
    return _matches(_RFC3339, text)


def is_yaml_timestamp(text: str) -> bool:
    """Whether go-yaml takes the text for a timestamp."""
    return any(_matches(pattern, text) for pattern in _YAML)


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    match = pattern.fullmatch(text)
    if match is None:
        return False
    year, month, day, *parts = (int(part or 0) for part in match.groups())
    if any(part > limit for part, limit in zip(parts, _LIMITS, strict=False)):
        return False
    try:
        date(year or 2000, month, day)  # Go has a year 0, a leap year like 2000; Python has not
    except ValueError:
        return False
    return True
