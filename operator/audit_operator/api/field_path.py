"""Where in an object something is, and how that is written for people: ``spec.rules[3].verbs``."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]

_PLAIN = re.compile(r"[A-Za-z0-9_/-]{1,80}")
_MAX_SHOWN = 80
BIGGEST = 2**63
"""Kubernetes holds integers in 64 bits; Python refuses to spell very long ones."""


def spelled(path: Path) -> str:
    """The path as text: short, on one line, in ASCII, whatever keys a user made up."""
    return "".join(_step(step) for step in path).lstrip(".")


def _step(step: Step) -> str:
    return f".{step}" if isinstance(step, str) and _PLAIN.fullmatch(step) else f"[{shown(step)}]"


def shown(value: Any) -> str:
    """A value on one line, and short: no text of a user's may break a terminal or a condition."""
    text = "a huge number" if isinstance(value, int) and abs(value) >= BIGGEST else ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
