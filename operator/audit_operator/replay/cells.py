"""Counts of events that no policy can tell apart, so that a policy is asked once for many of them.

A log has millions of events, and a policy sees little of each: who, which verb, which place, and the stage. Events
that are equal in all of that share a cell. Reading a log costs its size; asking a policy, or two, or trying a hundred
changes of one, costs the number of cells.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import Finding
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.model import Request, User
from audit_operator.replay.vocabulary import OTHER, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_CELLS = 1 << 18
"""Beyond so many, what no policy names is counted together: callers decide how many users and places there are."""

MOST_PLACES = 1 << 16
"""Paths that are remembered with what they mean, for the same reason."""

FIRST_UNREADABLE = 5


class Place(NamedTuple):
    """What a policy sees of a request, but for the caller. `path` is of requests about no resource."""

    verb: str
    is_resource: bool
    api_group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    path: str


class Cell(NamedTuple):
    """What events of one cell have in common. `user` None is a failed authentication."""

    user: str | None
    groups: tuple[str, ...]
    place: Place
    stage: Stage
    level: Level

    @property
    def request(self) -> Request:
        """A request that every policy of the vocabulary decides upon as upon those of the cell."""
        verb, is_resource, group, resource, subresource, namespace, name, path = self.place
        return Request(
            user=None if self.user is None else User(self.user, self.groups),
            verb=verb,
            resource_request=is_resource,
            api_group=group,
            namespace=namespace,
            resource=resource,
            subresource=subresource,
            name=name,
            path=path,
        )


@dataclass(slots=True)
class Counts:
    """Of the events of a cell: how many, and bytes of their lines, of the request bodies and of the response bodies."""

    events: int = 0
    size: int = 0
    request: int = 0
    response: int = 0

    def add(self, other: Counts) -> None:
        """Add what was counted elsewhere."""
        self.events += other.events
        self.size += other.size
        self.request += other.request
        self.response += other.response


class Unreadable(NamedTuple):
    """A line that is no event: where it begins, in bytes, and why. Its text is nowhere: it may be a secret."""

    file: str
    offset: int
    reason: str


class _Caller(msgspec.Struct, gc=False):
    username: str = ""
    groups: tuple[str, ...] | None = None
    uid: str = ""


class _Event(msgspec.Struct, gc=False):
    """What is read of an event. The rest, bodies above all, is passed over without being decoded."""

    level: Level
    stage: Stage
    verb: str
    uri: str = msgspec.field(name="requestURI")
    user: _Caller = msgspec.field(default_factory=_Caller)
    time: str = msgspec.field(name="stageTimestamp", default="")
    request: msgspec.Raw = msgspec.field(name="requestObject", default_factory=msgspec.Raw)
    response: msgspec.Raw = msgspec.field(name="responseObject", default_factory=msgspec.Raw)


_ABOUT_ONE = re.compile(
    r"(/(?:api|apis/[^/?%]+)/[^/?%]+/namespaces/[^/?%]+/(?!status/|finalize/)[^/?%]+/)([^/?%]+)(/[^?%]*)?(?:\?|$)"
).match
"""The path of an object of a namespace: what is before its name, the name, and what is behind it."""

_decode = msgspec.json.Decoder(_Event).decode
_REQUEST_KEY = len(',"requestObject":')
_RESPONSE_KEY = len(',"responseObject":')


@dataclass(slots=True)
class Cells:
    """What was counted of some lines.

    Attributes:
        counts: by cell.
        unreadable: lines that are no events, and the first of them.
        merged: events of cells that were counted without what no policy names.
        first, last: the time of the earliest and of the latest event, as written; ``""`` of none.
    """

    vocabulary: Vocabulary
    counts: dict[Cell, Counts] = field(default_factory=dict)
    unreadable: int = 0
    first_unreadable: list[Unreadable] = field(default_factory=list)
    merged: int = 0
    first: str = ""
    last: str = ""
    _places: dict[tuple[str, str, str], Place] = field(default_factory=dict)

    def add(self, line: bytes, file: str = "", offset: int = 0) -> None:
        """Count a line, which is one event; what is none is counted as unreadable."""
        try:
            event = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._add_slowly(line, file, offset)
            return
        caller = event.user
        groups = caller.groups or ()
        key = self._key(event.verb, event.uri)
        place = self._places.get(key)
        if place is None:
            request = request_from_event({"verb": event.verb, "requestURI": event.uri})
            if isinstance(request, Finding):
                self.miss(request.message, file, offset)
                return
            place = self._remember(key, self._place(request))
        who = caller.username if caller.username or groups or caller.uid else None
        self._count(
            Cell(who, groups, place, event.stage, event.level),
            len(line),
            len(event.request) and len(event.request) + _REQUEST_KEY,
            len(event.response) and len(event.response) + _RESPONSE_KEY,
        )
        self._see(event.time)

    def merge(self, other: Cells) -> None:
        """Add what was counted elsewhere, with the same vocabulary."""
        for cell, counts in other.counts.items():
            self._cell(cell, counts.events).add(counts)
        self.unreadable += other.unreadable
        self.merged += other.merged
        self.first_unreadable = sorted([*self.first_unreadable, *other.first_unreadable])[:FIRST_UNREADABLE]
        self._see(other.first)
        self._see(other.last)

    @property
    def events(self) -> int:
        """All that were counted."""
        return sum(each.events for each in self.counts.values())

    def _count(self, cell: Cell, size: int, request: int, response: int) -> None:
        counts = self.counts.get(cell) or self._cell(cell, 1)
        counts.events += 1
        counts.size += size
        counts.request += request
        counts.response += response

    def _cell(self, cell: Cell, events: int) -> Counts:
        if cell not in self.counts and len(self.counts) >= MOST_CELLS:
            cell = self._reduced(cell)
            self.merged += events
        return self.counts.setdefault(cell, Counts())

    def _reduced(self, cell: Cell) -> Cell:
        """Without what no policy names, which none of them can tell from anything else that none names."""
        known, place = self.vocabulary, cell.place
        return cell._replace(
            user=cell.user if cell.user is None or cell.user in known.users else OTHER,
            groups=tuple(each for each in cell.groups if each in known.groups),
            place=place._replace(
                verb=place.verb if place.verb in known.verbs else OTHER,
                api_group=place.api_group if place.api_group in known.api_groups else OTHER,
                resource=place.resource if place.resource in known.resources else OTHER,
                subresource=place.subresource
                if not place.subresource or place.subresource in known.subresources
                else OTHER,
                namespace=place.namespace if not place.namespace or place.namespace in known.namespaces else OTHER,
                path=place.path and known.path(place.path),
            ),
        )

    def _see(self, time: str) -> None:
        if time and (not self.first or time < self.first):
            self.first = time
        self.last = max(self.last, time)

    def _add_slowly(self, line: bytes, file: str, offset: int) -> None:
        """As the definition has it: for what strict types refuse, and JSON's own reader may still understand."""
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            self.miss("no JSON", file, offset)
            return
        if not isinstance(event, dict):
            self.miss("no event: not an object", file, offset)
            return
        request = request_from_event(event)
        if isinstance(request, Finding):
            self.miss(request.message, file, offset)
            return
        try:
            level, stage = Level(str(event.get("level"))), Stage(str(event.get("stage")))
        except ValueError:
            self.miss("an event needs a level and a stage", file, offset)
            return
        user = request.user
        cell = Cell(user.name if user else None, user.groups if user else (), self._place(request), stage, level)
        self._count(cell, len(line), _written(event, "requestObject"), _written(event, "responseObject"))
        time = event.get("stageTimestamp")
        self._see(time if isinstance(time, str) else "")

    def _place(self, request: Request) -> Place:
        if not request.resource_request:
            return Place(request.verb, False, "", "", "", "", "", request.path)
        return Place(
            request.verb,
            True,
            request.api_group,
            request.resource,
            request.subresource,
            request.namespace,
            request.name if request.name in self.vocabulary.names else "",
            "",
        )

    def _key(self, verb: str, uri: str) -> tuple[str, str, str]:
        """Equal for requests of one place. Most differ in the name of an object alone, of which no policy speaks."""
        names = self.vocabulary.names
        found = _ABOUT_ONE(uri)
        if found and found[2] not in names:
            return verb, found[1], found[3] or "/"
        return verb, uri if names else uri.partition("?")[0], ""

    def _remember(self, key: tuple[str, str, str], place: Place) -> Place:
        if len(self._places) >= MOST_PLACES:
            self._places.clear()
        return self._places.setdefault(key, place)

    def miss(self, reason: str, file: str, offset: int) -> None:
        """Count a line that is no event."""
        self.unreadable += 1
        if len(self.first_unreadable) < FIRST_UNREADABLE:
            self.first_unreadable.append(Unreadable(file, offset, reason))


def merged(parts: Iterable[Cells], vocabulary: Vocabulary) -> Cells:
    """All of them together."""
    whole = Cells(vocabulary)
    for part in parts:
        whole.merge(part)
    return whole


def _written(event: dict[str, Any], key: str) -> int:
    if key not in event:
        return 0
    return len(f',"{key}":') + len(json.dumps(event[key], separators=(",", ":"), ensure_ascii=False).encode())
