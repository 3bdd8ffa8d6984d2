"""Redaction that says of each record whether it ran as a whole.

What must be known of an event before it may leave is that no statement of redaction failed on it, and no condition of
one. The collector's own transform processor skips what fails and goes on: nothing behind it could tell. Ours
(`tools/otelcol/processors/provedtransform`) stops there, runs other statements instead, and puts a mark on a record
only if all ran that had to run. `writing` lets the text of no record pass without that mark. So whatever goes wrong on
the way to it, the processor itself left out of a pipeline included, withholds, and lets nothing through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.attributes import FAILED, PROVED
from audit_operator.shipping.collector.ottl import Attempt, attribute, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.shipping.collector.ottl import Statements

REDACT = "proved_transform/redact"
IS_PROVED = f"{attribute(PROVED)} == {text('true')}"


def proved(steps: Iterable[Statements], otherwise: Iterable[Statements]) -> dict[str, Any]:
    """A processor; `otherwise` runs where a step failed, in place of all later ones."""
    return {
        "mark": PROVED,
        "failed": FAILED,
        "steps": [_step(each) for each in steps if each.statements],
        "otherwise": [_step(each) for each in otherwise],
    }


def _step(group: Statements) -> dict[str, Any]:
    attempts = [place for place, each in enumerate(group.statements) if isinstance(each, Attempt)]
    return {
        "name": group.name,
        **({"condition": group.condition} if group.condition else {}),
        "statements": list(map(str, group.statements)),
        **({"attempts": attempts} if attempts else {}),
    }
