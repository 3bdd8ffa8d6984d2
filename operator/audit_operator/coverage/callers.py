"""Who sends the requests that coverage asks about.

The catalogue has a sample of every sort of user. A policy may treat somebody by name whom no sample stands for, and a
rule `level: None, users: [mallory]` is just what an insider would add; so everybody whom a rule names is asked about
too, as one more person of the sort that the name belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.policy.model import User

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.coverage.catalogue import Subject
    from audit_operator.policy.model import Rule

SAMPLE_NAMESPACE = "<namespace>"
"""The namespace that is looked at, or any application's. None can be called so: no policy can treat it by name."""

HUMAN = "human"
SERVICE_ACCOUNT = "serviceaccount"
NODE = "node"
BOOTSTRAP = "bootstrap"
ANONYMOUS = "anonymous"
COMPONENT = "component"
"""No subject of a catalogue: components that a rule names. A policy may silence them as it likes, but their requests
must not leak either. Of the control plane the catalogue's own sample is what actions are judged by."""

CONTROLLERS_NAMESPACE = "kube-system"
"""Where the controllers' own accounts are. Named one by one they count as components; the group of the namespace does
not, since whoever runs a pod there is in it."""

_SERVICE_ACCOUNT_USER = "system:serviceaccount:"
_SERVICE_ACCOUNT_GROUP = "system:serviceaccounts"
_CONTROLLERS = f"{_SERVICE_ACCOUNT_USER}{CONTROLLERS_NAMESPACE}:"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        subject: name of the catalogue's subject that this is an instance of, or `COMPONENT`.
        user: None if authentication failed.
        title: who that is, for a sentence after "by".
    """

    subject: str
    user: User | None
    title: str


def sample_callers(subjects: Iterable[Subject]) -> tuple[Caller, ...]:
    """The catalogue's samples, in its order."""
    return tuple(_sample(subject) for subject in subjects)


def _sample(subject: Subject) -> Caller:
    if subject.user is None:
        return Caller(subject.name, None, subject.title or "nobody")
    placeholder = "{namespace}"
    user = User(
        subject.user.replace(placeholder, SAMPLE_NAMESPACE),
        tuple(group.replace(placeholder, SAMPLE_NAMESPACE) for group in subject.groups),
    )
    return Caller(subject.name, user, subject.title or user.name)


def named_callers(rule: Rule) -> tuple[Caller, ...]:
    """Those whom a rule names, such that the rule matches them.

    A user is taken to be in the groups of the same rule; of a rule that names groups only, each has one member. What
    other groups they are in cannot be known.
    """
    if rule.users:
        return tuple(_user(name, rule.user_groups) for name in rule.users)
    return tuple(_member(group) for group in rule.user_groups)


def _user(name: str, groups: tuple[str, ...]) -> Caller:
    usual = _usual_groups(name)
    return Caller(_subject_of_user(name), User(name, (*groups, *(each for each in usual if each not in groups))), name)


def _member(group: str) -> Caller:
    subject = _subject_of_group(group)
    name = "<member>"
    if subject == SERVICE_ACCOUNT:
        namespace = group.removeprefix(_SERVICE_ACCOUNT_GROUP).removeprefix(":") or SAMPLE_NAMESPACE
        name = f"{_SERVICE_ACCOUNT_USER}{namespace}:<account>"
    usual = _usual_groups(name)
    return Caller(subject, User(name, (group, *(each for each in usual if each != group))), f"a member of {group}")


def _usual_groups(name: str) -> tuple[str, ...]:
    if name == "system:anonymous":
        return ("system:unauthenticated",)
    if name.startswith(_SERVICE_ACCOUNT_USER):
        namespace = name.removeprefix(_SERVICE_ACCOUNT_USER).partition(":")[0]
        return _SERVICE_ACCOUNT_GROUP, f"{_SERVICE_ACCOUNT_GROUP}:{namespace}", "system:authenticated"
    if name.startswith("system:node:"):
        return "system:nodes", "system:authenticated"
    if name.startswith("system:bootstrap:"):
        return "system:bootstrappers", "system:authenticated"
    return ("system:authenticated",)


def _subject_of_user(name: str) -> str:
    if name == "system:anonymous":
        return ANONYMOUS
    if name.startswith(_SERVICE_ACCOUNT_USER):
        return COMPONENT if name.startswith(_CONTROLLERS) else SERVICE_ACCOUNT
    if name.startswith("system:node:"):
        return NODE
    if name.startswith("system:bootstrap:"):
        return BOOTSTRAP
    return COMPONENT if name.startswith("system:") else HUMAN


def _subject_of_group(group: str) -> str:
    if group == _SERVICE_ACCOUNT_GROUP or group.startswith(f"{_SERVICE_ACCOUNT_GROUP}:"):
        return SERVICE_ACCOUNT
    if group == "system:nodes":
        return NODE
    if group == "system:unauthenticated":
        return ANONYMOUS
    if group.startswith("system:bootstrappers"):
        return BOOTSTRAP
    # Everybody else's reserved groups are of components, but for those that people are really put into.
    people = group in ("system:authenticated", "system:masters") or group.startswith("system:authenticated:")
    return HUMAN if people or not group.startswith("system:") else COMPONENT
