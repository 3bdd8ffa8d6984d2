"""The resources that the operator reads and writes, and their paths in the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from audit_operator.api.references import INPUT_LABEL

if TYPE_CHECKING:
    from audit_operator.api.findings import ObjectRef

GROUP = "audit-operator.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object as the API addresses it; the core group is ``""``."""

    kind: str
    plural: str
    group: str
    version: str
    namespaced: bool
    label_selector: str = ""
    field_selector: str = ""

    @property
    def api_version(self) -> str:
        """The value of `apiVersion` in objects of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, of one object in it, or of a subresource of that object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = ["namespaces", namespace] if self.namespaced and namespace else []
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join([root, *(quote(part, safe="") for part in parts)])


AUDIT_POLICY = Resource("AuditPolicy", "auditpolicies", GROUP, VERSION, namespaced=True)
CLUSTER_AUDIT_POLICY = Resource("ClusterAuditPolicy", "clusterauditpolicies", GROUP, VERSION, namespaced=False)
AUDIT_SINK = Resource("AuditSink", "auditsinks", GROUP, VERSION, namespaced=True)
CLUSTER_AUDIT_SINK = Resource("ClusterAuditSink", "clusterauditsinks", GROUP, VERSION, namespaced=False)
AUDIT_CONTROL_PLANE = Resource("AuditControlPlane", "auditcontrolplanes", GROUP, VERSION, namespaced=False)
NAMESPACE = Resource("Namespace", "namespaces", "", "v1", namespaced=False)
INPUT = Resource("ConfigMap", "configmaps", "", "v1", namespaced=True, label_selector=INPUT_LABEL)
CONFIG_MAP = Resource("ConfigMap", "configmaps", "", "v1", namespaced=True)
SECRET = Resource("Secret", "secrets", "", "v1", namespaced=True)
LEASE = Resource("Lease", "leases", "coordination.k8s.io", "v1", namespaced=True)
POD = Resource("Pod", "pods", "", "v1", namespaced=True)
DEPLOYMENT = Resource("Deployment", "deployments", "apps", "v1", namespaced=True)
REPLICA_SET = Resource("ReplicaSet", "replicasets", "apps", "v1", namespaced=True)
STATEFUL_SET = Resource("StatefulSet", "statefulsets", "apps", "v1", namespaced=True)
DAEMON_SET = Resource("DaemonSet", "daemonsets", "apps", "v1", namespaced=True)
DISRUPTION_BUDGET = Resource("PodDisruptionBudget", "poddisruptionbudgets", "policy", "v1", namespaced=True)
WEBHOOK_CONFIGURATION = Resource(
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    "admissionregistration.k8s.io",
    "v1",
    namespaced=False,
)
ROLE = Resource("Role", "roles", "rbac.authorization.k8s.io", "v1", namespaced=True)
CLUSTER_ROLE = Resource("ClusterRole", "clusterroles", "rbac.authorization.k8s.io", "v1", namespaced=False)
ROLE_BINDING = Resource("RoleBinding", "rolebindings", "rbac.authorization.k8s.io", "v1", namespaced=True)
CLUSTER_ROLE_BINDING = Resource(
    "ClusterRoleBinding", "clusterrolebindings", "rbac.authorization.k8s.io", "v1", namespaced=False
)
PROMETHEUS_RULE = Resource("PrometheusRule", "prometheusrules", "monitoring.coreos.com", "v1", namespaced=True)
NODE = Resource("Node", "nodes", "", "v1", namespaced=False)
EVENT = Resource("Event", "events", "events.k8s.io", "v1", namespaced=True)

OWN_KINDS = (AUDIT_POLICY, CLUSTER_AUDIT_POLICY, AUDIT_SINK, CLUSTER_AUDIT_SINK, AUDIT_CONTROL_PLANE)
"""The kinds that carry a status of ours."""

WATCHED = (*OWN_KINDS, NAMESPACE, INPUT)
"""Everything that the plan is made from."""

_BY_KIND = {resource.kind: resource for resource in OWN_KINDS}


def resource_of(ref: ObjectRef) -> Resource:
    """The resource of one of our own objects; KeyError for any other kind, which would be a bug."""
    return _BY_KIND[ref.kind]
