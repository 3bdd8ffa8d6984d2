"""What the operator says about each namespace in report objects: verdicts on critical actions, and on controls.

The verdicts on actions are all of them, which status has no room for; those on controls are of the frameworks that
policies name. Both rest on what the statuses say, as they are written: a report claims nothing that those do not.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionType
from audit_operator.api.control_plane import Driver
from audit_operator.api.policy_status import CoverageBasis
from audit_operator.compliance.controls import EvidenceKind
from audit_operator.compliance.facts import Standing
from audit_operator.compliance.judgement import judge
from audit_operator.compliance.open_reports import of_actions, of_controls
from audit_operator.plan.compliance import Said
from audit_operator.plan.covering import catalogue_for
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.status import judge_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.findings import ObjectRef
    from audit_operator.compliance.facts import Facts
    from audit_operator.coverage.verdicts import Coverage
    from audit_operator.plan.covering import CoverageOfPlane
    from audit_operator.plan.planning import Plan
    from audit_operator.plan.snapshot import Snapshot

    Policy = AuditPolicy | ClusterAuditPolicy


_OF_ONE_PLACE = frozenset({"AuditPolicy", "AuditSink"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a report was made from, to know whether it would be another now.

    Attributes:
        coverage: the verdicts on actions; the same object for the same verdicts.
        statuses: a hash of what is evidence in statuses.
        owners: identities of the policies that it is about: a report must not belong to one that is gone.
    """

    coverage: tuple[Coverage | None, ...]
    statuses: bytes
    owners: tuple[str, ...]

    def is_as(self, other: Seen | None) -> bool:
        """Whether both lead to the same report."""
        if other is None or (self.statuses, self.owners) != (other.statuses, other.owners):
            return False
        if len(self.coverage) != len(other.coverage):
            return False
        return all(mine is theirs for mine, theirs in zip(self.coverage, other.coverage, strict=True))


@dataclass(slots=True)
class ReportBasis:
    """What there is to report, of one plan and the statuses that follow from it.

    Attributes:
        statuses: as they are written, as JSON, by object.
        policies: those that answer for a namespace, and under ``""`` those for the cluster, by control plane.
    """

    statuses: Mapping[ObjectRef, str]
    policies: Mapping[str, Mapping[str, tuple[Policy, ...]]]
    planes: Mapping[str, AuditControlPlane]
    judges: Mapping[str, CoverageOfPlane]
    sinks: Sinks
    _read: dict[ObjectRef, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, plan: Plan, statuses: Mapping[ObjectRef, str]) -> ReportBasis:
        """Put together what belongs to each namespace."""
        policies: defaultdict[str, defaultdict[str, list[Policy]]] = defaultdict(lambda: defaultdict(list))
        for each in sorted(snapshot.policies(), key=lambda each: str(each.ref)):
            if (plane := plan.assigned.get(each.ref)) is not None:
                policies[each.metadata.namespace][plane].append(each)
        made = {
            each.metadata.name: judge_of(each.metadata.name, plan, catalogue_for(each, snapshot)[0])
            for each in snapshot.control_planes
        }
        return cls(
            statuses,
            {place: {name: tuple(of) for name, of in sorted(each.items())} for place, each in policies.items()},
            {each.metadata.name: each for each in snapshot.control_planes},
            {name: each for name, each in made.items() if each is not None},
            Sinks.of(snapshot),
        )

    @property
    def places(self) -> frozenset[str]:
        """Every namespace that has a policy, and ``""`` where there is one for the cluster."""
        return frozenset(self.policies)

    def owners(self, place: str) -> tuple[Policy, ...]:
        """The policies without which there is nothing to report."""
        return tuple(policy for of_plane in self.policies[place].values() for policy in of_plane)

    def seen(self, place: str) -> Seen:
        """What a report on a place would be made from."""
        digest = hashlib.sha256()
        for plane, policies in self.policies[place].items():
            sinks = {sink for each in policies for sink in self.sinks.of_policy(each)[0]}
            for ref in (*(each.ref for each in policies), *sorted(sinks, key=str)):
                digest.update(f"{ref}\n{self.statuses.get(ref, '')}\n".encode())
            digest.update(json.dumps(self._of_plane(plane), sort_keys=True).encode())
        coverage = tuple(self._coverage(plane, place) for plane in self.policies[place])
        return Seen(coverage, digest.digest(), tuple(each.metadata.uid for each in self.owners(place)))

    def results(self, place: str) -> list[dict[str, Any]]:
        """The results of a report on a place, without times."""
        found = list[dict[str, Any]]()
        several = len(self.policies[place]) > 1
        for plane, policies in self.policies[place].items():
            made = self._results(plane, place, policies)
            found += [_at(plane, each) for each in made] if several else made
        return found

    def _results(self, plane: str, place: str, policies: tuple[Policy, ...]) -> list[dict[str, Any]]:
        coverage = self._coverage(plane, place)
        concerned = {*(each.ref for each in policies), self.planes[plane].ref}
        concerned |= {sink for each in policies for sink in self.sinks.of_policy(each)[0]}
        said = Said({ref: self._status(ref) for ref in concerned}, self.sinks)
        facts = said.facts(place, coverage, policies, self.planes[plane])
        named = frozenset(name for each in policies if each.spec.compliance for name in each.spec.compliance.frameworks)
        actions = of_actions(coverage, facts.shown, self._judged(plane, facts)) if coverage is not None else []
        return [*of_controls(judge(named, facts)), *actions]

    def _judged(self, plane: str, facts: Facts) -> CoverageBasis:
        """Which policy the verdicts on actions were reached on."""
        if all(each.standing is Standing.HOLDS for each in facts.observed[EvidenceKind.IN_FORCE]):
            return CoverageBasis.RUNNING
        return CoverageBasis.GIVEN if self.planes[plane].spec.driver is Driver.OBSERVE else CoverageBasis.DESIRED

    def _coverage(self, plane: str, place: str) -> Coverage | None:
        judged_by = self.judges.get(plane)
        return judged_by.coverage(place) if judged_by is not None else None

    def _of_plane(self, plane: str) -> list[Any]:
        """Of the status of a control plane what is evidence: the rest changes with every policy of anybody."""
        status = self._status(self.planes[plane].ref)
        conditions = (each for each in status.get("conditions", ()) if each["type"] == ConditionType.PROGRAMMED.value)
        return [status.get("observedGeneration"), list(conditions), status.get("permissions")]

    def _status(self, ref: ObjectRef) -> dict[str, Any]:
        if ref in self._read:
            return self._read[ref]
        text = self.statuses.get(ref, "")
        status: dict[str, Any] = json.loads(text) if text else {}
        if ref.kind not in _OF_ONE_PLACE:  # thousands of them unpacked would be hundreds of megabytes
            self._read[ref] = status
        return status


def _at(plane: str, result: Mapping[str, Any]) -> dict[str, Any]:
    return {**result, "properties": {**result["properties"], "controlPlane": plane}}
