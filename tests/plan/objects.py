"""Objects as users write them, through the real parser."""

from __future__ import annotations

from typing import Any

from audit_operator.api.parsing import parse_object


def parsed(kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> Any:
    document = {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "generation": 1, **({"namespace": namespace} if namespace else {})},
        "spec": spec,
    }
    result = parse_object(document)
    assert not isinstance(result, tuple), result
    return result


def audit_policy(namespace: str = "payments", name: str = "pci", **spec: Any) -> Any:
    return parsed("AuditPolicy", name, spec or {"rules": [{"level": "Request"}]}, namespace)


def cluster_policy(name: str = "baseline", **spec: Any) -> Any:
    return parsed("ClusterAuditPolicy", name, spec or {"rules": [{"level": "Metadata"}]})


def control_plane(name: str = "main", **spec: Any) -> Any:
    return parsed("AuditControlPlane", name, {"default": True, "driver": "Process", **spec})
