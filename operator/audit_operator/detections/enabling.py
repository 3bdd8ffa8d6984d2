"""The smallest change of a policy that lets a rule fire: rules to be put first.

A change that is shown has been tried: with it, the rule fires. What is recorded of an operation now is not lowered,
unless the rule fires at a lower level alone; and it is said which critical actions would leak by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.restriction import Restriction
from audit_operator.coverage.suggestions import Suggestion, rules_for
from audit_operator.coverage.verdicts import assess, assess_restriction
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.recording import Recording
from audit_operator.detections.universe import Universe
from audit_operator.detections.work import Work, WorkEndedError
from audit_operator.policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.api.audit import Stage
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.firing import Judgement, Want

MAX_OPERATIONS = 24
"""Most operations that a change is about. Of a rule that is about more, and cannot fire at all, the first will do."""


@dataclass(frozen=True, slots=True)
class Enabling:
    """A change after which a rule can fire.

    Attributes:
        suggestion: the change.
        lowers: operations of which less is recorded then, since the rule asks for exactly that.
        leaks: ids of critical actions that would leak.
        is_for_all: whether it covers everything that the rule is about.
    """

    suggestion: Suggestion
    lowers: tuple[str, ...]
    leaks: tuple[str, ...]
    is_for_all: bool


@dataclass(frozen=True, slots=True)
class Change:
    """How rules are put first in a policy.

    Attributes:
        recorded: what becomes of requests without them.
        of: the same with them.
        omitted: stages that the policy omits as a whole, so that a rule cannot bring them back.
        namespace: the namespace that all this is about; empty for a whole cluster.
    """

    recorded: Recording
    of: Callable[[Suggestion], Recording]
    omitted: frozenset[Stage]
    namespace: str = ""

    @classmethod
    def in_file(cls, policy: Policy) -> Change:
        """In an audit policy that is in force as it is."""
        return cls(Recording(policy), lambda each: Recording(each.apply(policy)), policy.omit_stages)


def enable(
    judgement: Judgement, change: Policy | Change, catalogue: Catalogue, *, work: Work | None = None
) -> Enabling | None:
    """A change that lets the rule fire for all that it is about; None if there is none, or if it can already."""
    if isinstance(change, Policy):
        change = Change.in_file(change)
    wants = judgement.wants
    if judgement.firing not in (Firing.CANNOT, Firing.PARTLY):
        return None
    if len(wants) > MAX_OPERATIONS:
        if judgement.firing is Firing.PARTLY:
            return None
        wants = wants[:1]
    work = work or Work()
    try:
        return _enable(judgement, wants, change, catalogue, work)
    except WorkEndedError:
        return None


def _enable(
    judgement: Judgement, wants: tuple[Want, ...], change: Change, catalogue: Catalogue, work: Work
) -> Enabling | None:
    needed = {each.operation: each.level for each in wants}
    recorded = _recorded(judgement, change, needed, work)
    keep = frozenset(each.stage for each in wants) & change.omitted
    raised = {operation: max(level, recorded[operation]) for operation, level in needed.items()}
    for levels in (raised, needed):
        suggestion = Suggestion(rules_for(levels), (), keep)
        after = judge(judgement.rule, change.of(suggestion), namespace=change.namespace, work=work)
        if after.able >= judgement.able + len(wants):
            lowers = tuple(dict.fromkeys(each.target for each, level in levels.items() if level < recorded[each]))
            leaks = _leaks(suggestion.apply(change.recorded.policy), catalogue, change.namespace)
            before = _leaks(change.recorded.policy, catalogue, change.namespace)
            return Enabling(suggestion, lowers, tuple(sorted(leaks - before)), after.firing is Firing.CAN)
    return None


def _recorded(
    judgement: Judgement, change: Change, needed: dict[Operation, Level], work: Work
) -> dict[Operation, Level]:
    """The highest level at which each operation is recorded now, for anybody."""
    decide = change.recorded.evaluator()
    condition = judgement.rule.condition
    if condition is None:
        return dict.fromkeys(needed, Level.NONE)
    universe = Universe.of(condition, change.recorded, change.namespace, work)
    return {
        operation: max(decide(operation.request(*each)).level for each in universe.situations(operation))
        for operation in needed
    }


def _leaks(policy: Policy, catalogue: Catalogue, namespace: str) -> frozenset[str]:
    if namespace:
        everything = Restriction(policy, tuple(range(len(policy.rules))))
        coverage = assess_restriction(everything, catalogue, namespace)
    else:
        coverage = assess(policy, catalogue)
    return frozenset(each.action.id for each in coverage.actions if each.verdict is Verdict.LEAK)
