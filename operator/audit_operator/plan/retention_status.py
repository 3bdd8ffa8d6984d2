"""Whether records are kept as policies ask, as the stores themselves have said.

What was last proved stays with its time where a store is away; what was never asked is claimed by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import RetentionState, SinkRetention
from audit_operator.api.references import SinkKind, SinkRef
from audit_operator.plan.claim import Claim, false, true, unknown
from audit_operator.plan.searching import Searching
from audit_operator.retention.judgement import WORST_FIRST
from audit_operator.retention.searchable import is_searchable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.retention_observations import RetentionObservation
    from audit_operator.api.sink_retention import ClassRetention
    from audit_operator.plan.retention import Retention

MOST_LINES = 16
_TYPE = ConditionType.RETENTION_ENFORCED
_LONGEST = 1024
_REASONS = {
    RetentionState.ENFORCED: Reason.ENFORCED,
    RetentionState.PENDING: Reason.PENDING,
    RetentionState.PARTIAL: Reason.PARTIAL,
    RetentionState.UNSUPPORTED: Reason.UNSUPPORTED,
    RetentionState.DRIFTED: Reason.DRIFTED,
    RetentionState.CONFLICT: Reason.CONFLICT,
}
NOT_ASKED = "nobody asks stores about retention: the operator is set not to"


@dataclass(frozen=True, slots=True)
class _Held:
    """A class in a sink, and those of its namespaces that something is to be said of."""

    sink: ObjectRef
    name: str
    namespaces: tuple[str, ...]


class RetentionOfStores:
    """What is true of the retention of policies and sinks; `seen` is None where stores are not asked at all."""

    def __init__(self, demanded: Retention, seen: Mapping[ObjectRef, RetentionObservation] | None) -> None:
        self._demanded = demanded
        self._seen = seen
        self._searching = Searching(seen or {})
        self._asked: dict[tuple[ObjectRef, str], frozenset[str]] = {}

    def knows(self, sink: ObjectRef) -> bool:
        """Whether the status of a sink can be written: what it says is the operator's memory, which is read first."""
        return self._seen is None or sink not in self._demanded.sinks or sink in self._seen

    def of_sink(self, sink: ObjectRef) -> Claim:
        """The worst of all classes in one sink."""
        if sink not in self._demanded.sinks:
            return unknown(_TYPE, Reason.NOT_REQUESTED, "no policy asks for it")
        demanded = self._demanded.sinks[sink]
        held = [_Held(sink, each.name, each.namespaces) for each in demanded.classes]
        return self._worst(held, [self._searched(each) for each in demanded.of_policy])

    def memory(self, sink: ObjectRef) -> dict[str, Any] | None:
        """What the status of a sink says about its classes."""
        found = self._seen.get(sink) if self._seen is not None and sink in self._demanded.sinks else None
        return to_json(found.status) if found is not None else None

    def of_policy(self, policy: ObjectRef, sinks: Iterable[ObjectRef]) -> tuple[Claim, tuple[dict[str, Any], ...]]:
        """The worst in all sinks that a policy may ship to, and a line for each sink and class, the worst first."""
        if policy not in self._demanded.asking:
            return unknown(_TYPE, Reason.NOT_REQUESTED, "the spec does not ask for it, or ships nowhere"), ()
        held = [
            _Held(sink, each.name, (policy.namespace,) if policy.namespace else each.namespaces)
            for sink in sinks
            if sink in self._demanded.sinks
            for each in self._demanded.sinks[sink].classes
            if each.name in self._demanded.sinks[sink].of_policy.get(policy, ())
        ]
        if not held:
            said = "what this policy asks for is not applied in any sink; see composition.findings"
            return false(_TYPE, Reason.CONFLICT, said), ()
        searched = self._searched(policy)
        told = (self._with_search(policy, self._line(each), searched) for each in held)
        lines = sorted(told, key=lambda each: WORST_FIRST.index(each.state))
        return self._worst(held, [searched]), tuple(to_json(each) for each in lines[:MOST_LINES])

    def _worst(self, held: list[_Held], searched: list[Claim | None]) -> Claim:
        return min((*map(self._claim, held), *filter(None, searched)), key=_rank)

    def _searched(self, policy: ObjectRef) -> Claim | None:
        """What is wrong with how long a policy's records can be searched at once, if anything is."""
        asked = self._demanded.hot.get(policy)
        return self._searching.judge(asked) if asked is not None and self._seen is not None else None

    def _with_search(self, policy: ObjectRef, line: SinkRetention, searched: Claim | None) -> SinkRetention:
        """The line of a sink in which they cannot; another may be good enough by itself, and says so."""
        if searched is None or is_searchable(line.searchable, self._demanded.hot[policy].hours):
            return line
        reason = "; ".join(filter(None, (line.reason, searched.message)))[:_LONGEST]
        partial = searched.reason is Reason.PARTIAL and line.state is not RetentionState.UNSUPPORTED
        state = min(line.state, RetentionState.PARTIAL, key=WORST_FIRST.index) if partial else line.state
        return line.model_copy(update={"reason": reason, "state": state})

    def _claim(self, held: _Held) -> Claim:
        sink, name = held.sink, held.name
        if self._seen is None:
            return unknown(_TYPE, Reason.NOT_IMPLEMENTED, NOT_ASKED)
        found, said = self._seen.get(sink), self._said(held)
        where = f"{sink}, class {name}"
        if found is not None and found.unsupported:
            return unknown(_TYPE, Reason.UNSUPPORTED, f"{sink}: {found.trouble}")
        if found is not None and (trouble := found.trouble_of(name)):
            before = f"; it was {said.state} at {said.last_verified}" if said is not None else ""
            return unknown(_TYPE, Reason.SINK_UNREACHABLE, f"{where}: {trouble}{before}")
        if said is None:
            return unknown(_TYPE, Reason.NOT_VERIFIED, f"{where}: not asked yet")
        reason = _REASONS[said.state]
        if said.state is RetentionState.ENFORCED:
            return true(_TYPE, reason, "every sink keeps records as asked")
        return false(_TYPE, reason, f"{where}: {said.reason}")

    def _said(self, held: _Held) -> ClassRetention | None:
        """What was found of a class; that all is well, only of namespaces that the store was asked about."""
        found = self._seen.get(held.sink) if self._seen is not None else None
        said = next((each for each in found.status.classes if each.name == held.name), None) if found else None
        if found is None or said is None or said.state is not RetentionState.ENFORCED:
            return said
        return (
            said
            if self._about(held.sink, said).issuperset(held.namespaces) and (found.asked or found.trouble_of(held.name))
            else None
        )

    def _about(self, sink: ObjectRef, said: ClassRetention) -> frozenset[str]:
        """Namespaces that a store was asked about; thousands of policies may want to know."""
        key = (sink, said.name)
        if key not in self._asked:
            self._asked[key] = frozenset(name for each in said.told for name in each.namespaces)
        return self._asked[key]

    def _line(self, held: _Held) -> SinkRetention:
        sink, name = held.sink, held.name
        found, said = self._seen.get(sink) if self._seen is not None else None, self._said(held)
        trouble = found.trouble_of(name) if found is not None else ""
        ref = SinkRef(kind=SinkKind(sink.kind), name=sink.name)
        if said is None:
            unsupported = found is not None and found.unsupported
            return SinkRetention(
                sink=ref,
                retention_class=name,
                desired=name,
                state=RetentionState.UNSUPPORTED if unsupported else RetentionState.PENDING,
                reason=(trouble or "not asked yet")[:_LONGEST],
            )
        reason = f"SinkUnreachable: {trouble}" if trouble else said.reason
        return SinkRetention(
            sink=ref,
            retention_class=name,
            desired=said.desired,
            effective=said.effective,
            searchable=said.searchable,
            state=said.state,
            oldest=said.oldest,
            last_verified=said.last_verified,
            reason=reason[:_LONGEST],
        )


_ORDER: tuple[Reason, ...] = (
    Reason.DRIFTED,
    Reason.UNSUPPORTED,
    Reason.PARTIAL,
    Reason.CONFLICT,
    Reason.SINK_UNREACHABLE,
    Reason.PENDING,
    Reason.NOT_VERIFIED,
    Reason.NOT_IMPLEMENTED,
    Reason.ENFORCED,
)


def _rank(claim: Claim) -> tuple[int, str]:
    """What is known to be wrong goes before what is not known."""
    known = claim.status is not ConditionStatus.UNKNOWN or claim.reason is not Reason.UNSUPPORTED
    return _ORDER.index(claim.reason) if known else _ORDER.index(Reason.PENDING), claim.message


def decides(claim: Claim) -> bool:
    """Whether a condition says anything about Ready: not where nothing was asked, or nobody can find out."""
    if claim.type is _TYPE and claim.reason is Reason.UNSUPPORTED:
        return claim.status is not ConditionStatus.UNKNOWN
    return claim.reason not in (Reason.NOT_IMPLEMENTED, Reason.NOT_REQUESTED)
