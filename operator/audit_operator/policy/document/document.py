"""One policy text as a value with line numbers, and what is wrong with it as a text.

`Document` is what the loader and the linter share. It keeps apart what the text says (`value`, always what the API
server would see) and what a user should know about it (`problems`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from audit_operator.policy.document.json_text import is_json, parse_json
from audit_operator.policy.document.tree import (
    Array,
    JsonValue,
    Object,
    Path,
    Scalar,
    Tree,
    UnreadableError,
    shorten,
    to_value,
)
from audit_operator.policy.document.yaml_text import parse_yaml

MAX_BYTES = 4 << 20
"""Largest text that is read, in bytes. The API server has no limit; etcd takes about 1.5 MiB in one object."""

MAX_PROBLEMS = 1000
"""Most problems that are kept of one text; nobody reads more, and a hostile text could have a million."""


class ProblemKind(StrEnum):
    """What can be wrong with a text, before anyone asks what it means."""

    UNREADABLE = "unreadable"
    """The API server would refuse it: `Document.value` is None. Also for texts too large or too deep for us."""

    DUPLICATE_KEY = "duplicate-key"
    """A key stands twice in one mapping, or overrides one that a merge key brought: the later one wins."""

    FURTHER_DOCUMENT = "further-document"
    """Text after the first YAML document, which nobody reads."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a text. `line` counts from 1, 0 means unknown; `path` leads to the member concerned."""

    kind: ProblemKind
    message: str
    line: int = 0
    path: Path = ()


@dataclass(frozen=True)
class Document:
    """The first document of a text.

    Attributes:
        tree: the document with line numbers; None if it cannot be read.
        problems: what is wrong with the text, in the order of the text.
        is_json: whether the API server reads it with its JSON decoder, since it starts with ``{``.
    """

    tree: Tree | None
    problems: tuple[Problem, ...] = ()
    is_json: bool = False

    @cached_property
    def value(self) -> JsonValue:
        """The document as plain JSON-like data; None if it cannot be read or is empty."""
        return None if self.tree is None else to_value(self.tree)

    @property
    def readable(self) -> bool:
        """Whether the API server can read the text at all."""
        return self.tree is not None

    def line(self, path: Path) -> int:
        """The line of the member or item at `path`, or of the nearest part above it that exists; 0 if unknown.

        A member's line is that of its key, an item's that of its first character. What came through an alias is where
        the anchor stands.
        """
        tree, line = self.tree, self.tree.line if self.tree else 0
        for step in path:
            match tree:
                case Object() if isinstance(step, str) and (member := tree.find(step)):
                    tree, line = member.value, member.line
                case Array() if isinstance(step, int) and 0 <= step < len(tree.items):
                    tree = tree.items[step]
                    line = tree.line
                case _:
                    break
        return line

    def written(self, path: Path) -> str | None:
        """How the scalar at `path` is written in the text, without quotes; None if there is no scalar."""
        tree = self.tree
        for step in path:
            match tree:
                case Object() if isinstance(step, str) and (member := tree.find(step)):
                    tree = member.value
                case Array() if isinstance(step, int) and 0 <= step < len(tree.items):
                    tree = tree.items[step]
                case _:
                    return None
        return tree.written if isinstance(tree, Scalar) else None


def parse_document(text: str | bytes) -> Document:
    """Read the first document of a text as the API server would; never raises for any input."""
    data = _encode(text) if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        message = f"the text has {len(data)} bytes; audit-operator reads {MAX_BYTES} at most"
        return Document(None, (Problem(ProblemKind.UNREADABLE, message),))
    problems: list[Problem] = []

    def duplicate(line: int, path: Path) -> None:
        if len(problems) < MAX_PROBLEMS:
            message = f'key "{shorten(str(path[-1]))}" is set twice; the later one counts'
            problems.append(Problem(ProblemKind.DUPLICATE_KEY, message, line, path))

    further = 0
    json = is_json(data)
    try:
        if json:
            tree = parse_json(data, duplicate)
        else:
            tree, further = parse_yaml(data, duplicate)
    except UnreadableError as error:
        problems.append(Problem(ProblemKind.UNREADABLE, error.message, error.line))
        return Document(None, tuple(problems), json)
    if further:
        message = "only the first YAML document is read; everything from here on is ignored"
        problems.append(Problem(ProblemKind.FURTHER_DOCUMENT, message, further))
    return Document(tree, tuple(problems), json)


def _encode(text: str) -> bytes:
    """The bytes of a text; what is not UTF-8 stays so, which both parsers know how to treat."""
    try:
        return text.encode("utf-8", "surrogateescape")  # undoes what reading a file with it did
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
