"""Facts put into a report: verdicts from the policy, observations from the status of objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.text import printable
from audit_operator.plan.proof_status import place_of
from audit_operator.plan.selection import known_namespaces, reach_of
from audit_operator.report.evidence import Evidence
from audit_operator.report.judging import judge
from audit_operator.report.model import (
    Report,
    ReportedBlindSpot,
    ReportedPolicy,
    ReportedRemark,
    ReportedRetention,
)
from audit_operator.retention.demand import Demand

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.findings import Finding, ObjectRef
    from audit_operator.api.policy_status import SinkRetention
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a report is made from.

    Attributes:
        snapshot: the objects, with their status where they have one.
        assigned: the control plane of each policy that has one.
        control_plane: name of the one that is reported on.
        policy: the audit policy of its API servers, as it should be, or as it was given; `digest` is its name.
        given: whether it is somebody else's.
        catalogue: what is judged.
        findings: about the objects.
        namespaces: the only ones that are asked about; empty: all, and the cluster as a whole.
        made: when the objects were read, with a zone.
        by: program and version.
    """

    snapshot: Snapshot
    assigned: Mapping[ObjectRef, str]
    control_plane: str
    policy: Policy
    digest: str
    given: bool
    catalogue: Catalogue
    findings: tuple[Finding, ...]
    namespaces: tuple[str, ...]
    made: datetime
    by: str


def build(facts: ReportFacts) -> Report:
    """The report, without a trend."""
    names = facts.namespaces or tuple(each.name for each in known_namespaces(facts.snapshot))
    evidence = Evidence.of(facts.snapshot, facts.control_plane, facts.policy, facts.digest, facts.catalogue)
    judged = judge(facts.policy, facts.catalogue, names, cluster=not facts.namespaces, ours=not facts.given)
    return Report(
        made=facts.made.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        by=facts.by,
        control_plane=facts.control_plane,
        given=facts.given,
        digest=facts.digest,
        namespaces=tuple(sorted(set(facts.namespaces))),
        counts=judged.counts,
        actions=judged.actions,
        groups=judged.groups,
        findings=judged.findings,
        not_auditable=tuple(
            ReportedBlindSpot(id=each.id, title=each.title, mitigate=each.mitigate)
            for each in facts.catalogue.blind_spots
        ),
        policies=tuple(_restricted(_policy(each, facts.made, evidence), facts.namespaces) for each in _policies(facts)),
        remarks=tuple(_remark(each) for each in facts.findings if _concerns(each, facts.namespaces)),
    )


def _policies(facts: ReportFacts) -> Iterator[AuditPolicy | ClusterAuditPolicy]:
    """Those of the control plane or of none, as far as they are about a namespace that is asked about."""
    known = known_namespaces(facts.snapshot)
    for policy in sorted(facts.snapshot.policies(), key=lambda each: (each.metadata.namespace, each.metadata.name)):
        if facts.assigned.get(policy.ref, facts.control_plane) != facts.control_plane:
            continue
        if not facts.namespaces:
            yield policy
        elif isinstance(policy, ClusterAuditPolicy):
            reach = reach_of(policy.spec, known)
            if reach.namespaces & set(facts.namespaces):
                yield policy
        elif policy.metadata.namespace in facts.namespaces:
            yield policy


def _policy(policy: AuditPolicy | ClusterAuditPolicy, now: datetime, evidence: Evidence) -> ReportedPolicy:
    meta, status = policy.metadata, policy.status
    if status is None:
        return ReportedPolicy(kind=policy.kind, namespace=meta.namespace, name=meta.name)
    controls, left_out = evidence.controls(policy)
    return ReportedPolicy(
        kind=policy.kind,
        namespace=meta.namespace,
        name=meta.name,
        observed=True,
        outdated=status.observed_generation is not None and status.observed_generation != meta.generation,
        conditions=status.conditions,
        judged=status.coverage.total if status.coverage else None,
        verified=status.coverage.verified if status.coverage else None,
        proof=status.coverage.proof if status.coverage else None,
        shipping=status.shipping,
        retention=tuple(_retention(each, now) for each in status.retention),
        compliance=status.compliance,
        controls=controls,
        controls_left_out=left_out,
        metrics=status.metrics,
    )


def _restricted(policy: ReportedPolicy, namespaces: tuple[str, ...]) -> ReportedPolicy:
    """Without what a cluster-wide policy says of namespaces that are not asked about."""
    if not namespaces or policy.namespace:
        return policy
    proof = policy.proof
    if proof is not None:
        findings = tuple(each for each in proof.findings if place_of(each.message) in (*namespaces, ""))
        proof = proof.model_copy(update={"findings": findings})
    return policy.model_copy(update={"proof": proof, "controls": (), "controls_left_out": 0})


def _retention(line: SinkRetention, now: datetime) -> ReportedRetention:
    demand = Demand.named(line.retention_class)
    oldest = _moment(line.oldest) if line.oldest else None
    return ReportedRetention(
        status=line,
        minimum_hours=demand.minimum or None if demand else None,
        maximum_hours=demand.maximum if demand else None,
        oldest_hours=max(0, int((now - oldest).total_seconds()) // _HOUR) if oldest else None,
    )


def _moment(text: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _concerns(finding: Finding, namespaces: tuple[str, ...]) -> bool:
    """Whether somebody who asks about some namespaces should hear of it: not of other tenants' objects."""
    about = finding.object.namespace if finding.object else ""
    return not namespaces or not about or about in namespaces


def _remark(finding: Finding) -> ReportedRemark:
    about = str(finding.object) if finding.object else finding.location.file
    path = f"{finding.path}: " if finding.path else ""
    # Files may hold bytes that are no text, which no JSON can hold.
    return ReportedRemark(
        id=finding.id,
        severity=finding.severity,
        object=printable(about),
        message=printable(f"{path}{finding.message}"),
        mend=printable(finding.mend),
    )
