"""Who has which sensitive access, where, and through which binding.

Roles are looked at once, however many bindings name them: a cluster has many RoleBindings of few roles.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.permissions.accesses import ACCESSES, Permission
from audit_operator.permissions.authorizer import reaches
from audit_operator.permissions.places import Place
from audit_operator.permissions.rbac import GROUP_OF_USERS, NOTHING, SERVICE_ACCOUNT, USER, Binding, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.permissions.accesses import Access
    from audit_operator.permissions.expected import Expected
    from audit_operator.permissions.places import Places
    from audit_operator.permissions.rbac import Rbac, Rule

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNTS = "system:serviceaccounts"

_ANY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grant:
    """A binding by which somebody has an access, or a part of what it needs.

    Attributes:
        namespace: where it holds; empty: in every namespace, and for objects without one.
        names: the only objects that it is about; empty: all.
        expected: why nobody needs to look at it; empty: it is not expected.
    """

    namespace: str
    binding: ObjectRef
    role: ObjectRef
    names: frozenset[str] = _ANY
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """Somebody has an access, by each of these grants."""

    subject: Subject
    access: Access
    grants: tuple[Grant, ...]

    @property
    def expected(self) -> str:
        """Why it is expected; empty if any of it is not."""
        reasons = [each.expected for each in self.grants]
        return reasons[0] if all(reasons) else ""


def evaluate(rbac: Rbac, places: Places, expected: Expected) -> tuple[Holding, ...]:
    """Every sensitive access of every subject that a binding names, in a fixed order.

    Groups are not taken apart, since RBAC does not know who is in them: an access of a group is that of its members.
    Groups that everybody of a kind is in count where several permissions are needed together.
    """
    evaluator = _Evaluator(rbac, places, expected)
    return tuple(
        Holding(subject, access, grants)
        for subject in sorted(evaluator.bindings)
        for access, grants in evaluator.held(subject)
    )


def implied_groups(subject: Subject) -> tuple[str, ...]:
    """Groups that a subject, or every member of it, is in for what it is."""
    if subject.kind == SERVICE_ACCOUNT:
        return SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{subject.namespace}", AUTHENTICATED
    if subject == Subject(USER, ANONYMOUS):
        return (UNAUTHENTICATED,)
    if subject.kind == GROUP_OF_USERS:
        if subject.name in (AUTHENTICATED, UNAUTHENTICATED):
            return ()
        if subject.name.startswith(f"{SERVICE_ACCOUNTS}:"):
            return SERVICE_ACCOUNTS, AUTHENTICATED
    return (AUTHENTICATED,)


@dataclass(frozen=True, slots=True)
class _Match:
    """A binding that grants one permission."""

    binding: Binding
    names: frozenset[str]


@dataclass(slots=True)
class _Evaluator:
    rbac: Rbac
    places: Places
    expected: Expected
    bindings: dict[Subject, list[Binding]] = field(init=False)
    _granted: dict[ObjectRef, Mapping[Permission, frozenset[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found: defaultdict[Subject, list[Binding]] = defaultdict(list)
        for binding in self.rbac.bindings:
            if self._permissions(binding):
                for subject in dict.fromkeys(binding.subjects):
                    found[subject].append(binding)
        self.bindings = dict(found)

    def held(self, subject: Subject) -> Iterator[tuple[Access, tuple[Grant, ...]]]:
        """The accesses of one subject, in the order of `ACCESSES`."""
        own = self.bindings[subject]
        implied = [
            each
            for group in implied_groups(subject)
            for each in self.bindings.get(Subject(GROUP_OF_USERS, group), ())
            if each not in own
        ]
        everywhere = [each for each in (*own, *implied) if not each.ref.namespace]
        there: defaultdict[str, list[Binding]] = defaultdict(list)
        for each in (*own, *implied):
            if each.ref.namespace:
                there[each.ref.namespace].append(each)
        mine = frozenset(each.ref for each in own)
        for access in ACCESSES:
            grants = dict.fromkeys(self._grants(subject, access, everywhere, "", mine))
            for namespace, bindings in there.items():
                grants |= dict.fromkeys(self._grants(subject, access, [*bindings, *everywhere], namespace, mine))
            if grants:
                yield access, tuple(grants)

    def _grants(
        self, subject: Subject, access: Access, bindings: Sequence[Binding], namespace: str, own: frozenset[ObjectRef]
    ) -> Iterator[Grant]:
        """How a subject has an access in a namespace, or, without one, everywhere."""
        if not self._counts(access, namespace):
            return
        for way in access.ways:
            matches = [list(self._matches(permission, bindings)) for permission in way]
            if not all(matches) or not _of_one_object(way, matches):
                continue
            taking_part = [match for each in matches for match in each]
            if not any(match.binding.ref in own for match in taking_part):
                continue
            if namespace and not any(match.binding.ref.namespace for match in taking_part):
                continue  # it has been said of every namespace
            for match in taking_part:
                if len(way) > 1 or (match.binding.ref in own and match.binding.ref.namespace == namespace):
                    yield Grant(
                        namespace,
                        match.binding.ref,
                        match.binding.role,
                        match.names,
                        self.expected.reason(subject, match.binding, access),
                    )

    def _counts(self, access: Access, namespace: str) -> bool:
        if namespace:
            return any(self.places.holds(place, namespace) for place in access.places)
        return any(place is Place.CLUSTER or self.places.exists(place) for place in access.places)

    def _matches(self, permission: Permission, bindings: Iterable[Binding]) -> Iterator[_Match]:
        for binding in bindings:
            names = self._permissions(binding).get(permission)
            if names is not None:
                yield _Match(binding, names)

    def _permissions(self, binding: Binding) -> Mapping[Permission, frozenset[str]]:
        """What the role of a binding grants, and for which objects."""
        known = self._granted.get(binding.role)
        if known is None:
            known = dict(_granted(self.rbac.rules_of(binding)))
            self._granted[binding.role] = known
        return known


_PERMISSIONS = tuple(dict.fromkeys(each for access in ACCESSES for way in access.ways for each in way))


def _granted(rules: Sequence[Rule]) -> Iterator[tuple[Permission, frozenset[str]]]:
    rules = [rule for rule in rules if rule.names != {NOTHING}]
    for permission in _PERMISSIONS:
        found = [names for rule in rules if (names := _names(rule, permission)) is not None]
        if found:
            yield permission, frozenset().union(*found) if all(found) else _ANY


def _names(rule: Rule, permission: Permission) -> frozenset[str] | None:
    """The objects for which a rule grants a permission, empty for all; None if it does not.

    A rule with names grants `create` too, where a request has a name: when an object is made by server-side apply.
    """
    if not any(
        reaches(rule, verb, permission.group, resource)
        for verb in permission.verbs
        for resource in permission.resources
    ):
        return None
    if not rule.names or not permission.names:
        return rule.names
    return rule.names & permission.names or None


def _of_one_object(way: Sequence[Permission], matches: Sequence[Sequence[_Match]]) -> bool:
    """Whether permissions on the same resource can be had for the same object."""
    by_resource: defaultdict[tuple[str, ...], list[frozenset[str]]] = defaultdict(list)
    for permission, found in zip(way, matches, strict=True):
        names = [each.names for each in found]
        if all(names):
            by_resource[permission.resources].append(frozenset().union(*names))
    return all(frozenset.intersection(*each) for each in by_resource.values())
