"""What a text says, as JSON would say it, with the line of every part.

YAML and JSON texts become the same tree, so that everything after the parsers is written once. Subtrees that come from
a YAML alias are shared, not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 100
"""Deepest nesting that is read. The API server reads 10,000 levels, of which a policy can use about six; the rest can
only be a mistake or an attack on whoever walks the result recursively."""

Path: TypeAlias = "tuple[str | int, ...]"
JsonScalar: TypeAlias = "str | int | float | bool | None"
JsonValue: TypeAlias = "JsonScalar | list[JsonValue] | dict[str, JsonValue]"
Tree: TypeAlias = "Scalar | Array | Object"


@dataclass(slots=True)
class Scalar:
    """A leaf: its JSON value, and how it was written (``on`` is true)."""

    value: JsonScalar
    written: str
    line: int


@dataclass(slots=True)
class Array:
    """A sequence; `line` is that of its first character."""

    items: Sequence[Tree]
    line: int


class Member(NamedTuple):
    """A key of an object with its value; `line` is that of the key."""

    key: str
    line: int
    value: Tree


@dataclass(slots=True)
class Object:
    """A mapping, in the order of the text.

    A key stands in it twice only if the text is JSON, where the API server decodes both, one after the other.
    """

    members: Sequence[Member]
    line: int

    def find(self, key: str) -> Member | None:
        """The member that wins: the last one of that key."""
        return next((member for member in reversed(self.members) if member.key == key), None)


class UnreadableError(Exception):
    """The text cannot be read; becomes a `Problem` and never leaves this package. `line` is 0 where unknown."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def to_value(tree: Tree) -> JsonValue:
    """The plain JSON value of a tree; the last of duplicate keys wins."""
    match tree:
        case Scalar():
            return tree.value
        case Array():
            return [to_value(item) for item in tree.items]
        case Object():
            return {member.key: to_value(member.value) for member in tree.members}


def format_path(path: Path) -> str:
    """Write a path as the API server does: ``rules[0].verbs[1]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{shorten(step)}" if text else shorten(step)
    return text


def shorten(text: str) -> str:
    """A text from a user's file, cut to what fits into a message."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_LONGEST_SHOWN = 200
