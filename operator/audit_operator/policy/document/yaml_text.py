"""YAML text to a tree, as go-yaml v2 decodes it for sigs.k8s.io/yaml.

PyYAML's libyaml binding turns the text into events; go-yaml's scanner and parser are a port of the same library. What
the events mean is decided here, after `decode.go` of go.yaml.in/yaml/v2, since PyYAML's own composer and constructor
differ: anchors may be set twice, tags on collections count for nothing, a merge key overrides what stands before it,
the last duplicate key wins, and documents whose aliases expand to too much are refused.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from audit_operator.policy.document import yaml_scalars
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
from audit_operator.policy.document.yaml_dialect import Dialect, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    OnDuplicate = Callable[[int, Path], None]

_CHUNK = 512  # go-yaml's input_raw_buffer_size: how far behind the first document a bad byte still counts


def parse_yaml(data: bytes, on_duplicate: OnDuplicate) -> tuple[Tree, int]:
    """The first document, and the line where text begins that is not read, 0 if there is none.

    Args:
        data: the text; UTF-8, or UTF-16 with a byte order mark.
        on_duplicate: told line and path of every key that replaces another in its mapping.

    Raises:
        UnreadableError: the API server would refuse the text, or it is nested too deeply for us.
    """
    dialect = Dialect(data)
    dialect.refuse_misplaced_mark()
    events = _events(data)
    try:
        next(events)
        start = next(events)
        if not isinstance(start, yaml.DocumentStartEvent):
            return Scalar(None, "", 1), 0
        if start.version not in (None, (1, 1)):
            raise UnreadableError("found incompatible YAML document", line_of(start))
        builder = _Builder(on_duplicate)
        tree = builder.build(dialect.translate(events))
        next(events)
    except yaml.YAMLError as error:
        raise _to_fault(error) from None
    if builder.doubtful:
        _refuse_unrepresentable(tree)
    return tree, _line_of_rest(events)


def _events(data: bytes) -> Iterator[yaml.Event]:
    class Chunks(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size, _CHUNK) if size and size > 0 else _CHUNK)

    events: Iterator[yaml.Event] = yaml.parse(Chunks(data), Loader=yaml.CBaseLoader)
    return events


def _line_of_rest(events: Iterator[yaml.Event]) -> int:
    try:
        event = next(events)
    except yaml.YAMLError as error:
        return _to_fault(error).line
    return 0 if isinstance(event, yaml.StreamEndEvent) else line_of(event)


def _to_fault(error: yaml.YAMLError) -> UnreadableError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return UnreadableError(error.problem or error.context or "not YAML", mark.line + 1 if mark else 0)
    return UnreadableError(str(getattr(error, "reason", error)), 0)


class _Refused(Scalar):
    """A value or a member that JSON cannot say, `written` says why: an error only if nothing replaces it."""


@dataclass(slots=True)
class _Node:
    """A node that an alias may point at.

    Attributes:
        tree: what it says; of no use before it is closed.
        size: steps that go-yaml takes to decode it, aliases expanded.
        height: levels of nesting in it.
        closed: whether it is complete; an alias before that is part of what it points at.
    """

    tree: Tree
    size: int = 1
    height: int = 0
    closed: bool = False


@dataclass(slots=True)
class _Collection(_Node):
    """A sequence or mapping that is being read. Not a tree yet, so that duplicate keys can be settled first."""

    height: int = 1
    line: int = 0
    items: list[Tree] = field(default_factory=list)
    members: dict[object, Member] | None = None
    key: Scalar | None = None
    merging: bool = False

    @property
    def expects_key(self) -> bool:
        return self.members is not None and self.key is None and not self.merging

    @property
    def step(self) -> str | int:
        """The path step of what comes next."""
        if self.members is None:
            return len(self.items)
        return _key_text(self.key) if self.key else ""

    def close(self) -> Tree:
        self.closed = True
        if self.members is None:
            self.tree = Array(self.items, self.line)
        else:
            self.tree = Object(list(self.members.values()), self.line)
        return self.tree


_NOTHING = Scalar(None, "", 0)


class _Builder:
    """Turns the events of one document into a tree; `doubtful` if something in it may be no JSON."""

    def __init__(self, on_duplicate: OnDuplicate) -> None:
        self.doubtful = False
        self._on_duplicate = on_duplicate
        self._open: list[_Collection] = []
        self._anchors: dict[str, _Node] = {}
        self._steps = 1  # go-yaml counts the document itself
        self._alias_steps = 0

    def build(self, events: Iterator[yaml.Event]) -> Tree:
        """Read events up to the end of the document's root node."""
        for event in events:
            tree = self._read(event)
            if tree is not None and not self._open:
                return tree
        raise AssertionError("libyaml ended a document without a root node")

    def _read(self, event: yaml.Event) -> Tree | None:
        """Take one event in; the tree that it completes, if any."""
        line = line_of(event)
        match event:
            case yaml.ScalarEvent():
                return self._scalar(event, line)
            case yaml.AliasEvent():
                return self._alias(event.anchor or "", line)
            case yaml.SequenceStartEvent():
                self._start(_Collection(_NOTHING, line=line), event.anchor)
            case yaml.MappingStartEvent():
                self._start(_Collection(_NOTHING, line=line, members={}), event.anchor)
            case _:
                node = self._open.pop()
                tree = node.close()
                self._place(tree, node.size, node.height, line)
                self._count(1, 0, line)
                return tree
        return None

    def _start(self, node: _Collection, anchor: str | None) -> None:
        self._open.append(node)
        if len(self._open) > MAX_DEPTH:
            raise UnreadableError(_TOO_DEEP, node.line)
        if anchor is not None:
            self._anchors[anchor] = node

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Tree:
        plain = event.implicit[0]
        tree: Tree
        if (
            event.value == "<<"
            and (plain or event.tag == yaml_scalars.MERGE)
            and self._open
            and self._open[-1].expects_key
        ):
            self._open[-1].merging = True
            tree = Scalar(event.value, event.value, line)
        else:
            try:
                value = yaml_scalars.resolve(event.value, event.tag, plain=plain)
            except yaml_scalars.TagMismatchError as error:
                raise UnreadableError(str(error), line) from None
            if isinstance(value, float) and not math.isfinite(value):
                self.doubtful = True
            tree = Scalar(value, event.value, line)
            self._place(tree, 1, 0, line)
            self._count(1, 0, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Node(tree, closed=True)
        return tree

    def _alias(self, anchor: str, line: int) -> Tree:
        node = self._anchors.get(anchor)
        if node is None:
            raise UnreadableError(f"unknown anchor '{shorten(anchor)}' referenced", line)
        if not node.closed:
            raise UnreadableError(f"anchor '{shorten(anchor)}' value contains itself", line)
        if len(self._open) + node.height > MAX_DEPTH:
            raise UnreadableError(_TOO_DEEP, line)
        self._place(node.tree, node.size + 1, node.height, line, aliased=True)
        self._count(node.size + 1, node.size, line)
        return node.tree

    def _count(self, steps: int, alias_steps: int, line: int) -> None:
        """go-yaml's guard against YAML bombs: the share of steps that only aliases cause must not be too large."""
        self._steps += steps
        self._alias_steps += alias_steps
        if (
            self._alias_steps > 100  # noqa: PLR2004 - go-yaml's numbers
            and self._steps > 1000  # noqa: PLR2004 - go-yaml's numbers
            and self._alias_steps > _allowed_alias_ratio(self._steps) * self._steps
        ):
            raise UnreadableError("document contains excessive aliasing", line)

    def _place(self, tree: Tree, size: int, height: int, line: int, *, aliased: bool = False) -> None:
        """Put a complete node into the collection that is open."""
        if not self._open:
            return
        parent = self._open[-1]
        parent.size += size
        parent.height = max(parent.height, height + 1)
        if parent.members is None:
            parent.items.append(tree)
        elif parent.merging:
            parent.merging = False
            for source in _merged_objects(tree, line, aliased=aliased):
                for member in source.members:
                    self._set(parent.members, member, member.key)
        elif parent.key is None:
            if not isinstance(tree, Scalar):
                raise UnreadableError("a mapping or sequence cannot be a key", line)
            parent.key = tree
        else:
            self._set(parent.members, _to_member(parent.key, tree), _identity(parent.key))
            parent.key = None

    def _set(self, members: dict[object, Member], member: Member, identity: object) -> None:
        if isinstance(member.value, _Refused):
            self.doubtful = True
        if identity in members:
            self._on_duplicate(member.line, (*(node.step for node in self._open[:-1]), member.key))
        members[identity] = member


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep, which audit-operator does not read"


def _allowed_alias_ratio(steps: int) -> float:
    """go-yaml's `allowedAliasRatio`: 99 % up to 400,000 steps, falling to 10 % at 4,000,000."""
    low, high = 400_000, 4_000_000
    return 0.99 - 0.89 * (min(max(steps, low), high) - low) / (high - low)


def _merged_objects(tree: Tree, line: int, *, aliased: bool) -> Iterator[Object]:
    """What a merge key brings in, in the order in which later ones win."""
    match tree:
        case Object():
            yield tree
        case Array() if not aliased and all(isinstance(item, Object) for item in tree.items):
            yield from (item for item in reversed(tree.items) if isinstance(item, Object))
        case _:
            raise UnreadableError("map merge requires map or sequence of maps as the value", line)


def _identity(key: Scalar) -> object:
    # To go-yaml 1, 1.0 and "1" are three keys. When JSON makes one of them, any may stay; here it is the last.
    return key.value if isinstance(key.value, str) else (type(key.value), key.value)


def _to_member(key: Scalar, value: Tree) -> Member:
    if key.value is None or (isinstance(key.value, int) and key.value > _MAX_KEY):
        return Member(key.written, key.line, _Refused(None, f"`{shorten(key.written)}` cannot be a key", key.line))
    return Member(_key_text(key), key.line, value)


_MAX_KEY = (1 << 63) - 1  # go-yaml makes larger ones uint64, which sigs.k8s.io/yaml does not know as keys


def _key_text(key: Scalar) -> str:
    value = key.value
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return yaml_scalars.format_float_key(value)
    return str(value) if value is not None else key.written


def _refuse_unrepresentable(root: Tree) -> None:
    """Raise for what cannot become JSON, once it is known which members stay."""
    waiting, seen = [root], {id(root)}
    while waiting:
        tree = waiting.pop()
        match tree:
            case _Refused():
                raise UnreadableError(tree.written, tree.line)
            case Scalar(float(number)) if not math.isfinite(number):
                raise UnreadableError(f"`{shorten(tree.written)}` cannot be written as JSON", tree.line)
            case Scalar():
                children: list[Tree] = []
            case Array():
                children = [*tree.items]
            case Object():
                children = [member.value for member in tree.members]
        waiting.extend(child for child in children if id(child) not in seen)
        seen.update(id(child) for child in children)
