"""What a policy records of every operation in one situation, and which situations are worth asking about.

A probe is an operation in a situation: who sends it, in which namespace, about an object of which name. Situations are
the catalogue's samples, and everybody and everything that the policy itself treats by name.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.coverage.callers import Caller, named_callers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audit_operator.api.audit import Stage
    from audit_operator.coverage.operations import Operations, RuleMask
    from audit_operator.policy.model import Policy, Rule, User

SAMPLE_NAME = "<name>"
"""An object that no policy names."""

MAX_SITUATIONS_PER_RULE = 500
"""Most combinations of named users, objects and namespaces that one rule is asked about: a tenant's policy with
thousands of names must not hold up the others. Where a rule has more, nothing is called covered."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Who sends a request, where, and the name of the object where the request has one."""

    caller: Caller
    namespace: str
    name: str = SAMPLE_NAME


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule, or the lack of one (`rule` None), decides about some operations."""

    operations: int
    level: Level
    omit_stages: frozenset[Stage]
    rule: int | None


class Recording:
    """What is recorded of the operations in one situation; `outcomes` are disjoint."""

    __slots__ = ("_at_least", "outcomes")

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        at_least = [0, 0, 0, 0]
        for outcome in outcomes:
            for rank in range(outcome.level.rank + 1):
                at_least[rank] |= outcome.operations
        self._at_least = at_least

    def at_least(self, level: Level) -> int:
        """The operations that are recorded at this level or above."""
        return self._at_least[level.rank]

    def omitting(self, stages: frozenset[Stage]) -> int:
        """The operations that leave out one of the stages."""
        mask = 0
        for outcome in self.outcomes:
            if outcome.omit_stages and not stages.isdisjoint(outcome.omit_stages):
                mask |= outcome.operations
        return mask

    def outcome_of(self, operation: int) -> Outcome:
        """What is decided about one operation (a mask of one bit)."""
        return next(outcome for outcome in self.outcomes if outcome.operations & operation)


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    """A rule as masks and sets.

    Attributes:
        object_names: per entry of its `resources` that is about some objects only, their names.
        namespace_names: the namespaces that it is about, and per entry the Namespace objects.
    """

    level: Level
    omit_stages: frozenset[Stage]
    namespaces: frozenset[str]
    mask: RuleMask
    object_names: tuple[frozenset[str], ...]
    namespace_names: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, rule: Rule, policy: Policy, operations: Operations) -> _CompiledRule:
        mask = operations.rule_mask(rule)
        namespaces = frozenset(rule.namespaces)
        objects, on_namespaces = [], [namespaces]
        for names, matched in mask.by_name:
            if matched & operations.on_namespaces:
                on_namespaces.append(names)
            if matched & operations.named & ~operations.on_namespaces:
                objects.append(names)
        return cls(
            rule.level,
            policy.omit_stages | rule.omit_stages,
            namespaces,
            mask,
            tuple(names - {""} for names in objects),
            tuple(names - {""} for names in on_namespaces),
        )


class _UserConditions:
    """Which rules' `users` and `userGroups` a user satisfies, as a mask with one bit per rule."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._of_user: dict[str, int] = {}
        self._of_group: dict[str, int] = {}
        self._any_user = self._any_group = 0
        for index, rule in enumerate(rules):
            bit = 1 << index
            for name in rule.users:
                self._of_user[name] = self._of_user.get(name, 0) | bit
            for group in rule.user_groups:
                self._of_group[group] = self._of_group.get(group, 0) | bit
            self._any_user |= 0 if rule.users else bit
            self._any_group |= 0 if rule.user_groups else bit

    def satisfied_by(self, user: User | None) -> int:
        if user is None:
            return self._any_user & self._any_group
        groups = self._any_group
        for group in user.groups:
            groups |= self._of_group.get(group, 0)
        return groups & (self._any_user | self._of_user.get(user.name, 0))


class CompiledPolicy:
    """A policy, ready to be asked about all operations of a catalogue at once."""

    def __init__(self, policy: Policy, operations: Operations) -> None:
        self._policy = policy
        self._operations = operations
        self._rules = tuple(_CompiledRule.of(rule, policy, operations) for rule in policy.rules)
        self._users = _UserConditions(policy.rules)
        self._everywhere = [index for index, rule in enumerate(self._rules) if not rule.namespaces]
        self._naming: dict[str, list[int]] = {}
        for index, rule in enumerate(self._rules):
            for namespace in rule.namespaces:
                self._naming.setdefault(namespace, []).append(index)

    def record(self, situation: Situation) -> Recording:
        """What is recorded of all operations that this situation can be about."""
        operations, namespace, name = self._operations, situation.namespace, situation.name
        remaining = operations.in_namespace if namespace else operations.without_namespace
        if name != SAMPLE_NAME:
            remaining &= self._mentioning(name)
        rules_of_user = self._users.satisfied_by(situation.caller.user)
        outcomes = []
        for index in heapq.merge(self._everywhere, self._naming.get(namespace, ())):
            if not rules_of_user >> index & 1:
                continue
            rule = self._rules[index]
            decided = remaining & operations.matching(rule.mask, namespace, name)
            if decided:
                outcomes.append(Outcome(decided, rule.level, rule.omit_stages, index))
                remaining ^= decided
                if not remaining:
                    break
        if remaining:
            outcomes.append(Outcome(remaining, Level.NONE, self._policy.omit_stages, None))
        return Recording(outcomes)

    def situations(
        self, samples: Sequence[Caller], namespaces: Sequence[str], *, follow_namespaces: bool
    ) -> tuple[list[Situation], bool]:
        """The situations to ask about, and whether there are more than are asked about.

        Of callers, names and namespaces that all rules treat alike, the first stands for the rest.

        Args:
            samples: the catalogue's callers.
            namespaces: where requests are sent; ``""`` is no namespace.
            follow_namespaces: whether namespaces that only rules name are looked at too.
        """
        first_namespace = _first_alike(names for rule in self._rules for names in rule.namespace_names)
        first_namespace.update({namespace: namespace for namespace in namespaces})
        followed = sorted(set(first_namespace.values()).difference(namespaces)) if follow_namespaces else []
        found = [Situation(caller, namespace) for caller in samples for namespace in (*namespaces, *followed)]
        seen = set(found)
        truncated = False
        first_caller = {self._treatment(caller): caller for caller in reversed(samples)}
        first_name = _first_alike(names for rule in self._rules for names in rule.object_names)
        for rule, source in zip(self._rules, self._policy.rules, strict=True):
            alike = (first_caller.setdefault(self._treatment(each), each) for each in named_callers(source))
            callers = tuple(dict.fromkeys(alike))
            names = {first_name[name] for listed in rule.object_names for name in listed}
            if not callers and not names:
                continue
            places = [each for each in namespaces if not rule.namespaces or each in rule.namespaces]
            if follow_namespaces:
                named = {first_namespace[name] for listed in rule.namespace_names for name in listed}
                places += sorted(named.difference(places))
            combinations = product(callers or samples, places, sorted(names) or (SAMPLE_NAME,))
            for combination in islice(combinations, MAX_SITUATIONS_PER_RULE):
                situation = Situation(*combination)
                if situation not in seen:
                    seen.add(situation)
                    found.append(situation)
            truncated = truncated or next(combinations, None) is not None
        return found, truncated

    def _treatment(self, caller: Caller) -> tuple[str, int]:
        """Equal for callers whom the catalogue and all rules treat alike."""
        return caller.subject, self._users.satisfied_by(caller.user)

    def _mentioning(self, name: str) -> int:
        mask = 0
        for rule in self._rules:
            for names, operations in rule.mask.by_name:
                if name in names:
                    mask |= operations
        return mask & self._operations.named & ~self._operations.on_namespaces


def _first_alike(lists: Iterable[frozenset[str]]) -> dict[str, str]:
    """For each name, the first one that stands in the same lists."""
    places: dict[str, list[int]] = {}
    for index, names in enumerate(lists):
        for name in names:
            places.setdefault(name, []).append(index)
    first: dict[tuple[int, ...], str] = {}
    for name in sorted(places):
        first.setdefault(tuple(places[name]), name)
    return {name: first[tuple(found)] for name, found in places.items()}
