"""What the shipper is to count for detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.detection import DetectionKey
from audit_operator.detections.collector_conditions import render
from audit_operator.detections.series import condition_id, counted_labels, label_of
from audit_operator.shipping.pipeline import EventCount

if TYPE_CHECKING:
    from audit_operator.detections.own import OwnDetection

_KEYS = {label_of(key): key for key in DetectionKey}


def event_count(own: OwnDetection, *, namespaced: bool, kept: int, most: int) -> EventCount:
    """The counter of a detection, as `own.resolve` gives it.

    Args:
        own: the detection.
        namespaced: whether it belongs to an AuditPolicy, which sees the events of its namespace alone.
        kept: seconds for which a series is remembered after its last event.
        most: series at the same time.
    """
    rendered = render(own.condition)
    labels = {label: _KEYS[label] for label in counted_labels(own, namespaced=namespaced)}
    identity = condition_id(own, namespaced=namespaced)
    rest = rendered.reads, rendered.then, rendered.before
    return EventCount(identity, rendered.where, labels, namespaced, kept, most, *rest)
