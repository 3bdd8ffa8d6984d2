"""A document as the API server sees it: JSON, and nothing that only YAML or Python can hold.

Files and other programs hand us dates, numbers as keys, bytes that are no UTF-8, and structures that refer to
themselves; from here on there are none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.field_path import BIGGEST, Path, Step

if TYPE_CHECKING:
    from audit_operator.api.schema import Schema

MAX_PROBLEMS = 50
MAX_DEPTH = 64
MAX_VALUES = 200_000
"""More than any object that the API server takes (3 MiB); YAML's aliases can make far more out of a small file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that JSON does not know, and where it is."""

    path: Path
    message: str
    mend: str
    value: Any = None


def plain_json(document: Any, schema: Schema) -> tuple[Any, tuple[Problem, ...]]:
    """The document as JSON, and what had no place in it.

    Fields that are null are left out, unless the schema does not know them: these have to be reported later. A whole
    number may be written as a fraction, as Go's decoder takes ``3.0`` for 3.
    """
    reader = _Reader()
    plain = reader.read(document, schema)
    return plain, tuple(reader.problems)


@dataclass(slots=True)
class _Reader:
    problems: list[Problem] = field(default_factory=list)
    path: list[Step] = field(default_factory=list)
    values: int = 0
    stopped: bool = False

    def read(self, value: Any, schema: Schema) -> Any:
        self.values += 1
        if isinstance(value, str):
            return self._text(value)
        if value is None or (isinstance(value, int) and abs(value) < BIGGEST):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return int(value) if value.is_integer() and abs(value) < BIGGEST else value
        if isinstance(value, dict | Mapping):
            return self._object(value, schema)
        if isinstance(value, list | tuple):
            return self._list(value, schema)
        self._report("is no value that JSON knows", "write text, a finite number, true or false; quote dates", value)
        return None

    def _text(self, value: str) -> str:
        if not is_text(value):
            self._report("is not UTF-8", "save the file as UTF-8", value)
        return value

    def _object(self, value: Mapping[Any, Any], schema: Schema) -> dict[str, Any]:
        result: dict[str, Any] = {}
        known = schema.get("properties", {})
        for key, child in value.items():
            if not is_text(key):
                self._report("has a key that is no text", "quote the key", key)
            elif child is not None or (known and key not in known):
                if not self._enter(key):
                    break
                result[key] = self.read(child, known.get(key, {}))
                self.path.pop()
        return result

    def _list(self, value: list[Any] | tuple[Any, ...], schema: Schema) -> list[Any]:
        result = []
        items = schema.get("items", {})
        for index, child in enumerate(value):
            if not self._enter(index):
                break
            result.append(self.read(child, items))
            self.path.pop()
        return result

    def _enter(self, step: Step) -> bool:
        """Go one step down, unless there is no end to it."""
        if self.values >= MAX_VALUES and not self.stopped:
            self.problems.append(Problem((), f"holds more than {MAX_VALUES} values", "use fewer rules"))
            self.stopped = True
        if self.stopped:
            return False
        self.path.append(step)
        if len(self.path) > MAX_DEPTH:
            self._report("is nested too deeply", "no field nests this deep")
            self.path.pop()
            return False
        return True

    def _report(self, message: str, mend: str, value: Any = None) -> None:
        self.problems.append(Problem(tuple(self.path), message, mend, value))
        self.stopped = len(self.problems) >= MAX_PROBLEMS


def is_text(value: Any) -> bool:
    """Whether it is a string of whole characters; bytes that were no UTF-8 stand in strings as lone surrogates."""
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    )
