"""What stands behind the verdicts on controls, for whoever reads a report and has no cluster to ask.

The verdicts are reached anew, by the statuses that the report was made from: the counts in these are older.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.parsing import to_json
from audit_operator.compliance.controls import controls_of
from audit_operator.compliance.facts import Standing
from audit_operator.compliance.judgement import Outcome, judge
from audit_operator.plan.compliance import Said, delivers, of_another_policy
from audit_operator.plan.covering import CoverageOfPlane
from audit_operator.plan.sinks import Sinks
from audit_operator.report.model import ReportedControl, ReportedEvidence

if TYPE_CHECKING:
    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.compliance.judgement import Judged
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy

MOST_POLICIES = 50
"""Of so many policies all controls are told, of more those that failed: a thousand would be tens of megabytes."""
MOST_LINES = 20
"""Of one control."""
MOST_CONTROLS_IN_ALL = 6000
MOST_LINES_IN_ALL = 20_000
"""Of all policies together: in a general outage nearly everything fails, for every tenant."""
_ORDER = (Standing.FAILS, Standing.NOT_OBSERVED, Standing.HOLDS, Standing.NOT_APPLICABLE)
_FIRST = (Outcome.FAIL, Outcome.PASS, Outcome.CANNOT_BE_JUDGED, Outcome.NOT_APPLICABLE)


@dataclass(slots=True)
class Evidence:
    """Judges the policies of one control plane.

    Attributes:
        said: what statuses say.
        covering: the verdicts on actions.
        plane: the control plane; None where it is no object.
        delivered: whether the policy that was judged is the one that statuses speak about.
    """

    said: Said
    covering: CoverageOfPlane
    plane: AuditControlPlane | None
    delivered: bool
    _told: int = field(default=0)
    _controls_left: int = field(default_factory=lambda: MOST_CONTROLS_IN_ALL)
    _lines_left: int = field(default_factory=lambda: MOST_LINES_IN_ALL)

    @classmethod
    def of(cls, snapshot: Snapshot, plane: str, policy: Policy, digest: str, catalogue: Catalogue) -> Evidence:
        """From the objects of a report, and the policy that it judges."""
        objects = (*snapshot.policies(), *snapshot.sinks(), *snapshot.control_planes)
        statuses = {each.ref: to_json(each.status) for each in objects if each.status is not None}
        found = next((each for each in snapshot.control_planes if each.metadata.name == plane), None)
        covering = CoverageOfPlane(policy, digest, catalogue)
        return cls(Said(statuses, Sinks.of(snapshot)), covering, found, found is not None and delivers(found, digest))

    def controls(self, policy: AuditPolicy | ClusterAuditPolicy) -> tuple[tuple[ReportedControl, ...], int]:
        """The controls of the frameworks that a policy names, failures first, and how many are left out.

        None where it has no status.
        """
        frameworks = policy.spec.compliance.frameworks if policy.spec.compliance else ()
        if policy.status is None or not frameworks:
            return (), 0
        if not self._controls_left:
            return (), len(controls_of(frameworks))
        namespace = policy.metadata.namespace
        facts = self.said.facts(namespace, self.covering.coverage(namespace), [policy], self.plane)
        results = judge(frameworks, facts if self.delivered else of_another_policy(facts))
        self._told += 1
        judged = [each for result in results for each in result.judged]
        told = [each for each in judged if each.outcome is Outcome.FAIL] if self._told > MOST_POLICIES else judged
        told = sorted(told, key=lambda each: (each.control.framework, _FIRST.index(each.outcome)))
        told = told[: self._controls_left]
        self._controls_left -= len(told)
        return tuple(map(self._control, told)), len(judged) - len(told)

    def _control(self, judged: Judged) -> ReportedControl:
        made = _control(judged, min(MOST_LINES, self._lines_left))
        self._lines_left -= len(made.evidence)
        return made


def _control(judged: Judged, most: int) -> ReportedControl:
    control = judged.control
    lines = sorted(judged.observations, key=lambda each: _ORDER.index(each.standing))
    return ReportedControl(
        framework=control.framework,
        id=control.id,
        title=control.title,
        verdict=judged.outcome,
        reason=judged.reason,
        beyond=control.beyond,
        read_in=control.read_in,
        proof=judged.proof,
        evidence=tuple(
            ReportedEvidence(
                standing=each.standing, said=each.said, source=each.source, seen=each.seen, proof=each.proof
            )
            for each in lines[:most]
        ),
        left_out=max(0, len(lines) - most),
    )
