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
    """

    policy: Policy
    indexes: tuple[int, ...]


class Restrictions:
    """Restricts one policy to many namespaces; each costs what its own rules cost, whatever the others have.

    Namespaces that no name in a rule refers to, but for lists of namespaces, share restrictions: the same object is
    given for all that the same lists name.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._everywhere: list[int] = []
        self._naming: dict[str, list[int]] = {}
        self._referred = frozenset(name for rule in policy.rules for name in _namespaces_referred_to(rule))
        self._shared: dict[tuple[tuple[int, ...], tuple[int, ...]], Restriction] = {}
        for index, rule in enumerate(policy.rules):
            if rule.non_resource_urls and not (rule.namespaces or rule.resources):
                continue
            if not rule.namespaces or _NO_NAMESPACE in rule.namespaces:
                self._everywhere.append(index)
            for namespace in dict.fromkeys(rule.namespaces):
                self._naming.setdefault(namespace, []).append(index)

    def to(self, namespace: str) -> Restriction:
        """The restriction to a namespace."""
        naming = self._naming.get(namespace, [])
        indexes = tuple(sorted({*self._everywhere, *naming}))
        if namespace in self._referred or namespace == CONTROLLERS_NAMESPACE:
            return self._restriction(indexes, namespace)
        key = (indexes, tuple(naming))
        if key not in self._shared:
            self._shared[key] = self._restriction(indexes, namespace)
        return self._shared[key]

    def _restriction(self, indexes: tuple[int, ...], namespace: str) -> Restriction:
        rules = tuple(_anonymous(self._policy.rules[index], namespace) for index in indexes)
        return Restriction(replace(self._policy, rules=rules), indexes)


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
