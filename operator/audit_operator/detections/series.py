"""The words that those who count detections and those who alert on the counts have in common.

One series for each condition and group: a condition is known by a digest of what it selects and of its labels, so that
equal detections of many namespaces are counted once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from audit_operator.api.detection import DetectionKey
from audit_operator.shipping.collector.counting import CONTROL_PLANE, DETECTION, METRIC, OF_ALL, PROBE

__all__ = [
    "ALL_EVENTS",
    "CONTROL_PLANE",
    "CROWDED_EVENTS",
    "DETECTION",
    "EVENTS",
    "PROBE",
    "SINCE",
    "condition_id",
    "counted_labels",
    "group_labels",
    "keys_of",
    "label_of",
]

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.detections.own import OwnDetection

EVENTS = f"{METRIC}_total"
"""Counter: events that a condition holds for. Where a collector begins anew, or has forgotten a series, another one
begins, with another label `start`: within one, values never fall."""

ALL_EVENTS = f"{OF_ALL}_total"
"""Counter of a collector: the same events by namespace alone, if the condition tells namespaces apart. So of what has
no room among EVENTS there is still the number, a second later."""

CROWDED_EVENTS = "audit_operator_detection_crowded_events_total"
"""Counter of whoever keeps the collector: events that had no room among EVENTS, by namespace as ALL_EVENTS. Where it
begins anew, another series begins."""

SINCE = "audit_operator_detection_counting_since_timestamp_seconds"
"""Gauge in the same scrape, also while nothing was counted: when the collector that counts began to, or
the one before it, while its last counts are shown."""

NAMESPACE = "object_namespace"
"""Label: of the object of the request. Prometheus attaches the target's own `namespace` to what it scrapes of pods."""

_LABELS = {
    DetectionKey.USER: "user",
    DetectionKey.SOURCE: "source",
    DetectionKey.NAMESPACE: NAMESPACE,
    DetectionKey.RESOURCE: "resource",
    DetectionKey.OBJECT: "object",
    DetectionKey.VERB: "verb",
    DetectionKey.USER_AGENT: "user_agent",
}
_DIGITS = 16


def label_of(key: DetectionKey) -> str:
    """Name of the label that holds such values."""
    return _LABELS[key]


def keys_of(own: OwnDetection) -> tuple[DetectionKey, ...]:
    """What the detection itself tells apart."""
    return (*own.group_by, *filter(None, [own.distinct]))


def group_labels(own: OwnDetection) -> tuple[str, ...]:
    """Labels of what is counted separately, in a fixed order."""
    return _labels(own.group_by)


def counted_labels(own: OwnDetection, *, namespaced: bool) -> tuple[str, ...]:
    """Labels of the detection's series besides DETECTION and PROBE, in a fixed order.

    `namespaced` says whether it belongs to an AuditPolicy, which sees the events of its namespace alone.
    """
    return _labels([*keys_of(own), *([DetectionKey.NAMESPACE] if namespaced else [])])


def condition_id(own: OwnDetection, *, namespaced: bool) -> str:
    """Digest of the condition and of the labels; the same in every version of the operator that reads both alike.

    The condition of an AuditPolicy's detection is meant as `own.resolve` gives it: without its namespace, which is a
    label.
    """
    said = json.dumps([_plain(own.condition), counted_labels(own, namespaced=namespaced)])
    return hashlib.sha256(said.encode()).hexdigest()[:_DIGITS]


def _labels(keys: Iterable[DetectionKey]) -> tuple[str, ...]:
    wanted = set(keys)
    return tuple(label for key, label in _LABELS.items() if key in wanted)


def _plain(value: object) -> object:
    """Dataclasses as lists that begin with their name: what differs has different JSON."""
    if is_dataclass(value):
        return [type(value).__name__, *(_plain(getattr(value, each.name)) for each in fields(value))]
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
