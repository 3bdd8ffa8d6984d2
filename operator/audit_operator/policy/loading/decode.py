"""A tree decoded by type, as sigs.k8s.io/json does it: case-sensitive, strict about types, lenient about keys.

Not only well-formed input matters here. Null leaves a string as it is, so a null element of a list is ``""`` and a null
`resources` entry is all of core. And where JSON repeats a key, the second list is decoded *into* the first: elements
keep the fields that the second one does not set (go.dev/issue/21092).
Source: `internal/golang/encoding/json/decode.go` of sigs.k8s.io/json.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any

from audit_operator.policy.document import Array, Object, Path, Scalar, Tree, shorten
from audit_operator.policy.document.go_time import is_rfc3339
from audit_operator.policy.loading.schema import Leaf, ListOf, MapOf, Struct, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIN_INT64, _MAX_INT64 = -(1 << 63), (1 << 63) - 1
_WIDEST_FLOAT = 1e21  # Go's JSON writes larger floats with an exponent, which is no integer any more

SET_TWICE = "is set twice; the API server logs a warning, and the later one counts"
REMOVE_ONE = "remove one of them"
_MOST_SUGGESTIONS = 200  # searching for similar keys is slow, and nobody reads more


class FaultKind(Enum):
    """What can be wrong with a part of a tree."""

    WRONG_TYPE = "wrong-type"
    UNKNOWN_KEY = "unknown-key"
    DUPLICATE_KEY = "duplicate-key"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at one place, with what to write instead where that is known."""

    kind: FaultKind
    path: Path
    line: int
    message: str
    mend: str = ""


def decode(tree: Tree, wanted: Type, *, is_json: bool) -> tuple[Any, list[Fault]]:
    """Decode a tree; the value holds dictionaries for structs, with the fields that were set.

    The value counts only if no fault is a `WRONG_TYPE`. Duplicate keys are reported for JSON alone, since the tree of
    a YAML text has none.
    """
    decoder = _Decoder(is_json=is_json)
    return decoder.decode(tree, wanted, None, ()), decoder.faults


class _Slice(list[Any]):
    """A Go slice; `tail` is what stands in its array behind the end."""

    tail: tuple[Any, ...] = ()


class _Decoder:
    def __init__(self, *, is_json: bool) -> None:
        self.faults: list[Fault] = []
        self._is_json = is_json

    def decode(self, tree: Tree, wanted: Type, current: Any, path: Path) -> Any:
        """The value of `tree`; `current` is what stood there before, if anything."""
        match wanted:
            case Leaf.ANY:
                return None
            case Leaf():
                return self._leaf(tree, wanted, current, path)
            case ListOf():
                return self._list(tree, wanted, current, path)
            case MapOf():
                return self._map(tree, wanted, path)
            case Struct():
                return self._struct(tree, wanted, current or {}, path)

    def _leaf(self, tree: Tree, wanted: Leaf, current: Any, path: Path) -> Any:
        if not isinstance(tree, Scalar):
            self._wrong_type(tree, wanted.value, path)
        elif tree.value is None:
            return _zero(wanted) if current is None or wanted is Leaf.OPTIONAL_BOOL else current
        elif self._fits(tree, wanted):
            return tree.value
        else:
            self._wrong_type(tree, wanted.value, path)
        return current

    def _fits(self, scalar: Scalar, wanted: Leaf) -> bool:
        value = scalar.value
        match wanted:
            case Leaf.STRING:
                return isinstance(value, str)
            case Leaf.BOOL | Leaf.OPTIONAL_BOOL:
                return isinstance(value, bool)
            case Leaf.TIME:
                return isinstance(value, str) and is_rfc3339(value)
            case _ if isinstance(value, float) and not self._is_json:
                return value.is_integer() and abs(value) < _WIDEST_FLOAT and _MIN_INT64 <= value <= _MAX_INT64
            case _:
                return type(value) is int and _MIN_INT64 <= value <= _MAX_INT64

    def _list(self, tree: Tree, wanted: ListOf, current: Any, path: Path) -> Any:
        match tree:
            case Array():
                pass
            case Scalar(value=None):
                return _Slice()
            case _:
                self._wrong_type(tree, "a list", path)
                return current
        before = [*current, *current.tail] if current else []
        result = _Slice()
        for index, item in enumerate(tree.items):
            old = before[index] if index < len(before) else None
            result.append(self.decode(item, wanted.item, old, (*path, index)))
        if result:
            result.tail = tuple(before[len(result) :])
        return result

    def _map(self, tree: Tree, wanted: MapOf, path: Path) -> Any:
        match tree:
            case Object():
                seen = set[str]()
                for key, line, value in tree.members:
                    self._note_duplicate(key, seen, (*path, key), line)
                    self.decode(value, wanted.value, None, (*path, key))
            case Scalar(value=None):
                pass
            case _:
                self._wrong_type(tree, "a mapping", path)
        return None  # labels and annotations are checked, nobody reads them

    def _struct(self, tree: Tree, wanted: Struct, current: dict[str, Any], path: Path) -> Any:
        match tree:
            case Object():
                pass
            case Scalar(value=None):
                return current
            case _:
                self._wrong_type(tree, "a mapping", path)
                return current
        seen = set[str]()
        for key, line, value in tree.members:
            where = (*path, key)
            field = wanted.fields.get(key)
            if field is None:
                self._unknown(key, wanted.fields, where, line)
                continue
            self._note_duplicate(key, seen, where, line)
            current[key] = self.decode(value, field, current.get(key), where)
        return current

    def _note_duplicate(self, key: str, seen: set[str], path: Path, line: int) -> None:
        if key in seen:
            self.faults.append(Fault(FaultKind.DUPLICATE_KEY, path, line, SET_TWICE, REMOVE_ONE))
        seen.add(key)

    def _unknown(self, key: str, known: Iterable[str], path: Path, line: int) -> None:
        message = "is unknown; the API server logs a warning and goes on without it"
        similar = get_close_matches(key, known, 1) if len(self.faults) < _MOST_SUGGESTIONS else []
        mend = next((f"write `{each}`" for each in similar), "remove it")
        self.faults.append(Fault(FaultKind.UNKNOWN_KEY, path, line, message, mend))

    def _wrong_type(self, tree: Tree, wanted: str, path: Path) -> None:
        found, mend = _describe(tree, wanted)
        self.faults.append(Fault(FaultKind.WRONG_TYPE, path, tree.line, f"must be {wanted}, not {found}", mend))


def _zero(wanted: Leaf) -> Any:
    """What null leaves where nothing was before; a pointer it always sets to nil."""
    zeros = {Leaf.STRING: "", Leaf.BOOL: False, Leaf.INT64: 0}
    return zeros.get(wanted)


def _describe(tree: Tree, wanted: str) -> tuple[str, str]:
    match tree:
        case Array():
            return "a list", ""
        case Object():
            return "a mapping", ""
        case Scalar(value=None):
            return "null", ""
        case Scalar(value=str(text)):
            return f"the string {shorten(text)!r}", f"write [{shorten(text)}]" if wanted == "a list" else ""
    written = shorten(tree.written)
    kind = "boolean" if isinstance(tree.value, bool) else "number"
    return f"the {kind} `{written}`", f'quote it: "{written}"' if wanted == Leaf.STRING.value else ""
