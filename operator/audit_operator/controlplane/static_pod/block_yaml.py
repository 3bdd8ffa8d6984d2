"""Editing sequences of a YAML text line by line, so that everything else keeps every byte, comments included.

Positions come from PyYAML's composer; the text is never written anew. What could not be edited without touching more
than was asked is refused: flow style, anchors, aliases, tags and merge keys.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# YAML 1.1 ends lines at these too; editors and people do not.
_OTHER_LINE_ENDS = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
# Written without quotes, these can be nothing but strings.
_PLAIN = re.compile(r"(?:--[a-z]|/)[A-Za-z0-9_./=@%+,-]*")

_KEEPS = re.compile(r"[|>][1-9]?\+")  # the head of a block scalar to which the empty lines after it belong


class UneditableError(Exception):
    """The text cannot be edited this way. `line` counts from 1; 0 where unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class Item(NamedTuple):
    """An item of a sequence, on whole lines: `first` is that of its dash, `end` the one after its last."""

    first: int
    end: int
    node: yaml.Node


class BlockSequence(NamedTuple):
    """A sequence in block style: the line of its key, the columns of key and dashes, and the items."""

    key_line: int
    key_column: int
    column: int
    items: tuple[Item, ...]


class Edit(NamedTuple):
    """Lines from `first` to before `end` become `lines`, given without line ends; `first == end` inserts."""

    first: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockText:
    """A text of one YAML document whose root is a mapping in block style. Lines count from 0 here.

    Attributes:
        text: as it is, without a byte order mark.
        lines: all of it, with line ends; the last line has one here even if it has none in the text.
        root: what PyYAML composes of it.
    """

    text: str
    lines: tuple[str, ...]
    root: yaml.MappingNode
    _starts: tuple[int, ...]
    _mark: str

    @classmethod
    def of(cls, text: str) -> BlockText:
        """Find the positions.

        Raises:
            UneditableError: it is no YAML, more than one document, or written in a way that cannot be edited.
        """
        mark, text = (text[0], text[1:]) if text.startswith("\ufeff") else ("", text)
        if other := _OTHER_LINE_ENDS.search(text):
            raise UneditableError("a line ends in an unusual way", text.count("\n", 0, other.start()) + 1)
        root = _compose(text)
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        starts = tuple(accumulate(map(len, lines), initial=0))
        if not text.endswith("\n"):
            lines[-1] += _line_end(lines[0])
        return cls(text, tuple(lines), root, starts, mark)

    # Finding

    def sequence(self, mapping: yaml.MappingNode, key: str) -> BlockSequence | None:
        """The sequence at a key of a mapping; None if there is no such key.

        Raises:
            UneditableError: something else is there, or it is in flow style.
        """
        pair = _pair(mapping, key)
        if pair is None:
            return None
        name, node = pair
        line = name.start_mark.line
        if not isinstance(node, yaml.SequenceNode) or node.flow_style:
            raise UneditableError(f"{key} is not a sequence in block style, one item a line", line + 1)
        column = node.start_mark.column
        items = tuple(self._item(item, column) for item in node.value)
        return BlockSequence(line, name.start_mark.column, column, items)

    def end_of(self, mapping: yaml.MappingNode, key: str) -> int:
        """The line after the last one of a key's value.

        Raises:
            KeyError: there is no such key.
        """
        pair = _pair(mapping, key)
        if pair is None:
            raise KeyError(key)
        name, node = pair
        return max(name.start_mark.line, self._last_line(node)) + 1

    def _item(self, node: yaml.Node, column: int) -> Item:
        first = node.start_mark.line
        while self.lines[first][column] != "-" or self.lines[first][:column].strip():
            first -= 1
        return Item(first, max(first, self._last_line(node)) + 1, node)

    def _last_line(self, node: yaml.Node) -> int:
        # A collection in block style ends, for PyYAML, where the next thing begins.
        match node:
            case yaml.MappingNode(flow_style=False):
                return max(self._last_line(each) for pair in node.value for each in pair)
            case yaml.SequenceNode(flow_style=False):
                return max(self._last_line(each) for each in node.value)
            case _:
                return self._line_at(max(node.start_mark.index, self._end(node) - 1))

    def _end(self, node: yaml.Node) -> int:
        """Index after the last character; empty lines after a block scalar belong to it only if it keeps them."""
        start, end = node.start_mark.index, node.end_mark.index
        text = self.text[start:end]
        return start + len(text.rstrip()) if _is_block_scalar(node) and not _KEEPS.match(text) else end

    def _line_at(self, index: int) -> int:
        return min(bisect_right(self._starts, index), len(self.lines)) - 1

    # Writing

    def with_scalar(self, item: Item, value: str) -> Edit:
        """Give an item that is a scalar another value, in its style; comments behind it stay."""
        node = item.node
        line = node.start_mark.line
        before = self.text[self._starts[line] : node.start_mark.index]
        after = "" if _is_block_scalar(node) else self.lines[node.end_mark.line][node.end_mark.column :].rstrip("\r\n")
        return Edit(line, item.end, (before + scalar(value, _quote(node)) + after,))

    def written(self, item: Item) -> tuple[str, ...]:
        """Lines of an item, without line ends."""
        return tuple(line.rstrip("\r\n") for line in self.lines[item.first : item.end])

    def like(self, item: Item, values: Iterable[str]) -> tuple[str, ...]:
        """Lines that give each value as an item of its own, indented and quoted as this one is."""
        before, dash, after = self.lines[item.first].partition("-")
        gap = after[: len(after) - len(after.lstrip(" "))] or " "
        if item.node.start_mark.line != item.first:
            gap = " "
        return tuple(f"{before}{dash}{gap}{scalar(value, _quote(item.node))}" for value in values)

    def without(self, sequence: BlockSequence, removed: Sequence[Item], *, emptied: bool) -> list[Edit]:
        """Remove items; if that leaves nothing, the key as well, unless it stands behind a dash."""
        edits = [Edit(item.first, item.end, ()) for item in removed]
        if emptied and not self.lines[sequence.key_line][: sequence.key_column].strip():
            edits.append(Edit(sequence.key_line, sequence.key_line + 1, ()))
        return edits

    def edited(self, edits: Iterable[Edit]) -> str:
        """The text after edits that do not overlap. Whether the text ends with a line end stays as it is."""
        result: list[str] = []
        position = 0
        for edit in sorted(edits, key=lambda each: (each.first, each.end)):
            result += self.lines[position : edit.first]
            end = _line_end(self.lines[min(edit.first, len(self.lines) - 1)])
            result += (line + end for line in edit.lines)
            position = edit.end
        result += self.lines[position:]
        text = self._mark + "".join(result)
        return text if self.text.endswith("\n") else text.removesuffix("\n").removesuffix("\r")


def scalar(value: str, quote: str = "") -> str:
    """A string in YAML, in these quotes; unquoted only where it cannot be taken for anything else."""
    if quote == '"' and value.isprintable():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not quote and _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("'", "''") + "'"


def _compose(text: str) -> yaml.MappingNode:
    try:
        for event in yaml.parse(text, Loader=yaml.CBaseLoader):
            _refuse_far_reaching(event)
        root, *further = yaml.compose_all(text, Loader=yaml.CBaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise UneditableError(f"not YAML: {error.problem}", mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, ValueError) as error:
        raise UneditableError(f"not YAML: {error}") from None
    for node in further:
        if node.value:
            raise UneditableError("there is a second YAML document", node.start_mark.line + 1)
    if not text.endswith("\n") and _ends_in_block_scalar(root):
        raise UneditableError("the last line has no end, and belongs to a text that would get one")
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise UneditableError("not a mapping in block style; JSON and flow style cannot be edited", 1)
    return root


def _refuse_far_reaching(event: yaml.Event) -> None:
    """Refuse whatever lets one part of a text speak about another."""
    if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
        what = "anchors and aliases"
    elif getattr(event, "tag", None) is not None:
        what = "tags"
    elif isinstance(event, yaml.ScalarEvent) and event.value == "<<":
        what = "merge keys"
    else:
        return
    raise UneditableError(f"{what} cannot be edited", event.start_mark.line + 1 if event.start_mark else 0)


def _ends_in_block_scalar(node: yaml.Node) -> bool:
    while isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return _is_block_scalar(node)


def _pair(mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in mapping.value if pair[0].value == key), None)


def _is_block_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _quote(node: yaml.Node) -> str:
    return node.style if isinstance(node, yaml.ScalarNode) and node.style in ("'", '"') else ""


def _line_end(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else "\n"
