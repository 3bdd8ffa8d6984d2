"""The record that leaves the node: one upstream audit event as JSON, and a few attributes to find it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.shipping.collector.attributes import LONGEST, MODIFIED, QUARANTINE, RAW, SHIPPED, UNREADABLE
from audit_operator.shipping.collector.deciding import state
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, text
from audit_operator.shipping.collector.proving import IS_PROVED
from audit_operator.shipping.collector.times import MICRO_TIME
from audit_operator.shipping.enforcement.table import ROUTE, Step
from audit_operator.shipping.redaction.rules import MARKER
from audit_operator.shipping.redaction.withholding import NOT_REDACTED

if TYPE_CHECKING:
    from audit_operator.shipping.pipeline import AuditPipeline

_FROM_EVENT = ("auditID", "stage", "level")
"""What has not been read before."""
TIME = "time"
"""What could not be read of an event: its own time. It has the time when it was read instead."""
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def write(pipeline: AuditPipeline) -> tuple[Statements, ...]:
    """Statements that end the processing of an event, and of a line that is none."""
    is_event = f"{attribute(QUARANTINE)} == nil"
    kept = ", ".join(text(name) for name in SHIPPED)
    name, code = body("objectRef", "name"), body("responseStatus", "code")
    is_number = f"(IsInt({code}) or IsDouble({code}))"
    return (
        _unproved(),
        Statements(
            (
                *(assign(attribute(name), body(name)) for name in _FROM_EVENT),
                assign(attribute("username"), body("user", "username"), f"IsString({body('user', 'username')})"),
                assign(attribute("name"), name, f"IsMap({body('objectRef')}) and IsString({name})"),
                assign(attribute("code"), code, f"IsMap({body('responseStatus')}) and {is_number}"),
                assign("log.time", f"Time({body('stageTimestamp')}, {text(_TIME)})", _is_time()),
            ),
            (is_event,),
        ),
        _time_when_read(is_event),
        Statements(
            (
                assign("log.body", attribute(RAW), f"{attribute(MODIFIED)} == nil"),
                assign("log.body", "String(log.body)", f"{attribute(MODIFIED)} != nil"),
            ),
            (is_event, IS_PROVED),
        ),
        Statements((assign("log.body", attribute(RAW)),), (f"not ({is_event})", IS_PROVED)),
        Statements(
            (
                assign(attribute("cluster"), text(pipeline.cluster)),
                assign(attribute(ROUTE), attribute(state(ROUTE)), f"{attribute(state(ROUTE))} != nil"),
                *_unseen(),
                # Nothing else takes the line as it was read away.
                f"delete_key(log.attributes, {text(RAW)})",
                f"keep_keys(log.attributes, [{kept}])",
                f"truncate_all(log.attributes, {LONGEST})",
            )
        ),
    )


def _unproved() -> Statements:
    """Whatever did not come from redaction with its mark: nobody knows what is in it."""
    quarantine = attribute(QUARANTINE)
    return Statements(
        (
            assign(attribute("auditID"), body("auditID"), f"{quarantine} == nil and IsMap(log.body)"),
            assign("log.body", text(MARKER)),
            assign(quarantine, text(NOT_REDACTED), f"{quarantine} == nil"),
        ),
        (f"not ({IS_PROVED})",),
    )


def _time_when_read(is_event: str) -> Statements:
    """For an event without a time that can be read: the API server's clock was wrong, or a sender has cut it off.

    It stays an event, since who did what is known. Without any time, readers of a store would not find it.
    """
    unreadable = attribute(UNREADABLE)
    return Statements(
        (
            assign("log.time", "log.observed_time"),
            assign(unreadable, text(TIME), f"{unreadable} == nil"),
        ),
        (is_event, "log.time_unix_nano == 0"),
    )


def _unseen() -> tuple[str, str]:
    namespace, where = attribute("namespace"), f"{attribute(state(Step.CLASS))} == nil"
    return (
        assign(attribute("unseen"), namespace, f"{where} and {namespace} != nil"),
        f'delete_key(log.attributes, "namespace") where {where}',
    )


def _is_time() -> str:
    return f"IsMatch({body('stageTimestamp')}, {text(MICRO_TIME)})"
