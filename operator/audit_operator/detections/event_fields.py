"""Names of fields of audit events, with dots, as rules spell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.detections.condition import Path

_FIELDS = frozenset(
    {
        *("kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser"),
        *("sourceIPs", "userAgent", "objectRef", "responseStatus", "requestObject", "responseObject"),
        *("requestReceivedTimestamp", "stageTimestamp", "annotations"),
    }
)
_MAPS = frozenset({"annotations", "labels", "extra", "matchLabels", "nodeSelector", "data", "stringData"})
"""Fields that are maps, whose keys may have dots in them."""


def path_of(name: str) -> Path | None:
    """The path of a field such as ``objectRef.resource``; None if events have no such field."""
    steps = tuple(each for each in name.split(".") if each)
    if not steps or steps[0] not in _FIELDS:
        return None
    for number, step in enumerate(steps):
        if step in _MAPS and number + 1 < len(steps):
            return (*steps[: number + 1], ".".join(steps[number + 1 :]))
    return steps
