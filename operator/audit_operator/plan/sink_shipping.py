"""How the records of a policy reach each of its sinks: a line for each, where the condition has the worst alone.

A count in a status would be written each time that it changes. So a loss is told in steps, of which there are three for
each power of ten, and which it never goes back on while the shippers go on counting.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionStatus, Reason
from audit_operator.api.policy_status import ShippingState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ShipperObservation
    from audit_operator.plan.claim import Claim

_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Way:
    """To one sink.

    `lost` is the step that the losses of all policies have reached there, 0 where none is known; `lag` for how many
    seconds something has waited on the way, as one of `observations.LAGS`.
    """

    kind: str
    name: str
    state: ShippingState
    message: str
    lost: int = 0
    lag: int = 0

    def to_json(self) -> dict[str, Any]:
        """As it stands in status."""
        said = {"message": self.message[:_LONGEST], "lost": self.lost, "lag": lag_text(self.lag)}
        known = {key: value for key, value in said.items() if value}
        return {"sink": {"kind": self.kind, "name": self.name}, "state": self.state.value, **known}


def ways(
    policy: AuditPolicy | ClusterAuditPolicy, claims: Iterable[tuple[Claim, int, int]], unusable: Iterable[Finding]
) -> Iterator[Way]:
    """A way to each sink that a policy names, in its order.

    `claims` has what is true of each that may be used, its losses and its lag; `unusable` why others may not.
    """
    refused, usable = {each.path: each for each in unusable}, iter(claims)
    for number, ref in enumerate(policy.spec.sink_refs):
        finding = refused.get(f"spec.sinkRefs[{number}]")
        if finding is not None:
            yield Way(ref.kind, ref.name, ShippingState.FAILING, f"{finding.message} ({finding.mend})")
        else:
            claim, lost, lag = next(usable)
            yield Way(ref.kind, ref.name, _state(claim), claim.message, lost, lag)


def _state(claim: Claim) -> ShippingState:
    if claim.reason is Reason.BACKLOG:
        return ShippingState.LAGGING
    return {
        ConditionStatus.TRUE: ShippingState.DELIVERING,
        ConditionStatus.FALSE: ShippingState.FAILING,
        ConditionStatus.UNKNOWN: ShippingState.UNKNOWN,
    }[claim.status]


def lag_text(seconds: int) -> str:
    """One of `observations.LAGS` as status has it; empty for 0."""
    if not seconds:
        return ""
    return f"{seconds // 3600}h" if seconds >= 3600 else f"{seconds // 60}m"  # noqa: PLR2004 - an hour


def quarantined(shippers: Iterable[ShipperObservation]) -> dict[str, int]:
    """The step that lines which are no audit event have reached, by node; those without one are absent."""
    return {each.node: step(each.figures.quarantined) for each in shippers if each.figures.quarantined}


def losses(shippers: Iterable[ShipperObservation]) -> dict[str, int]:
    """The step that losses have reached, by exporter; those without a loss are absent."""
    counted: defaultdict[str, int] = defaultdict(int)
    for shipper in shippers:
        for each in shipper.exporters:
            counted[each.exporter] += each.figures.failed + each.figures.not_queued
    return {exporter: step(count) for exporter, count in counted.items() if count}


def step(count: int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not more; 0 for none."""
    if count <= 0:
        return 0
    power = int("1" + "0" * (len(str(count)) - 1))
    return max(each * power for each in (1, 2, 5) if each * power <= count)
