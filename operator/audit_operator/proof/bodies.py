"""Requests with a body that are allowed, and that can do no harm: changes to an object that there cannot be.

A refused request has no body in its record, so whether bodies are recorded, and what redaction leaves of them, needs
requests that get past authorization. The prober may change objects of one name, and create none. The API server reads
the body and notes it down before it looks for the object, which it then does not find, so that nothing else hears of
the request: no admission webhook, no quota.

Measured on kube-apiserver 1.37 with every resource that it serves: a merge patch, a JSON patch and a strategic one of a
missing object end with 404 and have the body in their record, as it was sent. So has an update, decoded and with
defaults, but for resources that are created by one (`AllowCreateOnUpdate`), where it asks admission first: these are
only patched. Connections (``proxy``) have no body.

The name, `NOTHING`, has letters in upper case. So nobody can give it, whatever their rights, but to roles, their
bindings and CertificateSigningRequests. By a change to a role or binding nobody grants what they do not have, and of a
CertificateSigningRequest only approving it would matter, which is another right.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.permissions.rbac import NOTHING
from audit_operator.shipping.redaction.places import LAST_APPLIED

if TYPE_CHECKING:
    from audit_operator.coverage.operations import Operation

LABEL = "audit-operator.dev/probe"
"""Under which the body has a word that no redaction takes out."""

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_HEX = "0123456789abcdef"
_LETTERS = str.maketrans(_HEX, "ghijklmnopqrstuv")
_LONG = 16


@dataclass(frozen=True, slots=True)
class Written:
    """A resource, or ``RESOURCE/SUBRESOURCE``, whose bodies are proved.

    Attributes:
        updated: whether also by updates: these create no such object.
        containers: where in the object containers stand.
    """

    group: str
    resource: str
    kind: str
    version: str = "v1"
    updated: bool = True
    containers: tuple[str, ...] = ()

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the prober does, and needs the right for."""
        return ("patch", "update") if self.updated else ("patch",)


_POD = ("spec", "containers")
_TEMPLATE = ("spec", "template", *_POD)

WRITTEN = (
    Written("", "secrets", "Secret"),
    Written("", "configmaps", "ConfigMap"),
    Written("", "pods", "Pod", containers=_POD),
    Written("", "pods/ephemeralcontainers", "Pod", containers=("spec", "ephemeralContainers")),
    Written("", "replicationcontrollers", "ReplicationController", containers=_TEMPLATE),
    Written("", "serviceaccounts", "ServiceAccount"),
    Written("", "services", "Service", updated=False),
    Written("", "persistentvolumes", "PersistentVolume"),
    Written("apps", "deployments", "Deployment", containers=_TEMPLATE),
    Written("apps", "daemonsets", "DaemonSet", containers=_TEMPLATE),
    Written("apps", "statefulsets", "StatefulSet", containers=_TEMPLATE),
    Written("apps", "replicasets", "ReplicaSet", containers=_TEMPLATE),
    Written("batch", "cronjobs", "CronJob", containers=("spec", "jobTemplate", *_TEMPLATE)),
    Written("batch", "jobs", "Job", containers=_TEMPLATE),
    Written(_RBAC, "roles", "Role", updated=False),
    Written(_RBAC, "rolebindings", "RoleBinding", updated=False),
    Written(_RBAC, "clusterroles", "ClusterRole", updated=False),
    Written(_RBAC, "clusterrolebindings", "ClusterRoleBinding", updated=False),
    Written("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
    Written("networking.k8s.io", "ingresses", "Ingress"),
    Written(_ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    Written(_ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    Written("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition"),
    Written("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest"),
    Written("storage.k8s.io", "storageclasses", "StorageClass"),
)
"""What actions of the catalogue are about whose verdict looks at bodies, and what holds secrets. What API servers of
1.32 to 1.37 serve in this version."""

_BY_RESOURCE = {(each.group, each.resource): each for each in WRITTEN}


def written_by(operation: Operation) -> Written | None:
    """What an operation writes, if its body can be proved."""
    name = f"{operation.resource}/{operation.subresource}" if operation.subresource else operation.resource
    found = _BY_RESOURCE.get((operation.api_group, name))
    return found if found and operation.verb in found.verbs else None


def body_of(operation: Operation, written: Written, place: str, canary: str) -> dict[str, Any]:
    """An object, or a merge patch of one; with secrets where redaction looks for them by structure and by name."""
    secrets = _Secrets.of(canary)
    metadata = {
        "labels": {LABEL: plain_word(canary)},
        "annotations": {LABEL: plain_word(canary), LAST_APPLIED: secrets.applied},
    }
    content = _content(written, secrets)
    if operation.verb == "patch":
        return {"metadata": metadata, **content}
    where = {"namespace": place} if operation.in_namespace else {}
    version = f"{written.group}/{written.version}" if written.group else written.version
    return {
        "apiVersion": version,
        "kind": written.kind,
        "metadata": {"name": NOTHING, **where, **metadata},
        **content,
    }


def plain_word(canary: str) -> str:
    """What stands in labels and annotations; the rest of the probe does not hold it."""
    return _word(canary, "plain")


def secrets_in(canary: str) -> tuple[str, ...]:
    """Every secret that a body with this canary may hold, in each way in which it may be written."""
    made = _Secrets.of(canary)
    return made.applied, made.value, made.data, made.encoded


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Of one probe: in the annotation of ``kubectl apply``, in an environment, in data, and that once more encoded."""

    applied: str
    value: str
    data: str

    @classmethod
    def of(cls, canary: str) -> _Secrets:
        return cls(*(_word(canary, where) for where in ("applied", "environment", "data")))

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.data.encode()).decode()


def _content(written: Written, secrets: _Secrets) -> dict[str, Any]:
    match written.kind:
        case "Secret":
            return {"data": {"probe": secrets.encoded}}
        case "ConfigMap":
            return {"data": {"probe": secrets.data}}
    if not written.containers:
        return {}
    environment = [{"name": "PROBE_PASSWORD", "value": secrets.value}]
    content: Any = [{"name": "probe", "image": "probe", "env": environment}]
    for field in reversed(written.containers):
        content = {field: content}
    return dict(content)


def _word(canary: str, purpose: str) -> str:
    """Letters alone, as no redaction looks for; nobody who does not know the canary can tell it."""
    return hashlib.sha256(f"{purpose} {canary}".encode()).hexdigest()[:_LONG].translate(_LETTERS)
