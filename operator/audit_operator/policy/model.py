"""An audit policy and a request, as the API server's evaluator sees them.

Frozen, hashable and free of defaults that depend on context, so that rules can be compared, cached and folded.
An empty tuple means "not set", exactly as upstream treats an empty list: `users: []` restricts nothing.
Source: `pkg/apis/audit/types.go` and `pkg/audit/policy/checker.go` of kubernetes/apiserver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.api.audit import Level, Stage


@dataclass(frozen=True, slots=True)
class GroupResources:
    """One entry of a rule's `resources`.

    An entry without `resources` is the whole API group, subresources included; group ``""`` is core, so the entry
    ``{}`` is all of core. Group ``*`` is every group, from Kubernetes 1.36.
    """

    group: str = ""
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: every field that is set must match. `omit_managed_fields` None defers to the policy."""

    level: Level
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()
    omit_stages: frozenset[Stage] = frozenset()
    omit_managed_fields: bool | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Ordered rules, first match wins; `omit_stages` is added to every rule's own."""

    rules: tuple[Rule, ...]
    omit_stages: frozenset[Stage] = frozenset()
    omit_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request, before impersonation."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """The attributes of one request that a policy can see.

    `user` None is a failed authentication (401), which no rule with users or userGroups matches. `path` is the URL
    path without the query. Only `resource_request` decides which fields count: the others may be filled all the same.
    """

    user: User | None
    verb: str
    resource_request: bool
    api_group: str = ""
    api_version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says about one request. `rule` is the index of the first match, None where nothing matched."""

    level: Level
    omit_stages: frozenset[Stage]
    omit_managed_fields: bool
    rule: int | None
