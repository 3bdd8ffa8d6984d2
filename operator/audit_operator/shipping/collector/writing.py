"""The record that leaves the node: one upstream audit event as JSON, and a few attributes to find it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.shipping.collector.attributes import LONGEST, MODIFIED, QUARANTINE, RAW, SHIPPED
from audit_operator.shipping.collector.deciding import state
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, text
from audit_operator.shipping.collector.times import MICRO_TIME
from audit_operator.shipping.enforcement.table import ROUTE, Step

if TYPE_CHECKING:
    from audit_operator.shipping.pipeline import AuditPipeline

_FROM_EVENT = ("auditID", "stage", "level")
"""What has not been read before."""
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def write(pipeline: AuditPipeline) -> tuple[Statements, ...]:
    """Statements that end the processing of an event, and of a line that is none."""
    is_event = f"{attribute(QUARANTINE)} == nil"
    kept = ", ".join(text(name) for name in SHIPPED)
    name = body("objectRef", "name")
    return (
        Statements(
            (
                *(assign(attribute(name), body(name)) for name in _FROM_EVENT),
                assign(attribute("username"), body("user", "username"), f"IsString({body('user', 'username')})"),
                assign(attribute("name"), name, f"IsMap({body('objectRef')}) and IsString({name})"),
                assign(attribute("code"), body("responseStatus", "code"), f"IsMap({body('responseStatus')})"),
                assign("log.time", f"Time({body('stageTimestamp')}, {text(_TIME)})", _is_time()),
            ),
            (is_event,),
        ),
        *_cut(pipeline.largest_event, is_event),
        Statements(
            (
                assign("log.body", attribute(RAW), f"{attribute(MODIFIED)} == nil"),
                assign("log.body", "String(log.body)", f"{attribute(MODIFIED)} != nil"),
            ),
            (is_event,),
        ),
        Statements((assign("log.body", attribute(RAW)),), (f"not ({is_event})",)),
        *_shorten(pipeline.largest_event),
        Statements(
            (
                assign(attribute("cluster"), text(pipeline.cluster)),
                assign(attribute(ROUTE), attribute(state(ROUTE)), f"{attribute(state(ROUTE))} != nil"),
                *_unseen(),
                f"keep_keys(log.attributes, [{kept}])",
                f"truncate_all(log.attributes, {LONGEST})",
            )
        ),
    )


def _unseen() -> tuple[str, str]:
    namespace, where = attribute("namespace"), f"{attribute(state(Step.CLASS))} == nil"
    return (
        assign(attribute("unseen"), namespace, f"{where} and {namespace} != nil"),
        f'delete_key(log.attributes, "namespace") where {where}',
    )


def _cut(largest: int, is_event: str) -> tuple[Statements, ...]:
    """Take the bodies from an event that stores would drop, with success for an answer."""
    return (
        Statements(
            (
                assign(attribute("cut"), f"Len({attribute(RAW)})"),
                'delete_key(log.body, "requestObject")',
                'delete_key(log.body, "responseObject")',
                assign(attribute(MODIFIED), "true"),
            ),
            (is_event, f"Len({attribute(RAW)}) > {largest}"),
        ),
    )


def _shorten(largest: int) -> tuple[Statements, ...]:
    """What is too large even so is no JSON any more, but it arrives, and where it belongs."""
    return (
        Statements(
            (
                assign(attribute("cut"), f"Len({attribute(RAW)})"),
                assign("log.body", f"Substring(log.body, 0, {largest}, true)"),
            ),
            ("IsString(log.body)", f"Len(log.body) > {largest}"),
        ),
    )


def _is_time() -> str:
    return f"IsMatch({body('stageTimestamp')}, {text(MICRO_TIME)})"
