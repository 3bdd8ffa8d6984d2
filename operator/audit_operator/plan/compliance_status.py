"""What the status of policies says of the frameworks that they name.

Only counts, and ids of what failed: the evidence is in the other parts of status, and `audit-operator compliance`
prints it. What is said changes only with a verdict, and policies of which the same is said share it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import MAX_FINDINGS, FrameworkResult
from audit_operator.compliance.judgement import Outcome, Result, judge, passing_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.compliance.facts import Facts
    from audit_operator.coverage.verdicts import Coverage
    from audit_operator.plan.compliance import Said
    from audit_operator.plan.covering import CoverageOfPlane

Status = dict[str, Any]
_COUNTS = {
    Outcome.PASS: "passed",
    Outcome.FAIL: "failed",
    Outcome.NOT_APPLICABLE: "notApplicable",
    Outcome.CANNOT_BE_JUDGED: "notJudged",
}


@dataclass(slots=True)
class ComplianceOfPolicies:
    """Judges policies by what statuses say.

    Attributes:
        said: the statuses that are evidence.
        planes: control planes by name.
        judges: the verdicts on actions, by control plane; one whose policy is not known is absent.
    """

    said: Said
    planes: Mapping[str, AuditControlPlane]
    judges: Mapping[str, CoverageOfPlane]
    # Beside what is said, what its key is made of: an id names nothing once its object is gone.
    _told: dict[tuple[object, ...], tuple[Status, Status]] = field(default_factory=dict)
    _known: dict[tuple[object, ...], tuple[Coverage | None, Status]] = field(default_factory=dict)

    def add(self, policy: AuditPolicy | ClusterAuditPolicy, plane: str | None, status: Status) -> Status:
        """The status with what is said of the frameworks that the policy names; the same one where it names none."""
        spec = policy.spec
        if spec.compliance is None or not spec.compliance.frameworks:
            return status
        # A status that policies share has the same verdicts on actions; the rest is of their specs. To judge each of
        # thousands again would take seconds at every change.
        usable = self.said.sinks.of_policy(policy)[0] if spec.sink_refs else ()
        key = (id(status), plane, spec.compliance.frameworks, spec.retention, spec.application_logs is None, usable)
        if key not in self._told:
            self._told[key] = (status, self._judged(policy, plane or "", status))
        return self._told[key][1]

    def _judged(self, policy: AuditPolicy | ClusterAuditPolicy, plane: str, status: Status) -> Status:
        namespace = policy.metadata.namespace
        judge_of_plane = self.judges.get(plane)
        coverage = judge_of_plane.coverage(namespace) if judge_of_plane is not None else None
        results = self._results(policy, self.said.facts(namespace, coverage, [policy], self.planes.get(plane)))
        metrics = {**status.get("metrics", {}), **results["metrics"]}
        return {**status, "compliance": results["compliance"], **({"metrics": metrics} if metrics else {})}

    def _results(self, policy: AuditPolicy | ClusterAuditPolicy, facts: Facts) -> Status:
        """What is said; verdicts depend on how observations stand, and not on their words."""
        frameworks = policy.spec.compliance.frameworks if policy.spec.compliance else ()
        standing = tuple((kind, tuple(each.standing for each in seen)) for kind, seen in facts.observed.items())
        shown = frozenset((action, each.proof) for action, each in facts.shown.items())
        key = (frameworks, bool(facts.namespace), id(facts.coverage), facts.asked, standing, shown)
        if key not in self._known:
            results = judge(frameworks, facts)
            rate = passing_rate(results)
            said = {
                "compliance": [to_json(_said(each)) for each in results],
                "metrics": {"compliancePassingRate": rate} if rate else {},
            }
            self._known[key] = (facts.coverage, said)
        return self._known[key][1]


def counted(statuses: Iterable[Status]) -> Counter[tuple[str, str]]:
    """How many controls of all policies together have each verdict, by framework and verdict."""
    counts: Counter[tuple[str, str]] = Counter()
    for status in statuses:
        for said in status.get("compliance", ()):
            for outcome, name in _COUNTS.items():
                counts[said["framework"], outcome.value] += said.get(name, 0)
    return counts


def _said(result: Result) -> FrameworkResult:
    failing = [each.control.id for each in result.judged if each.outcome is Outcome.FAIL]
    return FrameworkResult(
        framework=result.framework,
        passed=result.count(Outcome.PASS),
        failed=result.count(Outcome.FAIL),
        not_applicable=result.count(Outcome.NOT_APPLICABLE),
        not_judged=result.count(Outcome.CANNOT_BE_JUDGED),
        failing=tuple(failing[:MAX_FINDINGS]),
    )
