"""How one object names another."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from audit_operator.api.model import ApiModel
from audit_operator.api.text import DataKey, NamespaceName, ObjectName

INPUT_LABEL = "audit-operator.dev/input"
"""ConfigMaps that objects refer to are read only if they have this label, whatever its value: the operator is not to
watch the content of all ConfigMaps of a cluster."""

ADDRESS_ANNOTATION = "audit-operator.dev/sink-address"
"""On a Secret: the addresses, with commas between, to which an AuditSink of its namespace may have its content sent."""


class SinkKind(StrEnum):
    """The two kinds of sink."""

    AUDIT_SINK = "AuditSink"
    CLUSTER_AUDIT_SINK = "ClusterAuditSink"


class SinkRef(ApiModel):
    """Names a sink that events are shipped to."""

    kind: SinkKind = Field(description="AuditSink for one in the policy's own namespace, or ClusterAuditSink.")
    name: ObjectName = Field(description="Name of the sink.")


class ControlPlaneRef(ApiModel):
    """Names an AuditControlPlane."""

    name: ObjectName = Field(description="Name of the AuditControlPlane.")


class ConfigMapRef(ApiModel):
    """Names a ConfigMap in any namespace."""

    namespace: NamespaceName = Field(description="Namespace of the ConfigMap.")
    name: ObjectName = Field(description="Name of the ConfigMap.")


class ConfigMapKeyRef(ApiModel):
    """Names one text in a ConfigMap."""

    namespace: NamespaceName = Field(description="Namespace of the ConfigMap.")
    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: DataKey = Field(default="policy.yaml", description="Key in the ConfigMap's data.")
