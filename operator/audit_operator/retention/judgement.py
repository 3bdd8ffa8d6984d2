"""From what a store says about itself to whether it keeps records as demanded. Every type of store is judged alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.demand import period

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from audit_operator.retention.classes import RetentionClass


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a store does not do as demanded.

    Attributes:
        state: Partial, Unsupported (such a store cannot do it), or Drifted (it did, and its settings were changed).
        message: what, in words of ours.
        mend: what somebody can do about it.
    """

    state: RetentionState
    message: str
    mend: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a store does with the records of one class, as it says itself. Ages are in hours.

    Attributes:
        deletes_after: age at which it deletes them by a setting of its own, and never before; None: by none.
        later: for how long they may still be there after that.
        can_delete: whether it deletes them when the operator tells it to.
        immutable: whether it was seen to refuse a deletion before the minimum was over.
        oldest: time of the oldest record; None where there is none, or where it cannot be had.
        overdue: how many records are older than the demand's maximum.
        unknown: whether the store does not say by which settings it deletes; then, nothing else may be read into None.
        searchable: whether records can be searched at once for as long as they are there.
        gaps: what else is not as demanded, and only such a store can know.
    """

    deletes_after: int | None
    later: int = 0
    can_delete: bool = False
    immutable: bool = False
    oldest: datetime | None = None
    overdue: int = 0
    unknown: bool = False
    searchable: bool = False
    gaps: tuple[Gap, ...] = ()

    @property
    def effective(self) -> str:
        """What it does by itself, as people write it."""
        by_itself = "keeps for ever" if self.deletes_after is None else f"deletes after {period(self.deletes_after)}"
        parts = ["not known" if self.unknown else by_itself]
        parts += ["refuses deletion through its API"] if self.immutable else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Mends:
    """How whoever runs a store gives it what it lacks; each a sentence without its end."""

    keep_longer: str
    delete: str
    lock: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """How what is demanded and what a store does compare, and why; the reason is empty where it is Enforced."""

    state: RetentionState
    reason: str = ""


WORST_FIRST = (
    RetentionState.DRIFTED,
    RetentionState.UNSUPPORTED,
    RetentionState.PARTIAL,
    RetentionState.CONFLICT,
    RetentionState.PENDING,
    RetentionState.ENFORCED,
)


def judge(wanted: RetentionClass, facts: Facts, mends: Mends) -> Judgement:
    """Whether a store keeps the records of a class as demanded. All that is missing is named, the worst first."""
    gaps = [*facts.gaps, *_gaps(wanted, facts, mends)]
    if wanted.conflicting:
        said = "policies contradict each other, and the longer minimum counts; see their findings"
        gaps.append(Gap(RetentionState.CONFLICT, said, "let the owners of the policies agree"))
    if facts.overdue:
        said = f"{facts.overdue} records are older than {period(wanted.demand.maximum or 0)}"
        gaps.append(Gap(RetentionState.PENDING, said, ""))
    gaps.sort(key=lambda each: WORST_FIRST.index(each.state))
    if not gaps:
        return Judgement(RetentionState.ENFORCED)
    return Judgement(
        gaps[0].state, "; ".join(f"{each.message} ({each.mend})" if each.mend else each.message for each in gaps)
    )


def without_deletion(wanted: RetentionClass, facts: Facts, refused: str) -> Facts:
    """Facts of a store that could delete by its settings, and was seen to refuse it to us; `refused` says how."""
    if not facts.can_delete:
        return facts
    facts = replace(facts, can_delete=False)
    if wanted.demand.delete_after is None and not wanted.protects:
        return facts
    said = f"it refuses the operator to delete, and to end deletions that were ordered before ({refused})"
    mend = "let the operator reach the store's delete API where a proxy keeps it away, or switch that off in the store"
    return replace(facts, gaps=(*facts.gaps, Gap(RetentionState.PARTIAL, said, mend)))


def _gaps(wanted: RetentionClass, facts: Facts, mends: Mends) -> Iterator[Gap]:
    demand, after = wanted.demand, facts.deletes_after
    if demand.legal_hold and after is not None:
        said = f"a legal hold is demanded, and the store deletes after {period(after)} by itself"
        yield Gap(RetentionState.PARTIAL, said, mends.keep_longer)
    elif after is not None and after < demand.minimum:
        said = f"{period(demand.minimum)} are demanded at the least, and the store deletes after {period(after)}"
        yield Gap(RetentionState.PARTIAL, said, mends.keep_longer)
    if demand.immutable and not facts.immutable:
        said = "nobody may be able to delete before the minimum is over, and the store does not prevent it"
        yield Gap(RetentionState.UNSUPPORTED, said, mends.lock)
    latest = demand.delete_after
    if latest is not None and not facts.can_delete and (after is None or after + facts.later > latest):
        said = f"records are to be deleted after {period(latest)}, and the store does not do it"
        yield Gap(RetentionState.PARTIAL, said, mends.delete)
