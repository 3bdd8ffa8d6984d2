"""Files for the collector, as JSON that its YAML parser reads as it was meant."""

from __future__ import annotations

import json
import re
from typing import Any

_BASIC_PLANE = 0xFFFF


def yaml_text(document: Any) -> str:
    """The text of a document, whose outermost map may have keys that tenants choose.

    JSON is YAML but for characters beyond ASCII. Those of the higher planes, JSON escapes as two surrogates, which YAML
    refuses; some others (next line, line separator, byte order mark) YAML takes for layout. And a key of more than 1024
    characters it reads only behind a question mark. One such name in one policy would take the file from everybody.
    """
    return "".join(f"? {_one_line(key)}\n: {_one_line(value)}\n" for key, value in document.items())


def _one_line(value: Any) -> str:
    return re.sub(r"[^\x20-\x7e]", _escaped, json.dumps(value, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    point = ord(found[0])
    return f"\\u{point:04x}" if point <= _BASIC_PLANE else f"\\U{point:08x}"


def parsed(text: str) -> Any:
    """The document that `yaml_text` wrote; a parser of all of YAML takes seconds for a large one.

    Raises:
        ValueError: it is none that `yaml_text` writes.
    """
    lines = [line for line in text.split("\n") if line]
    marks = [line[:2] for line in lines]
    if marks != ["? ", ": "] * (len(lines) // 2):
        raise ValueError("it is not laid out as expected")
    values = [json.loads(_ESCAPE.sub(_unescaped, line[2:])) for line in lines]
    return dict(zip(values[::2], values[1::2], strict=True))


_ESCAPE = re.compile(r"\\(?:U([0-9a-f]{8})|.)")
"""All escapes, so that a backslash that is escaped itself begins none."""


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[0]
