"""The JSON patch that gives a pod its sidecars: the mutation of the chart's MutatingAdmissionPolicy, byte for byte.

For API servers that have no such policies yet. Whatever is changed here is changed there, and the other way round; a
test compares what both make of the same pods.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.injection.eligibility import collected, is_meant, obstacle
from audit_operator.shipping.injection.names import (
    COMMAND,
    CONFIG_FOLDER,
    CREDENTIALS_FOLDER,
    LOGS_FOLDER,
    MESH,
    PREFIX,
    REVISIONS,
    SECRET_FOLDER,
    STATE_FOLDER,
    TOKEN_FOLDER,
    config_volume,
    keys_volume,
    secret_volume,
    shipper_name,
    state_volume,
)
from audit_operator.shipping.injection.pod import containers, pod_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.shipping.injection.template import SidecarTemplate

    Document = Mapping[str, Any]
    Operation = dict[str, Any]

NOBODY = 65532
STATE_SIZE = "512Mi"
"""Of the volume with offsets and queues. It is no setting: queues are a part of it, and a pod whose volume grows too
large is evicted."""
_STORAGE, _STORAGE_REQUEST, _STORAGE_LIMIT = "ephemeral-storage", "16Mi", "576Mi"
"""What the volume above can hold, and the sidecar's log."""
_READ_ONLY = 0o444
_VOLUMES_OF_ONE = 4


def patch(
    document: Document, namespace: str, policies: Iterable[AuditPolicy], template: SidecarTemplate
) -> list[Operation]:
    """The operations (RFC 6902, all of them ``add``) that give a pod the sidecars of the policies of its namespace.

    A pod that has them already gets none: injecting twice is injecting once.
    """
    pod = deepcopy(dict(document))
    operations: list[Operation] = []
    for policy in sorted(policies, key=lambda each: each.metadata.name):
        for operation in _of_one(pod, namespace, policy, template):
            _add(pod, operation["path"], deepcopy(operation["value"]))
            operations.append(operation)
    return operations


def _of_one(document: Document, namespace: str, policy: AuditPolicy, template: SidecarTemplate) -> Sequence[Operation]:
    logs, name, pod = policy.spec.application_logs, policy.metadata.name, pod_of(document, namespace)
    if logs is None or not is_meant(pod, logs) or obstacle(pod, name, logs, template) is not None:
        return ()
    spec, operations = document["spec"], []
    if document["metadata"].get("annotations") is None:
        operations.append(_operation("/metadata/annotations", {}))
    if spec.get("initContainers") is None:
        operations.append(_operation("/spec/initContainers", []))
    volumes = collected(pod, logs)
    place = f"/spec/volumes/{_volumes_position(spec, name)}"
    return [
        *operations,
        _operation(f"/metadata/annotations/{REVISIONS.replace('/', '~1')}{name}", template.revision),
        _operation(f"/spec/initContainers/{_position(spec, name)}", _container(spec, name, volumes, template)),
        # Each goes before the one that came before it.
        *(_operation(place, each) for each in reversed(_volumes(name))),
    ]


def _operation(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def _position(spec: Document, policy: str) -> int:
    """After what a service mesh puts first, and in the order of the policies' names."""
    names = [each["name"] for each in spec.get("initContainers") or ()]
    ours = shipper_name(policy)
    before = [n for n, name in enumerate(names) if name in MESH or (name.startswith(PREFIX) and name < ours)]
    return max(before, default=-1) + 1


def _volumes_position(spec: Document, policy: str) -> int:
    names = [each["name"] for each in spec.get("volumes") or ()]
    others = [name for name in names if not name.startswith(PREFIX)]
    before = [name for name in names if name.startswith(state_volume("")) and name < state_volume(policy)]
    return len(others) + _VOLUMES_OF_ONE * len(before)


def _volumes(policy: str) -> list[Document]:
    name = shipper_name(policy)
    return [
        # The pod starts before the operator has written these; the sidecar waits for them.
        {"name": config_volume(policy), "configMap": {"name": name, "defaultMode": _READ_ONLY, "optional": True}},
        {"name": keys_volume(policy), "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": secret_volume(policy), "secret": {"secretName": name, "defaultMode": _READ_ONLY, "optional": True}},
        {"name": state_volume(policy), "emptyDir": {"sizeLimit": STATE_SIZE}},
    ]


def _container(spec: Document, policy: str, volumes: Sequence[str], template: SidecarTemplate) -> Document:
    return {
        "name": shipper_name(policy),
        "image": template.image,
        "imagePullPolicy": template.pull_policy,
        "command": list(COMMAND),
        "restartPolicy": "Always",
        "env": [
            _field("AUDIT_SHIPPER_POD", "metadata.name"),
            _field("AUDIT_SHIPPER_POD_UID", "metadata.uid"),
            _field("AUDIT_SHIPPER_NAMESPACE", "metadata.namespace"),
            _field("AUDIT_SHIPPER_NODE", "spec.nodeName"),
            _field("AUDIT_SHIPPER_POD_IP", "status.podIP"),
            _field("AUDIT_SHIPPER_HOST_IP", "status.hostIP"),
            {"name": "AUDIT_SHIPPER_MEMORY_LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        ],
        "resources": _resources(spec, template),
        "securityContext": _security(spec, volumes),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": config_volume(policy), "mountPath": CONFIG_FOLDER, "readOnly": True},
            {"name": keys_volume(policy), "mountPath": CREDENTIALS_FOLDER},
            {"name": secret_volume(policy), "mountPath": SECRET_FOLDER, "readOnly": True},
            {"name": state_volume(policy), "mountPath": STATE_FOLDER},
            # The API server mounts no token where something is mounted; the sidecar needs none.
            {"name": config_volume(policy), "mountPath": TOKEN_FOLDER, "readOnly": True},
            *({"name": each, "mountPath": f"{LOGS_FOLDER}/{each}", "readOnly": True} for each in volumes),
        ],
    }


def _field(name: str, path: str) -> Document:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _resources(spec: Document, template: SidecarTemplate) -> Document:
    """With storage of its own where the pod's is limited.

    A kubelet compares what the whole pod holds, queues of the sidecar included, with the sum of those limits that its
    containers have: without one of ours, a sink that is away would have the application evicted.
    """
    requests, limits = dict(template.requests), dict(template.limits)
    is_limited = any(_STORAGE in ((each.get("resources") or {}).get("limits") or {}) for each in containers(spec))
    if is_limited and _STORAGE not in requests.keys() | limits.keys():
        requests[_STORAGE], limits[_STORAGE] = _STORAGE_REQUEST, _STORAGE_LIMIT
    resources = {"requests": requests, "limits": limits}
    return {key: value for key, value in resources.items() if value}


def _security(spec: Document, volumes: Sequence[str]) -> Document:
    """Who writes the files can read them. Nobody is root here."""
    read = frozenset(volumes)  # anybody can send a pod with very many
    writers = [
        each for each in spec["containers"] if any(mount["name"] in read for mount in each.get("volumeMounts") or ())
    ]
    contexts = [each.get("securityContext") or {} for each in (*writers[:1], spec)]
    user = next((each["runAsUser"] for each in contexts if each.get("runAsUser") is not None), 0)
    group = next((each["runAsGroup"] for each in contexts if each.get("runAsGroup") is not None), NOBODY)
    return {
        "runAsUser": user or NOBODY,
        "runAsGroup": group,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _add(document: Any, path: str, value: Any) -> None:
    """Carry out one operation; only what is made above is known here."""
    *way, last = (each.replace("~1", "/") for each in path.split("/")[1:])
    for each in way:
        document = document[each]
    if isinstance(document, list):
        document.insert(int(last), value)
    else:
        document[last] = value
