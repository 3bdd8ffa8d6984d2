"""AuditPolicy: what must be recorded in one namespace, where it goes and how long it is kept."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from audit_operator.api.application_logs import ApplicationLogs
from audit_operator.api.compliance import Compliance
from audit_operator.api.constraints import Constraint, ListType
from audit_operator.api.model import ApiModel
from audit_operator.api.policy_status import AuditPolicyStatus
from audit_operator.api.redaction import Redaction
from audit_operator.api.references import ControlPlaneRef, SinkRef
from audit_operator.api.resource import KindInfo, PrinterColumn, Resource, columns, condition_column
from audit_operator.api.retention import Retention
from audit_operator.api.rules import NamespacedRuleList, PresetName, StageList

SinkRefs = Annotated[tuple[SinkRef, ...], Field(max_length=16), ListType("map", ("kind", "name"))]

PRESET = (
    "A rule list that ships with the operator, appended after rules. Metadata: every request, never a body. Baseline: "
    "every critical action at the level it needs, little noise. WriteBodies: Baseline, and the bodies of all writes "
    "but those that carry credentials. Forensic: WriteBodies, and the responses to writes."
)
CONTROL_PLANE = "The control plane whose API servers record. Absent: the one marked as default."
OMIT_STAGES = (
    "Stages at which this policy does not ask for events, in addition to those of each rule. RequestReceived is the "
    "usual one; without ResponseStarted, failed authentications are not recorded."
)
OMIT_MANAGED_FIELDS = "Whether bodies may be recorded without metadata.managedFields; a rule can say otherwise."
REDACTION = "What is taken out of records before they leave the node. Absent: the profiles Secrets and Tokens."
APPLICATION_LOGS = "Audit logs that applications write themselves. Absent: none are collected."
RETENTION = "How long records are kept. Absent: as each sink does by itself."
COMPLIANCE = "Frameworks to report on."

COLUMNS = columns(
    PrinterColumn("Coverage", "string", ".status.coverage.score", "Critical actions recorded as needed, of all."),
    PrinterColumn("Gaps", "integer", ".status.coverage.gaps", "Critical actions recorded below what is needed."),
    PrinterColumn("Leaks", "integer", ".status.coverage.leaks", "Critical actions recorded above what is safe."),
    PrinterColumn("Verified", "integer", ".status.coverage.verified", "Verdicts confirmed by live probes."),
    condition_column("Retention", "RetentionEnforced", "reason", "Whether every sink keeps records as asked."),
)


class AuditPolicySpec(ApiModel):
    """What must be recorded in this namespace. It adds to what other policies record and can take nothing away."""

    control_plane_ref: ControlPlaneRef | None = Field(default=None, description=CONTROL_PLANE)
    preset: PresetName | None = Field(
        default=None, description=f"{PRESET} Only what a preset says about requests in a namespace applies here."
    )
    rules: NamespacedRuleList = Field(
        default=(),
        description="Which requests in this namespace are recorded, and how much of them. The first rule that matches "
        "decides; what no rule of rules and preset matches, this policy does not ask for.",
    )
    omit_stages: StageList = Field(default=(), description=OMIT_STAGES)
    omit_managed_fields: bool = Field(default=False, description=OMIT_MANAGED_FIELDS)
    sink_refs: SinkRefs = Field(default=(), description="Where the records of this namespace are shipped to.")
    redaction: Redaction | None = Field(default=None, description=REDACTION)
    application_logs: ApplicationLogs | None = Field(default=None, description=APPLICATION_LOGS)
    retention: Retention | None = Field(default=None, description=RETENTION)
    compliance: Compliance | None = Field(default=None, description=COMPLIANCE)

    constraints = (
        Constraint(
            rule="(has(self.rules) && size(self.rules) > 0) || has(self.preset)",
            message="needs rules or a preset: without either it would record nothing",
            holds=lambda self: bool(self.rules) or self.preset is not None,
        ),
    )


class AuditPolicy(Resource):
    """AuditPolicy says what must be recorded in its namespace, where the records go, and how long they are kept.

    Status says what is really covered. Whoever may create one can read whatever it records.
    """

    info: ClassVar[KindInfo] = KindInfo("auditpolicies", "auditpolicy", "aup", True, COLUMNS)

    kind: Literal["AuditPolicy"] = Field(default="AuditPolicy", description="AuditPolicy.")
    spec: AuditPolicySpec = Field(description="What is wanted.")
    status: AuditPolicyStatus | None = Field(default=None, description="What is true.")
