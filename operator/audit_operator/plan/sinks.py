"""Which sinks a policy's records may go to, and why not to others that it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.selector import selector_matches
from audit_operator.api.sink import AuditSink, ClusterAuditSink, RetentionEnforcement
from audit_operator.plan.local_addresses import is_local_url
from audit_operator.plan.sink_addresses import address_of
from audit_operator.plan.snapshot import NAME_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.plan.snapshot import Snapshot

NOT_FOUND = "sink-not-found"
NOT_PERMITTED = "sink-not-permitted"
LOCAL_ADDRESS = "sink-address-local"


Sink = AuditSink | ClusterAuditSink


@dataclass(frozen=True, slots=True)
class Sinks:
    """The sinks of a snapshot and whom they admit: looked up once, and asked for every policy.

    Attributes:
        existing: the sinks of both kinds, by name.
        labels: of every namespace that exists, by name.
        barred: why sinks that exist may be used by nobody, whatever they admit.
    """

    existing: Mapping[ObjectRef, Sink]
    labels: Mapping[str, Mapping[str, str]]
    barred: Mapping[ObjectRef, Finding] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """The sinks of a snapshot."""
        return cls(
            {each.ref: each for each in snapshot.sinks()},
            {each.name: each.labels for each in snapshot.namespaces},
            {} if snapshot.local_sinks else dict(_local(snapshot.audit_sinks)),
        )

    def of_policy(self, policy: AuditPolicy | ClusterAuditPolicy) -> tuple[tuple[ObjectRef, ...], tuple[Finding, ...]]:
        """The sinks that a policy names and may ship to, and a finding for each other one."""
        usable, findings = [], []
        for number, ref in enumerate(named(policy)):
            path, sink = f"spec.sinkRefs[{number}]", self.existing.get(ref)
            if sink is None:
                said, mend = f"there is no {ref}", "create it, or name another"
                findings.append(Finding(NOT_FOUND, Severity.ERROR, said, mend=mend, path=path))
            elif (why := self.barred.get(ref)) is not None:
                findings.append(Finding(NOT_PERMITTED, Severity.ERROR, f"{ref}: {why.message}", why.mend, path=path))
            elif not self._admits(sink, policy):
                said, mend = (
                    f"{ref} does not admit this namespace",
                    "ask whoever owns it to see its spec.allowedNamespaces",
                )
                findings.append(Finding(NOT_PERMITTED, Severity.ERROR, said, mend=mend, path=path))
            else:
                usable.append(ref)
        return tuple(usable), tuple(findings)

    def in_use(self, policies: Iterable[AuditPolicy | ClusterAuditPolicy]) -> tuple[Sink, ...]:
        """The sinks that some of these policies may ship to, in order."""
        used = {ref for policy in policies for ref in self.of_policy(policy)[0]}
        return tuple(self.existing[ref] for ref in sorted(used, key=str))

    def _admits(self, sink: Sink, policy: AuditPolicy | ClusterAuditPolicy) -> bool:
        """Whether a sink takes what a policy ships to it; cluster-wide policies always may."""
        if not isinstance(sink, ClusterAuditSink) or not isinstance(policy, AuditPolicy):
            return True
        name = policy.metadata.namespace
        return selector_matches(sink.spec.allowed_namespaces, {**self.labels.get(name, {}), NAME_LABEL: name})


def _local(sinks: Iterable[AuditSink]) -> Iterator[tuple[ObjectRef, Finding]]:
    """Tenants' sinks at an address of the shipper's own machine, which a tenant has no business with."""
    for sink in sinks:
        path, url = address_of(sink)
        if is_local_url(url):
            said = f"{url} is an address of the very machine or pod that a shipper runs on, or of its link"
            mend = "name a store that is somewhere else; or have the platform team write a ClusterAuditSink"
            yield sink.ref, Finding(LOCAL_ADDRESS, Severity.ERROR, said, mend, object=sink.ref, path=path)


def has_folders(sink: Sink) -> bool:
    """Whether records lie by retention class in the store of a sink, so that the operator can tell it what to delete.

    Only where it may do so, and can ask what is there: in no tenant's store, and in none without a key of its own.
    """
    return (
        isinstance(sink, ClusterAuditSink)
        and sink.spec.s3 is not None
        and sink.spec.credentials is not None
        and sink.spec.retention_enforcement is RetentionEnforcement.ENFORCE
    )


def named(policy: AuditPolicy | ClusterAuditPolicy) -> tuple[ObjectRef, ...]:
    """The sinks that a policy names, whether there are any such."""
    return tuple(
        ObjectRef(each.kind, each.name, policy.metadata.namespace if each.kind == "AuditSink" else "")
        for each in policy.spec.sink_refs
    )
