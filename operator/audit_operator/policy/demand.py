"""Which first-match lists reach which requests, and what they demand together.

Ten thousand namespaces usually have a few dozen distinct demands. Lists are numbered by content, so that demands are
compared as sets of numbers, and equal demands are folded once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.policy.contribution import CLUSTER_SCOPE
from audit_operator.policy.decision_list import (
    NOTHING,
    UNLIMITED,
    Cell,
    DecisionList,
    Outcome,
    TooLarge,
    fold,
    without_shadowed,
)
from audit_operator.policy.model import Policy, Rule
from audit_operator.policy.predicate import (
    ALL_RESOURCES,
    ALL_URLS,
    AnyTarget,
    Predicate,
    ResourceTarget,
    Target,
    UrlTarget,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.policy.contribution import Contribution


@dataclass(frozen=True, slots=True)
class Universe:
    """Requests of one kind: in one namespace, in a namespace that no rule names, or non-resource requests."""

    everything: Target
    namespace: str | None = None

    def narrow(self, target: Target) -> Target | None:
        """The part of a target that lies in this universe, without what is the same for all of it."""
        match target:
            case AnyTarget():
                return self.everything
            case UrlTarget():
                return target if self.everything == ALL_URLS else None
            case ResourceTarget(namespaces, entries):
                named = namespaces is None or self.namespace in namespaces
                return ResourceTarget(None, entries) if named and self.everything == ALL_RESOURCES else None


NON_RESOURCE = Universe(ALL_URLS)
UNNAMED = Universe(ALL_RESOURCES)


@dataclass(frozen=True, slots=True)
class Demand:
    """All that reaches one universe: numbers of lists that ask, and of lists that limit."""

    universe: Target
    policies: frozenset[int]
    limits: frozenset[int]

    def surely_includes(self, other: Demand) -> bool:
        """Whether this records at least what the other does, because more ask and fewer forbid."""
        return self.policies >= other.policies and self.limits <= other.limits


@dataclass(slots=True)
class Lists:
    """The distinct lists met so far, and the folds of their sets."""

    _by_number: list[DecisionList] = field(default_factory=list)
    _numbers: dict[DecisionList, int] = field(default_factory=dict)
    _of_source: dict[tuple[Policy | tuple[Rule, ...], Universe], int] = field(default_factory=dict)
    _folds: dict[tuple[int, ...], DecisionList] = field(default_factory=dict)

    def demand(self, contributions: Iterable[Contribution], universe: Universe) -> Demand:
        """What contributions demand of a universe."""
        policies, limits = set(), set()
        for each in contributions:
            if each.policy is not None:
                policies.add(self._number(each.policy, universe))
            if each.limits:
                limits.add(self._number(each.limits, universe))
        return Demand(universe.everything, frozenset(policies), frozenset(limits))

    def _number(self, source: Policy | tuple[Rule, ...], universe: Universe) -> int:
        number = self._of_source.get((source, universe))
        if number is None:
            cells = _asked(source, universe) if isinstance(source, Policy) else _allowed(source, universe)
            number = self._numbers.setdefault(cells, len(self._by_number))
            if number == len(self._by_number):
                self._by_number.append(cells)
            self._of_source[source, universe] = number
        return number

    def fold(self, demand: Demand, most: int) -> DecisionList:
        """The one total list for a demand.

        Raises:
            TooLarge: a product on the way has more than `most` cells.
        """
        asked = self._fold(demand.policies, Outcome.join, most) or (_catch_all(demand.universe, NOTHING),)
        allowed = self._fold(demand.limits, Outcome.capped, most)
        return fold(asked, allowed, Outcome.capped, most) if allowed else asked

    def widest(self, demand: Demand, most: int) -> DecisionList:
        """Everything at the highest level that any list asks for, below the limits if these can be folded."""
        outcomes = (cell.outcome for number in demand.policies for cell in self._by_number[number])
        everything = (_catch_all(demand.universe, reduce(Outcome.join, outcomes, NOTHING)),)
        try:
            allowed = self._fold(demand.limits, Outcome.capped, most)
        except TooLarge:
            return everything
        return fold(everything, allowed, Outcome.capped, most) if allowed else everything

    def _fold(
        self, numbers: frozenset[int], combine: Callable[[Outcome, Outcome], Outcome], most: int
    ) -> DecisionList | None:
        """Fold a set of lists in an order that depends on their content alone; None for no lists."""
        ordered = sorted((self._by_number[number] for number in numbers), key=_content)
        return reduce(lambda one, other: fold(one, other, combine, most), ordered) if ordered else None


@dataclass(frozen=True, slots=True)
class Demands:
    """The demand on every universe; `by_namespace` has each distinct one with the namespaces that share it."""

    by_namespace: dict[Demand, tuple[str, ...]]
    unseen: Demand
    non_resource: Demand

    @classmethod
    def of(cls, contributions: tuple[Contribution, ...], known: frozenset[str], lists: Lists) -> Demands:
        """What contributions demand, given the namespaces known to exist."""
        reaching: defaultdict[str, list[Contribution]] = defaultdict(list)
        for contribution in contributions:
            for namespace in contribution.reach.namespaces:
                reaching[namespace].append(contribution)
        unseen = [each for each in contributions if each.reach.unseen_namespaces]
        cluster = [each for each in contributions if each.reach.cluster]
        named = _named_namespaces(contributions)
        universes = {namespace: Universe(ALL_RESOURCES, namespace) for namespace in named}
        unseen_demand = lists.demand(unseen, UNNAMED)
        sharing: dict[Demand, list[str]] = {unseen_demand: []}
        sharing.setdefault(lists.demand(cluster, Universe(ALL_RESOURCES, CLUSTER_SCOPE)), []).append(CLUSTER_SCOPE)
        for namespace in sorted((known | named) - {CLUSTER_SCOPE}):
            applying = reaching[namespace] if namespace in known else unseen
            demand = lists.demand(applying, universes.get(namespace, UNNAMED))
            sharing.setdefault(demand, []).append(namespace)
        non_resource = lists.demand((each for each in contributions if each.reach.non_resource), NON_RESOURCE)
        return cls({demand: tuple(names) for demand, names in sharing.items()}, unseen_demand, non_resource)

    def unlisted(self, listed: int) -> Demand:
        """The demand whose block goes without a list.

        Exact is that of unseen namespaces. A long list costs every request on the API server, so a large group goes
        there instead where unseen namespaces are surely not recorded less by it.
        """
        largest = max(self.by_namespace, key=lambda demand: len(self.by_namespace[demand]))
        names = self.by_namespace[largest]
        if len(names) > listed and CLUSTER_SCOPE not in names and largest.surely_includes(self.unseen):
            return largest
        return self.unseen


def _named_namespaces(contributions: Iterable[Contribution]) -> frozenset[str]:
    """Namespaces that a rule or a limit names: what is demanded of them differs from what others demand."""
    return frozenset(
        namespace
        for each in contributions
        for rule in (*(each.policy.rules if each.policy else ()), *each.limits)
        for namespace in rule.namespaces
    )


def _asked(policy: Policy, universe: Universe) -> DecisionList:
    """The total list of what a policy asks for within a universe."""
    cells: list[Cell] = []
    for rule in policy.rules:
        omit = policy.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
        outcome = (
            NOTHING if rule.level is Level.NONE else Outcome(rule.level, policy.omit_stages | rule.omit_stages, omit)
        )
        cells.extend(_cells(rule, outcome, universe))
    return without_shadowed([*cells, _catch_all(universe.everything, NOTHING)])


def _allowed(limits: tuple[Rule, ...], universe: Universe) -> DecisionList:
    """The total list of what limits allow within a universe."""
    cells = [cell for rule in limits for cell in _cells(rule, Outcome(rule.level), universe)]
    return without_shadowed([*cells, _catch_all(universe.everything, UNLIMITED)])


def _cells(rule: Rule, outcome: Outcome, universe: Universe) -> Iterator[Cell]:
    predicate = Predicate.from_rule(rule)
    target = universe.narrow(predicate.target)
    if target is not None:
        yield Cell(replace(predicate, target=target), outcome)


def _catch_all(universe: Target, outcome: Outcome) -> Cell:
    return Cell(Predicate(target=universe), outcome)


def _content(cells: DecisionList) -> list[tuple[str, list[str], bool]]:
    """A key that sorts lists by what they say; a rule's fields are sorted, so its repr is canonical."""
    return [
        (
            repr(cell.predicate.to_rule(cell.outcome.level)),
            sorted(cell.outcome.omit_stages),
            cell.outcome.omit_managed_fields,
        )
        for cell in cells
    ]
