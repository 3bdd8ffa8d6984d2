"""The facts that a plan is made from, at one moment.

Frozen and free of clients: the operator builds it from its store, the CLI from files, tests by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.findings import Finding, ObjectRef
    from audit_operator.api.observations import ApiServerObservation
    from audit_operator.api.sink import AuditSink, ClusterAuditSink
    from audit_operator.policy.model import Policy
    from audit_operator.retention.folders import Layout

NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server sets this label on every namespace (KEP-2161)."""


@dataclass(frozen=True, slots=True)
class NamespaceFact:
    """A namespace that exists, with its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvalidObject:
    """An object that the API server has accepted and that cannot be worked with; it contributes only its findings.

    The models refuse it, or there is a defect of ours.
    """

    ref: ObjectRef
    generation: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class InputConfigMap:
    """A ConfigMap that holds what users know better: critical actions of their own, a policy that is taken as given."""

    namespace: str
    name: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CountingLimits:
    """How many conditions of detections are counted, and series of them all, in each shipper; and the prober's user."""

    conditions: int = 64
    series: int = 20_000
    prober: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a plan may depend on.

    Attributes:
        observations: what the driver of each control plane, by name, has seen of its API servers.
        server_version: version of the API server that the objects were read from, for control planes whose own
            servers have not been seen; empty where unknown.
        earlier: policies by digest that API servers may still be running.
        layouts: where shippers are to write in the stores of sinks that have folders, as their statuses remember it.
        local_sinks: whether AuditSinks may name addresses that are local to whoever writes to them.
        counting: how much shippers count for detections.
    """

    audit_policies: tuple[AuditPolicy, ...] = ()
    cluster_audit_policies: tuple[ClusterAuditPolicy, ...] = ()
    audit_sinks: tuple[AuditSink, ...] = ()
    cluster_audit_sinks: tuple[ClusterAuditSink, ...] = ()
    control_planes: tuple[AuditControlPlane, ...] = ()
    namespaces: tuple[NamespaceFact, ...] = ()
    inputs: tuple[InputConfigMap, ...] = ()
    invalid: tuple[InvalidObject, ...] = ()
    observations: Mapping[str, tuple[ApiServerObservation, ...]] = field(default_factory=dict)
    server_version: str = ""
    earlier: Mapping[str, Policy] = field(default_factory=dict)
    layouts: Mapping[ObjectRef, Layout] = field(default_factory=dict)
    local_sinks: bool = False
    counting: CountingLimits = CountingLimits()

    def input(self, namespace: str, name: str, key: str) -> str | None:
        """One text of an input ConfigMap; None if there is no such ConfigMap, or no such key in it."""
        return next(
            (each.data.get(key) for each in self.inputs if (each.namespace, each.name) == (namespace, name)), None
        )

    def policies(self) -> Iterator[AuditPolicy | ClusterAuditPolicy]:
        """The policies of both kinds."""
        yield from self.audit_policies
        yield from self.cluster_audit_policies

    def sinks(self) -> Iterator[AuditSink | ClusterAuditSink]:
        """The sinks of both kinds."""
        yield from self.audit_sinks
        yield from self.cluster_audit_sinks
