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
from audit_operator.api.way_figures import seconds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ExporterFigures, ShipperObservation
    from audit_operator.api.way_figures import Latency
    from audit_operator.plan.claim import Claim

_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Way:
    """To one sink.

    `lost` is the step that the losses of all policies have reached there, 0 where none is known, and `cut` that of what
    was too large to go there whole; `quarantined` that of lines of the policy that cannot be read, or not as a whole,
    wherever they go; `lag` for how many seconds something has waited on the way, as one of `observations.LAGS`;
    `latency` how long probes took.
    """

    kind: str
    name: str
    state: ShippingState
    message: str
    lost: int = 0
    lag: int = 0
    latency: Latency | None = None
    cut: int = 0
    quarantined: int = 0

    def to_json(self) -> dict[str, Any]:
        """As it stands in status."""
        counts = {"lost": self.lost, "cut": self.cut, "quarantined": self.quarantined}
        said = {"message": self.message[:_LONGEST], **counts, "lag": lag_text(self.lag)}
        known: dict[str, Any] = {key: value for key, value in said.items() if value}
        if self.latency is not None:
            times = {"p50": self.latency.p50, "p95": self.latency.p95, "p99": self.latency.p99}
            known["latency"] = {name: seconds_text(seconds) for name, seconds in times.items()}
        return {"sink": {"kind": self.kind, "name": self.name}, "state": self.state.value, **known}


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """What is true of the way to a sink: see Way."""

    claim: Claim
    lost: int = 0
    lag: int = 0
    latency: Latency | None = None
    cut: int = 0
    quarantined: int = 0


def ways(
    policy: AuditPolicy | ClusterAuditPolicy, claims: Iterable[OnTheWay], unusable: Iterable[Finding]
) -> Iterator[Way]:
    """A way to each sink that a policy names, in its order.

    `claims` has what is true of each that may be used; `unusable` why others may not.
    """
    refused, usable = {each.path: each for each in unusable}, iter(claims)
    for number, ref in enumerate(policy.spec.sink_refs):
        finding = refused.get(f"spec.sinkRefs[{number}]")
        if finding is not None:
            yield Way(ref.kind, ref.name, ShippingState.FAILING, f"{finding.message} ({finding.mend})")
        else:
            way = next(usable)
            claim = way.claim
            figures = way.lost, way.lag, way.latency, way.cut, way.quarantined
            yield Way(ref.kind, ref.name, _state(claim), claim.message, *figures)


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
    """The step that lines which cannot be read, or not as a whole, have reached, by node; 0 is absent."""
    return {each.node: step(each.figures.quarantined) for each in shippers if each.figures.quarantined}


def uncounted(shippers: Iterable[ShipperObservation]) -> dict[str, int]:
    """The step that what detections are about and was not counted has reached, by node; 0 is absent."""
    return {each.node: step(each.figures.uncounted) for each in shippers if each.figures.uncounted}


def losses(shippers: Iterable[ShipperObservation]) -> dict[str, int]:
    """The step that losses have reached, by exporter; those without a loss are absent."""
    return _steps(shippers, lambda figures: figures.failed + figures.not_queued)


def cuts(shippers: Iterable[ShipperObservation]) -> dict[str, int]:
    """The step that records which were too large to be sent whole have reached, by exporter; 0 is absent."""
    return _steps(shippers, lambda figures: figures.cut)


def _steps(shippers: Iterable[ShipperObservation], of_way: Callable[[ExporterFigures], int]) -> dict[str, int]:
    counted: defaultdict[str, int] = defaultdict(int)
    for shipper in shippers:
        for each in shipper.exporters:
            counted[each.exporter] += of_way(each.figures)
    return {exporter: step(count) for exporter, count in counted.items() if count}


def step(count: int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not more; 0 for none."""
    if count <= 0:
        return 0
    power = int("1" + "0" * (len(str(count)) - 1))
    return max(each * power for each in (1, 2, 5) if each * power <= count)
