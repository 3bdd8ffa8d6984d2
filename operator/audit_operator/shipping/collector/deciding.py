"""Look up the level of an event, step by step, in the decision table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.attributes import STATE
from audit_operator.shipping.collector.ottl import attribute, body, concat, text
from audit_operator.shipping.collector.reading import FIRST, VERB, key
from audit_operator.shipping.enforcement.table import (
    GROUPS,
    LEVEL,
    MANAGED_FIELDS,
    REDACTION,
    ROUTE,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.shipping.enforcement.table import Shape

RELOAD_SECONDS = 5
_PATHS = 2
"""A path of a URL is read twice: by its beginning, and as a whole."""


def state(field: str) -> str:
    """Name of the attribute that holds what was found last."""
    return f"{STATE}{field}"


def lookup(shape: Shape, table: str) -> dict[str, Any]:
    """A lookup processor that reads its table anew every few seconds.

    Where a key holds a ``<nil>``, because nothing was found or there is nothing to look up, there is no such entry.
    """
    resources = range(max(len(shape.forms), _PATHS))
    steps = [
        _look_up(attribute(FIRST), [Step.CLASS, REDACTION, ROUTE]),
        _look_up(_key(Step.CLASS, text("")), [*_from(Step.USER), GROUPS]),
        _look_up(_key(Step.USER, attribute(key(Step.USER))), [*_from(Step.GROUP), GROUPS]),
        *([_look_up(_key(Step.GROUP, _membership(shape.groups)), _from(Step.VERB))] if shape.groups else []),
        _look_up(_key(Step.VERB, attribute(VERB)), _from(Step.RESOURCE)),
        *(_look_up(_key(Step.RESOURCE, attribute(key(Step.RESOURCE, place))), _from(Step.NAME)) for place in resources),
        *([_look_up(_key(Step.NAME, attribute(key(Step.NAME))), _from(Step.OUTCOME))] if shape.names else []),
        _look_up(_key(Step.OUTCOME, body("stage")), [LEVEL, MANAGED_FIELDS]),
    ]
    return {"source": {"type": "yaml", "path": table, "reload_interval": f"{RELOAD_SECONDS}s"}, "lookups": steps}


def _key(step: Step, symbol: str) -> str:
    return concat(attribute(state(step)), symbol, between="|")


def _membership(most: int) -> str:
    """What `table.membership` says; an error, and so no look-up, where no groups are asked for or the user has none."""
    asked, groups = attribute(state(GROUPS)), body("user", "groups")
    return concat(*(f"ContainsValue({groups}, {asked}[{place}])" for place in range(most)), between=",")


def _from(step: Step) -> list[Step]:
    """This step and all later ones."""
    steps = list(Step)
    return steps[steps.index(step) :]


def _look_up(found_by: str, fields: Iterable[str]) -> dict[str, Any]:
    return {
        "key": found_by,
        "attributes": [{"source": str(field), "destination": state(field)} for field in fields],
    }
