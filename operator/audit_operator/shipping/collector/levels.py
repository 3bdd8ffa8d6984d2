"""Bring an event down to the level that was decided, as if the API server had recorded it so.

What a level holds: `pkg/audit/request.go` and `pkg/audit/context.go` of kubernetes/apiserver.
"""

from __future__ import annotations

from typing import Any

from audit_operator.api.audit import Level
from audit_operator.shipping.collector.attributes import MODIFIED
from audit_operator.shipping.collector.deciding import state
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, text
from audit_operator.shipping.enforcement.table import LEVEL, MANAGED_FIELDS

_PATCHES = r"^patch\\.webhook\\.admission\\.k8s\\.io/"
"""Annotations that the API server makes from Request on; they hold what webhooks wrote into objects."""


def strip() -> tuple[Statements, ...]:
    """Statements for events that stay."""
    decided = attribute(state(LEVEL))
    return (
        _down_to(Level.METADATA, ("requestObject", "responseObject"), (Level.REQUEST, Level.REQUEST_RESPONSE)),
        _down_to(Level.REQUEST, ("responseObject",), (Level.REQUEST_RESPONSE,)),
        Statements(
            tuple(
                statement
                for field in ("requestObject", "responseObject")
                for statement in _without_managed_fields(field)
            ),
            (f"{attribute(state(MANAGED_FIELDS))} != nil",),
        ),
        # The API server has recorded less than what was decided: nothing can be added, but it must be said.
        Statements(
            (assign(attribute("below"), decided),),
            (f"{decided} != nil", _is_below()),
        ),
    )


def _down_to(level: Level, without: tuple[str, ...], above: tuple[Level, ...]) -> Statements:
    recorded = " or ".join(f"{body('level')} == {text(str(each))}" for each in above)
    annotations = body("annotations")
    no_patches = f'delete_matching_keys({annotations}, "{_PATCHES}") where IsMap({annotations})'
    return Statements(
        (
            *(f"delete_key(log.body, {text(field)})" for field in without),
            *((no_patches,) if level is Level.METADATA else ()),
            assign(body("level"), text(str(level))),
            assign(attribute(MODIFIED), "true"),
        ),
        (f"{attribute(state(LEVEL))} == {text(str(level))}", recorded),
    )


def _without_managed_fields(field: str) -> tuple[str, str]:
    metadata = body(field, "metadata")
    there = f'IsMap({body(field)}) and IsMap({metadata}) and {metadata}["managedFields"] != nil'
    return assign(attribute(MODIFIED), "true", there), f'delete_key({metadata}, "managedFields") where {there}'


def _is_below() -> str:
    decided, recorded = attribute(state(LEVEL)), body("level")
    pairs = [(high, low) for high in Level for low in Level if Level.NONE < low < high]
    return " or ".join(f"({decided} == {text(str(high))} and {recorded} == {text(str(low))})" for high, low in pairs)


def drop() -> dict[str, Any]:
    """A filter processor that drops the events of which nothing is to be recorded, and no others."""
    return {
        "error_mode": "ignore",
        "log_conditions": [f"{attribute(state(LEVEL))} == {text(str(Level.NONE))}"],
    }
