"""Status of the two kinds of policy: what is really covered, delivered, shipped and kept.

Lists are bounded and worst first; long detail belongs into reports. No floats and no heartbeats: equal facts are equal
bytes, and equal status is never written again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from audit_operator.api.audit import Level
from audit_operator.api.compliance import Framework
from audit_operator.api.conditions import Conditions
from audit_operator.api.constraints import ATOMIC, ListType
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.model import ApiModel
from audit_operator.api.references import SinkRef
from audit_operator.api.text import Digest, Line, Timestamp, Word

MAX_FINDINGS = 20
MAX_ACTIONS = 500
Count = Annotated[int, Field(ge=0)]


class Verdict(StrEnum):
    """What the audit policy does for one critical action."""

    COVERED = "Covered"
    PARTIAL = "Partial"
    GAP = "Gap"
    LEAK = "Leak"
    NOT_AUDITABLE = "NotAuditable"


class CoverageBasis(StrEnum):
    """Which policy the verdicts were reached on."""

    RUNNING = "Running"
    DESIRED = "Desired"
    GIVEN = "Given"


class ActionFinding(ApiModel):
    """A critical action that is not covered, or covered at a price."""

    action: Word = Field(description="Id of the critical action in the catalogue.")
    verdict: Verdict = Field(
        description="Partial: covered for some requests or people only. Gap: recorded below what is needed. Leak: "
        "recorded above what is safe."
    )
    level: Level = Field(description="The level found: the lowest for a gap, the highest for a leak.")
    wanted: Level = Field(description="The level that is needed (for a gap), or the highest that is safe (for a leak).")
    reason: Line = Field(default="", description="Why, with an example of a request.")
    rule: Word = Field(default="", description="Level and fields of the rule that decided; empty where none matched.")
    suggestion: Line = Field(default="", description="A rule, in YAML on one line, that closes the gap.")


class NotAuditable(ApiModel):
    """Something that no audit policy of an API server can see."""

    id: Word = Field(description="Id in the catalogue.")
    title: Line = Field(default="", description="What it is.")


class ProofOutcome(StrEnum):
    """What live probes have shown of one action; the worst first."""

    CONTRADICTED = "Contradicted"
    MISSING = "Missing"
    FOREIGN = "Foreign"
    UNKNOWN = "Unknown"
    UNPROVED = "Unproved"


class ProofFinding(ApiModel):
    """An action of which live probes have not shown that its verdict is true of this cluster."""

    action: Word = Field(description="Id of the critical action in the catalogue.")
    outcome: ProofOutcome = Field(
        description="Contradicted: a record is not as predicted. Missing: it was not found in time. Foreign: a record "
        "of somebody else has the Audit-ID of a probe. Unknown: the probe, or its record, could not be asked for. "
        "Unproved: no probe would prove it."
    )
    sink: Word = Field(default="", description="The sink that was asked.")
    message: Line = Field(default="", description="The request, and what was predicted and found.")


ActionIds = Annotated[tuple[Word, ...], Field(max_length=MAX_ACTIONS), ATOMIC]


class Proof(ApiModel):
    """What live probes have shown, besides what they have verified."""

    contradicted: Count = Field(default=0, description="Number of actions of which a record is not as predicted.")
    missing: Count = Field(default=0, description="Number of actions of which a record was not found in time.")
    unproved: Count = Field(default=0, description="Number of actions that no probe would prove.")
    oldest: Word = Field(
        default="",
        description="Day, in UTC, on which the oldest probe was sent whose result counts here: 2026-11-28. Absent: "
        "there is no result yet.",
    )
    findings: Annotated[tuple[ProofFinding, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="What is not verified and why, worst first."
    )
    verified_actions: ActionIds = Field(default=(), description="Ids of the actions that are verified.")
    contradicted_actions: ActionIds = Field(default=(), description="Ids of the actions that are contradicted.")
    missing_actions: ActionIds = Field(default=(), description="Ids of the actions of which a record is missing.")


class Coverage(ApiModel):
    """The verdicts on all critical actions of the catalogue, for the requests that this policy is about."""

    score: Word = Field(description="Covered of all that can be audited, for example 36/38.")
    covered: Count = Field(description="Number of actions recorded as needed.")
    partial: Count = Field(description="Number of actions recorded as needed for some requests or people only.")
    gaps: Count = Field(description="Number of actions recorded below what is needed.")
    leaks: Count = Field(description="Number of actions recorded above what is safe.")
    total: Count = Field(description="Number of actions judged.")
    verified: Count = Field(default=0, description="Number of verdicts that a live probe has confirmed.")
    proof: Proof | None = Field(default=None, description="What live probes have shown besides. Absent: none is sent.")
    digest: Digest = Field(
        default="",
        description="Digest of the policy that was judged, where all of it counts: for cluster-wide policies.",
    )
    basis: CoverageBasis = Field(
        description="Running: judged on the policy that every API server runs. Desired: on the one being delivered. "
        "Given: on somebody else's, which is taken as given for API servers that are only observed."
    )
    findings: Annotated[tuple[ActionFinding, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="What is not as it should be, worst first."
    )
    not_auditable: Annotated[tuple[NotAuditable, ...], Field(max_length=50), ATOMIC] = Field(
        default=(), description="What no audit policy can see. Always listed, never counted as covered."
    )


class StatusFinding(ApiModel):
    """Something that a user should know about an object."""

    id: Word = Field(description="Documented name of the check.")
    severity: Severity = Field(description="Info, Warning or Error.")
    message: Line = Field(description="What was found.")
    mend: Line = Field(default="", description="What to do about it.")
    path: Word = Field(default="", description="Path of the field concerned.")

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """The finding, cut to the bounds of status."""
        return cls(
            id=finding.id,
            severity=finding.severity,
            message=finding.message[:1024],
            mend=finding.mend[:1024],
            path=finding.path[:256],
        )


class CanFire(StrEnum):
    """Whether a detection can fire with what is recorded; the best first."""

    YES = "Yes"
    IN_PART = "InPart"
    NO = "No"
    NEVER = "Never"
    NOT_JUDGED = "NotJudged"


class DetectionStatus(ApiModel):
    """What is known of a detection."""

    name: Word = Field(description="Its name in spec.detections.")
    can_fire: CanFire = Field(
        description="Whether events that fire it are recorded. InPart: of some of the requests that it is about. No: "
        "level, or stages, are not enough. Never: with no policy. NotJudged: it is not known. Where it is not Yes, "
        "composition.findings says why, and what mends it."
    )


class Composition(ApiModel):
    """What composing this policy with the others led to."""

    findings: Annotated[tuple[StatusFinding, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="Where more is recorded than this policy asks for, or less because of a limit."
    )


class PolicyApiServer(ApiModel):
    """What one API server runs of this policy."""

    name: Word = Field(description="Name of the API server, as in the AuditControlPlane's status.")
    programmed: bool = Field(
        description="Whether it is ready, and treats the requests that this object is about as all policies ask."
    )


class ShippingState(StrEnum):
    """How events reach a sink."""

    DELIVERING = "Delivering"
    LAGGING = "Lagging"
    FAILING = "Failing"
    UNKNOWN = "Unknown"


class DeliveryLatency(ApiModel):
    """How long live probes took from the answer of the API server until all their records were found in a sink.

    Of those of the last 24 hours, of all policies together; in steps of 1s, 2s, 5s, 10s, 20s, 30s, 60s, 120s, 300s,
    600s and 3600s, rounded up; `missing` where records of so many were not found in time.
    """

    p50: Word = Field(description="Half of them took no longer.")
    p95: Word = Field(description="95 of 100 took no longer.")
    p99: Word = Field(description="99 of 100 took no longer.")


class SinkShipping(ApiModel):
    """How the events of this policy reach one sink."""

    sink: SinkRef = Field(description="The sink.")
    state: ShippingState = Field(description="Delivering, Lagging, Failing or Unknown.")
    lag: Word = Field(
        default="",
        description="At least so long records for this sink, or events that a shipper has not read yet, have waited: "
        "1m, 5m, 15m, 1h, 6h or 24h. Absent: for less than a minute, or not known.",
    )
    lost: Count | None = Field(
        default=None,
        description="At least so many records for this sink, of all policies together, were given up since its "
        "shippers began to count, in steps of 1, 2, 5, 10, 20, 50 and so on. Absent: none is known.",
    )
    cut: Count | None = Field(
        default=None,
        description="So many records, of all policies together, were larger than this sink takes, and are there "
        "without bodies or without their end, in steps of 1, 2, 5, 10, 20, 50 and so on. One that is read again, since "
        "a queue was full or after a kill, counts again. Absent: none is known.",
    )
    latency: DeliveryLatency | None = Field(
        default=None,
        description="How long live probes took to this sink in the last 24 hours. Absent: none was sent.",
    )
    quarantined: Count | None = Field(
        default=None,
        description="At least so many lines about the policy's namespace, or a whole cluster, could not be read as "
        "events, or not as a whole, since shippers began to count, in steps as above. Absent: none is known.",
    )
    message: Line = Field(default="", description="Why, and what mends it.")


class MissingSidecars(ApiModel):
    """Pods without the sidecar as it should be, all for one reason."""

    reason: Word = Field(description="Why: one of a few words, which docs/design/injection.md explains.")
    pods: Count = Field(description="How many.")
    example: Word = Field(default="", description="Name of one of them.")
    message: Line = Field(default="", description="The reason in a sentence.")
    mend: Line = Field(default="", description="What to do about it.")


class QuarantinedSource(ApiModel):
    """Log files with lines that break the standard."""

    source: Line = Field(description="The entry of spec.applicationLogs.files: volume/path.")
    lines: Count = Field(
        description="At least so many lines since the operator began to ask, in steps of 1, 2, 5, 10, 20, 50 and so on."
    )


class Sidecars(ApiModel):
    """Pods that should carry the collecting sidecar."""

    expected: Count = Field(default=0, description="Pods that should carry it.")
    injected: Count = Field(default=0, description="Pods that carry it with the present configuration.")
    stale: Count = Field(default=0, description="Pods that carry an older one.")
    missing: Count = Field(default=0, description="Pods that do not carry it.")
    answering: Count | None = Field(
        default=None,
        description="Pods whose sidecar has told the operator lately what it has counted. Absent: none was asked.",
    )
    quarantined: Annotated[tuple[QuarantinedSource, ...], Field(max_length=16), ATOMIC] = Field(
        default=(), description="Log files with lines that break the standard, as the sidecars say, the most first."
    )
    reasons: Annotated[tuple[MissingSidecars, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="Why pods are stale or do not carry it, the most frequent first."
    )
    findings: Annotated[tuple[StatusFinding, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="What is not collected as the policy asks, whatever the pods."
    )


class RetentionState(StrEnum):
    """Whether a sink keeps what it must, as the sink itself says."""

    ENFORCED = "Enforced"
    PENDING = "Pending"
    PARTIAL = "Partial"
    UNSUPPORTED = "Unsupported"
    DRIFTED = "Drifted"
    CONFLICT = "Conflict"


class SinkRetention(ApiModel):
    """What was asked of one sink, and what it does."""

    sink: SinkRef = Field(description="The sink.")
    retention_class: Word = Field(
        default="", alias="class", description="Class of equal demands that these records are kept under."
    )
    desired: Word = Field(description="What the policies together ask for.")
    effective: Word = Field(default="", description="What the sink says it does.")
    searchable: Word = Field(
        default="", description="How long records can be searched there at once, where a policy asks for that (hot)."
    )
    state: RetentionState = Field(description="How the two compare.")
    oldest: Timestamp | None = Field(default=None, description="Time of the oldest record found in the sink.")
    last_verified: Timestamp | None = Field(default=None, description="When the sink was last found in this state.")
    reason: Line = Field(default="", description="Why.")


class FrameworkResult(ApiModel):
    """Controls of one framework."""

    framework: Framework = Field(description="The framework.")
    passed: Count = Field(default=0, description="Controls with evidence that they hold.")
    failed: Count = Field(default=0, description="Controls with evidence that they do not.")
    not_applicable: Count = Field(default=0, description="Controls that are about nothing here.")
    not_judged: Count = Field(
        default=0, description="Controls that a tool cannot judge, or whose evidence was not observed."
    )
    failing: Annotated[tuple[Word, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="Ids of controls that failed; `audit-operator compliance` says why."
    )


class Metrics(ApiModel):
    """The three numbers that an audit-log lead answers for."""

    logging_error_rate: Word = Field(
        default="",
        description="Part that is lost or wrong, of the sink where it is largest: of the last live probes, and of the "
        "records that shippers have sent or given up in the last 24 hours, for all policies together. Both parts are "
        "added, and rounded up to 0.001%, 0.002%, 0.005%, 0.01% and so on; 0% is none at all. Absent: neither was "
        "observed.",
    )
    mean_time_to_detect: Word = Field(
        default="",
        description="From a probe that a detection of this policy is about until its counter was seen to rise, the "
        "mean of its detections and of the last 24 hours, rounded up to 1s, 2s, 5s, 10s and so on; `missing` where the "
        "last one was not counted in time. Absent: none was measured.",
    )
    unmeasured_detections: Annotated[tuple[Word, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(),
        description="Detections that no refused request is about, so that nobody knows how long they take: they need a "
        "body, a success, an address, or somebody else.",
    )
    compliance_passing_rate: Word = Field(
        default="", description="Controls passed, of those that passed or failed: 87%. Absent: none did either."
    )


class AuditPolicyStatus(ApiModel):
    """What is true about the policy now. Written by the operator alone."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks about."
    )
    conditions: Conditions = Field(
        default=(),
        description="Accepted, ResolvedRefs, Programmed, Shipping, RetentionEnforced and Ready; Reconciling and "
        "Stalled only while true.",
    )
    coverage: Coverage | None = Field(default=None, description="Verdicts on the critical actions.")
    composition: Composition | None = Field(default=None, description="What composing with other policies led to.")
    api_servers: Annotated[tuple[PolicyApiServer, ...], Field(max_length=64), ListType("map", ("name",))] = Field(
        default=(), description="What each API server runs of this policy."
    )
    shipping: Annotated[tuple[SinkShipping, ...], Field(max_length=16), ATOMIC] = Field(
        default=(), description="How events reach each sink."
    )
    sidecars: Sidecars | None = Field(default=None, description="Pods with the sidecar for application logs.")
    retention: Annotated[tuple[SinkRetention, ...], Field(max_length=16), ATOMIC] = Field(
        default=(), description="Whether each sink keeps records as asked."
    )
    compliance: Annotated[tuple[FrameworkResult, ...], Field(max_length=8), ListType("map", ("framework",))] = Field(
        default=(), description="Results per framework."
    )
    detections: Annotated[tuple[DetectionStatus, ...], Field(max_length=8), ListType("map", ("name",))] = Field(
        default=(), description="Whether each of spec.detections can fire."
    )
    metrics: Metrics | None = Field(default=None, description="Logging error rate, time to detect, passing rate.")
