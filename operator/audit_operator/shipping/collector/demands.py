"""What namespaces ask of redaction, as the decision table says it to the collector.

Redaction stands in the configuration once. What not every demand asks for runs only where an event's own demand does:
an entry of the table for each demand names what it spares its events. Patterns of tenants stand in that entry, and
nowhere else. So the number of tenants and of their demands changes the table alone, and costs nobody else's events
anything. A demand that is not in the table, such as one that was taken out of it in the middle of an event, spares
nothing, and what patterns it has nobody knows.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector import deciding
from audit_operator.shipping.collector.ottl import attribute, concat, or_empty, text
from audit_operator.shipping.enforcement.table import REDACTION
from audit_operator.shipping.redaction.demand import Feature, together
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from audit_operator.shipping.redaction.rendering import NO_PATTERNS, apply_listed, patterns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.collector.ottl import Statements
    from audit_operator.shipping.enforcement.table import States
    from audit_operator.shipping.redaction.demand import RedactionDemand

_KEY = f"{REDACTION}|"
_PATTERNS = "patterns"
_DIGITS = 8


def gates(redactions: Mapping[str, RedactionDemand]) -> dict[Feature, str]:
    """Conditions by what some demands ask for and others do not: that the event's own demand does."""
    spared = _spared(redactions).items()
    return {each: f"{attribute(deciding.state(field))} == nil" for field, features in spared for each in features}


def apply_tenants(redactions: Mapping[str, RedactionDemand]) -> Iterator[Statements]:
    """Groups that run the patterns that were looked up; none where no tenant has any."""
    if _have_patterns(redactions):
        yield from apply_listed(attribute(deciding.state(_PATTERNS)))


def look_ups(redactions: Mapping[str, RedactionDemand]) -> list[dict[str, Any]]:
    """What follows the look-up of an event's demand, if anything."""
    fields = [*_spared(redactions), *([_PATTERNS] if _have_patterns(redactions) else [])]
    found_by = concat(text(_KEY), or_empty(attribute(deciding.state(REDACTION))))
    return [deciding.look_up(found_by, fields)] if fields else []


def entries(redactions: Mapping[str, RedactionDemand]) -> dict[str, States]:
    """Entries of the decision table that are looked up so."""
    spared, have_patterns = _spared(redactions), _have_patterns(redactions)
    if not spared and not have_patterns:
        return {}
    return {
        f"{_KEY}{name}": {
            **{field: "true" for field, features in spared.items() if not features <= demand.features},
            **({_PATTERNS: patterns_of(demand.tenants) or NO_PATTERNS} if have_patterns else {}),
        }
        for name, demand in sorted(redactions.items())
    }


def without_patterns(table: Mapping[str, States]) -> dict[str, States]:
    """A decision table in which no demand has any of a tenant."""
    return {key: {**states, _PATTERNS: NO_PATTERNS} if _PATTERNS in states else states for key, states in table.items()}


def _have_patterns(redactions: Mapping[str, RedactionDemand]) -> bool:
    return any(demand.tenants for demand in redactions.values())


def _spared(redactions: Mapping[str, RedactionDemand]) -> dict[str, frozenset[Feature]]:
    """What some demands ask for and others do not, by the field that says so; patterns that go together have one."""
    demands = list(redactions.values())
    builtin: dict[str, frozenset[Feature]] = {}
    patterns: dict[tuple[bool, ...], list[OwnPattern]] = {}
    for each in together(demands).features:
        asked = tuple(each in demand.features for demand in demands)
        if all(asked):
            continue
        if isinstance(each, OwnPattern):
            patterns.setdefault(asked, []).append(each)
        else:
            builtin[f"spares.{each}"] = frozenset({each})
    grouped = {f"spares.{_digest(some)}": frozenset[Feature](some) for some in patterns.values()}
    return dict(sorted((builtin | grouped).items()))


def _digest(patterns: Iterable[OwnPattern]) -> str:
    said = json.dumps(sorted([each.name, each.regex, each.replacement] for each in patterns))
    return hashlib.sha256(said.encode()).hexdigest()[:_DIGITS]
