"""What the API server's RBAC authorizer answers, for a user and groups that are known.

Source of the semantics: pkg/apis/rbac/v1/evaluation_helpers.go and plugin/pkg/auth/authorizer/rbac of Kubernetes.
tests/integration/test_permissions.py compares it with a real API server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.permissions.rbac import GROUP_OF_USERS

if TYPE_CHECKING:
    from collections.abc import Collection

    from audit_operator.permissions.rbac import Binding, Rbac, Rule, Subject


@dataclass(frozen=True, slots=True)
class Question:
    """A request for a resource. `resource` has the subresource, ``pods/log``; `group` is ``""`` for the core group."""

    verb: str
    group: str
    resource: str
    name: str = ""
    namespace: str = ""


def reaches(rule: Rule, verb: str, group: str, resource: str) -> bool:
    """Whether a rule is about such requests, for some object.

    ``*`` among resources is every resource and subresource; ``*/log`` that subresource of any, and ``pods`` no
    subresource.
    """
    if not (_has(rule.verbs, verb) and _has(rule.groups, group)):
        return False
    if _has(rule.resources, resource):
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in rule.resources


def allows(rule: Rule, question: Question) -> bool:
    """Whether a rule allows a request. With names, one without a name is none of its business."""
    if rule.names and question.name not in rule.names:
        return False
    return reaches(rule, question.verb, question.group, question.resource)


def decide(rbac: Rbac, user: str, groups: Collection[str], question: Question) -> Binding | None:
    """The first binding that allows a request; None if RBAC does not allow it.

    Members of system:masters are not asked: they never come here.
    """
    for binding in rbac.bindings:
        # A RoleBinding is about its own namespace alone, whatever its role is about.
        if binding.ref.namespace and binding.ref.namespace != question.namespace:
            continue
        if not any(_is(subject, user, groups) for subject in binding.subjects):
            continue
        if any(allows(rule, question) for rule in rbac.rules_of(binding)):
            return binding
    return None


def _is(subject: Subject, user: str, groups: Collection[str]) -> bool:
    return subject.name in groups if subject.kind == GROUP_OF_USERS else subject.user == user


def _has(words: frozenset[str], word: str) -> bool:
    return word in words or "*" in words
