"""First-match lists over predicates: combine two into one, make the result short, and spell it as rules.

An audit policy is a first-match list. What two policies say together about a request is a function of the first match
in each, so the product of the lists in lexicographic order, one cell per pair of rules, is again a first-match list
and decides exactly that function. The rest of this module keeps the product small and turns it into rules without
ever recording less than it says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.policy.predicate import (
    ANY_GROUP,
    ANY_RESOURCE,
    Entry,
    Predicate,
    ResourceTarget,
    UrlTarget,
    normalise,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audit_operator.api.audit import Stage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is recorded of a request: at which level, without which stages, with or without managed fields."""

    level: Level
    omit_stages: frozenset[Stage] = frozenset()
    omit_managed_fields: bool = False

    def join(self, other: Outcome) -> Outcome:
        """What both policies together ask for: the higher level, and omitted only what both omit."""
        if NOTHING in (self, other):
            return other if self == NOTHING else self
        return Outcome(
            max(self.level, other.level),
            self.omit_stages & other.omit_stages,
            self.omit_managed_fields and other.omit_managed_fields,
        )

    def capped(self, limit: Outcome) -> Outcome:
        """What remains under a limit, of which only the level counts."""
        if limit.level is Level.NONE:
            return NOTHING
        return replace(self, level=min(self.level, limit.level))

    def is_at_least(self, other: Outcome) -> bool:
        """Whether this records everything that `other` records."""
        return self.join(other) == self


NOTHING = Outcome(Level.NONE)
UNLIMITED = Outcome(Level.REQUEST_RESPONSE)


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of a first-match list."""

    predicate: Predicate
    outcome: Outcome


DecisionList = tuple[Cell, ...]
"""First match decides. A list is *total* if its last cell matches everything in its universe."""


class TooLarge(Exception):  # noqa: N818 - a condition the caller deals with, not an error
    """A product has more cells than the caller allows."""


@lru_cache(maxsize=4096)  # between two compilations, most demands stay as they were
def fold(
    one: DecisionList, other: DecisionList, combine: Callable[[Outcome, Outcome], Outcome], most: int
) -> DecisionList:
    """The total list that decides `combine` of what two total lists over the same universe decide.

    Raises:
        TooLarge: the product has more than `most` cells.
    """
    cells: list[Cell] = []
    columns = list(other)
    for row in one:
        unfinished: list[Cell] = []
        for position, column in enumerate(columns):
            both = row.predicate.intersect(column.predicate)
            if both is not None:
                cells.append(Cell(both, combine(row.outcome, column.outcome)))
            if both != column.predicate:
                unfinished.append(column)
            if both == row.predicate:  # nothing of this row gets past the column
                unfinished.extend(columns[position + 1 :])
                break
        columns = unfinished
        if len(cells) > most:
            raise TooLarge
    *body, last = without_shadowed(cells)
    return (*without_redundant(body, (last,)), last)


def without_shadowed(cells: Iterable[Cell]) -> DecisionList:
    """Drop cells that one earlier cell takes in whole; a total list then ends with its catch-all."""
    kept: list[Cell] = []
    for cell in cells:
        if not any(cell.predicate.is_within(earlier.predicate) for earlier in kept):
            kept.append(cell)
    return tuple(kept)


def without_redundant(cells: Sequence[Cell], tail: Sequence[Cell] = ()) -> DecisionList:
    """Drop cells whose requests get the same outcome from the cells after them, the tail included."""
    kept: list[Cell] = []  # collected from the end
    for position in range(len(cells) - 1, -1, -1):
        if not _decided_alike(cells[position], cells[:position], chain(reversed(kept), tail)):
            kept.append(cells[position])
    return tuple(reversed(kept))


def _decided_alike(cell: Cell, earlier: Sequence[Cell], later: Iterable[Cell]) -> bool:
    """Whether all requests that get as far as a cell get its outcome from the cells after it."""
    for other in later:
        both = cell.predicate.intersect(other.predicate)
        if both is None:
            continue
        if other.outcome != cell.outcome:
            if not any(both.is_within(before.predicate) for before in earlier):
                return False
        elif both == cell.predicate:
            return True
    return cell.outcome == NOTHING


def merge_alike(cells: Sequence[Cell]) -> DecisionList:
    """Join cells with the same outcome that differ in one dimension, where no cell between them objects."""
    merged: list[Cell] = []
    for cell in cells:
        for position in range(len(merged) - 1, -1, -1):
            earlier = merged[position]
            if earlier.outcome == cell.outcome:
                if (union := _union(earlier.predicate, cell.predicate)) is not None:
                    merged[position] = Cell(union, cell.outcome)
                    break
            elif cell.predicate.intersect(earlier.predicate) is not None:
                merged.append(cell)
                break
        else:
            merged.append(cell)
    return tuple(merged)


def _union(one: Predicate, other: Predicate) -> Predicate | None:
    """The one predicate for both, where they differ in a single dimension; None otherwise."""
    differing = [name for name in ("users", "groups", "verbs", "target") if getattr(one, name) != getattr(other, name)]
    match differing:
        case ["users"] if one.users and other.users:
            return replace(one, users=one.users | other.users)
        case ["verbs"] if one.verbs and other.verbs:
            return replace(one, verbs=one.verbs | other.verbs)
        case ["groups"] if len(one.groups) == 1 == len(other.groups):
            ((mine,), (theirs,)) = (one.groups, other.groups)
            return replace(one, groups=frozenset({mine | theirs}))
        case ["target"]:
            return _union_of_targets(one, other)
        case _:
            return None


def _union_of_targets(one: Predicate, other: Predicate) -> Predicate | None:
    match one.target, other.target:
        case ResourceTarget(namespaces, mine), ResourceTarget(others, theirs) if namespaces == others:
            if mine is not None and theirs is not None:
                return replace(one, target=ResourceTarget(namespaces, normalise(mine | theirs)))
        case UrlTarget(mine_urls), UrlTarget(their_urls):
            return replace(one, target=UrlTarget(mine_urls | their_urls))
        case _:
            pass
    return None


# --- from predicates to rules -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the oldest API server of the fleet can read.

    Attributes:
        group_wildcard: whether ``group: "*"`` is known (Kubernetes 1.36 and later).
        known_groups: API groups to name in its place.
    """

    group_wildcard: bool = True
    known_groups: frozenset[str] = frozenset()

    def can_spell(self, predicate: Predicate) -> bool:
        """Whether one rule can match exactly this set."""
        return predicate.is_expressible() and self.knows_groups_of(predicate)

    def knows_groups_of(self, predicate: Predicate) -> bool:
        """Whether API groups are no obstacle to that."""
        return self.group_wildcard or not _uses_group_wildcard(predicate)

    def known_groups_first(self, cells: DecisionList) -> DecisionList:
        """An equivalent list that has decided about all known groups before the first cell with a group wildcard.

        Whatever is then done in place of a wildcard touches other groups alone, those of custom resources: it can
        neither lay open what was to be recorded without its body, a Secret first of all, nor bring back the noise of
        built-in resources.
        """
        first = next((place for place, cell in enumerate(cells) if not self.knows_groups_of(cell.predicate)), None)
        if first is None or not self.known_groups:
            return cells
        entries = frozenset(Entry(group, frozenset({ANY_RESOURCE})) for group in self.known_groups)
        known = Predicate(target=ResourceTarget(entries=entries))
        decided = [
            Cell(both, cell.outcome) for cell in cells[first:] if (both := cell.predicate.intersect(known)) is not None
        ]
        return without_shadowed([*cells[:first], *decided, *cells[first:]])

    def wider(self, predicate: Predicate) -> Iterator[Predicate]:
        """Sets that one rule can match and that contain this one."""
        target = predicate.target
        if not self.knows_groups_of(predicate) and isinstance(target, ResourceTarget):
            target = replace(target, entries=None)
        clauses = sorted(predicate.groups, key=sorted)
        for groups in [frozenset({clause}) for clause in clauses] or [frozenset[frozenset[str]]()]:
            yield replace(predicate, groups=groups, target=target)

    def narrower(self, predicate: Predicate) -> Predicate | None:
        """A large set that one rule can match and that lies within this one, if there is any."""
        target = predicate.target
        if not self.knows_groups_of(predicate) and isinstance(target, ResourceTarget):
            named = frozenset(entry for entry in target.entries or () if entry.group != ANY_GROUP)
            if not named:
                return None
            target = replace(target, entries=named)
        groups = predicate.groups
        if len(groups) > 1:
            # Whoever is in a group that all clauses name satisfies them all.
            shared = frozenset.intersection(*groups)
            if not shared:
                return None
            groups = frozenset({shared})
        return replace(predicate, groups=groups, target=target)


def _uses_group_wildcard(predicate: Predicate) -> bool:
    target = predicate.target
    return isinstance(target, ResourceTarget) and any(entry.group == ANY_GROUP for entry in target.entries or ())


@dataclass(frozen=True, slots=True)
class Surplus:
    """A set of requests that no rule can single out, and what is recorded of it beyond what was asked."""

    predicate: Predicate
    asked: Outcome
    recorded: Outcome


def spell(cells: DecisionList, dialect: Dialect, tail: DecisionList = ()) -> tuple[DecisionList, tuple[Surplus, ...]]:
    """An equivalent list of cells that rules can express, or one that records more and says where.

    Works from the end, so that what follows a cell is already settled. A cell that cannot be spelled is widened, and
    then gets what any request in the widened set would have got from the cells after it; or it is narrowed, if what
    follows records no less anyway. The choice that records least beyond what was asked wins.
    """
    settled: list[Cell] = []  # collected from the end
    surplus: list[Surplus] = []
    for cell in reversed(cells):
        if dialect.can_spell(cell.predicate):
            settled.append(cell)
            continue
        after = [*reversed(settled), *tail]
        best = min(_spellings(cell, dialect, after), key=lambda choice: choice.excess)
        settled.extend(best.cells)
        if best.excess:
            surplus.append(Surplus(cell.predicate, cell.outcome, best.recorded))
    return tuple(reversed(settled)), tuple(surplus)


@dataclass(frozen=True, slots=True)
class _Spelling:
    cells: tuple[Cell, ...]
    recorded: Outcome
    excess: int


def _spellings(cell: Cell, dialect: Dialect, after: Sequence[Cell]) -> Iterator[_Spelling]:
    for predicate in dialect.wider(cell.predicate):
        # What requests in the widened set, but not in the cell, are to get.
        others = list(_outcomes_beyond(predicate, cell.predicate, after))
        recorded = cell.outcome
        for outcome in others:
            recorded = recorded.join(outcome)
        excess = sum(_excess(recorded, asked) for asked in {cell.outcome, *others})
        yield _Spelling((Cell(predicate, recorded),), recorded, excess)
    narrow = dialect.narrower(cell.predicate)
    passed_on = list(_outcomes_within(cell.predicate, after))
    if all(outcome.is_at_least(cell.outcome) for outcome in passed_on):
        recorded = cell.outcome
        for outcome in passed_on:
            recorded = recorded.join(outcome)
        excess = sum(_excess(outcome, cell.outcome) for outcome in set(passed_on))
        yield _Spelling((Cell(narrow, cell.outcome),) if narrow else (), recorded, excess)


def _outcomes_beyond(wide: Predicate, narrow: Predicate, after: Sequence[Cell]) -> Iterator[Outcome]:
    for cell in after:
        both = wide.intersect(cell.predicate)
        if both is None or both.is_within(narrow):
            continue
        yield cell.outcome
        if both == wide:
            return
    yield NOTHING


def _outcomes_within(predicate: Predicate, after: Sequence[Cell]) -> Iterator[Outcome]:
    for cell in after:
        both = predicate.intersect(cell.predicate)
        if both is None:
            continue
        yield cell.outcome
        if both == predicate:
            return
    yield NOTHING


def _excess(recorded: Outcome, asked: Outcome) -> int:
    """A measure of how much more is recorded than was asked for; 0 if nothing."""
    if recorded == asked:
        return 0
    return 1 + 4 * (recorded.level.rank - asked.level.rank)
