"""Whether records arrive in a sink, once its store was asked, too.

Shippers know what they have sent; the store knows what it has kept. Where the two differ, the worse counts. But the
operator often has no way to a store that shippers reach: that it cannot ask says nothing against what they deliver.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.store_observations import Drop, StoreState
from audit_operator.plan.claim import Claim, false, unknown

if TYPE_CHECKING:
    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.store_observations import StoreObservation

_TYPE = ConditionType.SHIPPING

_DROPS = {
    Drop.TOO_OLD: ("records that are older than it keeps", "raise its -retentionPeriod, or see why they come so late"),
    Drop.TOO_NEW: (
        "records whose time lies ahead of its own",
        "compare the clocks of store and API servers, or raise its -futureRetention",
    ),
    Drop.TOO_MANY_FIELDS: ("records with more fields than it takes", "see who sends them: records of ours have few"),
    Drop.OTHER: ("records", "see its log, and its metric vl_rows_dropped_total"),
}
_REASONS = {
    StoreState.UNREACHABLE: Reason.SINK_UNREACHABLE,
    StoreState.UNAUTHENTICATED: Reason.SINK_UNAUTHENTICATED,
    StoreState.REFUSING: Reason.SINK_REFUSING,
    StoreState.REDIRECTING: Reason.SINK_REFUSING,
}


def with_store(claim: Claim, sink: ObjectRef, seen: StoreObservation | None) -> Claim:
    """What shippers have shown of the way to a sink, and what its store has; None: it was not asked."""
    if seen is None:
        return claim
    if seen.drops:
        return _lossy(claim, sink, seen)
    reason = _REASONS.get(seen.state)
    return claim if reason is None else _troubled(claim, sink, seen, reason)


def _troubled(claim: Claim, sink: ObjectRef, seen: StoreObservation, reason: Reason) -> Claim:
    said = f"{seen.message} ({seen.mend})" if seen.mend else seen.message
    if seen.state is StoreState.REDIRECTING and claim.reason in (Reason.SHIPPING, Reason.NOTHING_YET):
        return false(_TYPE, reason, f"{sink}: {said}; shippers take what they find there for success")
    if claim.reason is Reason.NOTHING_YET and seen.state is StoreState.UNREACHABLE:
        return unknown(_TYPE, reason, f"{sink}: nothing was sent yet, and the operator cannot ask: {said}")
    if claim.reason is Reason.NOTHING_YET:
        return false(_TYPE, reason, f"{sink}: {said}")
    if claim.status is ConditionStatus.TRUE:
        return replace(claim, message=f"{claim.message}; {sink} is not checked from the operator: {said}")
    return replace(claim, message=f"{claim.message}; asked by the operator: {said}")


def _lossy(claim: Claim, sink: ObjectRef, seen: StoreObservation) -> Claim:
    """The store does not say whose records they were; that they were ours can be neither proved nor ruled out."""
    what, mend = _DROPS[seen.drops[0]]
    said = f"the store has thrown away {what} within the last hour, and does not say whose ({mend})"
    if claim.reason is Reason.LOSSY:
        return replace(claim, message=f"{claim.message}; {said}")
    return false(_TYPE, Reason.LOSSY, f"{sink}: {said}")
