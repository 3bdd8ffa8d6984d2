"""The five kinds, in the order in which documentation and generated files list them."""

from __future__ import annotations

from typing import TypeAlias

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.control_plane import AuditControlPlane
from audit_operator.api.sink import AuditSink, ClusterAuditSink

AnyKind: TypeAlias = AuditPolicy | ClusterAuditPolicy | AuditSink | ClusterAuditSink | AuditControlPlane

KINDS: dict[str, type[AnyKind]] = {
    "AuditPolicy": AuditPolicy,
    "ClusterAuditPolicy": ClusterAuditPolicy,
    "AuditSink": AuditSink,
    "ClusterAuditSink": ClusterAuditSink,
    "AuditControlPlane": AuditControlPlane,
}
"""Kind to model."""
