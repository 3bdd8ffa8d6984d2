"""What a Kubernetes component says in its log, written with ``--logging-format=json``: one object a line.

Flag errors, panics and libraries write plain text in between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COMMAND_FAILED = "command failed"
"""The message with which every component ends (component-base/cli/run.go); its ``err`` says why."""

_TAIL = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry; `error` is its ``err``, empty if it has none."""

    message: str
    error: str = ""


def entries(text: str) -> Iterator[Entry]:
    """All entries; a line that is no entry counts as one that consists of its text."""
    for line in text.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if isinstance(document, dict):
            yield Entry(str(document.get("msg", "")), str(document.get("err", "")))
        elif line.strip():
            yield Entry(line.rstrip())


def reason_for_end(log: Iterable[Entry]) -> str:
    """Why a component has ended by itself: what it said last, before everything else its final error."""
    seen = list(log)
    for entry in reversed(seen):
        if entry.message == COMMAND_FAILED:
            return entry.error
    return "; ".join(": ".join(filter(None, (each.message, each.error))) for each in seen[-_TAIL:])
