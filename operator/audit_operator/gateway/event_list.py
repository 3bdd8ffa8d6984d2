"""Splitting an EventList into its events, each as the bytes that the API server wrote.

Decoding and encoding would round numbers, take a number of calls that grows with the nesting, and refuse what any
sender can put into the body of his request; and then the events of everybody else in the list would be refused with it.
So only brackets and strings are looked at. What is no JSON between them stays in its event, and the collector, which
does parse it, leaves it out, or puts the event into quarantine.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_DEPTH = 16
"""Brackets in brackets that one match takes in; events of API servers seldom have more."""


def _nested(depth: int) -> bytes:
    inner = rb"|" + _nested(depth - 1) if depth else b""
    return rb'[{\[](?:[^"{}\[\]]++|' + _STRING + inner + rb")*+[}\]]"


# All quantifiers are possessive: no byte is looked at more than a few times, whatever somebody sends.
_SPACE = re.compile(rb"[ \t\r\n]*+")
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_BRACKETS = re.compile(_nested(_DEPTH), re.DOTALL)
# Below that: brackets of the same direction together, and what is nested but a little is stepped over. A step for each
# bracket took two seconds for one event of 3 MiB, and anybody who may send a request body can have such an event.
_NEXT_BRACKETS = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb"|" + _nested(1) + rb")*+([{\[]++|[}\]]++)", re.DOTALL)
_SCALAR = re.compile(rb"[^][{},:\" \t\r\n]++")
_NAMED = re.compile(rb'\{[ \t\r\n]*+(?!"(?:kind|apiVersion)"|\})')
_LONGEST_NAME = 64
_MOST_MEMBERS = 16
"""Of the list itself; an EventList has four."""
MOST_ITEMS = 50_000
"""Of one list. An API server sends 400 unless it is told otherwise; each takes memory of its own, however short."""

KIND, API_VERSION = "EventList", "audit.k8s.io/v1"
EVENT_TYPE = b'"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""What the items of a list lack, since the list's own type says it; the API server's log has it in each line."""


class NoEventList(Exception):  # noqa: N818  # what was sent, not what went wrong here
    """The text is no `audit.k8s.io/v1` EventList; the message says why, and holds nothing of it."""


class TooManyItems(NoEventList):
    """There are more than `MOST_ITEMS` in it."""


@dataclass(frozen=True, slots=True)
class _Text:
    """JSON text, looked at from left to right."""

    content: bytes

    def after_space(self, position: int) -> int:
        found = _SPACE.match(self.content, position)
        return found.end() if found else position

    def at(self, position: int) -> bytes:
        return self.content[position : position + 1]

    def expect(self, character: bytes, position: int) -> int:
        """The position behind this character, and any space before it."""
        position = self.after_space(position)
        if self.at(position) != character:
            raise NoEventList(f"no {character.decode()!r} at byte {position}")
        return position + 1

    def end_of_value(self, position: int) -> int:
        """Where the value that begins here ends."""
        first = self.at(position)
        if first in (b"{", b"["):
            found = _BRACKETS.match(self.content, position)
            return found.end() if found else self._end_of_deep(position)
        pattern = _WHOLE_STRING if first == b'"' else _SCALAR
        if (found := pattern.match(self.content, position)) is None:
            raise NoEventList(f"no value at byte {position}")
        return found.end()

    def _end_of_deep(self, position: int) -> int:
        depth, begin = 0, position
        while (found := _NEXT_BRACKETS.match(self.content, position)) is not None:
            position, number = found.end(), len(found[1])
            if found[1][0] in b"{[":
                depth += number
            elif depth <= number:
                return position - number + depth
            else:
                depth -= number
        raise NoEventList(f"what begins at byte {begin} does not end")

    def values(self, position: int) -> Iterator[tuple[int, int]]:
        """Begin and end of each value of the array whose bracket was at the byte before; last, where the array ends."""
        position = self.after_space(position)
        if self.at(position) == b"]":
            yield position, position
            return
        while True:
            position = self.after_space(position)
            end = self.end_of_value(position)
            yield position, end
            position = self.after_space(end)
            if self.at(position) == b"]":
                yield position, position
                return
            position = self.expect(b",", position)


def split(content: bytes) -> tuple[bytes, ...]:
    """The items of an EventList, each as it was written, behind the type that items do not name themselves.

    So an event of an API server is the same text as the line in its log. An item that is no event is returned all the
    same: nothing in the list is lost.

    Raises:
        NoEventList: see there.
        TooManyItems: see there.
    """
    text = _Text(content)
    position = text.expect(b"{", 0)
    members: dict[str, tuple[int, int]] = {}
    items: tuple[bytes, ...] = ()
    while text.at(text.after_space(position)) != b"}":
        name, begin = _name(text, position)
        if name in members:
            raise NoEventList(f"{name!r} stands there twice")
        if len(members) == _MOST_MEMBERS:
            raise NoEventList(f"it has more than {_MOST_MEMBERS} members")
        if name == "items" and text.at(begin) == b"[":
            items, end = _items(text, begin + 1)
        else:
            end = text.end_of_value(begin)
        members[name] = begin, end
        position = text.after_space(end)
        if text.at(position) != b"}":
            position = text.expect(b",", position)
    if text.after_space(text.after_space(position) + 1) != len(content):
        raise NoEventList("something stands behind it")
    _check(members, content)
    return items


def _items(text: _Text, position: int) -> tuple[tuple[bytes, ...], int]:
    """The items of the array whose bracket was at the byte before, and the position behind the array."""
    found: list[bytes] = []
    end = position
    for begin, end in text.values(position):
        if begin == end:
            break
        if len(found) == MOST_ITEMS:
            raise TooManyItems(f"it has more than {MOST_ITEMS} items")
        found.append(_typed(text.content[begin:end]))
    return tuple(found), end + 1


def _name(text: _Text, position: int) -> tuple[str, int]:
    """The name of a member, and where its value begins."""
    position = text.after_space(position)
    found = _WHOLE_STRING.match(text.content, position)
    if found is None or len(found[0]) > _LONGEST_NAME:
        raise NoEventList(f"no name at byte {position}")
    return found[0][1:-1].decode(errors="replace"), text.after_space(text.expect(b":", found.end()))


def _check(members: dict[str, tuple[int, int]], content: bytes) -> None:
    for name, wanted in (("kind", KIND), ("apiVersion", API_VERSION)):
        begin, end = members.get(name, (0, 0))
        if content[begin:end] != json.dumps(wanted).encode():
            raise NoEventList(f"its {name} is not {wanted}")
    begin, end = members.get("items", (0, 0))
    if content[begin : begin + 1] != b"[" and content[begin:end] != b"null":
        raise NoEventList("its items are no array")


def _typed(item: bytes) -> bytes:
    found = _NAMED.match(item)
    return item if found is None else b"{" + EVENT_TYPE + item[1:]
