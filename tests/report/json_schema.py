"""Whether a value is as a JSON Schema says, for the keywords that ours have; any other keyword is an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
_NOTES = {"$schema", "$defs", "title", "description", "default", "format", "additionalProperties"}
_SIMPLE = {
    "type": lambda wanted, value: type(value) is _TYPES[wanted],
    "const": lambda wanted, value: value == wanted,
    "enum": lambda wanted, value: value in wanted,
    "required": lambda wanted, value: value.keys() >= set(wanted),
    "maxItems": lambda wanted, value: len(value) <= wanted,
    "maxLength": lambda wanted, value: len(value) <= wanted,
    "minLength": lambda wanted, value: len(value) >= wanted,
    "minimum": lambda wanted, value: value >= wanted,
    "pattern": lambda wanted, value: re.search(wanted, value) is not None,
}


def faults(schema: dict[str, Any], value: Any, root: dict[str, Any] | None = None, path: str = "$") -> Iterator[str]:
    """Every place where the value is not as it should be."""
    root = root or schema
    for keyword, wanted in schema.items():
        if keyword in _SIMPLE:
            if not _SIMPLE[keyword](wanted, value):
                yield f"{path}: {keyword} {wanted}"
        elif keyword == "$ref":
            yield from faults(root["$defs"][wanted.removeprefix("#/$defs/")], value, root, path)
        elif keyword == "anyOf":
            if all(list(faults(each, value, root, path)) for each in wanted):
                yield f"{path}: none of {len(wanted)}"
        elif keyword == "items":
            for number, each in enumerate(value):
                yield from faults(wanted, each, root, f"{path}[{number}]")
        else:
            assert keyword in {*_NOTES, "properties"} or keyword.startswith("x-"), keyword
    if isinstance(value, dict):
        yield from _of_parts(schema, value, root, path)


def _of_parts(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[str]:
    others = schema.get("additionalProperties", True)
    for name, each in value.items():
        wanted = schema.get("properties", {}).get(name, others)
        if wanted is False:
            yield f"{path} has {name}"
        elif wanted is not True:
            yield from faults(wanted, each, root, f"{path}.{name}")
