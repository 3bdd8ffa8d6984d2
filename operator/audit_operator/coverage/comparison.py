"""What a change of policy changes for the critical actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import Verdict

if TYPE_CHECKING:
    from audit_operator.coverage.verdicts import ActionCoverage, Coverage

_BADNESS = {Verdict.COVERED: 0, Verdict.PARTIAL: 1, Verdict.GAP: 2, Verdict.LEAK: 2, Verdict.NOT_AUDITABLE: 2}


@dataclass(frozen=True, slots=True)
class Change:
    """One action whose verdict or level differs. None stands for an action that is judged on one side only."""

    action: str
    before: ActionCoverage | None
    after: ActionCoverage | None

    @property
    def is_worse(self) -> bool:
        """Whether less is recorded as needed, or the log holds what it did not hold before."""
        if self.before is None or self.after is None:
            return self.after is None
        leaks = self.after.verdict is Verdict.LEAK and self.before.verdict is not Verdict.LEAK
        return leaks or _BADNESS[self.after.verdict] > _BADNESS[self.before.verdict]


def diff_coverage(before: Coverage, after: Coverage) -> tuple[Change, ...]:
    """The actions whose verdict or level changed, in the order of `before`, then those that are new."""
    old = {each.action.id: each for each in before.actions}
    new = {each.action.id: each for each in after.actions}
    changes = (Change(identity, old.get(identity), new.get(identity)) for identity in old | new)
    return tuple(change for change in changes if _summary(change.before) != _summary(change.after))


def _summary(coverage: ActionCoverage | None) -> object:
    return coverage and (coverage.verdict, coverage.level)
