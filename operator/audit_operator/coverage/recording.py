"""What a policy records of every operation in one situation, and which situations are worth asking about.

A probe is an operation in a situation: who sends it, in which namespace, about an object of which name. Situations are
the catalogue's samples, and everybody and everything that the policy itself treats by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.coverage.callers import Caller, named_callers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from audit_operator.api.audit import Stage
    from audit_operator.coverage.operations import Operations, RuleMask
    from audit_operator.policy.model import Policy, Rule, User

SAMPLE_NAME = "<name>"
"""Any object. None can be called so."""

MAX_SITUATIONS_PER_RULE = 500
"""Most combinations of named users, objects and namespaces that one rule is asked about. Where there are more, nothing
is called covered."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Who sends a request, where, and the name of the object where the request has one."""

    caller: Caller
    namespace: str
    name: str = SAMPLE_NAME


@dataclass(frozen=True, slots=True)
class Extent:
    """How far situations go beyond the catalogue's samples.

    Attributes:
        limit: how many situations are enough: with thousands of names a policy must not hold up the others.
        namespaces: whether namespaces that only rules name are looked at too.
        names: whether users, groups and objects that only rules name are asked about too.
    """

    limit: int
    namespaces: bool = False
    names: bool = True


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


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    """A rule as masks and sets.

    Attributes:
        object_names: per entry of its `resources` that is about some objects only, their names.
        namespace_names: the namespaces that it is about, and per entry the Namespace objects.
        names: all names without one of which it matches nothing; empty if it can do without.
    """

    level: Level
    omit_stages: frozenset[Stage]
    namespaces: frozenset[str]
    mask: RuleMask
    object_names: tuple[frozenset[str], ...]
    namespace_names: tuple[frozenset[str], ...]
    names: frozenset[str]

    @classmethod
    def of(cls, rule: Rule, policy: Policy, operations: Operations) -> _CompiledRule:
        mask = operations.rule_mask(rule)
        namespaces = frozenset(rule.namespaces)
        all_names = frozenset[str]().union(*(names for names, _ in mask.by_name))
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
            # "" is the name in requests that have none: whatever the situation, some do.
            all_names if mask.always == 0 and "" not in all_names else frozenset(),
        )


class _UserConditions:
    """Which rules' `users` and `userGroups` a user satisfies, as a mask with one bit per rule."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._any_user, self._of_user = _index(rule.users for rule in rules)
        self._any_group, self._of_group = _index(rule.user_groups for rule in rules)

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
        self._any_namespace, self._of_namespace = _index(rule.namespaces for rule in self._rules)
        self._any_name, self._of_name = _index(rule.names for rule in self._rules)
        _, self._mentioning = _index(frozenset().union(*rule.object_names) for rule in self._rules)

    def record(self, situation: Situation) -> Recording:
        """What is recorded of all operations that this situation can be about."""
        operations, namespace, name = self._operations, situation.namespace, situation.name
        remaining = operations.in_namespace if namespace else operations.without_namespace
        if name != SAMPLE_NAME:
            remaining &= self._operations_mentioning(name)
        rules = self._users.satisfied_by(situation.caller.user)
        rules &= self._any_namespace | self._of_namespace.get(namespace, 0)
        rules &= self._any_name | self._of_name.get(name, 0) | self._of_name.get(namespace, 0)
        outcomes = []
        for index in _positions(rules):
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
        self, samples: Sequence[Caller], namespaces: Sequence[str], extent: Extent
    ) -> tuple[list[Situation], bool]:
        """The situations to ask about, and whether there are more than are asked about.

        Of callers, names and namespaces that all rules treat alike, the first stands for the rest.

        Args:
            samples: the catalogue's callers.
            namespaces: where requests are sent; ``""`` is no namespace.
            extent: how far to go beyond the samples.
        """
        first_namespace = _first_alike(names for rule in self._rules for names in rule.namespace_names)
        first_namespace.update({namespace: namespace for namespace in namespaces})
        followed = sorted(set(first_namespace.values()).difference(namespaces)) if extent.namespaces else []
        found = [Situation(caller, namespace) for caller in samples for namespace in (*namespaces, *followed)]
        seen = set(found)
        truncated = False
        first_caller = {self._treatment(caller): caller for caller in reversed(samples)}
        first_name = _first_alike(names for rule in self._rules for names in rule.object_names)
        for rule, source in zip(self._rules, self._policy.rules, strict=True) if extent.names else ():
            alike = (first_caller.setdefault(self._treatment(each), each) for each in named_callers(source))
            callers = tuple(dict.fromkeys(alike))
            names = {first_name[name] for listed in rule.object_names for name in listed}
            if not callers and not names:
                continue
            places = [each for each in namespaces if not rule.namespaces or each in rule.namespaces]
            if extent.namespaces:
                named = {first_namespace[name] for listed in rule.namespace_names for name in listed}
                places += sorted(named.difference(places))
            combinations = product(callers or samples, places, sorted(names) or (SAMPLE_NAME,))
            if len(found) > extent.limit:
                return found, True
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

    def _operations_mentioning(self, name: str) -> int:
        mask = 0
        for index in _positions(self._mentioning.get(name, 0)):
            for names, operations in self._rules[index].mask.by_name:
                if name in names:
                    mask |= operations
        return mask & self._operations.named & ~self._operations.on_namespaces


def _index(conditions: Iterable[Collection[str]]) -> tuple[int, dict[str, int]]:
    """Which rules have no condition, and which are satisfied by each name, as masks with one bit per rule."""
    unconditional, by_name = 0, dict[str, int]()
    for position, names in enumerate(conditions):
        bit = 1 << position
        unconditional |= 0 if names else bit
        for name in names:
            by_name[name] = by_name.get(name, 0) | bit
    return unconditional, by_name


def _positions(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


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
