"""Random rules full of slips, and every request of a small world: what exists, as an API server serves it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.known_resources import OBJECT_VERBS, KnownResource, known_resources
from audit_operator.policy.lint.served import HTTP_METHODS, UNNAMED_VERBS
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = ["alice", "system:node:n1", "system:*"]
GROUPS = ["dev", "system:authenticated", "system:serviceaccounts:*"]
VERBS = ["get", "list", "watch", "create", "delete", "deletecollection", "post", "head", "*", "GET", "bind", ""]
NAMESPACES = ["", "payments", "web", "team-*"]
API_GROUPS = ["", "", "apps", "authentication.k8s.io", "crd.example.com", "core", "*", "extensions"]
SPELLINGS = [
    "*",
    "*/*",
    "*/status",
    "pods",
    "pods/*",
    "pods/exec",
    "pods.exec",
    "exec",
    "pod",
    "Pods",
    "pods/exec/",
    "po*",
    "secrets",
    "secrets/*",
    "namespaces",
    "namespaces/status",
    "nodes",
    "nodes/metrics",
    "deployments",
    "deployments/scale",
    "tokenreviews",
    "widgets",
    "widgets/status",
    "frobs",
]
NAMES = ["a", "payments", ""]
URLS = ["*", "/healthz*", "/healthz", "/api*", "/api/*", "/api/v1/pods", "/apis/apps/v1/*", "/metrics?x", "/metrics"]
PATHS = ["/", "/healthz", "/healthz/etcd", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/metrics"]

RESOURCES = [
    *(each for each in known_resources().served if each.name in {"pods", "secrets", "namespaces", "nodes"}),
    *(each for each in known_resources().served if each.name in {"deployments", "tokenreviews", "replicasets"}),
    KnownResource("crd.example.com", "widgets", subresources={"status": frozenset({"get", "update"})}),
    KnownResource("crd.example.com", "frobs", namespaced=False),
]


def some(values: list[str], most: int = 2) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=most).map(tuple)


def entries_of(groups: list[str], spellings: list[str]) -> st.SearchStrategy[GroupResources]:
    """Entries of `resources`; names need resources, as validation demands."""
    return st.builds(GroupResources, st.sampled_from(groups), some(spellings, 3), some(NAMES)).map(
        lambda entry: entry if entry.resources else GroupResources(entry.group)
    )


stages = st.frozensets(st.sampled_from([Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED]), max_size=1)


@st.composite
def rules_over(draw: st.DrawFn, entries: st.SearchStrategy[GroupResources]) -> Rule:
    about = draw(st.sampled_from(["anything", "resources", "resources", "urls"]))
    return Rule(
        level=draw(st.sampled_from(list(Level))),
        users=draw(some(USERS, 1)),
        user_groups=draw(some(GROUPS, 1)),
        verbs=draw(some(VERBS, 3)),
        resources=draw(st.lists(entries, max_size=2).map(tuple)) if about == "resources" else (),
        namespaces=draw(some(NAMESPACES)) if about == "resources" else (),
        non_resource_urls=draw(some(URLS)) if about == "urls" else (),
        omit_stages=draw(stages),
        omit_managed_fields=draw(st.none() | st.booleans()),
    )


policies = st.builds(
    Policy,
    st.lists(rules_over(entries_of(API_GROUPS, SPELLINGS)), min_size=1, max_size=6).map(tuple),
    stages,
    st.booleans(),
)

KNOWN_SPELLINGS = [
    "*",
    "pods",
    "pods/*",
    "pods/exec",
    "*/status",
    "namespaces",
    "namespaces/status",
    "nodes",
    "tokenreviews",
]
"""Spellings of things that are all in the small world."""

rules_about_known_things = rules_over(
    st.builds(
        GroupResources,
        st.sampled_from(["", "apps"]),
        st.lists(st.sampled_from(KNOWN_SPELLINGS), min_size=1, max_size=2).map(tuple),
        some(NAMES),
    )
)


PEOPLE = (
    None,
    User("alice", ("dev", "system:authenticated")),
    User("bob", ("system:authenticated",)),
    User("system:node:n1", ("dev", "system:authenticated")),
)


def _served() -> Iterator[Request]:
    for user in PEOPLE:
        for verb, path in product(sorted(HTTP_METHODS), PATHS):
            yield Request(user, verb, resource_request=False, path=path)
        for resource in RESOURCES:
            for subresource, verbs in {"": resource.verbs, **resource.subresources}.items():
                for verb in sorted(verbs & OBJECT_VERBS):
                    yield from _about(user, verb, resource, subresource)


def _about(user: User | None, verb: str, resource: KnownResource, subresource: str) -> Iterator[Request]:
    listing = verb in {"list", "watch"}  # carries a name if a field selector says so
    unnamed = not subresource and (listing or verb in UNNAMED_VERBS)
    names = ["a", "payments", "web"] if not unnamed else ["", "a", "payments", "web"] if listing else [""]
    for name in names:
        if resource.namespaced:
            namespaces = ["payments", "web", *([""] if listing else [])]
        elif resource.name == "namespaces" and not unnamed:
            namespaces = [name]
        elif resource.name == "namespaces" and verb == "watch" and name:
            namespaces = ["", name]  # by a field selector, or by the old path /api/v1/watch/namespaces/<name>
        else:
            namespaces = [""]
        for namespace in namespaces:
            yield Request(
                user,
                verb,
                resource_request=True,
                api_group=resource.group,
                namespace=namespace,
                resource=resource.name,
                subresource=subresource,
                name=name,
            )


SERVED = tuple(_served())
"""Every request that can be made of the above, as far as an API server serves it."""
