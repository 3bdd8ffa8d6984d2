"""Counting lines that cannot be read or redacted, or not as a whole, by namespace and reason, wherever they go.

    routing ─► logs/unreadable ─► count/unreadable ─► metrics/unreadable ─► prometheus/detections
       │ (copies)
       └────► sinks

A namespace stands here as it stands in the record: only one that somebody has seen. So there are as many series at the
most as there are namespaces, two dozen for each, however many a sender names.
"""

from __future__ import annotations

from typing import Any

from audit_operator.shipping.collector.attributes import QUARANTINE, UNDISCLOSED, UNREADABLE
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, concat, text, transform
from audit_operator.shipping.collector.routing import DETACH, ROUTING

METRIC = "audit_operator_shipper_unreadable_lines"
"""Lines by namespace and reason. Prometheus' format adds ``_total``."""
NAMESPACE, REASON = "object_namespace", "reason"
"""Labels; the former is empty where a line says none that is known."""
PARTLY, WITHHELD = "unreadable ", "undisclosed "
"""Begin the reasons of what is an event; what could not be read of it, or not be redacted, follows."""

COUNTED = "transform/quarantine"
"""The collector counts what passes through a processor: all of these."""
KEPT = 3600
"""Seconds for which a series is remembered after its last line."""
_LINES, _METRICS, _COUNTER = "logs/unreadable", "metrics/unreadable", "count/unreadable"
_BATCH, _ONE, _ADDED_UP = "batch/unreadable", "groupbyattrs/unreadable", "deltatocumulative/unreadable"


def route() -> dict[str, Any]:
    """For the first place in the routing connector's table: no way out sees all of these."""
    # Of two entries with one condition, the connector (0.157) goes by the first alone: others ask for `!= nil`.
    condition = " or ".join(f"IsString({attribute(each)})" for each in (QUARANTINE, UNREADABLE, UNDISCLOSED))
    return {"context": "log", "condition": condition, "action": "copy", "pipelines": [_LINES]}


def processors() -> dict[str, Any]:
    """But the one that says when a series began, which `counting` has, too."""
    namespace, quarantine = attribute("namespace"), attribute(QUARANTINE)
    unreadable, undisclosed = attribute(UNREADABLE), attribute(UNDISCLOSED)
    label = Statements(
        (
            assign(attribute(NAMESPACE), namespace, f"{namespace} != nil"),
            assign(attribute(REASON), concat(text(PARTLY), unreadable, between=""), f"{unreadable} != nil"),
            assign(attribute(REASON), concat(text(WITHHELD), undisclosed), f"{undisclosed} != nil"),
            assign(attribute(REASON), quarantine, f"{quarantine} != nil"),
            f"keep_keys(log.attributes, [{text(NAMESPACE)}, {text(REASON)}])",
            assign("log.body", text("")),
        )
    )
    return {
        COUNTED: transform(label),
        # As in `counting`: one task works on all counts, and a series has one value in a batch.
        _BATCH: {"timeout": "0s"},
        _ONE: {},
        _ADDED_UP: {"max_stale": f"{KEPT}s"},
    }


def connectors() -> dict[str, Any]:
    """The counter."""
    labels = [{"key": each, "default_value": ""} for each in (NAMESPACE, REASON)]
    said = "Lines that cannot be read or redacted, or not as a whole."
    return {_COUNTER: {"logs": {METRIC: {"description": said, "attributes": labels}}}}


def pipelines(began: str, exporter: str) -> dict[str, Any]:
    """From the routing connector to where counts are shown; `began` is the processor that says since when."""
    # What fails is offered again, and would be counted each time.
    counting = [DETACH, COUNTED, _BATCH, _ONE]
    return {
        _LINES: {"receivers": [ROUTING], "processors": counting, "exporters": [_COUNTER]},
        _METRICS: {"receivers": [_COUNTER], "processors": [_ADDED_UP, began], "exporters": [exporter]},
    }
