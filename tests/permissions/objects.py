"""Roles and bindings as short as tests want to write them."""

from __future__ import annotations

from audit_operator.permissions.expected import Expected, Installation
from audit_operator.permissions.places import Places
from audit_operator.permissions.rbac import rbac_of

API = "rbac.authorization.k8s.io/v1"
PLACES = Places(
    frozenset({"audit-operator", "audit-operator-agent"}),
    frozenset({"logs"}),
    {
        "audit-operator": {"pod-security.kubernetes.io/enforce": "restricted"},
        "audit-operator-agent": {},
        "logs": {"pod-security.kubernetes.io/enforce": "baseline"},
        "payments": {"pod-security.kubernetes.io/enforce": "restricted"},
        "lab": {},
    },
)
EXPECTED = Expected(Installation("audit-operator", "audit-operator-agent", "audit-operator"))


def rule(verbs, resources, group="", names=()):
    return {
        "verbs": verbs.split(),
        "apiGroups": [group],
        "resources": resources.split(),
        **({"resourceNames": list(names)} if names else {}),
    }


def role(name, *rules, namespace="", **more):
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": more.pop("labels", {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "rules": list(rules), **more}


def subject(text):
    """``Group dev``, ``User alice`` or ``ServiceAccount lab/robot``."""
    kind, _, name = text.partition(" ")
    if kind == "ServiceAccount":
        namespace, slash, name = name.rpartition("/")
        return {"kind": kind, "name": name, **({"namespace": namespace} if slash else {})}
    return {"kind": kind, "name": name, "apiGroup": API.partition("/")[0]}


def binding(name, to, *subjects, namespace="", kind="ClusterRole"):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": API,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": API.partition("/")[0], "kind": kind, "name": to},
        "subjects": [subject(each) for each in subjects],
    }


def rbac(*documents):
    return rbac_of(documents)
