"""What a check is: a stable id, and a pure function from a policy to reports.

Checks know nothing of files, lines and output: they name a rule and a path, and whoever calls `lint_policy` adds the
rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Severity
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.lint.reach import MAX_RULES, AtEnd, Reach, analyse
from audit_operator.policy.predicate import EVERYTHING, Predicate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.policy.document import JsonValue, Path
    from audit_operator.policy.known_resources import KnownResources, KubernetesVersion
    from audit_operator.policy.model import Decision, Policy, Request, Rule


class Role(Enum):
    """What a list of rules is for, which decides what can be wrong with it."""

    WHOLE = "whole"
    """All that an API server runs: what it leaves out, nobody records."""

    PART = "part"
    """One policy of many, which the compiler adds to the others: what it leaves out, another may record."""

    LIMITS = "limits"
    """The highest levels allowed: it records nothing itself."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is being checked.

    Attributes:
        policy: the rules as the API server understands them.
        known: the resources that exist; groups that it does not hold are never called wrong.
        version: oldest Kubernetes version that is to read the policy; None if unknown.
        role: what the rules are for.
        written: the policy as written, for checks of what the model cannot show; None if there is no text.
    """

    policy: Policy
    known: KnownResources
    version: KubernetesVersion | None = None
    role: Role = Role.WHOLE
    written: JsonValue = None

    @cached_property
    def predicates(self) -> tuple[Predicate, ...]:
        """The set of requests that each rule matches, whatever comes before it."""
        return tuple(Predicate.from_rule(rule) for rule in self.policy.rules)

    @cached_property
    def reach(self) -> Reach:
        """What becomes of each rule.

        What no limit matches has no limit, and what no rule of one policy matches may be recorded by another.
        """
        at_end = AtEnd.UNRECORDED if self.role is Role.WHOLE else AtEnd.UNKNOWN
        return analyse(self.policy, self.known, at_end)

    def rules(self) -> Iterator[tuple[int, Rule]]:
        """Every rule with its index."""
        yield from enumerate(self.policy.rules)

    def examined(self) -> Iterator[tuple[int, Rule]]:
        """Those rules with their index that are examined for what they and the others do together."""
        yield from enumerate(self.policy.rules[:MAX_RULES])

    def decide(self, request: Request) -> Decision:
        """What the policy says about a request."""
        return evaluate(self.policy, request)

    def drops(self, rule: int | None) -> bool:
        """Whether a rule singles out requests not to be recorded.

        A closing `level: None` for everything does not: it only says aloud what happens to the rest anyway.
        """
        return rule is not None and self.policy.rules[rule].level is Level.NONE and self.predicates[rule] != EVERYTHING

    def loses(self, level: Level) -> bool:
        """Whether what gets this level is lost: another policy cannot record it."""
        return level is Level.NONE and self.role is Role.WHOLE

    def loss(self, rule: Rule) -> Severity:
        """How bad it is that a rule does not match what it was written for.

        A rule that records then loses events, or lets them fall to a rule that records too much; one that only drops
        events leaves noise.
        """
        drops_only = rule.level is Level.NONE and self.role is not Role.LIMITS
        return Severity.WARNING if drops_only else Severity.ERROR


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that a check has found.

    Attributes:
        message: what is wrong, with the offending value.
        mend: what to write instead.
        rule: index of the rule concerned; None if it is the policy as a whole.
        path: where within the rule, or within the policy if `rule` is None.
        severity: where it differs from the check's own, because of what follows from it here.
    """

    message: str
    mend: str
    rule: int | None = None
    path: Path = ()
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        id: stable and kebab-case; documented in `docs/lint.md` under this name.
        severity: how bad a finding is, unless the report says otherwise.
        title: what it looks for, in one line.
        run: the check itself.
        roles: what it applies to.
    """

    id: str
    severity: Severity
    title: str
    run: Callable[[Subject], Iterator[Report]]
    roles: frozenset[Role] = frozenset(Role)


WHOLE_ONLY = frozenset({Role.WHOLE})
RECORDING = frozenset({Role.WHOLE, Role.PART})
