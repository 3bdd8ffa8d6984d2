"""What a shipper must make of an event: the decision table and the rules of redaction, asked in Python.

Nothing here knows how the collector does it, so that what it does wrong shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.model import Request
from audit_operator.shipping.canary.planted import EPOCH
from audit_operator.shipping.collector.attributes import LONGEST
from audit_operator.shipping.enforcement.table import (
    DETECTIONS,
    LEVEL,
    MANAGED_FIELDS,
    POLICIES,
    REDACTION,
    ROUTE,
    URL_KEY,
    decide,
    namespace_key,
)
from audit_operator.shipping.redaction import places
from audit_operator.shipping.redaction.interpreter import apply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.shipping.enforcement.table import States, Table
    from audit_operator.shipping.pipeline import AuditPipeline
    from audit_operator.shipping.redaction.demand import RedactionDemand

_RESOURCE = ("apiGroup", "resource", "subresource")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one event.

    Attributes:
        recorded: whether anything is to be recorded of it.
        exporters: ids of those that get it, which none may be even so.
        attributes: all that the record has, as text.
        event: as it leaves the node.
        loose: see `planted.Planted`.
        detections: what is counted in its namespace alone, as the table names it.
    """

    recorded: bool
    exporters: tuple[str, ...]
    attributes: Mapping[str, str]
    event: Mapping[str, Any]
    loose: tuple[str, ...]
    detections: str


@dataclass(frozen=True, slots=True)
class Oracle:
    """Says what one configuration must do, with one table."""

    pipeline: AuditPipeline
    table: Table

    def of_event(self, event: Mapping[str, Any], line: str) -> Prediction:
        """What becomes of an event that is on the line, as recorded at RequestResponse.

        Raises:
            ValueError: no API server writes it so.
        """
        request = request_from_event(event)
        if not isinstance(request, Request):
            raise ValueError(request.message)  # noqa: TRY004  # of the type is what the event says
        treatment = self.treatment(request)
        decided = decide(self.table, request, Stage(event["stage"]))
        demand = self.demand(treatment)
        namespace = request.namespace if request.resource_request else ""
        key = EPOCH.present(namespace) if demand.pseudonymize and self.is_known(treatment) else None
        stripped = _stripped(event, decided)
        left = apply(stripped, demand.built_in, line=line, namespace=namespace, key=key).event
        recorded = decided.get(LEVEL) != Level.NONE
        return Prediction(
            recorded=recorded,
            exporters=self.exporters(treatment) if recorded else (),
            attributes=self._attributes(left, request, treatment),
            event=left,
            loose=places.OBJECTS if demand.patterns else (),
            detections=str(treatment.get(DETECTIONS, "")),
        )

    def treatment(self, request: Request) -> States:
        """What the table says of all such events; empty where it does not know the namespace."""
        return self.table.entries.get(namespace_key(request.namespace) if request.resource_request else URL_KEY, {})

    def demand(self, treatment: States) -> RedactionDemand:
        """What is taken out of such events."""
        return self.pipeline.redactions[str(treatment.get(REDACTION, ""))]

    def exporters(self, treatment: States) -> tuple[str, ...]:
        """Where such events go."""
        return self.pipeline.routes[str(treatment.get(ROUTE, ""))]

    def stamps(self, treatment: States) -> dict[str, str]:
        """What every record of such an event, or of what is left of one, says besides."""
        return {each: str(treatment[each])[:LONGEST] for each in (ROUTE, POLICIES) if each in treatment}

    def is_known(self, treatment: States) -> bool:
        """Whether the table says anything of such events."""
        return bool(treatment)

    def _attributes(self, event: Mapping[str, Any], request: Request, treatment: States) -> dict[str, str]:
        reference, code = event.get("objectRef") or {}, (event.get("responseStatus") or {}).get("code")
        whose = {"namespace" if self.is_known(treatment) else "unseen": request.namespace}
        found = {
            "cluster": self.pipeline.cluster,
            **{each: event[each] for each in ("auditID", "stage", "level", "verb")},
            **({"username": event["user"]["username"]} if "username" in event["user"] else {}),
            **(whose if request.resource_request else {}),
            **{each: reference[each] for each in (*_RESOURCE, "name") if each in reference},
            **({} if code is None else {"code": str(code)}),
            **self.stamps(treatment),
        }
        return {name: str(value)[:LONGEST] for name, value in found.items()}


def _stripped(event: Mapping[str, Any], decided: States) -> dict[str, Any]:
    """An event as if the API server had recorded it at the level that was decided.

    Source: `pkg/audit/request.go` and `pkg/audit/context.go` of kubernetes/apiserver.
    """
    level = Level(str(decided.get(LEVEL, Level.REQUEST_RESPONSE)))
    without = {Level.REQUEST_RESPONSE: (), Level.REQUEST: ("responseObject",)}.get(level, places.OBJECTS)
    left = {name: value for name, value in event.items() if name not in without}
    if MANAGED_FIELDS in decided:
        left |= {name: _without_managed_fields(left[name]) for name in places.OBJECTS if name in left}
    return {**left, "level": str(level)}


def _without_managed_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": metadata}
