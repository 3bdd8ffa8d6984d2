"""Look up the level of an event, step by step, in the decision table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.attributes import STATE
from audit_operator.shipping.collector.ottl import attribute, body, concat, text
from audit_operator.shipping.collector.reading import FIRST, VERB, key
from audit_operator.shipping.enforcement.table import (
    DETECTIONS,
    GROUPS,
    LEVEL,
    MANAGED_FIELDS,
    POLICIES,
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


def lookup(
    shape: Shape, table: str, *, counted: bool = False, redaction: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A lookup processor that reads its table anew every few seconds; `counted` says whether it names detections.

    `redaction` has look-ups that begin with the demand for redaction that was found.

    Where a key holds a ``<nil>``, because nothing was found or there is nothing to look up, there is no such entry.
    """
    resources = range(max(len(shape.forms), _PATHS))
    steps = [
        look_up(attribute(FIRST), [Step.CLASS, REDACTION, ROUTE, *([DETECTIONS] if counted else [])], POLICIES),
        *redaction,
        look_up(_key(Step.CLASS, text("")), [*_from(Step.USER), GROUPS]),
        look_up(_key(Step.USER, attribute(key(Step.USER))), [*_from(Step.GROUP), GROUPS]),
        *([look_up(_key(Step.GROUP, _membership(shape.groups)), _from(Step.VERB))] if shape.groups else []),
        look_up(_key(Step.VERB, attribute(VERB)), _from(Step.RESOURCE)),
        *(look_up(_key(Step.RESOURCE, attribute(key(Step.RESOURCE, place))), _from(Step.NAME)) for place in resources),
        *([look_up(_key(Step.NAME, attribute(key(Step.NAME))), _from(Step.OUTCOME))] if shape.names else []),
        look_up(_key(Step.OUTCOME, body("stage")), [LEVEL, MANAGED_FIELDS]),
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


def look_up(found_by: str, fields: Iterable[str], *shipped: str) -> dict[str, Any]:
    """One look-up. What is `shipped` has its own name already; no statement is needed to give it one."""
    kept = [{"source": str(field), "destination": state(field)} for field in fields]
    return {"key": found_by, "attributes": [*kept, *({"source": each, "destination": each} for each in shipped)]}
