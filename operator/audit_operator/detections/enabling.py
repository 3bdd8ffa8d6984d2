"""The smallest change of a policy that lets a rule fire: rules to be put first.

A change that is shown has been tried: with it, the rule fires. What is recorded of an operation now is not lowered,
unless the rule fires at a lower level alone; and it is said which critical actions would leak by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.suggestions import Suggestion, rules_for
from audit_operator.coverage.verdicts import assess
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.universe import Universe
from audit_operator.policy.compiled_evaluator import compile_evaluator

if TYPE_CHECKING:
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.firing import Judgement
    from audit_operator.policy.model import Policy

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


def enable(judgement: Judgement, policy: Policy, catalogue: Catalogue) -> Enabling | None:
    """A change that lets the rule fire for all that it is about; None if there is none, or if it can already."""
    wants = judgement.wants
    if judgement.firing not in (Firing.CANNOT, Firing.PARTLY):
        return None
    if len(wants) > MAX_OPERATIONS:
        if judgement.firing is Firing.PARTLY:
            return None
        wants = wants[:1]
    needed = {each.wanted.operation: each.wanted.level for each in wants}
    recorded = _recorded(judgement, policy, needed)
    keep = frozenset(each.wanted.stage for each in wants) & policy.omit_stages
    raised = {operation: max(level, recorded[operation]) for operation, level in needed.items()}
    for levels in (raised, needed):
        suggestion = Suggestion(rules_for(levels), (), keep)
        changed = suggestion.apply(policy)
        after = judge(judgement.rule, changed)
        if after.able >= judgement.able + len(wants):
            lowers = tuple(dict.fromkeys(each.target for each, level in levels.items() if level < recorded[each]))
            leaks = tuple(sorted(_leaks(changed, catalogue) - _leaks(policy, catalogue)))
            return Enabling(suggestion, lowers, leaks, after.firing is Firing.CAN)
    return None


def _recorded(judgement: Judgement, policy: Policy, needed: dict[Operation, Level]) -> dict[Operation, Level]:
    """The highest level at which each operation is recorded now, for anybody."""
    decide = compile_evaluator(policy)
    condition = judgement.rule.condition
    if condition is None:
        return dict.fromkeys(needed, Level.NONE)
    universe = Universe.of(condition, policy)
    return {
        operation: max(decide(operation.request(*each)).level for each in universe.situations(operation))
        for operation in needed
    }


def _leaks(policy: Policy, catalogue: Catalogue) -> frozenset[str]:
    return frozenset(each.action.id for each in assess(policy, catalogue).actions if each.verdict is Verdict.LEAK)
