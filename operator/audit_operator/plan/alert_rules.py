"""The alerts that policies ask for with their detections, as the PrometheusRule objects in which they are to be had.

A policy's object goes with the policy, which owns it: that of an AuditPolicy is in its namespace, where its owners see
it, that of a ClusterAuditPolicy in the operator's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.resource import API_VERSION
from audit_operator.detections.alert_rules import rule_group
from audit_operator.detections.own import resolve
from audit_operator.plan.control_planes import ControlPlanes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.snapshot import Snapshot

COMPONENT_LABEL, COMPONENT = "app.kubernetes.io/component", "audit-detections"
_LONGEST_NAME = 253
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class AlertRules:
    """What a policy wants to be told of.

    Attributes:
        namespace: where the object belongs; empty where nobody said so.
        uid: of the policy; empty where it was read from a file.
    """

    policy: ObjectRef
    uid: str
    namespace: str
    group: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the object."""
        return rules_name(self.policy)


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What all objects have in common.

    Attributes:
        namespace: the operator's, for policies of the cluster.
        runbook: address of docs/runbooks.md; empty: alerts link nowhere.
        labels: of the objects, by which a Prometheus chooses them.
    """

    namespace: str = ""
    runbook: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def alert_rules(snapshot: Snapshot, settings: AlertSettings) -> tuple[AlertRules, ...]:
    """Of each policy that has detections, and a control plane: another one's events are none of its.

    Where there is no control plane at all, as in files, policies have theirs as well.
    """
    planes = ControlPlanes.of(snapshot.control_planes)
    found = ((each, _plane(each, planes)) for each in snapshot.policies() if each.spec.detections)
    return tuple(_rules(policy, plane, settings) for policy, plane in found if plane is not None)


def prometheus_rule(rules: AlertRules, labels: Mapping[str, str]) -> dict[str, Any]:
    """The object (monitoring.coreos.com/v1)."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": rules.name,
            **({"namespace": rules.namespace} if rules.namespace else {}),
            "labels": {**labels, "app.kubernetes.io/managed-by": "audit-operator", COMPONENT_LABEL: COMPONENT},
            **({"ownerReferences": [_owner(rules)]} if rules.uid else {}),
        },
        "spec": {"groups": [dict(rules.group)]},
    }


def rules_name(policy: ObjectRef) -> str:
    """No two policies of both kinds have one name, also where both have their objects in one namespace."""
    prefix = COMPONENT if policy.namespace else f"{COMPONENT}-of-cluster"
    name = f"{prefix}.{policy.name}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(policy.name.encode()).hexdigest()[:_DIGITS]
    return f"{name[: _LONGEST_NAME - _DIGITS - 2]}.x{digest}"


def _plane(policy: AuditPolicy | ClusterAuditPolicy, planes: ControlPlanes) -> str | None:
    """Name of the policy's control plane; empty if nobody says so, None if there is none for it."""
    if not planes.by_name:
        return policy.spec.control_plane_ref.name if policy.spec.control_plane_ref else ""
    assigned = planes.assign(policy)
    return assigned if isinstance(assigned, str) else None


def _rules(policy: AuditPolicy | ClusterAuditPolicy, plane: str, settings: AlertSettings) -> AlertRules:
    namespace = policy.metadata.namespace or settings.namespace
    own = [resolve(each) for each in policy.spec.detections]
    group = rule_group(policy.ref, own, runbook=settings.runbook, namespace=namespace, plane=plane)
    return AlertRules(policy.ref, policy.metadata.uid, namespace, group)


def _owner(rules: AlertRules) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": rules.policy.kind,
        "name": rules.policy.name,
        "uid": rules.uid,
        "controller": True,
    }
