"""Names and places of a sidecar: what the API server, the operator and the sidecar itself must say alike."""

from __future__ import annotations

PREFIX = "audit-shipper-"
"""Containers and volumes of sidecars have names that begin like this; nobody collects logs from such a volume."""
MAX_POLICY_NAME = 42
"""Characters: with ``audit-shipper-config-`` before it, it is the longest name of a volume."""
INJECT = "audit-operator.dev/inject"
"""A label or annotation of a pod; ``false`` opts it out."""
REVISIONS = "sidecar.audit-operator.dev/"
"""Prefix of the annotations that say, by policy, from which template a pod's sidecar was made."""

CONFIG_FOLDER = "/etc/audit-shipper"
SECRET_FOLDER = "/etc/audit-shipper-secret"  # noqa: S105 - a folder
CREDENTIALS_FOLDER = "/etc/audit-shipper-credentials"
STATE_FOLDER = "/var/lib/audit-shipper"
LOGS_FOLDER = "/var/log/audit-shipper"
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a folder
COMMAND = ("/usr/bin/python3.11", "-I", "-m", "audit_operator.sidecar")
"""No more than that is in the image."""

MESH = (
    "istio-validation",
    "istio-init",
    "istio-proxy",
    "enable-core-dump",
    "linkerd-network-validator",
    "linkerd-init",
    "linkerd-proxy",
    "kuma-validation",
    "kuma-init",
    "kuma-sidecar",
    "consul-connect-inject-init",
    "consul-dataplane",
)
"""Init containers of service meshes: they come before ours, so that ours ends before them and can still send."""


def fits(policy: str) -> bool:
    """Whether a container and its volumes can be named after a policy."""
    return len(policy) <= MAX_POLICY_NAME and "." not in policy


def shipper_name(policy: str) -> str:
    """Name of the container, of its ConfigMap and of its Secret."""
    return f"{PREFIX}{policy}"


def config_volume(policy: str) -> str:
    """Name of the volume with the collector's configuration."""
    return f"{PREFIX}config-{policy}"


def keys_volume(policy: str) -> str:
    """Name of the volume, in memory, where the sidecar lays out credentials as the collector reads them."""
    return f"{PREFIX}keys-{policy}"


def secret_volume(policy: str) -> str:
    """Name of the volume with the Secret."""
    return f"{PREFIX}secret-{policy}"


def state_volume(policy: str) -> str:
    """Name of the volume with offsets and queues."""
    return f"{PREFIX}state-{policy}"


def places_of(policy: str) -> dict[str, str]:
    """Where the container mounts the four volumes."""
    return dict(zip(volumes_of(policy), (CONFIG_FOLDER, CREDENTIALS_FOLDER, SECRET_FOLDER, STATE_FOLDER), strict=True))


def volumes_of(policy: str) -> tuple[str, str, str, str]:
    """The four volumes, in the order in which a pod has them."""
    return config_volume(policy), keys_volume(policy), secret_volume(policy), state_volume(policy)
