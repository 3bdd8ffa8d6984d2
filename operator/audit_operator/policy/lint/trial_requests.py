"""Requests to try on a policy: who sends them, and what they are about.

What a rule does to a request depends on the rules before it, so checks evaluate and do not just look at one rule. Two
sorts of request are tried: those of ordinary people, whom no rule names, and those made to fit one rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from audit_operator.policy.evaluate import rule_matches
from audit_operator.policy.lint.served import is_namespace
from audit_operator.policy.model import Request, User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.model import GroupResources, Policy, Rule

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANYONE = User("someone@example.com", (AUTHENTICATED,))
WORKLOAD = User(
    "system:serviceaccount:any-namespace:any-workload",
    ("system:serviceaccounts", "system:serviceaccounts:any-namespace", AUTHENTICATED),
)
ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))

ANY_NAMESPACE = "any-namespace"
ANY_NAME = "any-name"
CUSTOM_GROUP = "custom.example.com"

_SAMPLE = 3
"""How many values of one list of a rule are tried."""

_GROUPS = 20
"""How many of the groups that rules name are tried as those of ordinary people."""

_NOT_PEOPLE = frozenset({"system:nodes", "system:bootstrappers", UNAUTHENTICATED})


@dataclass(frozen=True, slots=True)
class About:
    """What a request is about. `named` is whether it carries the name of an object, as all but create and list do."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespaced: bool = True
    named: bool = False

    def by(self, user: User | None, namespace: str = ANY_NAMESPACE, name: str = ANY_NAME) -> Request:
        """The request that this user sends."""
        return Request(
            user=user,
            verb=self.verb,
            resource_request=True,
            api_group=self.group,
            api_version="v1",
            namespace=namespace if self.namespaced else "",
            resource=self.resource,
            subresource=self.subresource,
            name=name if self.named else "",
        )


def ordinary_users(policy: Policy) -> tuple[User, ...]:
    """People and workloads that no rule names, one more for each group that a rule names."""
    groups = {group: None for rule in policy.rules for group in rule.user_groups}
    people = [group for group in groups if group not in _NOT_PEOPLE and group != AUTHENTICATED]
    return (ANYONE, WORKLOAD, *(User(ANYONE.name, (*ANYONE.groups, group)) for group in people[:_GROUPS]))


def user_named(name: str, group: str = "") -> User:
    """A user with the groups that the API server gives to a user of that name, and one more."""
    groups: tuple[str, ...]
    match name.split(":"):
        case ["system", "serviceaccount", namespace, _]:
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        case ["system", "node", _]:
            groups = ("system:nodes", AUTHENTICATED)
        case ["system", "anonymous"]:
            groups = (UNAUTHENTICATED,)
        case _:
            groups = (AUTHENTICATED,)
    return User(name, groups if group in ("", *groups) else (*groups, group))


def fitting(rule: Rule, about: About) -> Iterator[Request]:
    """Requests about something that the rule itself matches, by the first few of its users, groups and so on."""
    namespaces = [each for each in rule.namespaces if is_namespace(each)][:_SAMPLE] or [ANY_NAMESPACE]
    names = [ANY_NAME, *(name for entry in rule.resources for name in entry.resource_names[:_SAMPLE])]
    for user, namespace, name in product(_users_of(rule), namespaces, names if about.named else names[:1]):
        request = about.by(user, namespace, name)
        if rule_matches(rule, request):
            yield request


def _users_of(rule: Rule) -> list[User]:
    if rule.users:
        groups = rule.user_groups[:_SAMPLE] or ("",)
        return [user_named(name, group) for name, group in product(rule.users[:_SAMPLE], groups)]
    if not rule.user_groups:
        return [ANYONE]
    return [
        ANONYMOUS if group == UNAUTHENTICATED else user_named(ANYONE.name, group)
        for group in rule.user_groups[:_SAMPLE]
    ]


def names_objects(entry: GroupResources) -> bool:
    """Whether the entry picks single objects."""
    return bool(entry.resources and entry.resource_names)
