"""Whether what a store has is sealed, and is as it was sealed, as far as the operator and verifications have seen.

What was last seen stays in status where the archive is away, and is claimed of nobody meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.api.parsing import to_json
from audit_operator.api.sink import ClusterAuditSink
from audit_operator.api.sink_seals import SealState
from audit_operator.plan.claim import Claim, false, true, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.seal_observations import SealObservation
    from audit_operator.plan.sinks import Sink

_TYPE = ConditionType.SEALED
_REASONS = {
    SealState.VERIFY_OVERDUE: Reason.VERIFY_OVERDUE,
    SealState.VERIFY_FAILED: Reason.VERIFY_FAILED,
    SealState.SEAL_MISSING: Reason.SEAL_MISSING,
    SealState.SEAL_INVALID: Reason.SEAL_INVALID,
    SealState.SEAL_REPLACED: Reason.SEAL_REPLACED,
}
NOT_LOOKED_AT = "nobody looks at seals: the operator is set not to"
_NOT_YET = "not looked at yet"


class SealsOfSinks:
    """What is true of the seals of sinks; `seen` is None where nobody looks at seals at all."""

    def __init__(self, seen: Mapping[ObjectRef, SealObservation] | None) -> None:
        self._seen = seen

    def knows(self, sink: Sink) -> bool:
        """Whether the status of a sink can be written: what it says is the operator's memory, which is read first."""
        return self._seen is None or not _is_sealed(sink) or sink.ref in self._seen

    def memory(self, sink: Sink) -> dict[str, Any] | None:
        """What the status of a sink says about its seals."""
        found = self._seen.get(sink.ref) if self._seen is not None and _is_sealed(sink) else None
        return to_json(found.status) if found is not None else None

    def of_sink(self, sink: Sink) -> Claim:
        """The condition of a sink."""
        if not _is_sealed(sink):
            return unknown(_TYPE, Reason.NOT_REQUESTED, "the spec names no seals")
        if self._seen is None:
            return unknown(_TYPE, Reason.NOT_IMPLEMENTED, NOT_LOOKED_AT)
        found = self._seen.get(sink.ref)
        return _claim(found) if found is not None else unknown(_TYPE, Reason.NOT_VERIFIED, _NOT_YET)


def _claim(found: SealObservation) -> Claim:
    if found.unsupported:
        return unknown(_TYPE, Reason.UNSUPPORTED, found.trouble)
    if found.trouble:
        last = found.status.last
        before = f"; sealed up to {last.until} when last seen" if last is not None else ""
        return unknown(_TYPE, Reason.SINK_UNREACHABLE, f"{found.trouble}{before}")
    if found.state is None:
        return unknown(_TYPE, Reason.NOT_VERIFIED, _NOT_YET)
    if found.state is SealState.SEALED:
        return true(_TYPE, Reason.SEALED, found.message)
    return false(_TYPE, _REASONS[found.state], found.message)


def _is_sealed(sink: Sink) -> bool:
    return isinstance(sink, ClusterAuditSink) and sink.spec.seals is not None
