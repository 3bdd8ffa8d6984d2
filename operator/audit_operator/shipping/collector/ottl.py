"""Spelling of OTTL, the collector's transformation language, so that no value can become code.

Collector 0.157. Statements are strings within a configuration in which ``$`` begins an expansion: `render` doubles it.
Source: `pkg/ottl/README.md` and `pkg/ottl/LANGUAGE.md` of opentelemetry-collector-contrib.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


def text(value: str) -> str:
    """A string literal. JSON's escapes are among those that OTTL knows; it takes every other character as it is."""
    return json.dumps(value, ensure_ascii=False)


def attribute(name: str) -> str:
    """Path of an attribute of the record."""
    return f"log.attributes[{text(name)}]"


def body(*keys: str) -> str:
    """Path into the body, once that is the event as a map."""
    return "log.body" + "".join(f"[{text(key)}]" for key in keys)


def cache(name: str) -> str:
    """Path of a value that lives as long as a record is in one processor."""
    return f"log.cache[{text(name)}]"


def concat(*parts: str, between: str = "") -> str:
    """A string of several; what is nil becomes ``<nil>``."""
    return f"Concat([{', '.join(parts)}], {text(between)})"


def or_empty(path: str) -> str:
    """What stands there, or an empty string if that is nil."""
    return f"Coalesce([{path}, {text('')}])"


def assign(path: str, value: str, where: str = "") -> str:
    """A statement that sets a path."""
    return f"set({path}, {value})" + (f" where {where}" if where else "")


class Attempt(str):
    """A statement that may fail, on purpose: what then stays as it was tells the rest."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Statements:
    """Statements that run only where all conditions hold; `name` is what a record says where one of them failed."""

    statements: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    name: str = ""

    @property
    def condition(self) -> str:
        """All conditions as one; empty if there are none."""
        return " and ".join(f"({each})" for each in self.conditions)

    def render(self) -> dict[str, object]:
        """As the transform processor reads it; of its conditions one is enough, so that several become one."""
        return {
            "context": "log",
            **({"conditions": [self.condition]} if self.condition else {}),
            "statements": list(map(str, self.statements)),
        }


@dataclass(frozen=True, slots=True)
class SilentStatements(Statements):
    """Statements of which one may fail, on purpose: what then stays as it was tells the rest.

    The collector would write a line for each, and so would anybody who can make them fail.
    """

    def render(self) -> dict[str, object]:
        """See `Statements.render`."""
        return {**Statements.render(self), "error_mode": "silent"}


def transform(*groups: Statements) -> dict[str, object]:
    """A transform processor.

    With `propagate`, one event that a statement cannot deal with would be sent again for ever, and its file would
    stand still. So statements that fail are skipped, and must be written so that none does.
    """
    return {"error_mode": "ignore", "log_statements": [group.render() for group in groups if group.statements]}
