"""JSON text to a tree, as the API server's JSON decoder reads it.

Text whose first character is ``{`` never reaches the YAML parser. Go's decoder differs from Python's: no NaN, nothing
but white space after the value, control characters refused, bytes that are not UTF-8 and lone surrogates replaced. And
it decodes duplicate keys one after the other, so all of them are kept.
Source: `IsJSONBuffer` in apimachinery's `util/yaml/decoder.go`; sigs.k8s.io/json.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from audit_operator.policy.document.tree import (
    MAX_DEPTH,
    Array,
    Member,
    Object,
    Path,
    Scalar,
    Tree,
    UnreadableError,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    OnDuplicate = Callable[[int, Path], None]

_TOKEN = re.compile(
    r'[{}\[\],:]|"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null"
)
_SPACE = re.compile(r"[ \t\n\r]*")
# Go's unicode.IsSpace, which decides what comes before the brace; only four of them are white space to JSON afterwards.
_GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_LITERALS = {"true": True, "false": False, "null": None}
_LONGEST_INT64 = 20  # characters, with the sign


def is_json(data: bytes) -> bool:
    """Whether the API server takes the text for JSON."""
    return data.decode("utf-8", "surrogateescape").lstrip(_GO_SPACE).startswith("{")


def parse_json(data: bytes, on_duplicate: OnDuplicate) -> Tree:
    """The one value in the text; `on_duplicate` is told line and path of every repeated key.

    Raises:
        UnreadableError: the API server would refuse the text, or it is nested too deeply for us.
    """
    return _Parser(data.decode("utf-8", "surrogateescape"), on_duplicate).parse()


class _Parser:
    """Recursive descent; the nesting bound keeps it shallow."""

    def __init__(self, text: str, on_duplicate: OnDuplicate) -> None:
        self._text = text
        self._on_duplicate = on_duplicate
        self._position = 0
        self._line = 1
        self._path: list[str | int] = []

    def parse(self) -> Tree:
        tree = self._value(self._next())
        if self._next(at_end=True):
            raise UnreadableError("text after the JSON value", self._line)
        return tree

    def _next(self, *, at_end: bool = False) -> str:
        """The next token; empty at the end of the text, where that may be."""
        start = self._position
        self._position = _SPACE.match(self._text, start).end()  # type: ignore[union-attr] # matches the empty string
        self._line += self._text.count("\n", start, self._position)
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            if at_end and self._position == len(self._text):
                return ""
            raise UnreadableError("invalid character in JSON, or JSON ends too early", self._line)
        self._position = match.end()
        return match[0]

    def _value(self, token: str) -> Tree:
        if token in ("{", "[") and len(self._path) >= MAX_DEPTH:
            raise UnreadableError(
                f"nested more than {MAX_DEPTH} levels deep, which audit-operator does not read", self._line
            )
        match token[0]:
            case "{":
                return self._object()
            case "[":
                return self._array()
            case '"':
                text = _unquote(token)
                return Scalar(text, text, self._line)
            case "t" | "f" | "n":
                return Scalar(_LITERALS[token], token, self._line)
            case "}" | "]" | "," | ":":
                raise UnreadableError(f"`{token}` where JSON expects a value", self._line)
            case _:
                return Scalar(_number(token), token, self._line)

    def _object(self) -> Object:
        start, members, seen = self._line, list[Member](), set[str]()
        token = self._next()
        while token != "}":  # noqa: S105 - a token of JSON
            if members:
                self._expect(token, ",")
                token = self._next()
            if token[0] != '"':
                raise UnreadableError(f"`{shorten(token)}` where JSON expects a key", self._line)
            key, line = _unquote(token), self._line
            self._expect(self._next(), ":")
            self._path.append(key)
            if key in seen:
                self._on_duplicate(line, tuple(self._path))
            seen.add(key)
            members.append(Member(key, line, self._value(self._next())))
            self._path.pop()
            token = self._next()
        return Object(members, start)

    def _array(self) -> Array:
        start, items = self._line, list[Tree]()
        token = self._next()
        while token != "]":  # noqa: S105 - a token of JSON
            if items:
                self._expect(token, ",")
                token = self._next()
            self._path.append(len(items))
            items.append(self._value(token))
            self._path.pop()
            token = self._next()
        return Array(items, start)

    def _expect(self, token: str, wanted: str) -> None:
        if token != wanted:
            raise UnreadableError(f"`{shorten(token)}` where JSON expects `{wanted}`", self._line)


def _unquote(token: str) -> str:
    text = json.loads(token) if "\\" in token else token[1:-1]
    return text if text.isprintable() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def _number(token: str) -> int | float:
    if len(token) <= _LONGEST_INT64 and not set(token) & set(".eE"):
        return int(token)
    # A number that no field needs is only skipped, however large: it must not become an infinity, which JSON lacks.
    return max(-sys.float_info.max, min(sys.float_info.max, float(token)))
