"""Pods of all sorts, by what is special about them, and policies for them."""

from __future__ import annotations

import json
from typing import Any

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.shipping.injection.template import SidecarTemplate

TEMPLATE_TEXT = json.dumps(
    {
        "excludedNamespaces": ["kube-system"],
        "image": "registry.example/audit-operator:1",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {"memory": "160Mi"}, "requests": {"cpu": "10m", "memory": "64Mi"}},
    }
)
TEMPLATE = SidecarTemplate.parse(TEMPLATE_TEXT)

LOGS = {"name": "logs", "emptyDir": {}}
STORAGE = {"limits": {"ephemeral-storage": "1Gi"}}
LABELS = {"app": "web", "tier": "front"}
SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["front", "back"]},
        {"key": "tier", "operator": "Exists"},
        {"key": "legacy", "operator": "DoesNotExist"},
        {"key": "track", "operator": "NotIn", "values": ["canary"]},
    ],
}


def pod(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod called web with a container that writes to the volume logs."""
    app = {"name": "app", "image": "app:1", "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": dict(LABELS), **(metadata or {})},
        "spec": {"containers": [app], "volumes": [LOGS], **spec},
    }


def container(name: str = "app", **rest: Any) -> dict[str, Any]:
    mounts = [{"name": "logs", "mountPath": "/var/log/app"}]
    return {"name": name, "image": "app:1", "volumeMounts": mounts, **rest}


def inits(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "image": "init:1"} for name in names]


def policy(name: str = "pci", namespace: str = "payments", **application_logs: Any) -> dict[str, Any]:
    """An AuditPolicy that collects the volumes logs and more, unless told otherwise."""
    files = [
        {"volume": "logs", "path": "audit/*.log"},
        {"volume": "logs", "path": "other.log"},
        {"volume": "more", "path": "*.log"},
    ]
    return {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rules": [{"level": "Metadata"}], "applicationLogs": {"files": files, **application_logs}},
    }


def model(document: dict[str, Any]) -> AuditPolicy:
    return AuditPolicy.model_validate_json(json.dumps(document))


SELECTIVE = policy(podSelector=SELECTOR)

INJECTED: dict[str, dict[str, Any]] = {
    "plain": pod(),
    "with annotations": pod({"annotations": {"a": "b"}}),
    "explicitly in": pod({"labels": {**LABELS, "audit-operator.dev/inject": "true"}}),
    "with init containers": pod(initContainers=inits("setup", "migrate")),
    "with a native sidecar": pod(initContainers=[{**inits("proxy")[0], "restartPolicy": "Always"}]),
    "with istio in front": pod(
        initContainers=[*inits("istio-init"), {**inits("istio-proxy")[0], "restartPolicy": "Always"}, *inits("setup")]
    ),
    "with linkerd behind": pod(initContainers=inits("setup", "linkerd-init", "linkerd-proxy", "migrate")),
    "with a user": pod(securityContext={"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000}),
    "with a writer's user": pod(
        securityContext={"runAsUser": 1000},
        containers=[
            container("other", volumeMounts=[], securityContext={"runAsUser": 1}),
            container(securityContext={"runAsUser": 1234, "runAsGroup": 0}),
            container("second", securityContext={"runAsUser": 2}),
        ],
    ),
    "with root": pod(securityContext={"runAsUser": 0, "runAsGroup": 0}),
    "with a container that is root": pod(
        securityContext={"runAsUser": 1000}, containers=[container(securityContext={"runAsUser": 0})]
    ),
    "with both volumes, twice named": pod(volumes=[{"name": "more", "emptyDir": {}}, LOGS]),
    "with the volume mounted by nobody": pod(containers=[{"name": "app", "image": "app:1"}]),
    "with a claim": pod(volumes=[{"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}}]),
    "with an NFS volume": pod(volumes=[{"name": "logs", "nfs": {"server": "nfs.example", "path": "/"}}]),
    "one secret among the volumes": pod(volumes=[{"name": "more", "secret": {"secretName": "tls"}}, LOGS]),
    "that says it is for Linux": pod(os={"name": "linux"}),
    "for nodes with Linux": pod(nodeSelector={"kubernetes.io/os": "linux", "disk": "fast"}),
    "for nodes that say nothing of their system": pod(nodeSelector={"disk": "fast"}),
    "with limited storage": pod(containers=[container(), container("second", resources=STORAGE)]),
    "with an init container with limited storage": pod(initContainers=[{**inits("setup")[0], "resources": STORAGE}]),
    "with a native sidecar with limited storage": pod(
        initContainers=[{**inits("proxy")[0], "restartPolicy": "Always", "resources": STORAGE}]
    ),
    "with storage asked for but not limited": pod(
        containers=[container(resources={"requests": {"ephemeral-storage": "1Gi"}, "limits": {"memory": "64Mi"}})]
    ),
    "of a Job": pod(
        {"generateName": "job-", "labels": {**LABELS, "batch.kubernetes.io/job-name": "job"}}, restartPolicy="Never"
    ),
    "with the host's network": pod(hostNetwork=True),
    "beside another policy's sidecar": pod(
        initContainers=[*inits("audit-shipper-abc"), *inits("audit-shipper-zzz"), *inits("setup")],
        volumes=[
            LOGS,
            *({"name": f"audit-shipper-{each}-abc", "emptyDir": {}} for each in ("config", "keys", "secret", "state")),
            *({"name": f"audit-shipper-{each}-zzz", "emptyDir": {}} for each in ("config", "keys", "secret", "state")),
        ],
    ),
}

LEFT_ALONE: dict[str, dict[str, Any]] = {
    "opted out by label": pod({"labels": {**LABELS, "audit-operator.dev/inject": "false"}}),
    "opted out by annotation": pod({"annotations": {"audit-operator.dev/inject": "false"}}),
    "without labels": pod({"labels": None}),
    "with another label": pod({"labels": {"app": "db", "tier": "front"}}),
    "In fails": pod({"labels": {"app": "web", "tier": "middle"}}),
    "Exists fails": pod({"labels": {"app": "web"}}),
    "DoesNotExist fails": pod({"labels": {**LABELS, "legacy": ""}}),
    "NotIn fails": pod({"labels": {**LABELS, "track": "canary"}}),
    "without the volume": pod(volumes=[{"name": "data", "emptyDir": {}}], containers=inits("app")),
    "without volumes": pod(volumes=None, containers=inits("app")),
    "the volume is a secret": pod(volumes=[{"name": "logs", "secret": {"secretName": "tls"}}]),
    "the volume is a ConfigMap": pod(volumes=[{"name": "logs", "configMap": {"name": "settings"}}]),
    "the volume is projected": pod(volumes=[{"name": "logs", "projected": {"sources": [{"secret": {"name": "tls"}}]}}]),
    "the volume is the pod itself": pod(volumes=[{"name": "logs", "downwardAPI": {"items": []}}]),
    "the volume is a block device": pod(
        volumes=[{"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}}],
        containers=[{**inits("app")[0], "volumeDevices": [{"name": "logs", "devicePath": "/dev/xvda"}]}],
    ),
    "for Windows": pod(os={"name": "windows"}),
    "for Windows by its node selector alone": pod(nodeSelector={"kubernetes.io/os": "windows"}),
    "has resources as a whole": pod(resources={"requests": {"memory": "32Mi"}, "limits": {"memory": "32Mi"}}),
    "has a container of that name": pod(containers=[container("audit-shipper-pci")]),
    "has an init container of that name": pod(initContainers=inits("audit-shipper-pci")),
    "has a volume of that name": pod(volumes=[LOGS, {"name": "audit-shipper-state-pci", "emptyDir": {}}]),
}
