"""Policies that the tests judge: the published ones, three extremes, and random ones that meet the catalogue."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.policy.document import parse_document
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User

FOLDER = Path(__file__).parents[1] / "reference-policies"


def read_policy(text: str) -> Policy:
    """A valid audit.k8s.io/v1 document as a policy; unknown keys are dropped, as the API server does."""
    document = parse_document(text).value
    return Policy(
        tuple(map(_rule, document["rules"])),
        frozenset(map(Stage, document.get("omitStages") or ())),
        document.get("omitManagedFields", False),
    )


def _rule(data) -> Rule:
    return Rule(
        Level(data["level"]),
        tuple(data.get("users") or ()),
        tuple(data.get("userGroups") or ()),
        tuple(data.get("verbs") or ()),
        tuple(
            GroupResources(
                each.get("group", ""), tuple(each.get("resources") or ()), tuple(each.get("resourceNames") or ())
            )
            for each in data.get("resources") or ()
        ),
        tuple(data.get("namespaces") or ()),
        tuple(data.get("nonResourceURLs") or ()),
        frozenset(map(Stage, data.get("omitStages") or ())),
        data.get("omitManagedFields"),
    )


# The same rules as eks-published-v1, in an API version that is no longer served.
REFERENCE = {
    path.stem: read_policy(path.read_text()) for path in sorted(FOLDER.glob("*.yaml")) if path.stem != "eks-published"
}

METADATA = Policy((Rule(Level.METADATA),))
REQUEST_RESPONSE = Policy((Rule(Level.REQUEST_RESPONSE),))
NOTHING_FIRST = Policy((Rule(Level.NONE), Rule(Level.METADATA)))

POLICIES = {
    **REFERENCE,
    "metadata": METADATA,
    "request-response": REQUEST_RESPONSE,
    "nothing-first": NOTHING_FIRST,
}

levels = st.sampled_from(list(Level))
stages = st.frozensets(st.sampled_from(list(Stage)), max_size=2)

USERS = [
    "alice",
    "mallory",
    "system:node:n1",
    "system:kube-controller-manager",
    "system:serviceaccount:payments:app",
    "system:serviceaccount:payments:web",
    "system:serviceaccount:kube-system:endpoint-controller",
    "system:anonymous",
]
GROUPS = [
    "dev",
    "ops",
    "system:authenticated",
    "system:unauthenticated",
    "system:nodes",
    "system:serviceaccounts",
    "system:serviceaccounts:payments",
    "system:serviceaccounts:kube-system",
]
_VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
NAMESPACES = ["payments", "web", "kube-system", "audit-system", ""]
_API_GROUPS = ["", "apps", "rbac.authorization.k8s.io", "audit-operator.dev", "*"]
_SPELLINGS = ["*", "pods", "pods/exec", "pods/*", "*/log", "*/status", "secrets", "configmaps", "nodes", "namespaces"]
NAMES = ["db", "coredns", "payments", "web", ""]
_URLS = ["*", "/metrics", "/api*", "/version", "/logs/*"]


def _some(values, most=2):
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


_entries = st.builds(GroupResources, st.sampled_from(_API_GROUPS), _some(_SPELLINGS), st.just(()) | _some(NAMES)).map(
    lambda entry: entry if entry.resources else GroupResources(entry.group)
)


@st.composite
def rules(draw) -> Rule:
    about = draw(st.sampled_from(["anything", "resources", "resources", "urls"]))
    return Rule(
        draw(levels),
        users=draw(st.just(()) | _some(USERS)),
        user_groups=draw(st.just(()) | _some(GROUPS)),
        verbs=draw(st.just(()) | _some(_VERBS, 4)),
        resources=draw(st.lists(_entries, max_size=2).map(tuple)) if about == "resources" else (),
        namespaces=draw(st.just(()) | _some(NAMESPACES)) if about == "resources" else (),
        non_resource_urls=draw(_some(_URLS)) if about == "urls" else (),
        omit_stages=draw(stages),
    )


policies = st.builds(Policy, st.lists(rules(), min_size=1, max_size=6).map(tuple), stages)

users = st.none() | st.builds(
    User, st.sampled_from([*USERS, "eve", f"system:serviceaccount:{SAMPLE_NAMESPACE}:<account>"]), _some(GROUPS, 3)
)


def requests_in(namespace: str) -> st.SearchStrategy[Request]:
    """Requests sent to a namespace."""
    return st.builds(
        Request,
        users,
        st.sampled_from(_VERBS),
        st.just(True),
        api_group=st.sampled_from(_API_GROUPS[:-1]),
        namespace=st.just(namespace),
        resource=st.sampled_from(["pods", "secrets", "configmaps", "namespaces", "widgets"]),
        subresource=st.sampled_from(["", "exec", "log", "status"]),
        name=st.sampled_from(NAMES),
    )
