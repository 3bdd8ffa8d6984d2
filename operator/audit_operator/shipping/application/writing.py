"""The record that leaves the pod: the line after redaction, and the attributes to find it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.shipping.application.attributes import ATTRIBUTES, PATH, SHIPPED, WITHHELD_NOTE
from audit_operator.shipping.application.reading import IS_OBJECT, QUARANTINED, above
from audit_operator.shipping.application.standard import Reason, Standard
from audit_operator.shipping.collector.attributes import LONGEST, MODIFIED, RAW
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, cache, concat, text
from audit_operator.shipping.collector.proving import IS_PROVED
from audit_operator.shipping.redaction.rules import MARKER

if TYPE_CHECKING:
    from audit_operator.shipping.application.pipeline import ApplicationPipeline

POD_VARIABLE, POD_UID_VARIABLE = "AUDIT_SHIPPER_POD", "AUDIT_SHIPPER_POD_UID"
"""Of the collector's environment: name and UID of the pod, from the downward API."""
POD = assign(attribute("pod"), f'"${{env:{POD_VARIABLE}}}"')
POD_UID = assign(cache("uid"), f'"${{env:{POD_UID_VARIABLE}}}"')
"""Statements in which ``$`` is an expansion. Neither a name nor a UID can hold a quote or a backslash."""

_DIGITS = 16
_RAW = attribute(RAW)


def write(pipeline: ApplicationPipeline) -> tuple[Statements, ...]:
    """Statements that end the processing of a line."""
    withheld = f"{attribute(WITHHELD_NOTE)} != nil"
    kept = ", ".join(text(name) for name in SHIPPED)
    return (
        _unproved(),
        Statements(tuple(_fields(pipeline)), (IS_OBJECT, f"not ({withheld})", IS_PROVED)),
        Statements(
            (
                # In this order, whichever fails leaves nothing but what redaction has left.
                assign("log.body", _RAW, f"{IS_OBJECT} and {attribute(MODIFIED)} == nil"),
                assign("log.body", "String(log.body)", IS_OBJECT),
            ),
            (f"not ({withheld})", IS_PROVED),
        ),
        Statements(
            (
                assign("log.body", text(MARKER)),
                assign(attribute("withheld"), f"Len({_RAW})"),
                assign("log.body", concat(text("[REDACTED: "), f"Len({_RAW})", text(" bytes]"))),
            ),
            (withheld,),
        ),
        Statements(
            (
                assign(attribute("cut"), "Len(log.body)"),
                assign("log.body", f"Substring(log.body, 0, {pipeline.longest_line}, true)"),
                assign(QUARANTINED, text(Reason.TOO_LONG), f"{QUARANTINED} == nil"),
            ),
            (f"Len(log.body) > {pipeline.longest_line}",),
        ),
        # Stores drop what lies too far from now, and what has no time may get any.
        Statements((assign("log.time", "log.observed_time"),), (f"{QUARANTINED} != nil",)),
        Statements(
            (
                assign(attribute("cluster"), text(pipeline.cluster)),
                assign(attribute("namespace"), text(pipeline.namespace)),
                assign(attribute("policy"), text(pipeline.policy)),
                POD,
                POD_UID,
                assign(attribute("stream"), f"Substring(SHA256({_stream(pipeline)}), 0, {_DIGITS})"),
                # Each takes away what was read, should the other fail.
                f"delete_matching_keys(log.attributes, {text('^op[.]')})",
                f"keep_keys(log.attributes, [{kept}])",
                f"truncate_all(log.attributes, {LONGEST})",
            )
        ),
    )


def _unproved() -> Statements:
    """Whatever did not come from redaction with its mark: nobody knows what is in it."""
    return Statements(
        (
            assign("log.body", text(MARKER)),
            assign(attribute(WITHHELD_NOTE), "true"),
            assign(QUARANTINED, text(Reason.NOT_REDACTED), f"{QUARANTINED} == nil"),
        ),
        (f"not ({IS_PROVED})",),
    )


def _stream(pipeline: ApplicationPipeline) -> str:
    of_all = f"{pipeline.cluster}\n{pipeline.namespace}\n{pipeline.policy}"
    return concat(text(of_all), cache("uid"), attribute(PATH), between="\n")


def _fields(pipeline: ApplicationPipeline) -> list[str]:
    """Read once more, after redaction."""
    standard = Standard(pipeline.fields)
    statements = []
    for name, carried in ATTRIBUTES.items():
        for keys in standard.places(name):
            here = body(*keys)
            where = f"{above(keys)} and IsString({here}) and {attribute(carried)} == nil"
            statements.append(assign(attribute(carried), here, where))
    return statements
