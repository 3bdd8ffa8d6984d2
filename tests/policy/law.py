"""The composition rule, said without any algebra: what the compiler is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.policy.decision_list import NOTHING, Outcome
from audit_operator.policy.evaluate import evaluate, rule_matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.policy.contribution import Contribution
    from audit_operator.policy.model import Policy, Request


def asked(contributions: Iterable[Contribution], request: Request, known: frozenset[str]) -> Outcome:
    """The highest level that any policy asks for, and never above the lowest limit that applies."""
    total, cap = NOTHING, Level.REQUEST_RESPONSE
    for each in contributions:
        if not each.reach.includes(request, known):
            continue
        if each.policy:
            total = total.join(outcome_of(each.policy, request))
        cap = min(cap, next((rule.level for rule in each.limits if rule_matches(rule, request)), cap))
    return total.capped(Outcome(cap))


def outcome_of(policy: Policy, request: Request) -> Outcome:
    """What one policy records of a request."""
    decision = evaluate(policy, request)
    if decision.level is Level.NONE:
        return NOTHING
    return Outcome(decision.level, decision.omit_stages, decision.omit_managed_fields)
