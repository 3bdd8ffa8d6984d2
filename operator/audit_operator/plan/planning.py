"""From a snapshot to a plan: one pure, total function.

It never fails: what a user did wrong becomes a finding at the object that is wrong, and everything else goes on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.conditions import Reason
from audit_operator.api.control_plane import Precision
from audit_operator.api.findings import Finding, ObjectRef
from audit_operator.plan.application_logs import not_injected
from audit_operator.plan.compiled import CompiledPolicy, compile_policy
from audit_operator.plan.contributions import contribution_of, rule_of
from audit_operator.plan.control_planes import ControlPlanes
from audit_operator.plan.counting import Counted, counted
from audit_operator.plan.effective import EffectivePolicy
from audit_operator.plan.given import GivenPolicy, given_policy
from audit_operator.plan.limited import limited, limits_in
from audit_operator.plan.redactions import OwnPatterns, overruled, own_patterns
from audit_operator.plan.retention import Retention, retention
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.shortfall import shortfalls
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.versions import newer_rules, oldest_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.plan.snapshot import NamespaceFact, Snapshot
    from audit_operator.policy.contribution import Contribution


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be in force, and what stands in the way.

    Attributes:
        compiled: the audit policy of each control plane, by name.
        withheld: why the audit policy of a control plane is not to be delivered, by name; the last one stays in force.
        assigned: the control plane of each policy object that has one.
        findings: what is wrong with each object, by object; those of `compiled` concern whole control planes.
        given: the policy of each control plane that is only observed, by name; there, nothing that was compiled counts.
        patterns: what each policy wants taken out by patterns of its own, as far as that is done.
        retention: what each sink must keep.
        counted: what the shippers of each control plane count for detections, by name.
        effective: what detections see, by control plane; only of those whose policies have any.
    """

    compiled: Mapping[str, CompiledPolicy]
    withheld: Mapping[str, Reason]
    assigned: Mapping[ObjectRef, str]
    findings: Mapping[ObjectRef, tuple[Finding, ...]]
    given: Mapping[str, GivenPolicy]
    patterns: Mapping[ObjectRef, OwnPatterns]
    retention: Retention
    counted: Mapping[str, Counted]
    effective: Mapping[str, EffectivePolicy]

    @property
    def deliverable(self) -> list[str]:
        """Names of the control planes whose audit policy is to be delivered."""
        return [name for name in self.compiled if name not in self.withheld]


def plan(snapshot: Snapshot) -> Plan:
    """Decide what each control plane is to run."""
    planes = ControlPlanes.of(snapshot.control_planes)
    known, sinks = known_namespaces(snapshot), Sinks.of(snapshot)
    findings = _before_any_assignment(snapshot, planes)
    for ref, barred in sinks.barred.items():
        findings[ref].append(barred)
    assigned: dict[ObjectRef, str] = {}
    contributions: defaultdict[str, set[Contribution]] = defaultdict(set)
    shared: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for policy in snapshot.policies():
        match planes.assign(policy):
            case Finding() as unassigned:
                findings[policy.ref].append(unassigned)
            case name:
                assigned[policy.ref] = name
                contribution = contribution_of(policy, known)
                contributions[name].add(contribution)
                if not policy.metadata.namespace and sinks.of_policy(policy)[0]:
                    shared[name] |= contribution.reach.namespaces

    limiting = {name: [each for each in those if each.limits] for name, those in contributions.items()}
    compiled = {
        name: compile_policy(
            frozenset(contributions[name]),
            frozenset(each.name for each in known),
            plane.spec.precision,
            oldest_version(plane, snapshot),
        )
        for name, plane in planes.by_name.items()
    }
    given = _given(planes, snapshot)
    patterns = own_patterns(snapshot.policies())
    for ref, own in patterns.items():
        findings[ref].extend(own.findings)
    for policy in snapshot.policies():
        if (owner := assigned.get(policy.ref)) is not None:
            findings[policy.ref].extend(overruled(policy, shared[owner]))
            theirs = given.get(owner)
            findings[policy.ref].extend(_limited(policy, limiting[owner]))
            findings[policy.ref].extend(
                _departures(policy, compiled[owner])
                if theirs is None
                else _shortfalls(policy, contribution_of(policy, known), limiting[owner], theirs)
            )
    kept = retention(snapshot, assigned)
    for ref, about_retention in kept.findings.items():
        findings[ref].extend(about_retention)
    counts = _counted(planes, snapshot, assigned)
    for ref, not_counted in ((ref, each) for of_plane in counts.values() for ref, each in of_plane.findings.items()):
        findings[ref].extend(not_counted)
    withheld = {
        name: reason for name, plane in planes.by_name.items() if (reason := _withheld(plane, planes, assigned))
    }
    found = {ref: tuple(each) for ref, each in findings.items() if each}
    detecting = {assigned.get(each.ref, "") for each in snapshot.policies() if each.spec.detections}
    effective = {
        name: _effective(plane, compiled[name], contributions[name], known, given.get(name))
        for name, plane in planes.by_name.items()
        if name in detecting
    }
    return Plan(compiled, withheld, assigned, found, given, patterns, kept, counts, effective)


def _effective(
    plane: AuditControlPlane,
    compiled: CompiledPolicy,
    contributions: set[Contribution],
    known: tuple[NamespaceFact, ...],
    given: GivenPolicy | None,
) -> EffectivePolicy:
    """What is left of requests after shippers, for whom policies are exact, whatever API servers are to record."""
    if plane.spec.precision is not Precision.EXACT:
        namespaces = frozenset(each.name for each in known)
        compiled = compile_policy(frozenset(contributions), namespaces, Precision.EXACT, compiled.version)
    limiting = sorted((each for each in contributions if each.limits), key=lambda each: repr(each.limits))
    theirs = given.policy if given is not None else None
    return EffectivePolicy(compiled.policy, theirs, given is None or theirs is not None, tuple(limiting))


def _counted(planes: ControlPlanes, snapshot: Snapshot, assigned: Mapping[ObjectRef, str]) -> dict[str, Counted]:
    policies: dict[str, list[AuditPolicy | ClusterAuditPolicy]] = {name: [] for name in planes.by_name}
    for policy in snapshot.policies():
        if policy.ref in assigned:
            policies[assigned[policy.ref]].append(policy)
    return {name: counted(theirs, snapshot) for name, theirs in policies.items()}


def _before_any_assignment(snapshot: Snapshot, planes: ControlPlanes) -> defaultdict[ObjectRef, list[Finding]]:
    """What is wrong with objects wherever they belong."""
    findings: defaultdict[ObjectRef, list[Finding]] = defaultdict(list)
    for broken in snapshot.invalid:
        findings[broken.ref].extend(broken.findings)
    for name in planes.by_name:
        if (rivalry := planes.rivalry(name)) is not None:
            findings[ObjectRef("AuditControlPlane", name)].append(rivalry)
    for policy in snapshot.cluster_audit_policies:
        findings[policy.ref].extend(not_injected(policy))
    return findings


def _withheld(plane: AuditControlPlane, planes: ControlPlanes, assigned: Mapping[ObjectRef, str]) -> Reason | None:
    """Whatever is in force stays in force where its successor would rest on a mistake, or on nothing at all."""
    name = plane.metadata.name
    if name in planes.rivals:
        return Reason.CONFLICTED
    if name not in assigned.values():
        return Reason.NO_POLICY
    if plane.spec.rollout is not None and plane.spec.rollout.pinned_digest:
        return Reason.PINNED
    if plane.spec.rollout is not None and plane.spec.rollout.paused:
        return Reason.PAUSED
    return None


def _given(planes: ControlPlanes, snapshot: Snapshot) -> dict[str, GivenPolicy]:
    return {
        name: given
        for name, plane in planes.by_name.items()
        if (given := given_policy(plane, snapshot, oldest_version(plane, snapshot))) is not None
    }


def _limited(policy: AuditPolicy | ClusterAuditPolicy, limiting: list[Contribution]) -> tuple[Finding, ...]:
    """What limits take from a namespaced policy."""
    namespace = policy.metadata.namespace
    if not namespace:
        return ()
    # Only rules that the author wrote: what a limit takes from a preset is what presets and limits are for.
    return limited(tuple(map(rule_of, policy.spec.rules)), limits_in(namespace, limiting), namespace)


def _departures(policy: AuditPolicy | ClusterAuditPolicy, compiled: CompiledPolicy) -> Iterator[Finding]:
    """Where the compiled policy cannot say what this one says, and what is recorded beyond it in its namespace."""
    yield from newer_rules(policy, compiled.version)
    if policy.metadata.namespace:
        yield from compiled.findings(policy.metadata.namespace)


def _shortfalls(
    policy: AuditPolicy | ClusterAuditPolicy,
    contribution: Contribution,
    limiting: list[Contribution],
    given: GivenPolicy,
) -> tuple[Finding, ...]:
    """What is not recorded, although a policy asks for it, where API servers are only observed."""
    if contribution.policy is None or given.policy is None:
        return ()
    namespace = policy.metadata.namespace
    limits = limits_in(namespace, limiting) if namespace else (contribution.limits,)
    return shortfalls(contribution.policy, len(policy.spec.rules), contribution.reach, limits, given.policy)
