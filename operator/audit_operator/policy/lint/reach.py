"""What becomes of each rule: does it ever decide, and would anything change without it?

Rests on the set algebra of `audit_operator.policy.predicate` and on `served`. Everything claimed here holds for every
request that an API server serves; where the analysis is not sure, it claims nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Literal

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.lint.served import can_match
from audit_operator.policy.predicate import (
    ALL_RESOURCES,
    ALL_URLS,
    ANY_GROUP,
    ANY_RESOURCE,
    EVERYTHING,
    AnyTarget,
    Entry,
    Predicate,
    ResourceTarget,
    Target,
    UrlTarget,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit_operator.policy.known_resources import KnownResources
    from audit_operator.policy.model import Policy, Rule

MAX_RULES = 500
"""Rules beyond these are not examined for what they do to each other: the effort grows with their number squared."""

_MAX_PIECES = 200
"""Into how many pieces a rule is cut at most to find it covered by several others."""

Outcome = tuple[Level, frozenset[Stage], bool]


@dataclass(frozen=True)
class Reach:
    """What becomes of each rule.

    Attributes:
        dead: rules that no request can match.
        shadowed: for each rule that never decides, the earlier rules that match all it matches.
        redundant: for each rule that could be removed, the later rule that would decide the same; None where nothing
            would match and nothing is recorded either way.
    """

    dead: frozenset[int]
    shadowed: dict[int, tuple[int, ...]]
    redundant: dict[int, int | None]

    def decides(self, rule: int) -> bool:
        """Whether some request may be decided by the rule."""
        return rule not in self.dead and rule not in self.shadowed


class AtEnd(Enum):
    """What happens to a request that no rule of the list matches."""

    UNRECORDED = "unrecorded"
    UNKNOWN = "unknown"


def analyse(policy: Policy, known: KnownResources, at_end: AtEnd = AtEnd.UNRECORDED) -> Reach:
    """Find out what becomes of each rule."""
    rules = policy.rules[:MAX_RULES]
    predicates = [_spelled_out(Predicate.from_rule(rule)) for rule in rules]
    dead = frozenset(index for index, rule in enumerate(rules) if not can_match(rule, known))
    living: list[int] = []
    shadowed: dict[int, tuple[int, ...]] = {}
    for index in range(len(rules)):
        if index in dead:
            continue
        covering = _covering(predicates[index], [(each, predicates[each]) for each in living])
        if covering is None:
            living.append(index)
        else:
            shadowed[index] = covering
    # Shadowed rules stay: without the rule in front of it, one may come alive.
    cells = [
        _Cell(index, predicates[index], outcome(policy, rule)) for index, rule in enumerate(rules) if index not in dead
    ]
    redundant = {index: heir for index, heir in _redundant(cells, at_end) if index not in shadowed}
    return Reach(dead, shadowed, redundant)


def outcome(policy: Policy, rule: Rule) -> Outcome:
    """What the rule does to a request; at level None there are no events for the rest to matter."""
    if rule.level is Level.NONE:
        return Level.NONE, frozenset(), False
    omits = policy.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
    return rule.level, policy.omit_stages | rule.omit_stages, omits


# --- shadowed -----------------------------------------------------------------------------------------------------


def _covering(predicate: Predicate, earlier: Sequence[tuple[int, Predicate]]) -> tuple[int, ...] | None:
    """Earlier rules that together match all that this one matches, None if it may decide something.

    The rule is cut along its lists until each piece lies within one earlier rule.
    """
    used: set[int] = set()
    pieces = [(predicate, earlier)]
    for _ in range(_MAX_PIECES):
        if not pieces:
            return tuple(sorted(used))
        piece, candidates = pieces.pop()
        whole = next((index for index, each in candidates if piece.is_within(each)), None)
        if whole is not None:
            used.add(whole)
            continue
        overlapping = [(index, each) for index, each in candidates if piece.intersect(each) is not None]
        parts = _split(piece, [each for _, each in overlapping]) if overlapping else []
        if not parts:
            return None
        pieces.extend((part, overlapping) for part in parts)
    return None


def _spelled_out(predicate: Predicate) -> Predicate:
    """Write two spellings of the same set in one way: every group's every resource is every resource."""
    target = predicate.target
    if isinstance(target, ResourceTarget) and Entry(ANY_GROUP, frozenset({ANY_RESOURCE})) in (target.entries or ()):
        return replace(predicate, target=replace(target, entries=None))
    return predicate


def _split(piece: Predicate, overlapping: Sequence[Predicate]) -> list[Predicate]:
    """Cut a set in two or more along one of its lists; empty if it is a single piece or no cut could help."""
    if piece.verbs is not None and len(piece.verbs) > 1 and any(each.verbs for each in overlapping):
        return [replace(piece, verbs=frozenset({verb})) for verb in piece.verbs]
    if piece.users is not None and len(piece.users) > 1 and any(each.users for each in overlapping):
        return [replace(piece, users=frozenset({user})) for user in piece.users]
    for clause in piece.groups:
        if len(clause) > 1 and any(each.groups for each in overlapping):
            return [replace(piece, groups=piece.groups - {clause} | {frozenset({group})}) for group in clause]
    return [replace(piece, target=target) for target in _split_target(piece.target)]


def _split_target(target: Target) -> list[Target]:
    match target:
        case AnyTarget():
            return [ALL_RESOURCES, ALL_URLS]
        case UrlTarget(urls) if len(urls) > 1:
            return [UrlTarget(frozenset({url})) for url in urls]
        case ResourceTarget(namespaces, _) if namespaces is not None and len(namespaces) > 1:
            return [replace(target, namespaces=frozenset({name})) for name in namespaces]
        case ResourceTarget(_, entries) if entries is not None:
            return [replace(target, entries=frozenset({each})) for each in _split_entries(entries)]
        case _:
            return []


def _split_entries(entries: frozenset[Entry]) -> list[Entry]:
    if len(entries) > 1:
        return list(entries)
    (entry,) = entries
    if entry.names is not None and len(entry.names) > 1:
        return [replace(entry, names=frozenset({name})) for name in entry.names]
    if len(entry.spellings) > 1:
        return [replace(entry, spellings=frozenset({spelling})) for spelling in entry.spellings]
    return []


# --- redundant ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    index: int
    predicate: Predicate
    outcome: Outcome


class _Heir(Enum):
    MISSING = "missing"


def _redundant(cells: Sequence[_Cell], at_end: AtEnd) -> Iterator[tuple[int, int | None]]:
    for position, cell in enumerate(cells):
        if cell.predicate == EVERYTHING and cell.outcome[0] is Level.NONE:
            continue  # says aloud what would happen anyway, and a policy needs at least one rule
        heir = _heir(cell, cells[:position], cells[position + 1 :], at_end)
        if heir is not _Heir.MISSING:
            yield cell.index, heir


def _heir(
    cell: _Cell, before: Sequence[_Cell], after: Sequence[_Cell], at_end: AtEnd
) -> int | Literal[_Heir.MISSING] | None:
    """The later rule that would decide all that this one decides, with the same outcome; None if no rule needs to."""
    for other in after:
        both = cell.predicate.intersect(other.predicate)
        if both is None:
            continue
        if other.outcome == cell.outcome:
            if cell.predicate.is_within(other.predicate):
                return other.index
        elif not any(both.is_within(earlier.predicate) for earlier in before):
            return _Heir.MISSING
    unrecorded = cell.outcome[0] is Level.NONE and at_end is AtEnd.UNRECORDED
    return None if unrecorded else _Heir.MISSING
