"""Random policies and requests over a small vocabulary, so that rules really meet each other and the requests."""

from __future__ import annotations

from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User

USERS = ["alice", "bob", "system:node:n1"]
GROUPS = ["dev", "ops", "system:nodes"]
VERBS = ["get", "list", "create", "delete"]
NAMESPACES = ["payments", "web", "kube-system"]
API_GROUPS = ["", "apps", "batch"]
SPELLINGS = ["*", "pods", "pods/log", "pods/*", "*/log", "*/status", "secrets", "secrets/*", "deployments"]
NAMES = ["a", "b", ""]
URLS = ["*", "/healthz*", "/healthz", "/livez", "/api*", "/api/*", "/metrics"]
PATHS = ["/healthz", "/healthz/etcd", "/livez", "/api", "/api/v1", "/metrics", "/"]

levels = st.sampled_from(list(Level))
stages = st.frozensets(st.sampled_from(list(Stage)), max_size=2)


def some(values: list[str], most: int = 2) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=most).map(tuple)


entries = st.builds(
    GroupResources, st.sampled_from([*API_GROUPS, "*"]), some(SPELLINGS), st.just(()) | some(NAMES)
).map(lambda entry: entry if entry.resources else GroupResources(entry.group))


@st.composite
def rules(draw: st.DrawFn, *, namespaced: bool = False, limit: bool = False) -> Rule:
    about = draw(st.sampled_from(["anything", "resources", "resources", "urls"]))
    resource_rule = namespaced or about == "resources"
    return Rule(
        level=draw(levels),
        users=draw(some(USERS)),
        user_groups=draw(some(GROUPS)),
        verbs=draw(some(VERBS, 3)),
        resources=draw(st.lists(entries, max_size=2).map(tuple)) if resource_rule else (),
        namespaces=draw(some([*NAMESPACES, ""])) if resource_rule and not namespaced else (),
        non_resource_urls=draw(some(URLS)) if about == "urls" and not namespaced else (),
        omit_stages=frozenset() if limit else draw(stages),
        omit_managed_fields=None if limit else draw(st.none() | st.booleans()),
    )


def policies(*, namespaced: bool = False) -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy, st.lists(rules(namespaced=namespaced), min_size=1, max_size=4).map(tuple), stages, st.booleans()
    )


@st.composite
def contributions(draw: st.DrawFn) -> Contribution:
    if draw(st.booleans()):
        namespace = draw(st.sampled_from(NAMESPACES[:2]))
        return Contribution(Reach(frozenset({namespace})), draw(policies(namespaced=True)))
    selected = draw(st.just(frozenset(NAMESPACES)) | st.frozensets(st.sampled_from(NAMESPACES)))
    reach = Reach(
        namespaces=selected,
        unseen_namespaces=len(selected) == len(NAMESPACES),
        cluster=draw(st.booleans()),
        non_resource=draw(st.booleans()),
    )
    limits = draw(st.lists(rules(limit=True), max_size=2).map(tuple))
    return Contribution(reach, draw(policies()), limits)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    user = draw(st.none() | st.builds(User, st.sampled_from([*USERS, "eve"]), some([*GROUPS, "other"], 3)))
    verb = draw(st.sampled_from([*VERBS, "watch"]))
    if draw(st.integers(0, 4)) == 0:
        return Request(user, verb, resource_request=False, path=draw(st.sampled_from(PATHS)))
    return Request(
        user,
        verb,
        resource_request=True,
        api_group=draw(st.sampled_from([*API_GROUPS, "crd.example.com"])),
        namespace=draw(st.sampled_from([*NAMESPACES, "", "unseen"])),
        resource=draw(st.sampled_from(["pods", "secrets", "deployments", "widgets"])),
        subresource=draw(st.sampled_from(["", "log", "status"])),
        name=draw(st.sampled_from([*NAMES, "c"])),
    )
