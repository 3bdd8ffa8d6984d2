"""What both kinds of policy say, in the same words."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audit_operator.api.application_logs import ApplicationLogs
from audit_operator.api.compliance import Compliance
from audit_operator.api.constraints import ListType
from audit_operator.api.detection import Detection
from audit_operator.api.model import ApiModel
from audit_operator.api.redaction import Redaction
from audit_operator.api.references import ControlPlaneRef, SinkRef
from audit_operator.api.resource import PrinterColumn, columns, condition_column
from audit_operator.api.retention import Retention
from audit_operator.api.rules import PresetName, StageList

SinkRefs = Annotated[tuple[SinkRef, ...], Field(max_length=16), ListType("map", ("kind", "name"))]

POLICY_COLUMNS = columns(
    PrinterColumn("Coverage", "string", ".status.coverage.score", "Critical actions recorded as needed, of all."),
    PrinterColumn("Gaps", "integer", ".status.coverage.gaps", "Critical actions recorded below what is needed."),
    PrinterColumn("Leaks", "integer", ".status.coverage.leaks", "Critical actions recorded above what is safe."),
    PrinterColumn("Verified", "integer", ".status.coverage.verified", "Verdicts confirmed by live probes."),
    condition_column("Retention", "RetentionEnforced", "reason", "Whether every sink keeps records as asked."),
)


class PolicySpec(ApiModel):
    """Everything but the rules."""

    control_plane_ref: ControlPlaneRef | None = Field(
        default=None, description="The control plane whose API servers record. Absent: the one marked as default."
    )
    preset: PresetName | None = Field(
        default=None,
        description="A rule list that ships with the operator, appended after rules. Metadata: every request, never a "
        "body. Baseline: every critical action at the level it needs, little noise. WriteBodies: Baseline, and the "
        "bodies of all writes but those that carry credentials. Forensic: WriteBodies, the responses to writes, and "
        "nothing left out as noise. In an AuditPolicy, only what it says about requests in a namespace applies.",
    )
    omit_stages: StageList = Field(
        default=(),
        description="Stages at which this policy does not ask for events, in addition to those of each rule. "
        "RequestReceived is the usual one; without ResponseStarted, failed authentications are not recorded.",
    )
    omit_managed_fields: bool = Field(
        default=False,
        description="Whether bodies may be recorded without metadata.managedFields; a rule can say otherwise.",
    )
    sink_refs: SinkRefs = Field(
        default=(),
        description="Where records are shipped to. An AuditPolicy may name the AuditSinks of its namespace and the "
        "ClusterAuditSinks that admit it, a ClusterAuditPolicy ClusterAuditSinks.",
    )
    redaction: Redaction | None = Field(
        default=None,
        description="What is taken out of records before they leave the node. Absent: the profiles Secrets and Tokens.",
    )
    application_logs: ApplicationLogs | None = Field(
        default=None, description="Audit logs that applications write themselves. Absent: none are collected."
    )
    retention: Retention | None = Field(
        default=None, description="How long records are kept. Absent: as each sink does by itself."
    )
    detections: Annotated[tuple[Detection, ...], Field(max_length=8), ListType("map", ("name",))] = Field(
        default=(),
        description="What to look for in records: of an AuditPolicy, in those of its namespace. audit-operator "
        "detections check says whether each can fire with what is recorded, and detections test looks for them in "
        "logs. Alerts are made of them by Prometheus: audit-operator detections rules, or the chart's "
        "detections.prometheusRules.",
    )
    compliance: Compliance | None = Field(default=None, description="Frameworks to report on.")
