"""What a shipper's configuration is tried with before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import Finding, Severity
from audit_operator.detections.condition import evaluate
from audit_operator.shipping.canary.planting import plant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.plan.shipping import Shipping
    from audit_operator.shipping.canary.planted import Canary
    from audit_operator.shipping.pipeline import AuditPipeline

TRIED_IN_PART = "configuration-tried-in-part"


def canary(pipeline: AuditPipeline, shipping: Shipping, log: str) -> Canary:
    """The lines for a configuration, and how many of them its detections are about; `log` is as `plant` has it."""

    def holds(condition: str, event: Mapping[str, Any]) -> bool:
        return evaluate(shipping.conditions[condition].condition, event) is True

    return plant(pipeline, shipping.table, log, holds)


def in_part(made: Canary) -> Finding | None:
    """That some of what a configuration is about is tried with no line; for the control plane."""
    if not made.untried:
        return None
    return Finding(
        TRIED_IN_PART,
        Severity.INFO,
        f"shippers try their configuration with some namespaces; none of them stands for {made.untried}",
        "nothing: the same code makes the rest",
    )
