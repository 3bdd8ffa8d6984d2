"""How records are printed: for people, or for programs."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUTS = ("table", "json", "ndjson")
REFUSED, FAILED = 400, 500
"""From which HTTP status on something was refused, or went wrong."""
_YELLOW, _RED, _PLAIN = "\x1b[33m", "\x1b[31m", "\x1b[0m"
_WIDTHS = {"TIME": 24, "NAMESPACE": 20, "USER": 40, "VERB": 10, "RESOURCE": 28, "NAME": 32, "CODE": 6}


class Printer:
    """Prints records as they come."""

    def __init__(self, output: str) -> None:
        """Nothing is printed yet."""
        self._output = output
        self._begun = False

    def record(self, record: Mapping[str, Any]) -> None:
        """One record, as `reading.document` makes it."""
        match self._output:
            case "table":
                if not self._begun:
                    print(_line(_WIDTHS))
                row = _row(record)
                print(_coloured(_line(row), row["CODE"]) if is_coloured() else _line(row), flush=True)
            case "json":
                print("," if self._begun else "[", json.dumps(_with_event(record), indent=2), sep="\n")
            case _:
                print(json.dumps(record), flush=True)
        self._begun = True

    def end(self, piece: Mapping[str, Any]) -> None:
        """The last piece of the answer."""
        if self._output == "json":
            print("]" if self._begun else "[]")
        elif self._output == "ndjson":
            print(json.dumps(piece))
        elif not self._begun:
            print("No records.", file=sys.stderr)


def is_coloured() -> bool:
    """Whether a person looks at a terminal, and has not said that they want none (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _coloured(line: str, code: str) -> str:
    """What was refused is yellow, what went wrong red."""
    status = int(code) if code.isdecimal() else 0
    if status < REFUSED:
        return line
    return f"{_RED if status >= FAILED else _YELLOW}{line}{_PLAIN}"


def _row(record: Mapping[str, Any]) -> dict[str, str]:
    """Of an audit event, or of an application's line."""
    own: Mapping[str, str] = record["attributes"]
    resource = "/".join(filter(None, (own.get("resource", ""), own.get("subresource", "")))) or own.get("source", "")
    return {
        "TIME": f"{record['time'][:23]}Z",
        "NAMESPACE": own.get("namespace", ""),
        "USER": own.get("username", ""),
        "VERB": own.get("verb", "") or own.get("action", ""),
        "RESOURCE": resource,
        "NAME": own.get("name", "") or own.get("pod", ""),
        "CODE": own.get("code", "") or own.get("result", ""),
    }


def _line(row: Mapping[str, Any]) -> str:
    cells = (name if row is _WIDTHS else shown(row[name]) for name in _WIDTHS)
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS.values(), strict=True)).rstrip()


def shown(value: str) -> str:
    """What a terminal may get: users choose names, and could choose what a terminal obeys."""
    return "".join(each if each.isprintable() else "\ufffd" for each in value) or "-"


def _with_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """The event as JSON in place of its text, where it is an object."""
    try:
        event = json.loads(record["text"])
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        return dict(record)
    return {**{name: value for name, value in record.items() if name != "text"}, "event": event}
