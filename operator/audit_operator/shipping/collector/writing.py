"""The record that leaves the node: one upstream audit event as JSON, and a few attributes to find it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.shipping.collector.attributes import MODIFIED, QUARANTINE, RAW, SHIPPED
from audit_operator.shipping.collector.deciding import state
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, text
from audit_operator.shipping.enforcement.table import ROUTE

if TYPE_CHECKING:
    from audit_operator.shipping.pipeline import AuditPipeline

_FROM_EVENT = {
    "auditID": ("auditID",),
    "stage": ("stage",),
    "level": ("level",),
    "verb": ("verb",),
    "username": ("user", "username"),
    "apiGroup": ("objectRef", "apiGroup"),
    "resource": ("objectRef", "resource"),
    "subresource": ("objectRef", "subresource"),
    "name": ("objectRef", "name"),
}
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_IS_TIME = "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9][.][0-9]{6}Z$"


def write(pipeline: AuditPipeline) -> tuple[Statements, ...]:
    """Statements that end the processing of an event, and of a line that is none."""
    is_event = f"{attribute(QUARANTINE)} == nil"
    kept = ", ".join(text(name) for name in SHIPPED)
    return (
        Statements(
            (
                *(assign(attribute(name), body(*path), _is_string(path)) for name, path in _FROM_EVENT.items()),
                assign(attribute("code"), body("responseStatus", "code"), f"IsMap({body('responseStatus')})"),
                assign("log.time", f"Time({body('stageTimestamp')}, {text(_TIME)})", _is_time()),
                assign("log.body", attribute(RAW), f"{attribute(MODIFIED)} == nil"),
                assign("log.body", "String(log.body)", f"{attribute(MODIFIED)} != nil"),
            ),
            (is_event,),
        ),
        Statements((assign("log.body", attribute(RAW)),), (f"not ({is_event})",)),
        Statements(
            (
                assign(attribute("cluster"), text(pipeline.cluster)),
                assign(attribute(ROUTE), attribute(state(ROUTE)), f"{attribute(state(ROUTE))} != nil"),
                f"keep_keys(log.attributes, [{kept}])",
            )
        ),
    )


def _is_string(path: tuple[str, ...]) -> str:
    within = " and ".join(f"IsMap({body(*path[:length])})" for length in range(1, len(path)))
    return f"{within} and IsString({body(*path)})" if within else f"IsString({body(*path)})"


def _is_time() -> str:
    return f"IsMatch({body('stageTimestamp')}, {text(_IS_TIME)})"
