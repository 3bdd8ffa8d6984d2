"""How a defect of the operator shows in status: whoever looks there must not take what it says for what is true now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.plan.claim import true, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFECT = "operator-defect"
_REPLACED = frozenset({ConditionType.PROGRAMMED, ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED})


def defect(ref: ObjectRef, message: str) -> Finding:
    """The operator cannot work with an object, and that is not the fault of whoever wrote it."""
    mend = "change the object back, or write it differently; the operator's log says more: please report it"
    return Finding(DEFECT, Severity.ERROR, f"a defect of the operator: {message}", mend, object=ref)


def unplanned(status: Mapping[str, Any], generation: int, kind: str) -> dict[str, Any]:
    """The status of a control plane for which nothing can be planned: what it said, without the claim to be true now.

    `kind` is the type of the exception. Its text is left out: it may quote what a tenant wrote.
    """
    said = f"a defect of the operator ({kind}): nothing can be planned, and what was in force stays; see its log"
    kept = [each for each in status.get("conditions", ()) if each["type"] not in _REPLACED]
    claims = (
        unknown(ConditionType.PROGRAMMED, Reason.INTERNAL_ERROR, said),
        unknown(ConditionType.READY, Reason.INTERNAL_ERROR, said),
        true(ConditionType.STALLED, Reason.INTERNAL_ERROR, said),
    )
    return {
        **status,
        "observedGeneration": status.get("observedGeneration", generation),
        "conditions": [*kept, *(each.to_json(generation) for each in claims)],
    }
