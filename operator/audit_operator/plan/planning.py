"""From a snapshot to a plan: one pure, total function.

It never fails: what a user did wrong becomes a finding at the object that is wrong, and everything else goes on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.findings import Finding, ObjectRef
from audit_operator.plan.compiled import CompiledPolicy, compile_policy, dialect_of, finding_of
from audit_operator.plan.contributions import cluster_contribution, namespaced_contribution
from audit_operator.plan.control_planes import ControlPlanes
from audit_operator.plan.selection import known_namespaces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.plan.snapshot import NamespaceFact, Snapshot
    from audit_operator.policy.contribution import Contribution

OLDEST_SUPPORTED = (1, 29)
"""Assumed where no version is given and no API server has been seen: whatever suits it suits all newer ones."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be in force, and what stands in the way.

    Attributes:
        compiled: the audit policy of each control plane, by name.
        assigned: the control plane of each policy object that has one.
        findings: what is wrong with each object, by object; those of `compiled` concern whole control planes.
    """

    compiled: Mapping[str, CompiledPolicy]
    assigned: Mapping[ObjectRef, str]
    findings: Mapping[ObjectRef, tuple[Finding, ...]]


def plan(snapshot: Snapshot) -> Plan:
    """Decide what each control plane is to run."""
    planes = ControlPlanes.of(snapshot.control_planes)
    known = known_namespaces(snapshot)
    findings: defaultdict[ObjectRef, list[Finding]] = defaultdict(list)
    for broken in snapshot.invalid:
        findings[broken.ref].extend(broken.findings)
    for name in planes.by_name:
        if (rivalry := planes.rivalry(name)) is not None:
            findings[ObjectRef("AuditControlPlane", name)].append(rivalry)

    assigned: dict[ObjectRef, str] = {}
    contributions: defaultdict[str, set[Contribution]] = defaultdict(set)
    for policy in snapshot.policies():
        match planes.assign(policy):
            case Finding() as unassigned:
                findings[policy.ref].append(unassigned)
            case name:
                assigned[policy.ref] = name
                contributions[name].add(_contribution(policy, known))

    compiled = {
        name: compile_policy(
            frozenset(contributions[name]),
            frozenset(each.name for each in known),
            plane.spec.precision,
            dialect_of(oldest_version(plane, snapshot)),
        )
        for name, plane in planes.by_name.items()
    }
    for ref, name in assigned.items():
        findings[ref].extend(
            finding_of(each) for each in compiled[name].excess if ref.namespace and ref.namespace in each.namespaces
        )
    return Plan(compiled, assigned, {ref: tuple(each) for ref, each in findings.items() if each})


def _contribution(policy: AuditPolicy | ClusterAuditPolicy, known: tuple[NamespaceFact, ...]) -> Contribution:
    if isinstance(policy, ClusterAuditPolicy):
        return cluster_contribution(policy, known)
    return namespaced_contribution(policy)


def oldest_version(plane: AuditControlPlane, snapshot: Snapshot) -> tuple[int, int]:
    """The oldest minor among the API servers of a control plane: as declared, as seen, or as old as we support."""
    seen = [each.version for each in snapshot.observations.get(plane.metadata.name, ()) if each.version]
    declared = plane.spec.kubernetes_version
    versions = [declared] if declared else seen or ([snapshot.server_version] if snapshot.server_version else [])
    return min(map(_minor, versions), default=OLDEST_SUPPORTED)


def _minor(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else OLDEST_SUPPORTED
