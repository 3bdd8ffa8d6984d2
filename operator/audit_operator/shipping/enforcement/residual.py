"""What is left of a first-match list once one thing about a request is known.

Each function takes a total list and returns one that no longer asks about that thing and decides the same. None stands
for a value that no list mentions. Equal remainders are equal values, which is what keeps the tables small.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.policy.decision_list import Cell, DecisionList, without_redundant, without_shadowed
from audit_operator.policy.evaluate import resource_matches, url_matches
from audit_operator.policy.predicate import (
    ALL_RESOURCES,
    ALL_URLS,
    ANY_GROUP,
    ANY_RESOURCE,
    Entry,
    Predicate,
    ResourceTarget,
    UrlTarget,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def given_user(cells: DecisionList, name: str | None) -> DecisionList:
    """For requests by this user."""
    return _simple(
        _with(cell, users=None)
        for cell in cells
        if cell.predicate.users is None or (name is not None and name in cell.predicate.users)
    )


def given_groups(cells: DecisionList, groups: frozenset[str]) -> DecisionList:
    """For requests by somebody who is in these groups, and in no other that the list mentions."""
    return _simple(
        _with(cell, groups=frozenset())
        for cell in cells
        if all(not clause.isdisjoint(groups) for clause in cell.predicate.groups)
    )


def given_verb(cells: DecisionList, verb: str | None) -> DecisionList:
    """For requests with this verb."""
    return _simple(
        _with(cell, verbs=None)
        for cell in cells
        if cell.predicate.verbs is None or (verb is not None and verb in cell.predicate.verbs)
    )


def given_resource(
    cells: DecisionList, group: str | None, resource: str | None, subresource: str | None
) -> DecisionList:
    """For requests about this resource; only names are left to ask."""
    return _simple(
        remaining for cell in cells if (remaining := _about_names(cell, group, resource, subresource)) is not None
    )


def _about_names(cell: Cell, group: str | None, resource: str | None, subresource: str | None) -> Cell | None:
    target = cell.predicate.target
    if not isinstance(target, ResourceTarget) or target.entries is None:
        return _with(cell, target=ALL_RESOURCES)
    names: set[str] = set()
    for entry in target.entries:
        if _takes_in(entry, group, resource, subresource):
            if entry.names is None:
                return _with(cell, target=ALL_RESOURCES)
            names |= entry.names
    if not names:
        return None
    entry = Entry(ANY_GROUP, frozenset({ANY_RESOURCE}), frozenset(names))
    return _with(cell, target=ResourceTarget(None, frozenset({entry})))


def _takes_in(entry: Entry, group: str | None, resource: str | None, subresource: str | None) -> bool:
    """Whether an entry takes in a resource; what is not mentioned only wildcards take in."""
    if entry.group not in {group, ANY_GROUP}:
        return False
    # No name in a list holds a slash, so that these stand for what no list mentions.
    mine = "//" if resource is None else resource
    sub = "//" if subresource is None else subresource
    return any(resource_matches(spelling, mine, sub) for spelling in entry.spellings)


def given_name(cells: DecisionList, name: str | None) -> DecisionList:
    """For requests about an object of this name, once the resource is known."""
    return _simple(
        _with(cell, target=ALL_RESOURCES) for cell in cells if (names := names_of(cell)) is None or name in names
    )


def given_path(cells: DecisionList, path: str | None) -> DecisionList:
    """For non-resource requests with this path, None for one that no pattern but ``*`` takes in."""
    return _simple(
        _with(cell, target=ALL_URLS)
        for cell in cells
        if isinstance(cell.predicate.target, UrlTarget)
        and any(url == "*" or (path is not None and url_matches(url, path)) for url in cell.predicate.target.urls)
    )


def names_of(cell: Cell) -> frozenset[str] | None:
    """The names that are left to ask about; None for any."""
    target = cell.predicate.target
    if not isinstance(target, ResourceTarget) or target.entries is None:
        return None
    (entry,) = target.entries
    return entry.names


def _with(cell: Cell, **known: object) -> Cell:
    return Cell(_replaced(cell.predicate, known), cell.outcome)


def _replaced(predicate: Predicate, known: dict[str, object]) -> Predicate:
    return replace(predicate, **known)  # type: ignore[arg-type]


def _simple(cells: Iterable[Cell]) -> DecisionList:
    """The same decisions in few cells; the last one still takes in everything."""
    *body, last = without_shadowed(cells)
    return (*without_redundant(body, (last,)), last)
