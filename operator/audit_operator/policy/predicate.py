"""The set of requests that a rule matches, closed under intersection.

Composing two first-match lists means intersecting their rules, and dropping a rule that decides nothing means asking
whether one set lies within another. Rules themselves are not closed under intersection (two `userGroups` lists may not
combine into one), so the compiler and the linter work on predicates and only the last step turns them into rules again.

The universe is what an API server can see: a resource or subresource is one path segment and holds no slash
(`pkg/endpoints/request/requestinfo.go` splits the path at slashes), and none is called ``*``. Within it `intersect` is
exact, and `is_within` never claims a containment that does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.policy.evaluate import url_matches
from audit_operator.policy.model import GroupResources, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.audit import Level

ANY_GROUP = "*"
ANY_RESOURCE = "*"


@dataclass(frozen=True, slots=True)
class Entry:
    """A `resources` entry as a set: requests in `group` that one of `spellings` takes in, with a name in `names`."""

    group: str
    spellings: frozenset[str]
    names: frozenset[str] | None = None

    def intersect(self, other: Entry) -> Entry | None:
        """The requests in both, None if there are none."""
        group = _intersect_group(self.group, other.group)
        names = _intersect_sets(self.names, other.names)
        if group is None or names == frozenset():
            return None
        spellings = _intersect_spellings(self.spellings, other.spellings)
        return Entry(group, spellings, names) if spellings else None

    def is_within(self, other: Entry) -> bool:
        """Whether `other` alone takes in every request of this entry."""
        return (
            other.group in (self.group, ANY_GROUP)
            and _is_subset(self.names, other.names)
            and all(any(spelling_within(mine, theirs) for theirs in other.spellings) for mine in self.spellings)
        )


@dataclass(frozen=True, slots=True)
class ResourceTarget:
    """Resource requests; None for `namespaces` or `entries` means no restriction."""

    namespaces: frozenset[str] | None = None
    entries: frozenset[Entry] | None = None


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """Non-resource requests whose path one of `urls` takes in; ``*`` is every path."""

    urls: frozenset[str]


@dataclass(frozen=True, slots=True)
class AnyTarget:
    """Resource and non-resource requests alike."""


Target = ResourceTarget | UrlTarget | AnyTarget
ANYTHING = AnyTarget()
ALL_RESOURCES = ResourceTarget()
ALL_URLS = UrlTarget(frozenset({"*"}))


@dataclass(frozen=True, slots=True)
class Predicate:
    """A set of requests: who, doing what, to what.

    Attributes:
        users: names of which the user's is one; None for no restriction.
        groups: clauses that all hold, each being "the user is in one of these groups".
        verbs: verbs of which the request's is one; None for no restriction.
        target: what the request is about.
    """

    users: frozenset[str] | None = None
    groups: frozenset[frozenset[str]] = frozenset()
    verbs: frozenset[str] | None = None
    target: Target = ANYTHING

    @classmethod
    def from_rule(cls, rule: Rule) -> Predicate:
        """The requests that a rule matches, whatever came before it."""
        return cls(
            users=frozenset(rule.users) or None,
            groups=frozenset({frozenset(rule.user_groups)}) if rule.user_groups else frozenset(),
            verbs=frozenset(rule.verbs) or None,
            target=_target_of(rule),
        )

    def intersect(self, other: Predicate) -> Predicate | None:
        """The requests in both, None if there are none."""
        users = _intersect_sets(self.users, other.users)
        verbs = _intersect_sets(self.verbs, other.verbs)
        if users == frozenset() or verbs == frozenset():
            return None
        target = intersect_targets(self.target, other.target)
        if target is None:
            return None
        return Predicate(users, _without_implied(self.groups | other.groups), verbs, target)

    def is_within(self, other: Predicate) -> bool:
        """Whether every request in this set is surely in `other`."""
        return (
            _is_subset(self.users, other.users)
            and _is_subset(self.verbs, other.verbs)
            and all(any(mine <= theirs for mine in self.groups) for theirs in other.groups)
            and target_within(self.target, other.target)
        )

    def is_expressible(self) -> bool:
        """Whether one rule can match exactly this set."""
        return len(self.groups) <= 1

    def to_rule(self, level: Level) -> Rule:
        """The rule that matches this set; the caller has made sure that it is expressible.

        All resource requests have no spelling of their own: the rule then matches non-resource requests too, which
        the compiler has dealt with earlier in the list.
        """
        (clause,) = self.groups or (frozenset[str](),)
        rule = Rule(
            level=level,
            users=tuple(sorted(self.users or ())),
            user_groups=tuple(sorted(clause)),
            verbs=tuple(sorted(self.verbs or ())),
        )
        match self.target:
            case ResourceTarget(namespaces, entries):
                resources = tuple(_spell_entry(entry) for entry in sorted(entries or (), key=_entry_order))
                return replace(rule, namespaces=tuple(sorted(namespaces or ())), resources=resources)
            case UrlTarget(urls):
                return replace(rule, non_resource_urls=tuple(sorted(urls)))
            case AnyTarget():
                return rule


EVERYTHING = Predicate()


_EVERY_RESOURCE = Entry(ANY_GROUP, frozenset({ANY_RESOURCE}))


def _target_of(rule: Rule) -> Target:
    if rule.namespaces or rule.resources:
        entries = frozenset(_entry_of(entry) for entry in rule.resources)
        restricting = entries and _EVERY_RESOURCE not in entries
        return ResourceTarget(frozenset(rule.namespaces) or None, normalise(entries) if restricting else None)
    if rule.non_resource_urls:
        return UrlTarget(_maximal_urls(rule.non_resource_urls))
    return ANYTHING


def _entry_of(entry: GroupResources) -> Entry:
    if not entry.resources:
        return Entry(entry.group, frozenset({ANY_RESOURCE}))
    return Entry(entry.group, frozenset(entry.resources), frozenset(entry.resource_names) or None)


def _spell_entry(entry: Entry) -> GroupResources:
    if entry.names is None and entry.spellings == {ANY_RESOURCE}:
        return GroupResources(entry.group)
    return GroupResources(entry.group, tuple(sorted(entry.spellings)), tuple(sorted(entry.names or ())))


def _entry_order(entry: Entry) -> tuple[str, list[str], list[str]]:
    return entry.group, sorted(entry.spellings), sorted(entry.names or ())


@lru_cache(maxsize=1 << 16)
def intersect_targets(one: Target, other: Target) -> Target | None:
    """The requests about both targets, None if there are none. Remembered: policies repeat few targets often."""
    match one, other:
        case AnyTarget(), _:
            return other
        case _, AnyTarget():
            return one
        case ResourceTarget(), ResourceTarget():
            namespaces = _intersect_sets(one.namespaces, other.namespaces)
            entries = _intersect_entries(one.entries, other.entries)
            if namespaces == frozenset() or entries == frozenset():
                return None
            return ResourceTarget(namespaces, entries)
        case UrlTarget(), UrlTarget():
            urls = {both for a in one.urls for b in other.urls if (both := _intersect_url(a, b)) is not None}
            return UrlTarget(_maximal_urls(urls)) if urls else None
        case _:
            return None


@lru_cache(maxsize=1 << 16)
def target_within(one: Target, other: Target) -> bool:
    """Whether every request about `one` is surely about `other`."""
    match one, other:
        case _, AnyTarget():
            return True
        case ResourceTarget(), ResourceTarget():
            return _is_subset(one.namespaces, other.namespaces) and _entries_within(one.entries, other.entries)
        case UrlTarget(), UrlTarget():
            return all(any(_url_within(mine, theirs) for theirs in other.urls) for mine in one.urls)
        case _:
            return False


def normalise(entries: Iterable[Entry]) -> frozenset[Entry]:
    """Fewest entries for the same set: one per group and name list, without spellings that another takes in."""
    merged: dict[tuple[str, frozenset[str] | None], set[str]] = {}
    for entry in entries:
        merged.setdefault((entry.group, entry.names), set()).update(entry.spellings)
    compact = [Entry(group, _maximal_spellings(spellings), names) for (group, names), spellings in merged.items()]
    return frozenset(
        mine
        for mine in compact
        if not any(mine is not theirs and mine.is_within(theirs) and not theirs.is_within(mine) for theirs in compact)
    )


def _intersect_entries(one: frozenset[Entry] | None, other: frozenset[Entry] | None) -> frozenset[Entry] | None:
    if one is None or other is None or one == other:
        return other if one is None else one
    return normalise(both for a in one for b in other if (both := a.intersect(b)) is not None)


def _entries_within(one: frozenset[Entry] | None, other: frozenset[Entry] | None) -> bool:
    if other is None:
        return True
    if one is None:
        return False
    return all(
        any(Entry(mine.group, frozenset({spelling}), mine.names).is_within(theirs) for theirs in other)
        for mine in one
        for spelling in mine.spellings
    )


# --- spellings of resources: "*", "pods", "pods/log", "*/status", "pods/*" -----------------------------------------


def intersect_spelling(one: str, other: str) -> str | None:
    """The spelling for what both take in, None if nothing: ``pods/*`` and ``*/log`` give ``pods/log``."""
    if other in (one, ANY_RESOURCE):
        return one
    if one == ANY_RESOURCE:
        return other
    mine, theirs = _parts(one), _parts(other)
    if mine is None or theirs is None:
        return None
    resource = _intersect_part(mine[0], theirs[0])
    subresource = _intersect_part(mine[1], theirs[1])
    if resource is None or subresource is None:
        return None
    return f"{resource}/{subresource}" if subresource else resource


def spelling_within(one: str, other: str) -> bool:
    """Whether `other` takes in all that `one` takes in."""
    return intersect_spelling(one, other) == one


def _parts(spelling: str) -> tuple[str, str] | None:
    """Resource and subresource, ``*`` for any and ``""`` for none; None for what no real resource matches."""
    resource, slash, subresource = spelling.partition("/")
    if not slash:
        return resource, ""
    if not subresource or "/" in subresource or spelling == "*/*":
        return None
    return resource, subresource


def _intersect_part(one: str, other: str) -> str | None:
    if other in (one, "*"):
        return one
    return other if one == "*" else None


def _intersect_spellings(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    if not _has_wildcard(one) and not _has_wildcard(other):
        return one & other
    return _maximal_spellings({both for a in one for b in other if (both := intersect_spelling(a, b)) is not None})


def _maximal_spellings(spellings: Iterable[str]) -> frozenset[str]:
    spellings = frozenset(spellings)
    if not _has_wildcard(spellings):
        return spellings
    return frozenset(a for a in spellings if not any(a != b and spelling_within(a, b) for b in spellings))


@lru_cache(maxsize=1 << 14)
def _has_wildcard(spellings: frozenset[str]) -> bool:
    return any("*" in spelling for spelling in spellings)


# --- the other dimensions -----------------------------------------------------------------------------------------


def _intersect_url(one: str, other: str) -> str | None:
    # Exact paths and prefixes: two of them overlap only if one lies within the other.
    if _url_within(one, other):
        return one
    return other if _url_within(other, one) else None


def _url_within(one: str, other: str) -> bool:
    """Whether pattern `other` takes in all paths of pattern `one`."""
    if one.endswith("*") and not other.endswith("*"):
        return False
    return url_matches(other, one.rstrip("*"))


def _maximal_urls(urls: Iterable[str]) -> frozenset[str]:
    urls = frozenset(urls)
    return frozenset(a for a in urls if not any(a != b and _url_within(a, b) for b in urls))


def _intersect_group(one: str, other: str) -> str | None:
    if other in (one, ANY_GROUP):
        return one
    return other if one == ANY_GROUP else None


def _intersect_sets(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _is_subset(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    return other is None or (one is not None and one <= other)


def _without_implied(clauses: frozenset[frozenset[str]]) -> frozenset[frozenset[str]]:
    """Drop clauses that a narrower one implies: being in `[dev]` implies being in `[dev, ops]`."""
    if len(clauses) < 2:  # noqa: PLR2004 - a single clause has nothing to imply it
        return clauses
    return frozenset(wide for wide in clauses if not any(narrow < wide for narrow in clauses))
