"""What each object's status should say, given the plan and what was seen of the API servers.

Pure, and without a clock: whoever writes a status knows since when a condition holds. A condition is true only if it
was observed; what this release does not do says so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.control_plane import Driver
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import MAX_FINDINGS, CoverageBasis, StatusFinding
from audit_operator.coverage.restriction import Restrictions
from audit_operator.plan.adoption import differences
from audit_operator.plan.claim import Claim, false, true, unknown
from audit_operator.plan.compliance import Said
from audit_operator.plan.compliance_status import ComplianceOfPolicies
from audit_operator.plan.covering import CoverageOfPlane, catalogue_for
from audit_operator.plan.crowding import Crowded
from audit_operator.plan.defect import DEFECT
from audit_operator.plan.detection_answers import findings as detection_findings
from audit_operator.plan.detection_time import time_to_detect
from audit_operator.plan.error_rate import logging_error_rate
from audit_operator.plan.given import INVALID, NOT_FOUND
from audit_operator.plan.log_files import lasting_findings, log_file_findings
from audit_operator.plan.proof_status import ProofOfPlane, proof_claim, proof_json
from audit_operator.plan.retention_status import RetentionOfStores, decides
from audit_operator.plan.seal_status import SealsOfSinks
from audit_operator.plan.shipping_status import (
    ShippingFacts,
    ShippingOfPlane,
    ready,
    remarks_for_owner,
    unresolved,
    worst,
)
from audit_operator.plan.shortfall import SHORTFALL
from audit_operator.plan.sidecars import not_collected, with_sidecars
from audit_operator.plan.sink_shipping import OnTheWay, Way, ways
from audit_operator.plan.sinks import NOT_FOUND as SINK_NOT_FOUND
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.unreadable_lines import Unreadable
from audit_operator.plan.versions import version_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.detection_times import DetectionTimes
    from audit_operator.api.permissions import Permissions
    from audit_operator.api.proof_observations import PlaceProof
    from audit_operator.api.retention_observations import RetentionObservation
    from audit_operator.api.seal_observations import SealObservation
    from audit_operator.api.sink import AuditSink, ClusterAuditSink
    from audit_operator.api.store_observations import StoreObservation
    from audit_operator.api.way_figures import WayFigures
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.plan.compiled import CompiledPolicy
    from audit_operator.plan.detection_answers import Told
    from audit_operator.plan.given import GivenPolicy
    from audit_operator.plan.planning import Plan
    from audit_operator.plan.sidecars import SidecarCount
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy

Status = dict[str, Any]
_DIGEST_SHOWN = 12


def statuses(  # noqa: PLR0913, PLR0917 - everything that is known
    snapshot: Snapshot,
    plan: Plan,
    refused: Mapping[str, tuple[Finding, ...]],
    shipped: Mapping[str, ShippingFacts] = MappingProxyType({}),
    stores: Mapping[ObjectRef, StoreObservation] = MappingProxyType({}),
    sidecars: Mapping[ObjectRef, SidecarCount] | None = None,
    permissions: Mapping[str, Permissions] = MappingProxyType({}),
    retention: Mapping[ObjectRef, RetentionObservation] | None = None,
    seals: Mapping[ObjectRef, SealObservation] | None = None,
    proofs: Mapping[str, Mapping[str, PlaceProof]] = MappingProxyType({}),
    figures: Mapping[str, Mapping[ObjectRef, WayFigures]] = MappingProxyType({}),
    detections: Mapping[ObjectRef, tuple[Told, ...]] = MappingProxyType({}),
    detected: Mapping[str, DetectionTimes] = MappingProxyType({}),
) -> dict[ObjectRef, Status]:
    """The status of every object that has one; a document may be shared between objects, and must not be changed.

    `refused` holds, by control plane, why its compiled policy was not delivered; `shipped` what is known of its
    shippers, where any are ours; `stores` what was found of the stores of sinks, where they were asked;
    `sidecars` the pods of policies that collect application logs, as far as they are known; None without sidecars;
    `permissions` what was found of the rights that people have, by control plane, where they were judged.
    `retention` what stores have said of it; None where they are not asked; `seals` what was seen of those of sinks;
    None where nobody looks. A sink whose status is the memory of what its store was told, or of its seals, has no entry
    in the result as long as that has not been read. `proofs` has what live probes have shown, by control plane and
    place, of those where they are sent; `figures` what was measured of ways to sinks, by control plane and sink.
    `detections` what is known of those of policies, in the order of their specs; `detected` how long they take, by
    control plane.
    """
    programmed = {
        plane.metadata.name: programming(
            plane, plan, snapshot.observations.get(plane.metadata.name, ()), refused.get(plane.metadata.name, ())
        )
        for plane in snapshot.control_planes
    }
    judges: dict[str, CoverageOfPlane] = {}
    parts = {name: InForce.of(plan.compiled[name], snapshot, name) for name in plan.compiled}
    result: dict[ObjectRef, Status] = {}
    for plane in snapshot.control_planes:
        name = plane.metadata.name
        judged_on = catalogue_for(plane, snapshot)
        if (judge := judge_of(name, plan, judged_on[0])) is not None:
            judges[name] = judge
        of_shippers = _of_shippers(plane, shipped[name]) if name in shipped else ()
        result[plane.ref] = _control_plane_status(plane, snapshot, plan, programmed[name], judged_on, of_shippers)
        if name in permissions:
            result[plane.ref]["permissions"] = to_json(permissions[name])
    ships = {
        plane.metadata.name: ShippingOfPlane(plane, shipped.get(plane.metadata.name), stores)
        for plane in snapshot.control_planes
    }
    crowded = {name: Crowded.of(each.shippers) for name, each in shipped.items()}
    unreadable = {name: Unreadable.of(each.shippers) for name, each in shipped.items()}
    proved = {plane.metadata.name: ProofOfPlane(proofs.get(plane.metadata.name)) for plane in snapshot.control_planes}
    by_sink: defaultdict[ObjectRef, list[str]] = defaultdict(list)
    shared: dict[tuple[object, ...], Status] = {}
    sinks, kept, sealed = Sinks.of(snapshot), RetentionOfStores(plan.retention, retention), SealsOfSinks(seals)
    for policy in snapshot.policies():
        assigned = plan.assigned.get(policy.ref)
        usable, unusable = sinks.of_policy(policy)
        treatment = _Treatment(_UNASSIGNED, None, None)
        if assigned:
            for sink in usable:
                by_sink[sink].append(assigned)
            basis = CoverageBasis.GIVEN if assigned in plan.given else CoverageBasis.DESIRED
            proof = proved[assigned].of_policy(policy.metadata.namespace, usable)
            treatment = _Treatment(programmed[assigned], judges.get(assigned), parts[assigned], basis, proof)
        shippers, measured = ships.get(assigned or ""), figures.get(assigned or "", {})
        unread = unreadable.get(assigned or "", Unreadable())
        pods = sidecars.get(policy.ref) if sidecars is not None else None
        shipped_by = _Shipped(
            with_sidecars(_proved(_shipping(policy, shippers, usable, unusable), treatment), policy, sidecars),
            tuple(ways(policy, _on_the_way(shippers, usable, measured, unread.lines(policy)), unusable)),
            _measured(
                logging_error_rate(treatment.proof, usable, measured),
                time_to_detect(policy, detected.get(assigned or "")),
            ),
        )
        said = detections.get(policy.ref, ())
        remarks = (
            *plan.findings.get(policy.ref, ()),
            *not_collected(policy, sidecars),
            *detection_findings(said),
            *(crowded[assigned].findings(policy) if assigned in crowded else ()),
            *unread.findings(policy),
            *(shippers.unseen_counts(policy) if shippers and plan.counted[assigned or ""].counting.counts else ()),
        )
        stored = kept.of_policy(policy.ref, usable)
        found = _Found(tuple(dict.fromkeys(remarks)), unusable, said)
        status = _policy_status(policy, found, treatment, shipped_by, stored, shared)
        result[policy.ref] = {**status, "sidecars": to_json(pods.status())} if pods else status
    for each in snapshot.sinks():
        shipping = worst(ships[plane].of_sink(each.ref) for plane in dict.fromkeys(by_sink[each.ref]))
        if kept.knows(each.ref) and sealed.knows(each):
            barred = sinks.barred.get(each.ref)
            status = _sink_status(each, (shipping, sealed.of_sink(each)), kept, len(by_sink[each.ref]), barred)
            memory = sealed.memory(each)
            result[each.ref] = {**status, "seals": memory} if memory else status
    result |= _compliance(result, snapshot, plan, sinks, judges)
    for broken in snapshot.invalid:
        is_ours = any(each.id == DEFECT for each in broken.findings)
        reason = Reason.INTERNAL_ERROR if is_ours else Reason.INVALID
        claims = [false(ConditionType.ACCEPTED, reason, _said(broken.findings))]
        result[broken.ref] = _document(broken.generation, _with_summary(claims))
    return result


def _compliance(
    said: Mapping[ObjectRef, Status],
    snapshot: Snapshot,
    plan: Plan,
    sinks: Sinks,
    judges: Mapping[str, CoverageOfPlane],
) -> dict[ObjectRef, Status]:
    """The statuses of policies, with what they say of frameworks: all the others are evidence of it."""
    planes = {each.metadata.name: each for each in snapshot.control_planes}
    judged = ComplianceOfPolicies(Said(said, sinks), planes, judges)
    return {each.ref: judged.add(each, plan.assigned.get(each.ref), said[each.ref]) for each in snapshot.policies()}


def judge_of(name: str, plan: Plan, catalogue: Catalogue) -> CoverageOfPlane | None:
    """Judges on what the API servers run, or are to run; None where that is somebody else's and not known."""
    given = plan.given.get(name)
    if given is None:
        compiled = plan.compiled[name]
        return CoverageOfPlane(compiled.policy, compiled.desired.digest, catalogue)
    return CoverageOfPlane(given.policy, given.digest, catalogue, ours=False) if given.policy else None


def programming(
    plane: AuditControlPlane,
    plan: Plan,
    seen: tuple[ApiServerObservation, ...],
    refused: tuple[Finding, ...],
) -> Claim:
    """Whether every API server of a control plane runs, ready, with the digest that was compiled for it."""
    if (given := plan.given.get(plane.metadata.name)) is not None:
        return _as_given(given)
    type_, wanted = ConditionType.PROGRAMMED, plan.compiled[plane.metadata.name].desired.digest
    if (why := _not_delivered(plane, plan.withheld.get(plane.metadata.name), refused)) is not None:
        return why
    if plane.spec.driver is Driver.STATIC_POD:
        return _on_nodes(wanted, seen)
    failed = next((each for each in seen if each.desired_digest == wanted and each.last_error), None)
    if failed is not None:
        rolled_back = failed.state is ApiServerState.ROLLED_BACK
        reason = Reason.ROLLED_BACK if rolled_back else Reason.DELIVERY_FAILED
        return false(type_, reason, f"API server {failed.name}: {failed.last_error}")
    if plane.spec.driver is Driver.CONFIG_MAP and seen and all(each.desired_digest == wanted for each in seen):
        where = plane.spec.config_map
        target = f"ConfigMap {where.namespace}/{where.name}" if where else "the ConfigMap"
        return unknown(type_, Reason.NOT_OBSERVED, f"the policy is in {target}")
    return _progress(sum(runs(each, wanted) for each in seen), len(seen))


def _not_delivered(plane: AuditControlPlane, withheld: Reason | None, refused: tuple[Finding, ...]) -> Claim | None:
    """Why the compiled policy is not wanted of the API servers; None if it is."""
    type_ = ConditionType.PROGRAMMED
    if plane.spec.static_pod is not None and not plane.spec.static_pod.enrolled and withheld is not Reason.PAUSED:
        return false(type_, Reason.UNENROLLED, "spec.staticPod.enrolled is false")
    if withheld is not None:
        return false(type_, withheld, _WITHHELD[withheld])
    return false(type_, Reason.POLICY_REFUSED, _said(refused)) if refused else None


def _as_given(given: GivenPolicy) -> Claim:
    """Programmed, for API servers that run somebody else's policy: nobody has seen which."""
    said = f"the policy is taken as given from {given.origin}; it is not ours to deliver, and not seen to run"
    if given.policy is None:
        said = f"the policy of those API servers is not known: {given.faults[0].message}"
    return unknown(ConditionType.PROGRAMMED, Reason.GIVEN, said)


def _progress(running: int, total: int, waiting_for: str = "") -> Claim:
    if running == total > 0:
        return true(ConditionType.PROGRAMMED, Reason.PROGRAMMED, "all API servers run with it")
    said = f"{running} of {total} API servers run with it"
    return false(ConditionType.PROGRAMMED, Reason.PENDING, f"{said}; {waiting_for}" if waiting_for else said)


def _on_nodes(wanted: str, seen: tuple[ApiServerObservation, ...]) -> Claim:
    """Programmed, for API servers that agents on their nodes change."""
    type_ = ConditionType.PROGRAMMED
    if not seen:
        return false(type_, Reason.NODE_BLOCKED, "no node matches spec.staticPod.nodeSelector")
    # Also one that runs the digest: the log flags that belong to it may be what has failed.
    troubled = [each for each in seen if each.state in _TROUBLE]
    for server in sorted(troubled, key=lambda each: list(_TROUBLE).index(each.state)):
        reason = _BLOCKED.get(server.blocked, Reason.NODE_BLOCKED)
        if server.state is not ApiServerState.BLOCKED:
            reason = _TROUBLE[server.state]
        said = f"node {server.name}: {server.last_error}"
        return unknown(type_, reason, said) if reason is Reason.NOT_OBSERVED else false(type_, reason, said)
    waiting = next((f"node {each.name}: {each.last_error}" for each in seen if each.last_error), "")
    running = sum(runs(each, wanted) and each.state is ApiServerState.RUNNING for each in seen)
    return _progress(running, len(seen), waiting)


# The worst first: what a person must do something about, then what is not known.
_TROUBLE = {
    ApiServerState.ROLLED_BACK: Reason.ROLLED_BACK,
    ApiServerState.BLOCKED: Reason.NODE_BLOCKED,
    ApiServerState.FAILED: Reason.DELIVERY_FAILED,
    ApiServerState.UNKNOWN: Reason.NOT_OBSERVED,
}
_BLOCKED = {
    "AdoptionRequired": Reason.ADOPTION_REQUIRED,
    "ForeignChange": Reason.FOREIGN_CHANGE,
    "PolicyRefused": Reason.POLICY_REFUSED,
}

_WITHHELD = {
    Reason.CONFLICTED: "nothing is delivered while several control planes are the default; the last policy stays",
    Reason.NO_POLICY: "no policy belongs to this control plane; whatever its API servers run stays in force",
    Reason.PAUSED: "spec.rollout.paused is true; the last policy stays in force",
    Reason.PINNED: "spec.rollout.pinnedDigest keeps API servers on an earlier policy",
}


def runs(server: ApiServerObservation, digest: str) -> bool:
    """Whether an API server has been seen to run, ready, with this digest."""
    return server.running_digest == digest and server.ready


_UNASSIGNED = Claim(
    ConditionType.PROGRAMMED, ConditionStatus.FALSE, Reason.PENDING, "the policy belongs to no control plane"
)


@dataclass(frozen=True, slots=True)
class InForce:
    """Which part of a compiled policy runs already: what others ask for in their namespaces does not matter to one.

    `running` has, for each API server, the part of the policy that it runs for any namespace; None where that policy
    is not known, or where the API server is not ready.
    """

    wanted: Restrictions
    digest: str
    running: tuple[tuple[ApiServerObservation, Restrictions | None], ...]

    @classmethod
    def of(cls, compiled: CompiledPolicy, snapshot: Snapshot, plane: str) -> InForce:
        """Compare what was compiled with what was seen."""
        known = {compiled.desired.digest: compiled.policy, **snapshot.earlier}
        running = []
        for server in snapshot.observations.get(plane, ()):
            policy = known.get(server.running_digest) if server.ready else None
            running.append((server, None if policy is None else Restrictions(policy)))
        return cls(Restrictions(compiled.policy), compiled.desired.digest, tuple(running))

    def programmed(self, namespace: str) -> tuple[tuple[str, bool], ...]:
        """Each API server, and whether it treats a namespace as the compiled policy does; for ``""``, everything."""
        return tuple((server.name, self._runs(server, part, namespace)) for server, part in self.running)

    def _runs(self, server: ApiServerObservation, part: Restrictions | None, namespace: str) -> bool:
        if part is None:
            return False
        if server.running_digest == self.digest:
            return True
        return bool(namespace) and part.to(namespace).policy == self.wanted.to(namespace).policy


@dataclass(frozen=True, slots=True)
class _Treatment:
    """What a control plane makes of the policies that belong to it; nothing where one belongs to none."""

    programmed: Claim
    judge: CoverageOfPlane | None
    part: InForce | None
    basis: CoverageBasis = CoverageBasis.DESIRED
    proof: PlaceProof | None = None


@dataclass(frozen=True, slots=True)
class _Shipped:
    """Whether the records of a policy arrive in all its sinks, how they reach each, and what was measured of that."""

    claim: Claim
    ways: tuple[Way, ...]
    metrics: Status


def _measured(errors: str, detected: Status) -> Status:
    """What stands in `status.metrics`, in steps that are quiet."""
    return {**({"loggingErrorRate": errors} if errors else {}), **detected}


def _on_the_way(
    plane: ShippingOfPlane | None,
    usable: tuple[ObjectRef, ...],
    figures: Mapping[ObjectRef, WayFigures],
    quarantined: int,
) -> Iterator[OnTheWay]:
    for sink in usable:
        if plane is None:
            yield OnTheWay(unknown(ConditionType.SHIPPING, Reason.PENDING, _UNASSIGNED.message))
        else:
            latency = figures[sink].latency if sink in figures else None
            figures_there = plane.lost(sink), plane.lag(sink), latency, plane.cut(sink), quarantined
            yield OnTheWay(plane.of_way(sink), *figures_there)


def _shipping(
    policy: AuditPolicy | ClusterAuditPolicy,
    plane: ShippingOfPlane | None,
    usable: tuple[ObjectRef, ...],
    unusable: tuple[Finding, ...],
) -> Claim:
    """Whether the records of a policy arrive in its sinks; one that may not be used is said in ResolvedRefs."""
    if not policy.spec.sink_refs:
        return worst(())
    if plane is None:
        return unknown(ConditionType.SHIPPING, Reason.PENDING, _UNASSIGNED.message)
    return plane.of_policy(usable) if usable else unresolved(unusable)


def _proved(shipping: Claim, treatment: _Treatment) -> Claim:
    """The same, unless live probes say otherwise; whoever knows why records do not arrive says it better."""
    against = proof_claim(treatment.proof)
    return shipping if against is None or shipping.status is ConditionStatus.FALSE else against


@dataclass(frozen=True, slots=True)
class _Found:
    """What is wrong with a policy, with the sinks that it names, and what is known of its detections."""

    findings: tuple[Finding, ...]
    unusable: tuple[Finding, ...]
    detections: tuple[Told, ...]


def _policy_status(  # noqa: PLR0913, PLR0917 - what decides about it
    policy: AuditPolicy | ClusterAuditPolicy,
    found: _Found,
    treatment: _Treatment,
    shipping: _Shipped,
    stored: tuple[Claim, tuple[Status, ...]],
    shared: dict[tuple[object, ...], Status],
) -> Status:
    """The status of a policy; objects about which the same is to be said share one document."""
    findings = found.findings
    namespace, generation = policy.metadata.namespace, policy.metadata.generation
    servers = treatment.part.programmed(namespace) if treatment.part else ()
    programmed = treatment.programmed
    if not programmed.holds and servers and all(holds for _, holds in servers):
        programmed = true(ConditionType.PROGRAMMED, Reason.PROGRAMMED, "all API servers run with it")
    if short := sum(each.id == SHORTFALL and each.severity is Severity.WARNING for each in findings):
        said = f"{programmed.message}; it records less than this policy asks for: see composition.findings ({short})"
        programmed = replace(programmed, message=said)
    claims = (
        true(ConditionType.ACCEPTED, Reason.ACCEPTED),
        _references(found.unusable, findings),
        programmed,
        shipping.claim,
        stored[0],
    )
    judged = treatment.judge.judged(namespace) if treatment.judge else None
    ways, metrics = shipping.ways, json.dumps(shipping.metrics)
    key = (generation, claims, ways, metrics, findings, servers, id(judged), treatment.proof, found.detections)
    if not stored[1] and (known := shared.get(key)) is not None:
        return known
    status = _document(generation, _with_summary(list(claims)))
    if judged is not None and treatment.judge is not None:
        basis = CoverageBasis.RUNNING if programmed.holds else treatment.basis
        proof = proof_json(treatment.proof) if treatment.proof is not None else {}
        status["coverage"] = {**treatment.judge.status(judged, namespace, basis), **proof}
        status["apiServers"] = [{"name": name, "programmed": holds} for name, holds in servers]
    if shipping.ways:
        status["shipping"] = [each.to_json() for each in shipping.ways]
    if shipping.metrics:
        status["metrics"] = shipping.metrics
    if findings:
        status["composition"] = {"findings": _bounded(findings)}
    if found.detections:
        status["detections"] = [
            {"name": each.name, "canFire": each.verdict.can_fire.value} for each in found.detections
        ]
    if stored[1]:
        return {**status, "retention": list(stored[1])}
    shared[key] = status
    return status


def _references(unusable: tuple[Finding, ...], findings: Iterable[Finding]) -> Claim:
    type_ = ConditionType.RESOLVED_REFS
    for finding in findings:
        if (reason := _REFERENCE_REASONS.get(finding.id)) is not None:
            return false(type_, reason, _said([finding]))
    if unusable:
        reason = Reason.SINK_NOT_FOUND if unusable[0].id == SINK_NOT_FOUND else Reason.SINK_NOT_PERMITTED
        return false(type_, reason, _said(unusable))
    return true(type_, Reason.RESOLVED_REFS)


_REFERENCE_REASONS = {
    "control-plane-not-found": Reason.CONTROL_PLANE_NOT_FOUND,
    "default-control-plane-conflict": Reason.NO_DEFAULT_CONTROL_PLANE,
    "no-default-control-plane": Reason.NO_DEFAULT_CONTROL_PLANE,
}


def _control_plane_status(  # noqa: PLR0913, PLR0917 - what decides about it
    plane: AuditControlPlane,
    snapshot: Snapshot,
    plan: Plan,
    programmed: Claim,
    judged_on: tuple[Catalogue, tuple[Finding, ...]],
    remarks_of_shipping: tuple[Finding, ...],
) -> Status:
    name = plane.metadata.name
    catalogue, faults = judged_on
    given = plan.given.get(name)
    faults = (*faults, *(given.faults if given else ()))
    own = plan.findings.get(plane.ref, ())
    accepted = (
        false(ConditionType.ACCEPTED, Reason.CONFLICTED, _said(own))
        if own
        else true(ConditionType.ACCEPTED, Reason.ACCEPTED)
    )
    servers = snapshot.observations.get(name, ())
    resolved = true(ConditionType.RESOLVED_REFS, Reason.RESOLVED_REFS)
    if faults:
        reason = _FAULT_REASONS.get(faults[0].id, Reason.CATALOGUE_INVALID)
        resolved = false(ConditionType.RESOLVED_REFS, reason, _said(faults))
    status = _document(plane.metadata.generation, _with_summary([accepted, resolved, programmed]))
    status["policies"] = sum(assigned == name for assigned in plan.assigned.values())
    if given is not None:
        status |= _figures(given.digest, given.policy, given.text) if given.policy else {}
        remarks = list(given.notes)
    else:
        compiled = plan.compiled[name]
        wanted = compiled.desired.digest
        status |= _figures(wanted, compiled.policy, compiled.desired.text)
        status["progress"] = f"{sum(runs(each, wanted) for each in servers)}/{len(servers)}"
        status["apiServers"] = [_server(each) for each in servers]
        notes = (note for each in servers for note in each.notes)
        adoption = differences(servers, compiled, catalogue)
        files = log_file_findings(plane, snapshot, plan)
        remarks = [*compiled.findings(), *version_findings(plane, snapshot), *notes, *adoption, *files]
    if findings := [*own, *faults, *remarks, *remarks_of_shipping]:
        status["findings"] = _bounded(findings)
    return status


_FAULT_REASONS = {
    "catalogue-not-found": Reason.CATALOGUE_NOT_FOUND,
    NOT_FOUND: Reason.GIVEN_POLICY_NOT_FOUND,
    INVALID: Reason.GIVEN_POLICY_INVALID,
}


def _figures(digest: str, policy: Policy, text: str) -> Status:
    return {
        "digest": digest,
        "shortDigest": digest[:_DIGEST_SHOWN],
        "rules": len(policy.rules),
        "bytes": len(text.encode()),
    }


def _server(server: ApiServerObservation) -> dict[str, Any]:
    since = server.since.strftime("%Y-%m-%dT%H:%M:%SZ") if server.since else None
    said = {
        "name": server.name,
        "desiredDigest": server.desired_digest,
        "runningDigest": server.running_digest,
        "ready": server.ready,
        "state": server.state.value,
        "since": since,
        "version": server.version,
        "attempts": server.attempts or None,
        "lastError": server.last_error[:1024],
    }
    return {key: value for key, value in said.items() if value not in (None, "")}


def _sink_status(
    sink: AuditSink | ClusterAuditSink,
    seen: tuple[Claim, Claim],
    kept: RetentionOfStores,
    policies: int,
    barred: Finding | None,
) -> Status:
    (shipping, sealed), stored, memory = seen, kept.of_sink(sink.ref), kept.memory(sink.ref)
    summary, basis = ready(shipping), shipping
    for each in (stored, sealed):
        if decides(each) and not each.holds and (basis.holds or not decides(basis)):
            said = f"{each.type.value}: {each.message}"
            summary, basis = Claim(ConditionType.READY, each.status, each.reason, said), each
    claims = [true(ConditionType.ACCEPTED, Reason.ACCEPTED), shipping, stored, sealed, summary]
    if barred is not None:
        claims = _with_summary([false(ConditionType.ACCEPTED, Reason.INVALID, _said([barred]))])
    status = {**_document(sink.metadata.generation, claims), "policies": policies}
    return {**status, "retention": memory} if memory else status


def _of_shippers(plane: AuditControlPlane, facts: ShippingFacts) -> tuple[Finding, ...]:
    return (*remarks_for_owner(facts), *lasting_findings(plane, facts.shippers))


_STUCK = frozenset(
    {
        Reason.INVALID,
        Reason.INTERNAL_ERROR,
        Reason.CONFLICTED,
        Reason.POLICY_REFUSED,
        Reason.ROLLED_BACK,
        Reason.ADOPTION_REQUIRED,
        Reason.FOREIGN_CHANGE,
        Reason.NODE_BLOCKED,
        Reason.SINK_NOT_USABLE,
        Reason.SINK_UNAUTHENTICATED,
        Reason.SINK_REFUSING,
    }
)


def _with_summary(claims: list[Claim]) -> list[Claim]:
    """Add Ready, and Reconciling or Stalled while they are true, from the conditions that decide them."""
    deciding = list(filter(decides, claims))
    missing = next((claim for claim in deciding if not claim.holds), None)
    if missing is None:
        return [*claims, true(ConditionType.READY, Reason.READY)]
    said = f"{missing.type.value}: {missing.message}"
    ready = Claim(ConditionType.READY, missing.status, missing.reason, said)
    if missing.reason is Reason.PENDING and missing.type is ConditionType.PROGRAMMED:
        return [*claims, ready, true(ConditionType.RECONCILING, Reason.PROGRESSING, said)]
    if missing.reason in _STUCK or missing.type is ConditionType.RESOLVED_REFS:
        return [*claims, ready, true(ConditionType.STALLED, Reason.WAITING_FOR_USER, said)]
    return [*claims, ready]


def _document(generation: int, claims: Iterable[Claim]) -> Status:
    return {"observedGeneration": generation, "conditions": [claim.to_json(generation) for claim in claims]}


def _said(findings: Iterable[Finding]) -> str:
    """The worst findings in one message."""
    worst = sorted(findings, key=lambda finding: -finding.severity.rank)[:3]
    return "; ".join(
        f"{finding.path}: {finding.message} ({finding.mend})" if finding.path else f"{finding.message} ({finding.mend})"
        for finding in worst
    )


def _bounded(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    worst = sorted(findings, key=lambda finding: (-finding.severity.rank, finding.id, finding.path, finding.message))
    return [to_json(StatusFinding.of(finding)) for finding in worst[:MAX_FINDINGS]]
