"""What of a policy concerns one namespace.

A compiled policy holds the rules of every namespace; of each namespace only some can decide anything. Names that belong
to the namespace are replaced by a placeholder, so that namespaces which are treated alike give equal restrictions and
need to be judged only once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit_operator.coverage.callers import CONTROLLERS_NAMESPACE, SAMPLE_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.model import GroupResources, Policy, Rule

_NO_NAMESPACE = ""
_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts:"


@dataclass(frozen=True, slots=True)
class Restriction:
    """The rules of a policy that can decide about requests in one namespace, or across all namespaces.

    Attributes:
        policy: those rules, in their order, with the namespace called `SAMPLE_NAMESPACE`.
        indexes: where each of them stands in the original policy.
        by_name: whether one of them refers to the namespace in a field other than `namespaces`, so that it is like no
            other.
    """

    policy: Policy
    indexes: tuple[int, ...]
    by_name: bool = False


class Restrictions:
    """Restricts one policy to many namespaces; each costs what its own rules cost, whatever the others have.

    Namespaces that no name in their rules refers to, but for lists of namespaces, share restrictions: the same object
    is given for all that the same lists name.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._everywhere: list[int] = []
        self._naming: dict[str, list[int]] = {}
        self._referring: dict[str, set[int]] = {}
        self._shared: dict[tuple[tuple[int, ...], tuple[int, ...]], Restriction] = {}
        for index, rule in enumerate(policy.rules):
            if rule.non_resource_urls and not (rule.namespaces or rule.resources):
                continue
            if not rule.namespaces or _NO_NAMESPACE in rule.namespaces:
                self._everywhere.append(index)
            for namespace in dict.fromkeys(rule.namespaces):
                self._naming.setdefault(namespace, []).append(index)
            for namespace in _namespaces_referred_to(rule):
                self._referring.setdefault(namespace, set()).add(index)

    def to(self, namespace: str) -> Restriction:
        """The restriction to a namespace."""
        naming = self._naming.get(namespace, [])
        indexes = tuple(sorted({*self._everywhere, *naming}))
        if namespace == CONTROLLERS_NAMESPACE or not self._referring.get(namespace, set()).isdisjoint(indexes):
            return self._restriction(indexes, namespace, by_name=True)
        key = (indexes, tuple(naming))
        if key not in self._shared:
            self._shared[key] = self._restriction(indexes, namespace)
        return self._shared[key]

    def _restriction(self, indexes: tuple[int, ...], namespace: str, *, by_name: bool = False) -> Restriction:
        rules = tuple(_anonymous(self._policy.rules[index], namespace) for index in indexes)
        return Restriction(replace(self._policy, rules=rules), indexes, by_name)


def _namespaces_referred_to(rule: Rule) -> Iterator[str]:
    """Names that are, or may be, a namespace's, in fields other than `namespaces`."""
    for user in rule.users:
        if user.startswith(_ACCOUNT):
            yield user.removeprefix(_ACCOUNT).partition(":")[0]
    for group in rule.user_groups:
        yield group.removeprefix(_ACCOUNTS)
    for entry in rule.resources:
        yield from entry.resource_names


def restrict(policy: Policy, namespace: str) -> Restriction:
    """The restriction of a policy to one namespace; for many namespaces see `Restrictions`."""
    return Restrictions(policy).to(namespace)


def _anonymous(rule: Rule, namespace: str) -> Rule:
    namespaces = tuple(
        SAMPLE_NAMESPACE if each == namespace else _NO_NAMESPACE
        for each in (namespace, _NO_NAMESPACE)
        if each in rule.namespaces
    )
    users = rule.users
    if namespace != CONTROLLERS_NAMESPACE:
        users = tuple(_renamed_account(user, f"{_ACCOUNT}{namespace}:") for user in users)
    own_group = f"{_ACCOUNTS}{namespace}"
    sample_group = f"{_ACCOUNTS}{SAMPLE_NAMESPACE}"
    groups = tuple(sample_group if group == own_group else group for group in rule.user_groups)
    resources = rule.resources
    if any(namespace in entry.resource_names for entry in resources):
        resources = tuple(_renamed_object(entry, namespace) for entry in resources)
    if (namespaces, users, groups, resources) == (rule.namespaces, rule.users, rule.user_groups, rule.resources):
        return rule
    return replace(rule, namespaces=namespaces, users=users, user_groups=groups, resources=resources)


def _renamed_account(user: str, accounts: str) -> str:
    if not user.startswith(accounts):
        return user
    return f"{_ACCOUNT}{SAMPLE_NAMESPACE}:{user.removeprefix(accounts)}"


def _renamed_object(entry: GroupResources, namespace: str) -> GroupResources:
    # An object that happens to be called like the namespace is renamed with it; only equality of names counts.
    names = tuple(SAMPLE_NAMESPACE if name == namespace else name for name in entry.resource_names)
    return replace(entry, resource_names=names)
