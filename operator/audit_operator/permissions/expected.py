"""Who is expected to have which access: Kubernetes' own components, ours, and those whom an administrator names.

An expectation is about one binding, or about one access: an account of ours that somebody has bound to cluster-admin is
as unexpected as anybody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.permissions.places import SYSTEM_NAMESPACE
from audit_operator.permissions.rbac import GROUP_OF_USERS, SERVICE_ACCOUNT, USER, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.permissions.accesses import Access
    from audit_operator.permissions.rbac import Binding

_CONTROLLER = "system:controller:"
_BUILT_IN = {
    ("cluster-admin", "cluster-admin", Subject(GROUP_OF_USERS, "system:masters")): "administrators of the cluster",
    (
        "kubeadm:cluster-admins",
        "cluster-admin",
        Subject(GROUP_OF_USERS, "kubeadm:cluster-admins"),
    ): "administrators of the cluster, as kubeadm makes them",
    (
        "kubeadm:apiserver-kubelet-client",
        "system:kubelet-api-admin",
        Subject(USER, "kube-apiserver-kubelet-client"),
    ): "the API server, as kubelets know it where kubeadm has made its certificate",
    **{
        (name, name, Subject(USER, name)): "a component of Kubernetes"
        for name in ("system:kube-controller-manager", "system:kube-scheduler")
    },
    (
        "system:volume-scheduler",
        "system:volume-scheduler",
        Subject(USER, "system:kube-scheduler"),
    ): "a component of Kubernetes",
    **{
        (f"system::leader-locking-{name}", f"system::leader-locking-{name}", subject): "a component of Kubernetes"
        for name in ("kube-controller-manager", "kube-scheduler")
        for subject in (Subject(USER, f"system:{name}"), Subject(SERVICE_ACCOUNT, name, SYSTEM_NAMESPACE))
    },
}
"""Bindings that every API server makes, or kubeadm: name, role and subject, and what to call it."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where this operator is installed, and under which names, as its chart makes them.

    Attributes:
        namespace: of the operator.
        agents: namespace of agents and shippers.
        name: the release's full name.
        account: the operator's service account; empty: as `name`.
    """

    namespace: str
    agents: str
    name: str
    account: str = ""

    def accounts(self) -> Iterator[tuple[Subject, frozenset[str]]]:
        """The service accounts of its parts, and the accesses that each is meant to have."""
        yield Subject(SERVICE_ACCOUNT, self.account or self.name, self.namespace), _OPERATOR
        yield Subject(SERVICE_ACCOUNT, f"{self.name}-agent", self.agents), _AGENT
        yield Subject(SERVICE_ACCOUNT, f"{self.name}-shipper", self.agents), _SHIPPER
        yield Subject(SERVICE_ACCOUNT, f"{self.name}-gateway", self.namespace), _SHIPPER
        yield Subject(SERVICE_ACCOUNT, f"{self.name}-uninstall", self.namespace), frozenset({"control-planes"})


# tests/chart/test_permissions.py holds these against what the chart grants.
_OPERATOR = frozenset(
    {
        "instructions",
        "secrets",
        "system-secrets",
        "tokens",
        "status-in-namespaces",
        "status-of-cluster",
        "webhooks",
        "workloads",
        "run-pods",
        "mount-nodes",
    }
)
_AGENT = frozenset({"instructions"})
_SHIPPER = frozenset({"secrets", "instructions"})


@dataclass(frozen=True, slots=True)
class Expected:
    """Answers why an access is expected. `declared` are those whom an administrator has named, whatever they may do."""

    installation: Installation
    declared: frozenset[Subject] = frozenset()

    def reason(self, subject: Subject, binding: Binding, access: Access) -> str:
        """Why it is expected; empty if it is not."""
        if subject in self.declared:
            return "named as expected"
        name = binding.ref.name
        controller = Subject(SERVICE_ACCOUNT, name.removeprefix(_CONTROLLER), SYSTEM_NAMESPACE)
        if name.startswith(_CONTROLLER) and binding.role.name == name and subject == controller:
            return "a controller of Kubernetes"
        for account, accesses in self.installation.accounts():
            if subject == account and access.id in accesses:
                return "part of audit-operator"
        return _BUILT_IN.get((name, binding.role.name, subject), "")
