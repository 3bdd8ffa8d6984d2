"""Texts that libyaml reads and go-yaml refuses, or reads differently.

go-yaml v2 is a port of libyaml 0.1.6; libyaml has moved on. A policy that only we can read would be refused by the API
server, so these spots are looked up in the source text and refused. Each is a difference between `scannerc.go` of
go.yaml.in/yaml/v2 and `scanner.c` of libyaml 0.2.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark
    from yaml.error import Mark

_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_TAG_WITH_FLOW_INDICATOR = re.compile(r"(?:&\S*\s+)?!(?:<[^>\s]*>|[^\s,\[\]{}]*)[,\[\]]")
_MARK_AT_LINE_START = re.compile("[\\n\\r\\x85\\u2028\\u2029]\\ufeff|^\\ufeff")


class Dialect:
    """Knows the source text, since events do not tell how they were written."""

    def __init__(self, data: bytes) -> None:
        # Only rare texts have any of this; the others are spared the look-ups.
        self._escapes = b"/" in data and b"\\" in data
        self._tags = b"!" in data
        self._marks = codecs.BOM_UTF8 in data[1:] or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._text = _decode(data) if self._escapes or self._tags or self._marks else ""

    def misplaced_mark(self) -> int:
        """The line that starts with a byte order mark, the first of the text aside; 0 if there is none.

        libyaml skips the mark. go-yaml looks for it in the wrong place and skips other characters instead.
        """
        match = _MARK_AT_LINE_START.search(self._text) if self._marks else None
        return self._text.count("\n", 0, match.end()) + 1 if match else 0

    def objection(self, event: yaml.Event, *, in_flow: bool) -> str:
        """Why go-yaml would not read this node the way libyaml did; empty if it would."""
        if isinstance(event, yaml.ScalarEvent):
            if in_flow and not event.style and "?" in event.value:
                return "a plain scalar between brackets ends at `?`; quote it"
            if self._escapes and event.style == '"' and _ESCAPED_SLASH.search(self._source(event)):
                return "found unknown escape character `\\/`"
        if self._tags and in_flow and _TAG_WITH_FLOW_INDICATOR.match(self._text, _index(event.start_mark)):
            return "a tag between brackets must be followed by a space"
        return ""

    def _source(self, event: yaml.Event) -> str:
        return self._text[_index(event.start_mark) : _index(event.end_mark)]


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
