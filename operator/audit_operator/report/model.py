"""The report as data: what every format shows, and what a later report is compared with.

Verdicts are reached anew from the objects; everything that was observed (what runs, what arrives, what is kept, what
was proved) is taken from their status as it stands, and absent where that says nothing: a report claims no more than it
saw.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from audit_operator.api.audit import Level
from audit_operator.api.compliance import Framework
from audit_operator.api.conditions import Condition
from audit_operator.api.findings import Severity
from audit_operator.api.model import ApiModel
from audit_operator.api.policy_status import FrameworkResult, Metrics, Proof, SinkRetention, SinkShipping, Verdict
from audit_operator.api.text import Timestamp
from audit_operator.compliance.facts import LiveProof, Standing
from audit_operator.compliance.judgement import Outcome
from audit_operator.coverage.catalogue import ActionSeverity

API_VERSION: Final = "report.audit-operator.dev/v1alpha1"
KIND: Final = "AuditReport"


class Counts(ApiModel):
    """Verdicts, counted: one for each action in each namespace, and one for each action in the cluster as a whole."""

    written_when_empty = ("covered", "partial", "gaps", "leaks")

    covered: int = Field(default=0, description="Recorded as needed.")
    partial: int = Field(default=0, description="Recorded as needed for some requests or people only.")
    gaps: int = Field(default=0, description="Recorded below what is needed.")
    leaks: int = Field(default=0, description="Recorded above what is safe.")

    @property
    def total(self) -> int:
        """All that was judged."""
        return self.covered + self.partial + self.gaps + self.leaks

    def of(self, verdict: Verdict) -> int:
        """How many of one kind; those that cannot be audited are never counted."""
        counted = {
            Verdict.COVERED: self.covered,
            Verdict.PARTIAL: self.partial,
            Verdict.GAP: self.gaps,
            Verdict.LEAK: self.leaks,
        }
        return counted.get(verdict, 0)


class ReportedAction(ApiModel):
    """A critical action that was judged."""

    id: str = Field(description="Id in the catalogue.")
    title: str = Field(description="What somebody does.")
    severity: ActionSeverity = Field(description="How much it matters that it is recorded.")


class Group(ApiModel):
    """Namespaces that are alike in every verdict and in every reason for one."""

    cluster: bool = Field(
        default=False,
        description="The cluster as a whole: requests without a namespace, and a namespace that no rule names. It has "
        "no namespaces.",
    )
    namespaces: tuple[str, ...] = Field(default=(), description="Their names, in order.")
    verdicts: dict[str, Verdict] = Field(description="By action; those that do not concern a namespace are absent.")

    @property
    def size(self) -> int:
        """How many places it stands for."""
        return 1 if self.cluster else len(self.namespaces)


class ReportedFinding(ApiModel):
    """An action that is not covered, and where."""

    action: str = Field(description="Id in the catalogue.")
    verdict: Verdict = Field(description="Partial, Gap or Leak.")
    level: Level = Field(description="The level found: the lowest for a gap, the highest for a leak.")
    wanted: Level = Field(description="The level that is needed, or for a leak the highest that is safe.")
    reason: str = Field(description="Why, with an example of a request.")
    rule: str = Field(default="", description="Level and fields of the rule that decided; absent: none matched.")
    mend: str = Field(
        default="",
        description="Rules in YAML that close it, put first in a policy of the namespace, or of the cluster where that "
        "was judged. Absent: no rule does, or the policy is not ours.",
    )
    groups: tuple[int, ...] = Field(description="Indexes of the groups that it concerns.")


class ReportedBlindSpot(ApiModel):
    """What no audit policy can record."""

    id: str = Field(description="Id in the catalogue.")
    title: str = Field(description="What cannot be seen.")
    mitigate: str = Field(default="", description="What sees it instead.")


class ReportedRemark(ApiModel):
    """What is to be known about the objects that the report was made from."""

    id: str = Field(description="Documented name of the check.")
    severity: Severity = Field(description="Info, Warning or Error.")
    object: str = Field(default="", description="The object concerned.")
    message: str = Field(description="What was found.")
    mend: str = Field(default="", description="What to do about it.")


class ReportedEvidence(ApiModel):
    """One line of what a verdict on a control rests on."""

    standing: Standing = Field(description="Holds, Fails, NotObserved or NotApplicable.")
    said: str = Field(description="The observation in a sentence.")
    source: str = Field(default="", description="An action of the catalogue, or a line of an object's status.")
    seen: str = Field(default="", description="When it was observed, or since when it is so. Absent: not known.")
    proof: LiveProof | None = Field(
        default=None,
        description="What live probes have shown: Verified, Contradicted, Missing or Claimed. Absent: it is about no "
        "action.",
    )


class ReportedControl(ApiModel):
    """A control of a framework, the verdict on it, and what that rests on."""

    framework: Framework = Field(description="The framework.")
    id: str = Field(description="Its id there.")
    title: str = Field(description="What it asks for, in our words.")
    verdict: Outcome = Field(description="Pass, Fail, NotApplicable or CannotBeJudged.")
    reason: str = Field(description="Why.")
    beyond: str = Field(default="", description="What it asks for besides, which no verdict is about.")
    read_in: str = Field(default="", description="Where its words were read. Absent: it is unverified.")
    proof: LiveProof | None = Field(default=None, description="The worst of its actions. Absent: it rests on none.")
    evidence: tuple[ReportedEvidence, ...] = Field(default=(), description="What it rests on, what fails it first.")
    left_out: int = Field(default=0, description="Lines of evidence that are not listed.")


class ReportedRetention(ApiModel):
    """What one sink keeps of a policy's records."""

    status: SinkRetention = Field(description="As it stands in the policy's status.")
    minimum_hours: int | None = Field(default=None, description="Hours that records must be kept. Absent: no duty.")
    maximum_hours: int | None = Field(default=None, description="Hours after which they must be gone. Absent: never.")
    oldest_hours: int | None = Field(
        default=None, description="Age of the oldest record found, when the report was made. Absent: not known."
    )


class ReportedPolicy(ApiModel):
    """A policy, and what its status says."""

    kind: str = Field(description="AuditPolicy or ClusterAuditPolicy.")
    namespace: str = Field(default="", description="Absent for a ClusterAuditPolicy.")
    name: str = Field(description="Name.")
    observed: bool = Field(
        default=False, description="Whether there is a status. Without one nothing below is known, good or bad."
    )
    outdated: bool = Field(default=False, description="Whether the status speaks about an earlier spec.")
    conditions: tuple[Condition, ...] = Field(default=(), description="Conditions.")
    judged: int | None = Field(default=None, description="Actions that the operator has judged for it.")
    verified: int | None = Field(default=None, description="Of these, verdicts that a live probe has confirmed.")
    proof: Proof | None = Field(default=None, description="What live probes have shown besides. Absent: none is sent.")
    shipping: tuple[SinkShipping, ...] = Field(default=(), description="How records reach each sink.")
    retention: tuple[ReportedRetention, ...] = Field(default=(), description="How long each sink keeps them.")
    compliance: tuple[FrameworkResult, ...] = Field(default=(), description="Results per framework.")
    controls: tuple[ReportedControl, ...] = Field(
        default=(),
        description="The controls of these frameworks, judged by the same statuses when the report was made. Of many "
        "policies, those that failed alone.",
    )
    controls_left_out: int = Field(
        default=0,
        description="Controls of these frameworks that are not listed: of many policies, those that did not fail, and "
        "of very many, those that failed as well.",
    )
    metrics: Metrics | None = Field(default=None, description="The three numbers of an audit-log lead.")

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Measure(StrEnum):
    """What is compared besides verdicts."""

    PROVED = "Proved"
    COMPLIANCE = "Compliance"
    ERROR_RATE = "ErrorRate"
    DETECTION = "Detection"
    LAG = "Lag"
    LOST = "Lost"
    RETENTION = "Retention"


class FigureChange(ApiModel):
    """A number or state of a policy that is another than before."""

    policy: str = Field(default="", description="Kind and name. Absent: all policies that both reports have.")
    measure: Measure = Field(
        description="Proved: verdicts that live probes have confirmed. Compliance: passing rate. ErrorRate: logging "
        "error rate. Detection: mean time to detect. Lag, Lost, Retention: of one sink."
    )
    sink: str = Field(
        default="",
        description="Name of the sink, with its kind where there are several of a name. Absent: it is about none.",
    )
    before: str = Field(default="", description="Absent: it was not known.")
    after: str = Field(default="", description="Absent: it is no longer known.")
    worse: bool | None = Field(default=None, description="Absent: one of the two is not known.")


class Change(ApiModel):
    """An action that got another verdict, and where."""

    action: str = Field(description="Id in the catalogue.")
    before: Verdict | None = Field(default=None, description="Absent: it was not judged there.")
    after: Verdict | None = Field(default=None, description="Absent: it is no longer judged there.")
    cluster: bool = Field(default=False, description="Whether the cluster as a whole is concerned.")
    namespaces: tuple[str, ...] = Field(default=(), description="The namespaces concerned.")

    @property
    def is_worse(self) -> bool:
        """Whether less can be relied on than before."""
        return badness(self.after) > badness(self.before)


class Trend(ApiModel):
    """What has changed since an earlier report. Places that only one of the two has are named and not compared."""

    since: Timestamp = Field(description="When the earlier report was made.")
    before: Counts = Field(description="Verdicts then, in the places that both have.")
    after: Counts = Field(description="Verdicts now, in the same places.")
    changes: tuple[Change, ...] = Field(default=(), description="Verdicts that differ, those that got worse first.")
    figures: tuple[FigureChange, ...] = Field(
        default=(), description="Numbers and states that differ, of policies that both have; what got worse first."
    )
    added: tuple[str, ...] = Field(default=(), description="Namespaces that the earlier report has not.")
    removed: tuple[str, ...] = Field(default=(), description="Namespaces that this report has not.")


class Report(ApiModel):
    """All of it."""

    written_when_empty = ("groups", "findings", "policies")

    api_version: Literal["report.audit-operator.dev/v1alpha1"] = Field(
        default=API_VERSION, description="Version of this format."
    )
    kind: Literal["AuditReport"] = Field(default=KIND, description="Name of this format.")
    made: Timestamp = Field(description="When the objects were read.")
    by: str = Field(description="Program and version.")
    control_plane: str = Field(description="Name of the AuditControlPlane that was judged.")
    given: bool = Field(
        default=False, description="Whether its audit policy is somebody else's, and taken as given (driver Observe)."
    )
    digest: str = Field(description="SHA-256 of the audit policy that was judged.")
    namespaces: tuple[str, ...] = Field(
        default=(), description="The only namespaces that the report is about. Absent: all, and the cluster as a whole."
    )
    counts: Counts = Field(description="All verdicts, counted.")
    actions: tuple[ReportedAction, ...] = Field(description="What was judged, the most severe first.")
    groups: tuple[Group, ...] = Field(default=(), description="Verdicts by namespace.")
    findings: tuple[ReportedFinding, ...] = Field(default=(), description="What is not covered, worst first.")
    not_auditable: tuple[ReportedBlindSpot, ...] = Field(default=(), description="What no audit policy can record.")
    policies: tuple[ReportedPolicy, ...] = Field(default=(), description="The policies and their status.")
    remarks: tuple[ReportedRemark, ...] = Field(default=(), description="What is wrong with the objects themselves.")
    trend: Trend | None = Field(default=None, description="What has changed since an earlier report.")


_BADNESS = {Verdict.COVERED: 0, Verdict.PARTIAL: 1, Verdict.GAP: 2, Verdict.LEAK: 3}


def badness(verdict: Verdict | None) -> int:
    """0 for covered to 3 for a leak; what is not judged is no worse than what is covered."""
    return 0 if verdict is None else _BADNESS.get(verdict, 0)
