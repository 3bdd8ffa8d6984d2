"""Which sinks a policy's records may go to, and why not to others that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.sink import ClusterAuditSink
from audit_operator.plan.selection import selector_matches
from audit_operator.plan.snapshot import NAME_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.sink import AuditSink
    from audit_operator.plan.snapshot import Snapshot

NOT_FOUND = "sink-not-found"
NOT_PERMITTED = "sink-not-permitted"


def sinks_of(
    policy: AuditPolicy | ClusterAuditPolicy,
    snapshot: Snapshot,
    existing: Mapping[ObjectRef, AuditSink | ClusterAuditSink],
) -> tuple[tuple[ObjectRef, ...], tuple[Finding, ...]]:
    """The sinks that a policy names and may ship to, and a finding for each other one."""
    usable, findings = [], []
    for number, wanted in enumerate(policy.spec.sink_refs):
        namespace = policy.metadata.namespace if wanted.kind == "AuditSink" else ""
        ref = ObjectRef(wanted.kind, wanted.name, namespace)
        path, sink = f"spec.sinkRefs[{number}]", existing.get(ref)
        if sink is None:
            findings.append(
                Finding(NOT_FOUND, Severity.ERROR, f"there is no {ref}", mend="create it, or name another", path=path)
            )
        elif isinstance(sink, ClusterAuditSink) and not _admits(sink, policy, snapshot):
            findings.append(
                Finding(
                    NOT_PERMITTED,
                    Severity.ERROR,
                    f"{ref} does not admit this namespace",
                    mend="ask whoever owns it to see its spec.allowedNamespaces",
                    path=path,
                )
            )
        else:
            usable.append(ref)
    return tuple(usable), tuple(findings)


def existing_sinks(snapshot: Snapshot) -> dict[ObjectRef, AuditSink | ClusterAuditSink]:
    """The sinks of both kinds, by name."""
    return {each.ref: each for each in snapshot.sinks()}


def _admits(sink: ClusterAuditSink, policy: AuditPolicy | ClusterAuditPolicy, snapshot: Snapshot) -> bool:
    """Whether a sink takes what a policy ships to it; cluster-wide policies always may."""
    if not isinstance(policy, AuditPolicy):
        return True
    name = policy.metadata.namespace
    labels = next((each.labels for each in snapshot.namespaces if each.name == name), {})
    return selector_matches(sink.spec.allowed_namespaces, {**labels, NAME_LABEL: name})
