"""AuditSink and ClusterAuditSink: one store that records are shipped to.

The two differ in whose Secrets they may name and in who may use them; a tenant's sink can read no Secret but its own
namespace's, and cannot write to a node's disk.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from audit_operator.api.conditions import Conditions
from audit_operator.api.constraints import Constraint, Pattern
from audit_operator.api.model import ApiModel
from audit_operator.api.policy_status import Count
from audit_operator.api.resource import KindInfo, PrinterColumn, Resource, columns, condition_column
from audit_operator.api.selector import LabelSelector
from audit_operator.api.sink_retention import RetentionOfSink
from audit_operator.api.sink_seals import Seals, SealsOfSink
from audit_operator.api.text import NamespaceName, ObjectName, Url


class SinkType(StrEnum):
    """Stores that can be shipped to."""

    VICTORIA_LOGS = "VictoriaLogs"
    LOKI = "Loki"
    S3 = "S3"
    OTLP = "OTLP"
    OPEN_SEARCH = "OpenSearch"
    ELASTICSEARCH = "Elasticsearch"
    FILE = "File"


class CredentialType(StrEnum):
    """How the shipper proves to a store who it is."""

    BASIC = "Basic"
    BEARER = "Bearer"
    ACCESS_KEY = "AccessKey"


class ObjectLockMode(StrEnum):
    """How firmly a store refuses deletion."""

    GOVERNANCE = "Governance"
    COMPLIANCE = "Compliance"


class Guarantee(StrEnum):
    """What happens to records while a store is away."""

    AT_LEAST_ONCE = "AtLeastOnce"
    BEST_EFFORT = "BestEffort"


class RetentionEnforcement(StrEnum):
    """What is done about a store that does not keep records as asked."""

    ENFORCE = "Enforce"
    REPORT = "Report"


class OtlpProtocol(StrEnum):
    """Transport of OTLP."""

    HTTP = "HTTP"
    GRPC = "GRPC"


TenantId = Annotated[str, Field(min_length=1, max_length=128, pattern="^[A-Za-z0-9_.-]+$")]
IndexName = Annotated[str, Field(min_length=1, max_length=128, pattern="^[a-z0-9][a-z0-9_.-]*$")]
Uint32 = Annotated[int, Field(ge=0, le=4294967295)]


class VictoriaLogs(ApiModel):
    """A VictoriaLogs instance or cluster."""

    url: Url = Field(description="Base address, for example http://victoria-logs.audit-system:9428.")
    account_id: Uint32 = Field(default=0, alias="accountID", description="Account part of the tenant.")
    project_id: Uint32 = Field(default=0, alias="projectID", description="Project part of the tenant.")


class Loki(ApiModel):
    """A Loki instance or cluster."""

    url: Url = Field(description="Base address, for example http://loki-gateway.loki:80.")
    tenant: TenantId | None = Field(default=None, description="Tenant (X-Scope-OrgID). Absent: a single-tenant Loki.")


class ObjectLock(ApiModel):
    """Immutability of objects in a bucket."""

    mode: ObjectLockMode = Field(
        description="Governance: deletion needs a special permission. Compliance: nobody can delete before the time is "
        "over, and it cannot be shortened."
    )


class S3(ApiModel):
    """A bucket in S3 or a store that speaks its protocol."""

    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern="^[a-z0-9][a-z0-9.-]*[a-z0-9]$")] = Field(
        description="Name of the bucket."
    )
    prefix: Annotated[
        str,
        Field(max_length=256),
        Pattern("^([A-Za-z0-9_.-]+/)*$", "must be empty or end in '/', and not begin with it"),
    ] = Field(default="", description="Prefix of every object's key, ending in '/'.")
    region: Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-z0-9-]+$")] = Field(
        default="us-east-1", description="Region of the bucket."
    )
    endpoint: Url | None = Field(default=None, description="Address of the store. Absent: Amazon's for the region.")
    path_style: bool = Field(
        default=False, description="Whether the bucket is named in the path rather than in the host name."
    )
    object_lock: ObjectLock | None = Field(
        default=None, description="Lock mode for policies whose retention is immutable; the bucket must allow it."
    )


class Otlp(ApiModel):
    """Anything that takes OpenTelemetry logs. What it keeps, and for how long, cannot be verified."""

    endpoint: Url = Field(description="Address of the receiver. With GRPC: with a port, commonly 4317, and no path.")
    protocol: OtlpProtocol = Field(default=OtlpProtocol.HTTP, description="HTTP or GRPC.")


class SearchIndex(ApiModel):
    """An OpenSearch or Elasticsearch cluster."""

    url: Url = Field(description="Base address.")
    index: IndexName = Field(default="audit", description="Index or data stream; each retention class adds a suffix.")


class File(ApiModel):
    """Files in a persistent volume: one for each namespace and day."""

    claim_name: ObjectName = Field(description="PersistentVolumeClaim in the shipper's namespace.")


class SecretRef(ApiModel):
    """A Secret in the sink's own namespace."""

    name: ObjectName = Field(description="Name of the Secret.")


class ClusterSecretRef(ApiModel):
    """A Secret in a named namespace."""

    namespace: NamespaceName = Field(description="Namespace of the Secret.")
    name: ObjectName = Field(description="Name of the Secret.")


_CREDENTIAL_TYPE = (
    "What the Secret holds. Basic: username and password. Bearer: token. AccessKey: accessKeyID and secretAccessKey."
)
_CREDENTIALS = "How the shipper proves to the store who it is. Absent: it does not."
_TLS = "TLS settings. Absent: the system's certificate authorities, no client certificate."
_SERVER_NAME = "Name that the store's certificate must carry. Absent: the host of its address."


class Credentials(ApiModel):
    """Credentials from a Secret; never in clear in the object."""

    type: CredentialType = Field(description=_CREDENTIAL_TYPE)
    secret_ref: SecretRef = Field(
        description="The Secret, in the sink's namespace. Its annotation audit-operator.dev/sink-address must have the "
        "address of the store: scheme, host and port."
    )


class ClusterCredentials(ApiModel):
    """Credentials from a Secret; never in clear in the object."""

    type: CredentialType = Field(description=_CREDENTIAL_TYPE)
    secret_ref: ClusterSecretRef = Field(description="The Secret.")


class Tls(ApiModel):
    """How the store is recognised, and the shipper by it. Verification cannot be switched off."""

    ca_secret_ref: SecretRef | None = Field(
        default=None, description="Secret with the certificate authority under ca.crt, in the sink's namespace."
    )
    client_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret of type kubernetes.io/tls with the client certificate, in the sink's namespace.",
    )
    server_name: ObjectName | None = Field(default=None, description=_SERVER_NAME)


class ClusterTls(ApiModel):
    """How the store is recognised, and the shipper by it. Verification cannot be switched off."""

    ca_secret_ref: ClusterSecretRef | None = Field(
        default=None, description="Secret with the certificate authority under ca.crt."
    )
    client_secret_ref: ClusterSecretRef | None = Field(
        default=None, description="Secret of type kubernetes.io/tls with the client certificate."
    )
    server_name: ObjectName | None = Field(default=None, description=_SERVER_NAME)


class Delivery(ApiModel):
    """What happens to records on their way."""

    guarantee: Guarantee = Field(
        default=Guarantee.AT_LEAST_ONCE,
        description="AtLeastOnce: records wait on disk until the store has them; some may arrive twice. When their "
        "share of it is full, a ClusterAuditSink makes everything wait; records for an AuditSink are given up, and "
        "counted. BestEffort: they wait in memory and are given up, and counted, when it is full.",
    )


_FIELDS = {
    SinkType.VICTORIA_LOGS: ("victoriaLogs", "victoria_logs"),
    SinkType.LOKI: ("loki", "loki"),
    SinkType.S3: ("s3", "s3"),
    SinkType.OTLP: ("otlp", "otlp"),
    SinkType.OPEN_SEARCH: ("openSearch", "open_search"),
    SinkType.ELASTICSEARCH: ("elasticsearch", "elasticsearch"),
    SinkType.FILE: ("file", "file"),
}


def _section_of(kind: SinkType) -> Constraint:
    field, name = _FIELDS[kind]
    return Constraint(
        rule=f"(self.type == '{kind}') == has(self.{field})",
        message=f"must be set for type {kind}, and for no other",
        holds=lambda self: (self.type == kind) == (getattr(self, name) is not None),
        field=field,
    )


_RETENTION = (
    "What is done where the store does not keep records as policies ask. Enforce: its settings are changed. Report: "
    "status says so, and nothing is changed."
)


class AuditSinkSpec(ApiModel):
    """One store for the records of this namespace."""

    type: SinkType = Field(
        description="What the store is. The section of that name must be set. File is cluster-wide only."
    )
    victoria_logs: VictoriaLogs | None = Field(default=None, description="Type VictoriaLogs.")
    loki: Loki | None = Field(default=None, description="Type Loki.")
    s3: S3 | None = Field(default=None, description="Type S3.")
    otlp: Otlp | None = Field(default=None, description="Type OTLP.")
    open_search: SearchIndex | None = Field(default=None, description="Type OpenSearch.")
    elasticsearch: SearchIndex | None = Field(default=None, description="Type Elasticsearch.")
    credentials: Credentials | None = Field(default=None, description=_CREDENTIALS)
    tls: Tls | None = Field(default=None, description=_TLS)
    delivery: Delivery | None = Field(default=None, description="What happens to records on their way.")
    retention_enforcement: RetentionEnforcement = Field(default=RetentionEnforcement.ENFORCE, description=_RETENTION)

    constraints = (
        *(_section_of(kind) for kind in SinkType if kind is not SinkType.FILE),
        Constraint(
            rule="self.type != 'File'",
            message="cannot be File in an AuditSink: files are written for the whole cluster, use a ClusterAuditSink",
            holds=lambda self: self.type != SinkType.FILE,
            field="type",
        ),
    )


class ClusterAuditSinkSpec(ApiModel):
    """One store that policies of several namespaces may ship to."""

    type: SinkType = Field(description="What the store is. The section of that name must be set.")
    victoria_logs: VictoriaLogs | None = Field(default=None, description="Type VictoriaLogs.")
    loki: Loki | None = Field(default=None, description="Type Loki.")
    s3: S3 | None = Field(default=None, description="Type S3.")
    otlp: Otlp | None = Field(default=None, description="Type OTLP.")
    open_search: SearchIndex | None = Field(default=None, description="Type OpenSearch.")
    elasticsearch: SearchIndex | None = Field(default=None, description="Type Elasticsearch.")
    file: File | None = Field(default=None, description="Type File.")
    credentials: ClusterCredentials | None = Field(default=None, description=_CREDENTIALS)
    tls: ClusterTls | None = Field(default=None, description=_TLS)
    delivery: Delivery | None = Field(default=None, description="What happens to records on their way.")
    retention_enforcement: RetentionEnforcement = Field(default=RetentionEnforcement.ENFORCE, description=_RETENTION)
    allowed_namespaces: LabelSelector | None = Field(
        default=None,
        description="Namespaces whose AuditPolicies may ship here. Absent or empty: every namespace. "
        "ClusterAuditPolicies always may.",
    )
    seals: Seals | None = Field(
        default=None,
        description="Seals that audit-operator seal makes of the store. Absent: nobody looks whether any are made.",
    )

    constraints = tuple(_section_of(kind) for kind in SinkType)


class AuditSinkStatus(ApiModel):
    """What is true about the sink now. Written by the operator alone."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks about."
    )
    conditions: Conditions = Field(
        default=(), description="Accepted, ResolvedRefs, Shipping, RetentionEnforced, Sealed and Ready."
    )
    policies: Count | None = Field(default=None, description="Number of policies that ship here.")
    retention: RetentionOfSink | None = Field(default=None, description="What the store keeps, and for how long.")
    seals: SealsOfSink | None = Field(default=None, description="Seals of what the store has. ClusterAuditSink only.")


_OF_BOTH = (
    PrinterColumn("Type", "string", ".spec.type", "What the store is."),
    PrinterColumn("Policies", "integer", ".status.policies", "Policies that ship here."),
    condition_column("Retention", "RetentionEnforced", "reason", "Whether it keeps records as policies ask."),
)


class AuditSink(Resource):
    """AuditSink is one store that policies of its namespace can ship records to."""

    info: ClassVar[KindInfo] = KindInfo(
        plural="auditsinks", singular="auditsink", short_name="asink", namespaced=True, columns=columns(*_OF_BOTH)
    )

    kind: Literal["AuditSink"] = Field(default="AuditSink", description="AuditSink.")
    spec: AuditSinkSpec = Field(description="What is wanted.")
    status: AuditSinkStatus | None = Field(default=None, description="What is true.")


_SEALED = condition_column("Sealed", "Sealed", "reason", "Whether what it has is sealed, and is as it was sealed.")


class ClusterAuditSink(Resource):
    """ClusterAuditSink is one store that policies of many namespaces can ship records to."""

    info: ClassVar[KindInfo] = KindInfo(
        plural="clusterauditsinks",
        singular="clusterauditsink",
        short_name="casink",
        namespaced=False,
        columns=columns(*_OF_BOTH, _SEALED),
    )

    kind: Literal["ClusterAuditSink"] = Field(default="ClusterAuditSink", description="ClusterAuditSink.")
    spec: ClusterAuditSinkSpec = Field(description="What is wanted.")
    status: AuditSinkStatus | None = Field(default=None, description="What is true.")
