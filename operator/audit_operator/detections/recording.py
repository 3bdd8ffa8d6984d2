"""What becomes of a request before anybody counts it: what policies ask for, and what others leave of it.

An API server with a policy of ours records what that policy says. Of one that is only observed there is what it
records, and of that what our shippers leave: the lower of two levels, and the stages that neither omits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.policy.compiled_evaluator import compile_evaluator
from audit_operator.policy.model import Decision, Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.policy.model import Request, Rule

    _Decide = Callable[[Request], Decision]


@dataclass(frozen=True, slots=True)
class Recording:
    """Policies, one over the other.

    Attributes:
        policy: what is asked for; decisions name its rules.
        given: what the API servers record at most, where their policy is somebody else's.
        added: rules that are put to the test: what a further policy would ask for.
        limits: lists of what is allowed at most, for the rules that are added; `policy` keeps to them already.
    """

    policy: Policy
    given: Policy | None = None
    added: Policy | None = None
    limits: tuple[tuple[Rule, ...], ...] = ()

    @classmethod
    def of(cls, recorded: Policy | Recording) -> Recording:
        """The same, also of one policy alone."""
        return cls(recorded) if isinstance(recorded, Policy) else recorded

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that can matter."""
        lists = [each.rules for each in (self.policy, self.given, self.added) if each is not None]
        return tuple(rule for each in (*lists, *self.limits) for rule in each)

    def evaluator(self) -> _Decide:
        """Decides about requests. It remembers, as `compile_evaluator` does."""
        decide = compile_evaluator(self.policy)
        if self.added is not None:
            decide = _higher(decide, _limited(compile_evaluator(self.added), self.limits))
        return decide if self.given is None else _lower(decide, compile_evaluator(self.given))


def _higher(decide: _Decide, besides: _Decide) -> _Decide:
    """As policies are composed: the higher level counts, and a stage is omitted if all that record omit it."""

    def both(request: Request) -> Decision:
        one, other = decide(request), besides(request)
        if other.level is Level.NONE:
            return one
        if one.level is Level.NONE:
            return Decision(other.level, other.omit_stages, other.omit_managed_fields, one.rule)
        return Decision(
            max(one.level, other.level),
            one.omit_stages & other.omit_stages,
            one.omit_managed_fields and other.omit_managed_fields,
            one.rule,
        )

    return both


def _limited(decide: _Decide, limits: tuple[tuple[Rule, ...], ...]) -> _Decide:
    """Never above the first rule of any list that matches; what no rule matches is not limited."""
    lists = [compile_evaluator(Policy(each)) for each in limits]

    def limited(request: Request) -> Decision:
        decision = decide(request)
        caps = [cap.level for cap in (each(request) for each in lists) if cap.rule is not None]
        level = min([decision.level, *caps])
        return Decision(level, decision.omit_stages, decision.omit_managed_fields, decision.rule)

    return limited


def _lower(decide: _Decide, given: _Decide) -> _Decide:
    """As shippers do with what they read: the lower level counts, and a stage that either omits is not there."""

    def left(request: Request) -> Decision:
        one, other = decide(request), given(request)
        return Decision(
            min(one.level, other.level),
            one.omit_stages | other.omit_stages,
            one.omit_managed_fields or other.omit_managed_fields,
            one.rule,
        )

    return left
