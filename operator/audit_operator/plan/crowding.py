"""What policies say of detections of which shippers could not tell all events apart.

Whoever can make many series takes the room of others who ask for the same. These are not blind: what had no room counts
together, by namespace. But their alert does not say whose events they were, and that they may be several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import EVERYWHERE
from audit_operator.plan.counting import resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.observations import ShipperObservation

CROWDED = "detection-crowded"


@dataclass(frozen=True, slots=True)
class Crowded:
    """Where it happened on one control plane within the last hour: conditions, with namespaces."""

    places: frozenset[tuple[str, str]]
    conditions: frozenset[str]

    @classmethod
    def of(cls, shippers: Iterable[ShipperObservation]) -> Crowded:
        """What all shippers say."""
        places = frozenset(place for each in shippers for place in each.crowded)
        return cls(places, frozenset(condition for condition, _ in places))

    def findings(self, policy: AuditPolicy | ClusterAuditPolicy) -> Iterator[Finding]:
        """Of its detections that it concerns; in a namespace, of what happened there, as far as places are named."""
        if not self.places:
            return
        namespace = policy.metadata.namespace
        for number, each in enumerate(policy.spec.detections):
            own, condition = resolved(each, namespaced=bool(namespace))
            here = (condition, namespace) in self.places
            if here or (condition, EVERYWHERE) in self.places or (not namespace and condition in self.conditions):
                where = "" if here or not namespace else ", in many namespaces and maybe in this one"
                yield Finding(
                    CROWDED,
                    Severity.WARNING,
                    f"within the last hour, shippers had no room to tell apart all that detection {own.name} is about"
                    f"{where}: such events count together, whoever sent them, and alert as one (told_apart=no)",
                    "tell apart less, or by what few can choose; have AUDIT_OPERATOR_DETECTION_SERIES raised; "
                    "`audit-operator query` finds who sends what",
                    path=f"spec.detections[{number}]",
                )
