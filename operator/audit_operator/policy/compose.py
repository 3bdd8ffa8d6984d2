"""The compiler: many policies and limits in, one audit policy out.

A request is recorded at the highest level that any policy asks for, and never above the lowest limit that applies.
Where no rule can say that exactly, more is recorded and the excess is reported; less, never.

How: requests fall into universes that no rule mixes, namely non-resource requests, and resource requests by namespace
(with ``""`` for requests without one). In each, the policies and limits that reach it are folded into one first-match
list. Namespaces with the same demand share a block of rules. One block goes without a namespace list and comes last, so
that every other block needs to say only where it differs from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.control_plane import Precision
from audit_operator.policy.decision_list import (
    NOTHING,
    Cell,
    DecisionList,
    Dialect,
    Outcome,
    Surplus,
    TooLarge,
    fold,
    merge_alike,
    spell,
    without_redundant,
    without_shadowed,
)
from audit_operator.policy.demand import Demand, Demands, Lists
from audit_operator.policy.model import Policy, Rule
from audit_operator.policy.predicate import ALL_RESOURCES, ANYTHING, Predicate, ResourceTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audit_operator.policy.contribution import Contribution


@dataclass(frozen=True, slots=True)
class Budget:
    """How large the result may grow before it is made smaller at the price of recording more.

    Attributes:
        cells: most cells in one product; one tenant's rules must not cost the others.
        listed: a block with more namespaces than this goes last, without a list, if that loses nothing.
        shared: blocks with up to this many namespaces share the rules that they have in common; a longer list is
            cheaper to write, and to read, if its block stays whole.
    """

    cells: int = 1000
    listed: int = 1000
    shared: int = 8


class ExcessReason(StrEnum):
    """Why more is recorded than was asked for."""

    INEXPRESSIBLE = "Inexpressible"
    GROUP_WILDCARD = "GroupWildcard"
    TOO_LARGE = "TooLarge"
    UNSEEN_NAMESPACES = "UnseenNamespaces"


@dataclass(frozen=True, slots=True)
class Excess:
    """Where the compiled policy records more than was asked for.

    Attributes:
        reason: no rule can single out the requests of `surplus`; or none can for want of a group wildcard, so that in
            API groups that are not known more is recorded; or the product was too large, so that everything is
            recorded at the highest level in it; or namespaces that nobody has seen are treated like the largest group.
        namespaces: where; empty for unseen namespaces and, with a surplus about URLs, for non-resource requests.
        surplus: the requests concerned, where they are known.
    """

    reason: ExcessReason
    namespaces: tuple[str, ...] = ()
    surplus: Surplus | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """The compiled policy, what it could not say exactly, and how many distinct demands there are."""

    policy: Policy
    excess: tuple[Excess, ...]
    distinct_demands: int


def compose(
    contributions: Iterable[Contribution],
    *,
    namespaces: Iterable[str] = (),
    precision: Precision = Precision.EXACT,
    dialect: Dialect = Dialect(),  # noqa: B008 - frozen
    budget: Budget = Budget(),
) -> Composition:
    """Compile contributions into one policy that depends on their set alone, not on their order.

    `namespaces` are those known to exist; a contribution reaches one of them only by naming it. A namespace that only
    rules name is unseen.
    """
    lists = Lists()
    demands = Demands.of(tuple(contributions), frozenset(namespaces), lists)
    excess: list[Excess] = []

    def folded(demand: Demand, names: tuple[str, ...] = ()) -> DecisionList:
        try:
            return lists.fold(demand, budget.cells)
        except TooLarge:
            excess.append(Excess(ExcessReason.TOO_LARGE, names))
            return lists.widest(demand, budget.cells)

    def spelled(cells: DecisionList, names: tuple[str, ...], tail: DecisionList = ()) -> DecisionList:
        cells, surplus = _spelled(cells, dialect, tail)
        for each in surplus:
            known = dialect.knows_groups_of(each.predicate)
            excess.append(Excess(ExcessReason.INEXPRESSIBLE if known else ExcessReason.GROUP_WILDCARD, names, each))
        return cells

    blocks = {demand: folded(demand, names) for demand, names in demands.by_namespace.items()}
    if precision is Precision.ENVELOPE:
        envelope = _envelope(blocks.values(), budget.cells)
        if envelope is None:
            excess.append(Excess(ExcessReason.TOO_LARGE))
            envelope = _widest(blocks.values())
        last = spelled(envelope, ())
        listed: dict[tuple[str, ...], DecisionList] = {}
    else:
        unlisted = demands.unlisted(budget.listed)
        if unlisted != demands.unseen:
            excess.append(Excess(ExcessReason.UNSEEN_NAMESPACES))
        last = spelled(blocks.pop(unlisted), ())
        names_of = demands.by_namespace
        listed = {names_of[demand]: spelled(cells, names_of[demand], last) for demand, cells in blocks.items()}
    # From here on the last block's rules take in whatever reaches them, non-resource requests too.
    last = tuple(map(_unrestricted, last))
    front = spelled(folded(demands.non_resource), (), last)
    long = {names: cells for names, cells in listed.items() if len(names) > budget.shared}
    short = {names: cells for names, cells in listed.items() if len(names) <= budget.shared}
    whole = [_in_namespaces(cell, frozenset(names)) for names, cells in long.items() for cell in cells]
    policy = _assemble([*front, *_interleave(short), *whole, *last])
    return Composition(policy, tuple(dict.fromkeys(excess)), len(blocks) + 1)


@lru_cache(maxsize=4096)  # as for `fold`: most blocks stay as they were
def _spelled(cells: DecisionList, dialect: Dialect, tail: DecisionList) -> tuple[DecisionList, tuple[Surplus, ...]]:
    """Cells that rules can express and that, before `tail`, decide like `cells` or record more; few of them."""
    needed = without_redundant(cells, tail)
    if not all(dialect.knows_groups_of(cell.predicate) for cell in needed):
        needed = dialect.known_groups_first(cells)
    spelled, surplus = spell(needed, dialect, tail)
    return merge_alike(without_redundant(merge_alike(without_shadowed(spelled)), tail)), surplus


def _envelope(blocks: Iterable[DecisionList], most: int) -> DecisionList | None:
    """What any of the blocks asks for; None if that is too large to say."""
    first, *others = blocks
    try:
        return reduce(lambda one, other: fold(one, other, Outcome.join, most), others, first)
    except TooLarge:
        return None


def _widest(blocks: Iterable[DecisionList]) -> DecisionList:
    outcomes = (cell.outcome for block in blocks for cell in block)
    return (Cell(Predicate(target=ALL_RESOURCES), reduce(Outcome.join, outcomes, NOTHING)),)


def _interleave(blocks: dict[tuple[str, ...], DecisionList]) -> list[Cell]:
    """One list for all blocks, in which blocks share the cells that they have in common.

    Blocks are about different namespaces, so only the order within each one matters.
    """
    numbers: dict[Cell, int] = {}
    shared: list[tuple[int, list[str]]] = []
    for names, cells in blocks.items():
        place = {number: position for position, (number, _) in enumerate(shared)}
        merged: list[tuple[int, list[str]]] = []
        taken = 0
        for cell in cells:
            number = numbers.setdefault(cell, len(numbers))
            found = place.get(number, -1)
            if found < taken:
                merged.append((number, list(names)))
                continue
            merged.extend(shared[taken:found])
            merged.append((number, [*shared[found][1], *names]))
            taken = found + 1
        shared = [*merged, *shared[taken:]]
    cells_by_number = list(numbers)
    return [_in_namespaces(cells_by_number[number], frozenset(names)) for number, names in shared]


def _in_namespaces(cell: Cell, namespaces: frozenset[str]) -> Cell:
    target = cell.predicate.target
    entries = target.entries if isinstance(target, ResourceTarget) else None
    return replace(cell, predicate=replace(cell.predicate, target=ResourceTarget(namespaces, entries)))


def _unrestricted(cell: Cell) -> Cell:
    """The cell as the rule that it will be: one without resources takes in non-resource requests as well."""
    if cell.predicate.target != ALL_RESOURCES:
        return cell
    return replace(cell, predicate=replace(cell.predicate, target=ANYTHING))


def _assemble(cells: Sequence[Cell]) -> Policy:
    """The policy for a list of cells, with what all its records have in common said once."""
    records = [cell.outcome for cell in cells if cell.outcome != NOTHING]
    common = frozenset.intersection(*(each.omit_stages for each in records)) if records else frozenset()
    omit_managed_fields = bool(records) and all(each.omit_managed_fields for each in records)
    rules = []
    for cell in cells:
        rule = cell.predicate.to_rule(cell.outcome.level)
        if cell.outcome != NOTHING:
            own = True if cell.outcome.omit_managed_fields and not omit_managed_fields else None
            rule = replace(rule, omit_stages=cell.outcome.omit_stages - common, omit_managed_fields=own)
        rules.append(rule)
    # The API server refuses a policy without rules (`pkg/audit/policy/reader.go`).
    return Policy(tuple(rules) or (Rule(Level.NONE),), common, omit_managed_fields)
