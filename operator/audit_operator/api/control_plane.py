"""AuditControlPlane: which API servers record, how a policy reaches them, and what each of them runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from audit_operator.api.conditions import Conditions
from audit_operator.api.constraints import ATOMIC, SET, Constraint, ListType, Pattern
from audit_operator.api.model import ApiModel
from audit_operator.api.observations import ApiServerState
from audit_operator.api.permissions import Permissions, PermissionsSpec
from audit_operator.api.policy_status import MAX_FINDINGS, Count, StatusFinding
from audit_operator.api.references import ConfigMapKeyRef, ConfigMapRef
from audit_operator.api.resource import KindInfo, PrinterColumn, Resource, columns
from audit_operator.api.selector import Labels
from audit_operator.api.text import Digest, Line, Timeout, Timestamp, Word


class Driver(StrEnum):
    """How a policy reaches API servers."""

    PROCESS = "Process"
    CONFIG_MAP = "ConfigMap"
    STATIC_POD = "StaticPod"
    OBSERVE = "Observe"


class Precision(StrEnum):
    """How closely the API servers' policy follows each namespace."""

    EXACT = "Exact"
    ENVELOPE = "Envelope"


class LogMode(StrEnum):
    """What the API server does while a record is written."""

    BLOCKING = "Blocking"
    BLOCKING_STRICT = "BlockingStrict"
    BATCH = "Batch"


class Provider(StrEnum):
    """Whose API servers are only observed."""

    EKS = "EKS"
    CUSTOM = "Custom"


MinorVersion = Annotated[
    str, Field(max_length=5), Pattern(r"^1\.[1-9][0-9]{0,2}$", "must be a minor version in quotes, such as '1.34'")
]


class StaticPod(ApiModel):
    """Control-plane nodes whose kubelet runs the API server from a manifest, as kubeadm sets them up."""

    node_selector: Labels = Field(
        default={"node-role.kubernetes.io/control-plane": ""},
        description="Labels of the nodes whose API server is configured.",
    )
    manifest: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9][a-z0-9.-]*\.yaml$")] = Field(
        default="kube-apiserver.yaml", description="File name of the API server's manifest in the kubelet's folder."
    )
    enrolled: bool = Field(
        default=True,
        description="Whether the manifests carry our audit flags. False puts back what was there before enrolment; "
        "`audit-operator rollout unenrol` sets it.",
    )

    constraints = (
        Constraint(
            rule="size(self.nodeSelector) > 0",
            message="must name a label: an empty selector would take in every node",
            holds=lambda self: bool(self.node_selector),
            field="nodeSelector",
        ),
    )


class Observe(ApiModel):
    """API servers whose audit policy is somebody else's; it is taken as given, and nothing is changed."""

    provider: Provider = Field(
        description="EKS: the policy that the provider has published. Custom: the one that policyRef names."
    )
    policy_ref: ConfigMapKeyRef | None = Field(
        default=None,
        description="The audit.k8s.io/v1 Policy that those API servers run, for provider Custom. The ConfigMap must "
        "have the label audit-operator.dev/input.",
    )

    constraints = (
        Constraint(
            rule="(self.provider == 'Custom') == has(self.policyRef)",
            message="must be set for provider Custom, and for no other",
            holds=lambda self: (self.provider == "Custom") == (self.policy_ref is not None),
            field="policyRef",
        ),
    )


class LogTruncation(ApiModel):
    """What the API server does with records that are too large to write."""

    enabled: bool = Field(
        default=True,
        description="Whether bodies are cut from records that exceed maxEventSize; such a record says that it was cut. "
        "Without it, a record may exceed what shippers and stores take, and be lost there.",
    )
    max_event_size: Annotated[int, Field(ge=1024, le=16777216)] = Field(
        default=102400, description="Largest record in bytes."
    )
    max_batch_size: Annotated[int, Field(ge=1024, le=67108864)] = Field(
        default=10485760, description="Largest batch of records in bytes."
    )

    constraints = (
        Constraint(
            rule="self.maxEventSize <= self.maxBatchSize",
            message="must not exceed maxBatchSize: a record that fits into no batch is dropped",
            holds=lambda self: self.max_event_size <= self.max_batch_size,
            field="maxEventSize",
        ),
    )


# No segment begins with a dot, so that no path leads out of /var/log: the file is written by root.
LogPath = Annotated[
    str,
    Field(max_length=256),
    Pattern(r"^/var/log(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){1,8}$", "must be a file below /var/log, by its plain path"),
]


class Log(ApiModel):
    """The audit log files of the API servers. The defaults are those of the CIS Kubernetes Benchmark."""

    path: LogPath | None = Field(
        default=None,
        description="Log file, below /var/log. Absent: /var/log/kubernetes/audit/audit.log. Driver Process writes "
        "where the operator's settings say.",
    )
    max_age: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=30, description="Days that rotated files are kept (--audit-log-maxage); CIS asks for at least 30."
    )
    max_backup: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="Rotated files that are kept (--audit-log-maxbackup); CIS asks for at least 10."
    )
    max_size: Annotated[int, Field(ge=1, le=10240)] = Field(
        default=100,
        description="Megabytes at which a file is rotated (--audit-log-maxsize); CIS asks for at least 100.",
    )
    mode: LogMode = Field(
        default=LogMode.BLOCKING,
        description="Blocking: a request waits until its record is written; write errors do not fail it. "
        "BlockingStrict: a request fails if its RequestReceived record cannot be written. Batch: records wait in "
        "memory and are lost with the process.",
    )
    truncate: LogTruncation = Field(default_factory=LogTruncation, description="What happens to very large records.")


class Rollout(ApiModel):
    """How a new policy is brought to several API servers: one after the other, stopping at the first that fails."""

    paused: bool = Field(default=False, description="Whether API servers are left as they are until this is false.")
    ready_timeout: Timeout = Field(
        default="3m", description="How long an API server may take to become ready before it gets its last good policy."
    )
    pinned_digest: Digest = Field(
        default="",
        description="Driver StaticPod: digest of an earlier policy that API servers are to run, whatever the policies "
        "ask for now; `audit-operator rollout rollback` sets it, and `rollout resume` takes it away.",
    )
    retry: Word = Field(
        default="",
        description="Driver StaticPod: with each new value, nodes try once more what has failed there, or what they "
        "had stopped for; `audit-operator rollout resume` sets it to the time.",
    )


class CoverageSource(ApiModel):
    """What coverage is judged on."""

    catalogue_refs: Annotated[
        tuple[ConfigMapRef, ...], Field(max_length=16), ListType("map", ("namespace", "name"))
    ] = Field(
        default=(),
        description="ConfigMaps that hold critical actions of your own, added to those that ship with the operator. "
        "They must have the label audit-operator.dev/input.",
    )


class Probes(ApiModel):
    """Harmless requests that prove, end to end, that a critical action is recorded."""

    enabled: bool = Field(default=False, description="Whether probes are sent.")
    exclude: Annotated[tuple[Word, ...], Field(max_length=128), SET] = Field(
        default=(), description="Ids of critical actions that are never probed."
    )
    bodies: bool = Field(
        default=False,
        description="Whether also bodies are proved, and what redaction leaves of them: by changes, as dry runs, to "
        "objects that do not exist. The prober needs the right to them: `probes.bodies.enabled` of the chart.",
    )


def _only_with(field: str, name: str, driver: Driver, *, required: bool) -> Constraint:
    """A section that belongs to one driver."""
    set_for = f"(self.driver == '{driver}')"
    if required:
        return Constraint(
            rule=f"{set_for} == has(self.{field})",
            message=f"must be set for driver {driver}, and for no other",
            holds=lambda self: (self.driver == driver) == (getattr(self, name) is not None),
            field=field,
        )
    return Constraint(
        rule=f"{set_for} || !has(self.{field})",
        message=f"belongs to driver {driver} alone",
        holds=lambda self: self.driver == driver or getattr(self, name) is None,
        field=field,
    )


class AuditControlPlaneSpec(ApiModel):
    """Which API servers, and how a policy reaches them.

    What the operator executes is never said here: binaries and their arguments come from its own settings.
    """

    default: bool = Field(
        default=False,
        description="Whether policies without a controlPlaneRef belong to this control plane. One at most may say so.",
    )
    driver: Driver = Field(
        description="How a policy reaches the API servers. Process: one that the operator runs itself. ConfigMap: "
        "it is written there for somebody else to deliver. StaticPod: by an agent on each control-plane node. Observe: "
        "not at all; the policy is somebody else's and only judged."
    )
    precision: Precision = Field(
        default=Precision.EXACT,
        description="Exact: the API servers' policy names namespaces and records what each asks for. Envelope: it "
        "records in every namespace what the most demanding one asks for, so that it hardly ever changes; shippers do "
        "the rest.",
    )
    kubernetes_version: MinorVersion | None = Field(
        default=None,
        description="Oldest minor version among the API servers, quoted, for example '1.34'; the policy uses nothing "
        "that it would refuse. Absent: for driver StaticPod, the oldest that node agents have reported, where a node "
        "without a report counts as its kubelet; for ConfigMap, one minor below the API server that the operator talks "
        "to; for Process and Observe, the oldest that has been seen, else that of the API server that the operator "
        "talks to. 1.29 where nothing is known.",
    )
    config_map: ConfigMapRef | None = Field(
        default=None, description="Driver ConfigMap: where the policy and its digest are written."
    )
    static_pod: StaticPod | None = Field(default=None, description="Driver StaticPod: nodes and manifest.")
    observe: Observe | None = Field(default=None, description="Driver Observe: whose policy is taken as given.")
    log: Log | None = Field(default=None, description="Audit log files. Absent: the defaults of each field.")
    rollout: Rollout | None = Field(default=None, description="How a new policy reaches several API servers.")
    coverage: CoverageSource | None = Field(default=None, description="What coverage is judged on.")
    probes: Probes | None = Field(default=None, description="Live proof of coverage. Absent: no probe is sent.")
    permissions: PermissionsSpec | None = Field(
        default=None, description="How the rights that people have are judged. Absent: nobody else is expected."
    )
    adopt: bool = Field(
        default=False,
        description="Driver StaticPod: whether an audit policy that the operator did not write may be replaced. The "
        "file is kept, and status shows the difference first.",
    )

    constraints = (
        _only_with("configMap", "config_map", Driver.CONFIG_MAP, required=True),
        _only_with("observe", "observe", Driver.OBSERVE, required=True),
        _only_with("staticPod", "static_pod", Driver.STATIC_POD, required=False),
        Constraint(
            rule="self.driver == 'StaticPod' || !self.adopt",
            message="belongs to driver StaticPod alone",
            holds=lambda self: self.driver == Driver.STATIC_POD or not self.adopt,
            field="adopt",
        ),
        Constraint(
            rule="self.driver != 'Observe' || !has(self.log)",
            message="cannot be set for driver Observe: those API servers are not ours to configure",
            holds=lambda self: self.driver != Driver.OBSERVE or self.log is None,
            field="log",
        ),
        Constraint(
            rule="self.driver != 'Process' || !has(self.log) || !has(self.log.path)",
            message="must leave path out for driver Process: the operator's settings say where that process writes",
            holds=lambda self: self.driver != Driver.PROCESS or self.log is None or self.log.path is None,
            field="log",
        ),
    )


class ApiServer(ApiModel):
    """What is known about one API server."""

    name: Word = Field(description="Name of the node, or of the process.")
    desired_digest: Digest = Field(default="", description="Digest of the policy that it should run.")
    running_digest: Digest = Field(default="", description="Digest of the policy that it has been seen to run.")
    ready: bool = Field(default=False, description="Whether it answered /readyz with ok.")
    state: ApiServerState = Field(
        description="Running: its process is there; runningDigest says with which policy. Waiting: for its turn. "
        "Restarting: it is coming up with the desired policy. RolledBack: that policy failed, and the last good one "
        "runs again. Blocked: nothing happens until somebody does what lastError says. Failed: it becomes ready with "
        "no policy. Unknown: it cannot be seen."
    )
    since: Timestamp | None = Field(default=None, description="When it entered this state.")
    version: Word = Field(default="", description="Version that it reports.")
    attempts: Count = Field(default=0, description="Attempts to bring up the desired digest.")
    last_error: Line = Field(default="", description="Why the last attempt failed.")


class AuditControlPlaneStatus(ApiModel):
    """What is true about the control plane now. Written by the operator alone."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks about."
    )
    conditions: Conditions = Field(
        default=(),
        description="Accepted, ResolvedRefs, Programmed and Ready; Reconciling and Stalled only while true.",
    )
    digest: Digest = Field(
        default="", description="Digest of the compiled policy; for driver Observe, of the given one."
    )
    short_digest: Annotated[str, Field(max_length=12)] = Field(default="", description="Its first 12 characters.")
    progress: Word = Field(default="", description="API servers that run it, ready, of all: 2/3.")
    rules: Count | None = Field(default=None, description="Number of its rules.")
    bytes: Count | None = Field(default=None, description="Its size in bytes.")
    policies: Count | None = Field(default=None, description="Number of policies that it is composed of.")
    api_servers: Annotated[tuple[ApiServer, ...], Field(max_length=64), ListType("map", ("name",))] = Field(
        default=(), description="The API servers, one by one."
    )
    findings: Annotated[tuple[StatusFinding, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="What a platform team should know about the composed policy."
    )
    permissions: Permissions | None = Field(
        default=None,
        description="Who may read records, write policies and switch auditing off. Absent: nobody has looked.",
    )


class AuditControlPlane(Resource):
    """AuditControlPlane says which API servers record and how the composed audit policy reaches them.

    Status says what each of them really runs.
    """

    info: ClassVar[KindInfo] = KindInfo(
        plural="auditcontrolplanes",
        singular="auditcontrolplane",
        short_name="acp",
        namespaced=False,
        columns=columns(
            PrinterColumn("Driver", "string", ".spec.driver", "How a policy reaches the API servers."),
            PrinterColumn("Precision", "string", ".spec.precision", "How closely it follows each namespace."),
            PrinterColumn("Progress", "string", ".status.progress", "API servers that run it, ready, of all."),
            PrinterColumn("Digest", "string", ".status.shortDigest", "Digest of the compiled policy, shortened."),
            PrinterColumn("Default", "boolean", ".spec.default", "Whether policies belong here by default.", 1),
            PrinterColumn("Policies", "integer", ".status.policies", "Policies that it is composed of.", 1),
            PrinterColumn("Rules", "integer", ".status.rules", "Rules in the compiled policy.", 1),
            PrinterColumn("Bytes", "integer", ".status.bytes", "Size of the compiled policy.", 1),
        ),
    )

    kind: Literal["AuditControlPlane"] = Field(default="AuditControlPlane", description="AuditControlPlane.")
    spec: AuditControlPlaneSpec = Field(description="What is wanted.")
    status: AuditControlPlaneStatus | None = Field(default=None, description="What is true.")
