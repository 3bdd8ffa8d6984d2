"""What may be asked, as names and values: the whole language of the proxy, and of `audit-operator query`.

A value is read into its type here and is never text of a query afterwards. Whatever is not understood is refused,
since a parameter that is ignored may be one that somebody relied on.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from audit_operator.api.audit import Level, Stage
from audit_operator.sinks.quoting import is_askable
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST_RECORDS = 10_000
MOST_NAMESPACES = 32
LONGEST_TARGET = 16 * 2**10
"""Bytes of a request's address."""

_LONGEST = 1024
"""Bytes of a value: what shippers cut attributes at."""
_DEFAULT_LIMIT, _DEFAULT_WINDOW = 100, timedelta(hours=1)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
"""What stores can count in nanoseconds."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_VERB = re.compile(r"[A-Za-z]{1,64}", re.ASCII)
_CODE = re.compile(r"[1-5][0-9]{2}", re.ASCII)
_COUNT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_Choice = TypeVar("_Choice", bound=StrEnum)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BadQuestion(ValueError):  # noqa: N818  # the caller's, not ours
    """What was asked is no question; the message says why, and quotes nothing of it."""


class Format(StrEnum):
    """In which form an answer comes: a JSON object a line, or one JSON document."""

    NDJSON = "ndjson"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to read, before anybody knows whether they may.

    Attributes:
        namespaces: each once, in order; the empty one is that of records without a namespace.
        format: of the answer.
    """

    namespaces: tuple[str, ...]
    since: datetime
    until: datetime
    equal: tuple[tuple[Attribute, str], ...]
    text: str
    limit: int
    order: Order
    format: Format

    def selection(self, scopes: Iterable[Scope], clusters: tuple[str, ...]) -> Selection:
        """What to ask a store for, if these are the namespaces that may be read."""
        return Selection(tuple(scopes), self.since, self.until, clusters, self.equal, self.text, self.limit, self.order)


def parameters(target: str) -> list[tuple[str, str]]:
    """Names and values in an address as it came, percent-encoded.

    Raises:
        BadQuestion: it is too long, or no UTF-8.
    """
    if len(target) > LONGEST_TARGET:
        raise BadQuestion(f"the address is longer than {LONGEST_TARGET} bytes")
    if "#" in target or not target.isascii():
        raise BadQuestion("the address is not percent-encoded")
    try:
        return parse_qsl(
            target.partition("?")[2], keep_blank_values=True, strict_parsing="?" in target, errors="strict"
        )
    except ValueError as error:
        raise BadQuestion("the address holds what is no name=value, or no UTF-8") from error


def read(given: Sequence[tuple[str, str]], now: datetime) -> Question:
    """A question, from names and values; times like 15m are before `now`.

    Raises:
        BadQuestion: a name is unknown or there twice, or a value is none that it takes.
    """
    values = dict(given)
    if len(values) != len(given):
        raise BadQuestion("a parameter is there twice")
    if unknown := values.keys() - _NAMES:
        raise BadQuestion(f"{len(unknown)} parameters are unknown; there are: {', '.join(sorted(_NAMES))}")
    for name, value in values.items():
        _expect_plain(name, value)
    since = _moment(values, "since", now, now - _DEFAULT_WINDOW)
    until = _moment(values, "until", now, now)
    if since >= until:
        raise BadQuestion("since must be before until")
    limit = int(values["limit"]) if _fits(values, "limit", _COUNT) else _DEFAULT_LIMIT
    if limit > MOST_RECORDS:
        raise BadQuestion(f"limit must not exceed {MOST_RECORDS}")
    return Question(
        namespaces=_namespaces(values),
        since=since,
        until=until,
        equal=tuple(_equal(values)),
        text=values.get("contains", ""),
        limit=limit,
        order=_choice(values, "order", Order, Order.NEWEST),
        format=_choice(values, "format", Format, Format.NDJSON),
    )


def _namespaces(values: dict[str, str]) -> tuple[str, ...]:
    names = values["namespace"].split(",") if "namespace" in values else []
    if not all(_NAMESPACE.fullmatch(each) for each in names):
        raise BadQuestion("namespace must be names of namespaces with commas between")
    if (scoped := values.get("clusterScoped", "false")) not in ("true", "false"):
        raise BadQuestion("clusterScoped must be true or false")
    if scoped == "true":
        names.append("")
    if not names:
        raise BadQuestion("namespace, or clusterScoped=true, must say whose records")
    if len(set(names)) != len(names) or len(names) > MOST_NAMESPACES:
        raise BadQuestion(f"namespace must name each once, and {MOST_NAMESPACES} at most")
    return tuple(sorted(names))


def _equal(values: dict[str, str]) -> Iterable[tuple[Attribute, str]]:
    for name, (attribute, takes) in _EQUAL.items():
        if name in values:
            if not takes(values[name]):
                raise BadQuestion(f"{name} has a value that it cannot have")
            if name == "resource" and "/" in values[name]:
                resource, _, subresource = values[name].partition("/")
                yield Attribute.RESOURCE, resource
                yield Attribute.SUBRESOURCE, subresource
            else:
                yield attribute, values[name]


def _expect_plain(name: str, value: str) -> None:
    """No control characters, which no value of an audit event has, and no more than there can be."""
    if not value:
        raise BadQuestion(f"{name} is empty")
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in value):
        raise BadQuestion(f"{name} holds control characters")
    if len(value.encode()) > _LONGEST and name != "namespace":
        raise BadQuestion(f"{name} is longer than {_LONGEST} bytes")
    if name != "namespace" and not is_askable(value):
        raise BadQuestion(f"{name} is too long for a store to be asked for, with what must be escaped in it")


def _fits(values: dict[str, str], name: str, pattern: re.Pattern[str]) -> bool:
    if name in values and not pattern.fullmatch(values[name]):
        raise BadQuestion(f"{name} must be a number without sign")
    return name in values


def _choice(values: dict[str, str], name: str, choices: type[_Choice], default: _Choice) -> _Choice:
    if name not in values:
        return default
    if values[name] not in list(choices):
        raise BadQuestion(f"{name} must be one of {', '.join(choices)}")
    return choices(values[name])


def _moment(values: dict[str, str], name: str, now: datetime, default: datetime) -> datetime:
    text = values.get(name)
    if text is None:
        return default
    moment = None
    try:
        if duration := _DURATION.fullmatch(text):
            moment = now - timedelta(seconds=int(duration[1]) * _SECONDS[duration[2]])
        elif _MOMENT.fullmatch(text):
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadQuestion(f"{name} is no time that there is") from error
    if moment is None:
        raise BadQuestion(f"{name} must be a time like 2026-03-01T12:00:00Z, or an age like 15m, 6h or 7d")
    if not _FIRST <= moment < _LAST:
        raise BadQuestion(f"{name} is no time that records have")
    return moment


def _anything(_value: str) -> bool:
    return True


def _is_resource(value: str) -> bool:
    resource, slash, subresource = value.partition("/")
    return bool(resource) and (not slash or bool(subresource)) and "/" not in subresource


_EQUAL: dict[str, tuple[Attribute, Callable[[str], bool]]] = {
    "user": (Attribute.USER, _anything),
    "verb": (Attribute.VERB, lambda value: bool(_VERB.fullmatch(value))),
    "group": (Attribute.API_GROUP, _anything),
    "resource": (Attribute.RESOURCE, _is_resource),
    "name": (Attribute.NAME, _anything),
    "level": (Attribute.LEVEL, lambda value: value in list(Level)),
    "stage": (Attribute.STAGE, lambda value: value in list(Stage)),
    "code": (Attribute.CODE, lambda value: bool(_CODE.fullmatch(value))),
    "auditID": (Attribute.AUDIT_ID, _anything),
}
_NAMES = frozenset({"namespace", "clusterScoped", "since", "until", "contains", "limit", "order", "format", *_EQUAL})
