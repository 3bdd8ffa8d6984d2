"""What policies say of lines of the API server that shippers could not read, or not as a whole.

They are shipped, but whoever looks for what happened may not find all of it: a body is missing, or even who it was. A
tenant hears of those of the own namespace alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.plan.sink_shipping import step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.observations import ShipperObservation

UNREADABLE = "lines-unreadable"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Unreadable:
    """On one control plane: how many, by namespace and reason."""

    counted: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, shippers: Iterable[ShipperObservation]) -> Unreadable:
        """What these say together."""
        counted: Counter[tuple[str, str]] = Counter()
        for shipper in shippers:
            for each in shipper.figures.unreadable:
                counted[each.namespace, each.reason] += each.lines
        return cls(counted)

    def steps(self) -> dict[tuple[str, str], int]:
        """The step that each count has reached."""
        return {place: step(lines) for place, lines in self.counted.items()}

    def reasons(self, namespace: str = "") -> dict[str, int]:
        """How many, by reason, of a namespace; of all, if none is named."""
        found: Counter[str] = Counter()
        for (where, reason), lines in self.counted.items():
            if namespace in ("", where):
                found[reason] += lines
        return found

    def lines(self, policy: AuditPolicy | ClusterAuditPolicy) -> int:
        """The step that those have reached that concern a policy; 0 where none is known."""
        return step(sum(self.reasons(policy.metadata.namespace).values()))

    def findings(self, policy: AuditPolicy | ClusterAuditPolicy) -> Iterator[Finding]:
        """To the owners of a namespace; that of the control plane hears of all, by shipper."""
        namespace = policy.metadata.namespace
        if namespace and (lines := self.lines(policy)):
            yield Finding(
                UNREADABLE,
                Severity.WARNING,
                f"{lines} lines or more of the API server about this namespace could not be read as events, or not be "
                f"redacted, as a whole{in_words(self.reasons(namespace))}; they are shipped without what may be secret",
                "find them in the store by the fields `quarantine`, `unreadable` and `undisclosed`, and see who sends "
                "such bodies; what redaction fails on is a fault of ours: please report it",
            )


def in_words(reasons: Mapping[str, int]) -> str:
    """The most frequent ones, in brackets, with the steps that they have reached; empty if there are none."""
    most = sorted(reasons.items(), key=lambda each: (-step(each[1]), each[0]))
    said = ", ".join(f"{reason}: {step(lines)}" for reason, lines in most[:_SHOWN])
    more = ", ..." if len(most) > _SHOWN else ""
    return f" ({said}{more})" if said else ""
