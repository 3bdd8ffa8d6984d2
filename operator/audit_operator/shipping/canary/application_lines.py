"""Lines of an application's log to try a sidecar's configuration with: some keep to the standard, some break it.

They differ in what the sidecar goes by: whether each mandatory field is there and a text, how the time is written,
whether the line is an object at all, and what stands in it that must not leave the pod.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.application_logs import TimeFormat
from audit_operator.api.redaction import RedactionProfile
from audit_operator.shipping.application.standard import TEXTS, StandardField, per_second
from audit_operator.shipping.canary.events import VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.shipping.application.standard import Standard

MOMENT, WRITTEN = 981_173_106, "2001-02-03T04:05:06Z"
"""When everything happened. It lies ahead of no clock that a machine may have."""
_AHEAD, _WRITTEN_AHEAD = 5_680_281_600, "2150-01-01T00:00:00Z"
_USER = "jane@example.com"
_BEHIND = 64
"""Bytes that a line has more than may be."""

GONE: Mapping[RedactionProfile, str] = {
    RedactionProfile.SECRETS: VALUE,
    RedactionProfile.TOKENS: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnktNDIifQ.c2lnbmF0dXJlLW9mLXRoZS1jYW5hcnk",
    RedactionProfile.PII: "john@example.com",
    RedactionProfile.FINANCIAL: "4111 1111 1111 1111",
}
"""Stands in the lines, and must never leave a pod whose policy asks for that profile."""
_NUMBER = "canary"
_SAID: Mapping[str, str] = {
    "password": GONE[RedactionProfile.SECRETS],
    "note": f"asked with Bearer {GONE[RedactionProfile.TOKENS]} by {_USER}.",
    "contact": GONE[RedactionProfile.PII],
    "card": GONE[RedactionProfile.FINANCIAL],
}


@dataclass(frozen=True, slots=True)
class Written:
    """A line that an application writes; `what` is for people."""

    what: str
    line: str


def lines(standard: Standard) -> Iterator[Written]:
    """One of each kind."""
    for what, text in _kinds(standard):
        yield Written(what, text)


def few_lines(standard: Standard) -> Iterator[Written]:
    """A good one and a bad one."""
    yield Written("a good line", _line(standard, {}))
    yield Written("a line without user", _line(standard, _without(StandardField.USER)))


def numbered(line: str, number: int, standard: Standard) -> str:
    """The line with a beginning of its own: files that begin alike count as one."""
    start = f'{{"{_free(_NUMBER, standard)}":"{number:04}",' if line.startswith("{") else f"{number:04} "
    return start + line.removeprefix("{")


def _kinds(standard: Standard) -> Iterator[tuple[str, str]]:
    yield "a good line", _line(standard, {}, {})
    yield "a good line with what is to be taken out", _line(standard, {})
    if any("." in standard.path(name) for name in StandardField):
        yield "a good line with paths for keys", _line(standard, {}, flat=True)
    for name in StandardField:
        yield f"a line without {name}", _line(standard, _without(name))
    for name in TEXTS:
        yield f"a line whose {name} is a number", _line(standard, {name: 7})
    yield "a line whose time cannot be read", _line(standard, {StandardField.TIME: "yesterday"})
    ahead = _moment(standard.time_format, _AHEAD, _WRITTEN_AHEAD)
    yield "a line whose time lies ahead", _line(standard, {StandardField.TIME: ahead})
    yield "a line that was cut", _line(standard, {})[: -len('"}')]
    yield "a line that is no object", f"refused jane: password={VALUE}, and no more"
    yield "a line that is too long", f"password={VALUE} {'x' * (standard.longest_line + _BEHIND)}"


def _without(name: str) -> dict[str, Any]:
    return {name: ...}


def _line(
    standard: Standard, changed: Mapping[str, Any], said: Mapping[str, str] = _SAID, *, flat: bool = False
) -> str:
    good: dict[str, Any] = {
        StandardField.TIME: _moment(standard.time_format, MOMENT, WRITTEN),
        StandardField.USER: _USER,
        StandardField.ACTION: "canary.pay",
        StandardField.RESULT: "ok",
        StandardField.ID: "canary",
        StandardField.CORRELATION_ID: "canary-flow",
    }
    document: dict[str, Any] = {}
    for name, value in {**good, **changed}.items():
        if value is not ...:
            path = standard.path(StandardField(name))
            _put(document, (path,) if flat else tuple(path.split(".")), value)
    besides = {_free(key, standard): value for key, value in said.items()}
    return json.dumps({**document, **besides}, separators=(",", ":"))


def _free(key: str, standard: Standard) -> str:
    """A key that ends in this one, as the rules go by, and that no mandatory field stands under."""
    taken = {keys[0] for name in StandardField for keys in standard.places(name)}
    while key in taken:
        key = f"canary-{key}"
    return key


def _moment(time_format: TimeFormat, seconds: int, written: str) -> int | str:
    return written if time_format is TimeFormat.RFC3339 else seconds * per_second(time_format)


def _put(document: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    """Where something else stands on the way, the path becomes one key."""
    here = document
    for key in keys[:-1]:
        below = here.setdefault(key, {})
        if not isinstance(below, dict):
            document[".".join(keys)] = value
            return
        here = below
    here[keys[-1]] = value
