"""Texts that libyaml reads and go-yaml refuses, or reads differently.

go-yaml v2 is a port of libyaml 0.1.6; libyaml has moved on. A policy that only we can read would be refused by the API
server, so these spots are looked up in the source text. Each is a difference between `scannerc.go` of
go.yaml.in/yaml/v2 and `scanner.c` of libyaml 0.2.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

import yaml

from audit_operator.policy.document.tree import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml._yaml import Mark as CMark
    from yaml.error import Mark

_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_TAG_WITH_INDICATOR = re.compile(r"(?:&\S*\s+)?!(?:(?P<verbatim><[^>\s]*>)|[^\s,\[\]{}]*)(?P<rest>[,\[\]]\S*)")
_MARK_AT_LINE_START = re.compile("[\\n\\r\\x85\\u2028\\u2029]\\ufeff|^\\ufeff")


class Dialect:
    """Turns what libyaml reads in a text into what go-yaml reads in it.

    Events do not tell how they were written, so the text itself is looked up.
    """

    def __init__(self, data: bytes) -> None:
        # Only rare texts have any of this; the others are spared the look-ups.
        self._escapes = b"/" in data and b"\\" in data
        self._tags = b"!" in data
        self._marks = codecs.BOM_UTF8 in data[1:] or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._text = _decode(data) if self._escapes or self._tags or self._marks else ""

    def refuse_misplaced_mark(self) -> None:
        """Refuse a line that starts with a byte order mark, the first of the text aside.

        libyaml skips the mark. go-yaml looks for it in the wrong place and skips other characters instead.
        """
        if self._marks and (match := _MARK_AT_LINE_START.search(self._text)):
            line = self._text.count("\n", 0, match.end()) + 1
            raise UnreadableError("a byte order mark at the start of a line", line)

    def translate(self, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
        """The events of one document as go-yaml sees them.

        Raises:
            UnreadableError: go-yaml refuses the text, or nobody wants to know what it makes of it.
        """
        around: list[yaml.CollectionStartEvent] = []
        waiting: list[yaml.Event] = []
        while True:
            event = waiting.pop() if waiting else next(events)
            inner = around[-1] if around else None
            if inner is not None and inner.flow_style:
                self._check_plain(event)
                if self._tag_takes_comma(event, inner):
                    waiting.extend(reversed(self._move_tag(event, next(events))))
                    continue
            self._check_escapes(event)
            if isinstance(event, yaml.CollectionStartEvent):
                around.append(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                around.pop()
            yield event

    def _check_plain(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent) and not event.style and "?" in event.value:
            raise UnreadableError("a plain scalar between brackets ends at `?`; quote it", line_of(event))

    def _check_escapes(self, event: yaml.Event) -> None:
        if (
            self._escapes
            and isinstance(event, yaml.ScalarEvent)
            and event.style == '"'
            and _ESCAPED_SLASH.search(self._text, _index(event.start_mark), _index(event.end_mark))
        ):
            raise UnreadableError("found unknown escape character `\\/`", line_of(event))

    def _tag_takes_comma(self, event: yaml.Event, inner: yaml.CollectionStartEvent) -> bool:
        match = _TAG_WITH_INDICATOR.match(self._text, _index(event.start_mark)) if self._tags else None
        if match is None:
            return False
        if match["verbatim"] or match["rest"] != "," or not isinstance(inner, yaml.SequenceStartEvent):
            raise _tag_error(event)
        return True

    def _move_tag(self, event: yaml.Event, after: yaml.Event) -> list[yaml.Event]:
        """In ``[!x, y]`` go-yaml takes the comma for a part of the tag, and so sees one element, y with that tag."""
        first = self._text[_index(after.start_mark)]
        if isinstance(event, yaml.ScalarEvent) and not event.anchor:
            if first in "[{":
                return [after]  # tags on collections count for nothing
            if isinstance(after, yaml.SequenceEndEvent):
                return [_retag(event, event, after), after]
            if isinstance(after, yaml.ScalarEvent) and first not in "!&":
                return [_retag(after, event, after)]
        raise _tag_error(event)


def _retag(scalar: yaml.ScalarEvent, tagged: yaml.ScalarEvent, place: yaml.Event) -> yaml.ScalarEvent:
    """A scalar at another place with the tag of `tagged` and the comma, which makes it a string."""
    tag = f"{tagged.tag or '!'},"
    return yaml.ScalarEvent(None, tag, (False, False), scalar.value, place.start_mark, place.end_mark, scalar.style)


def _tag_error(event: yaml.Event) -> UnreadableError:
    return UnreadableError("a tag between brackets must be followed by a space", line_of(event))


def line_of(event: yaml.Event) -> int:
    """The line on which an event starts, from 1; 0 if unknown."""
    return event.start_mark.line + 1 if event.start_mark else 0


def _index(mark: Mark | CMark | None) -> int:
    return mark.index if mark else 0


def _decode(data: bytes) -> str:
    """The text as libyaml counts its characters: without a byte order mark."""
    for bom, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(bom):
            return data.removeprefix(bom).decode(encoding, "replace")
    return data.decode("utf-8", "replace")
