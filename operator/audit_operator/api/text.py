"""Bounded strings: the vocabulary of scalar fields.

Everything a user can write is bounded, because the API server estimates the cost of validation from the bounds and
because one tenant's object must not be able to fill etcd or the API server's memory.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import Pattern

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=f"^{_SUBDOMAIN}$")]
"""A DNS-1123 subdomain, as names of most objects must be."""

NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$")]
"""A DNS-1123 label."""

DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")]
"""A key in the data of a ConfigMap or a Secret."""

Digest = Annotated[str, Field(max_length=64, pattern="^([0-9a-f]{64})?$")]
"""SHA-256 in lower-case hex; empty where there is none."""

Timestamp = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
"""A moment as RFC 3339 text in UTC: text, so that equal status is equal bytes."""

Line = Annotated[str, Field(max_length=1024)]
"""A sentence for people."""

Word = Annotated[str, Field(max_length=256)]
"""A short text: a name, a count, a reference."""

_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}

Period = Annotated[
    str,
    Field(max_length=7),
    Pattern("^[1-9][0-9]{0,5}[hdwy]$", "must be a whole number with h, d, w or y, such as 90d; months vary in length"),
]
"""A length of time in hours, days, weeks or years of 365 days: ``90d``, ``6y``. Months vary and are left out."""

Timeout = Annotated[
    str,
    Field(max_length=6),
    Pattern("^[1-9][0-9]{0,4}[sm]$", "must be a whole number with s or m, such as 90s"),
]
"""A wait in seconds or minutes: ``90s``, ``3m``."""


def hours(period: str) -> int:
    """Length of a `Period` in hours."""
    return int(period[:-1]) * _HOURS[period[-1]]


def seconds(timeout: str) -> int:
    """Length of a `Timeout` in seconds."""
    return int(timeout[:-1]) * {"s": 1, "m": 60}[timeout[-1]]


def cel_hours(field: str) -> str:
    """CEL for the length in hours of a `Period`."""
    factor = str(_HOURS["h"])
    for unit in ("d", "w", "y"):
        factor = f"({field}.endsWith('{unit}') ? {_HOURS[unit]} : {factor})"
    return f"int({field}.substring(0, {field}.size() - 1)) * {factor}"


# Not more than the collector reads: one address that it cannot read takes the configuration from everybody.
_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_PORT = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"

Url = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Pattern(
        rf"^https?://({_HOST})(:{_PORT})?(/([A-Za-z0-9._~/-]|%[0-9A-Fa-f]{{2}})*)?$",
        "must be an http or https URL without user, query and fragment, with a port up to 65535; credentials belong in "
        "a Secret",
    ),
]
"""The address of a store."""


def printable(text: str) -> str:
    """No text of a user's may break a line, a terminal or an encoding."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
