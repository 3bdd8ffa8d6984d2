"""Every setting of the operator, read from the environment once.

Settings say how this process runs; what is recorded, and where, is said in objects. docs/settings.md lists them.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "AUDIT_OPERATOR_"

# Where binaries are kept; the asset module reads it, also for commands that are no operator.
_READ_ELSEWHERE = frozenset({"CACHE"})

# The kubelet describes every Service of the namespace in such variables: a Service named audit-operator, or one whose
# name begins like that, must not look like a misspelt setting.
_SERVICE_LINK = re.compile(
    r"(?:.+_)?(?:SERVICE_(?:HOST|PORT(?:_.+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)

_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class SettingsError(Exception):
    """Some settings cannot be used; the message names each variable with its value."""


class LogLevel(StrEnum):
    """From which level on records are written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class ShipperMode(StrEnum):
    """Who ships what API servers record that are not the operator's own.

    None: nobody of ours. Nodes: a shipper on each control-plane node (`audit-operator shipper run`). Gateway: replicas
    of a gateway, to which API servers post whose nodes nobody reaches (`audit-operator gateway run`).
    """

    NONE = "None"
    NODES = "Nodes"
    GATEWAY = "Gateway"


def _identity() -> str:
    """Unique to this process: a container that restarts in its pod is another candidate."""
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


class Settings(BaseModel):
    """How this process runs. Each field is read from ``AUDIT_OPERATOR_<FIELD>``; an empty variable counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(
        default=None, description="File with address and credentials. Absent: the pod's service account."
    )
    context: str = Field(default="", description="Context in the kubeconfig. Absent: its current one.")
    namespace: _Name = Field(default="audit-operator", description="Namespace of the operator's Lease.")
    lease: _Name = Field(default="audit-operator", description="Name of the Lease by which replicas agree on a leader.")
    identity: str = Field(
        default_factory=_identity, description="Of this process, unique. Absent: made of the host's name."
    )
    listen_host: str = Field(
        default="0.0.0.0",  # noqa: S104  # probes and scrapes come from outside the pod
        description="Address on which /livez, /readyz and /metrics are served.",
    )
    listen_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8080, description="Port on which they are served; 0 takes any free one."
    )
    resync_seconds: _Seconds = Field(
        default=300.0, description="Time between two complete lists; what a watch has missed is found then."
    )
    stale_seconds: _Seconds = Field(
        default=900.0,
        description="Age of the last complete list, or of a change not acted on, at which the process counts as stuck.",
    )
    quiet_seconds: _Seconds = Field(
        default=0.25, description="How long there must be no change before changes are acted on."
    )
    debounce_seconds: _Seconds = Field(default=2.0, description="How long a change waits at most for others to follow.")
    observe_seconds: _Seconds = Field(default=5.0, description="Time between two looks at the API servers.")
    statuses_per_second: _Seconds = Field(default=200.0, description="Status writes a second, on average.")
    lease_seconds: Annotated[int, Field(ge=3, le=3600)] = Field(
        default=15, description="How long others wait for a silent leader. It gives up itself after two thirds of that."
    )
    process_folder: Path | None = Field(
        default=None, description="Folder of the API server that driver Process runs. Absent: there is none."
    )
    collector: Path | None = Field(
        default=None,
        description="Collector that ships what is recorded (tools/otelcol). Absent: with driver Process nothing is "
        "shipped, what sidecars read is not tried, and a node's shipper takes /usr/local/bin/otelcol.",
    )
    sink_check_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=60.0,
        description="Time between two questions of the operator to the store of a sink; 0: stores are not asked.",
    )
    sink_check_tenants: bool = Field(
        default=True, description="Whether stores of AuditSinks are asked, too, whose addresses tenants choose."
    )
    retention_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=3600.0,
        description="Time between two rounds in which stores are asked what they keep, and told what to delete; 0: "
        "never. Stores of AuditSinks are asked where SINK_CHECK_TENANTS says so.",
    )
    seal_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=600.0,
        description="Time between two looks into the archives of ClusterAuditSinks with seals; 0: nobody looks.",
    )
    probe_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=3600.0,
        description="Time between two rounds of live probes in a namespace, for control planes whose spec.probes asks "
        "for them; 0: none is sent. Stores of AuditSinks are asked where SINK_CHECK_TENANTS says so.",
    )
    probes_per_second: _Seconds = Field(
        default=1.0,
        description="Probes a second, at the most. Where that is too few, a round of a namespace has a part of them, "
        "so that every namespace has had some within a day.",
    )
    probes_without_name: Annotated[int, Field(ge=2)] = Field(
        default=12,
        description="Probes without valid credentials within five minutes, at the most, and half as many at once: "
        "nothing in their records tells them from an attack, and of 20 the preset UnauthenticatedBurst fires.",
    )
    probe_patience_seconds: _Seconds = Field(
        default=120.0, description="How long records of a probe may take to a sink until they are missing."
    )
    probe_settle_seconds: _Seconds = Field(
        default=30.0,
        description="How long nothing must have changed for a namespace until it is probed: shippers follow changes.",
    )
    prober: _Name = Field(
        default="audit-operator-prober",
        description="ServiceAccount in the operator's namespace that probes are sent as. It must have no rights, or "
        "those of the chart's value probes.bodies.enabled.",
    )
    proof_memory: _Name = Field(
        default="audit-operator-proof",
        description="ConfigMap in the operator's namespace that keeps what probes have proved over a restart.",
    )
    detection_conditions: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=64,
        description="Different conditions of spec.detections that shippers count, for each control plane; cluster-wide "
        "policies' first. Each costs them time for every event. Counts show users, sources and names of objects of all "
        "namespaces to whoever can read /metrics of shippers, which asks nobody who he is; 0 counts nothing.",
    )
    detection_series: Annotated[int, Field(ge=0)] = Field(
        default=20_000,
        description="Series of detections in each shipper's metrics, in equal shares for all conditions, of at least "
        "100. What has no room counts together, by namespace, and that is said.",
    )
    shipper_canary: bool = Field(
        default=True,
        description="Whether shippers try each new configuration with known lines before they use it, and refuse one "
        "that loses or changes them; the operator tries those of sidecars. Turn it off only where it refuses what is "
        "right, and report that as a defect.",
    )
    trial_folder: Path | None = Field(
        default=None,
        description="Where the operator tries what sidecars are to read, and nobody else does anything. Absent: in the "
        "folder of PROCESS_FOLDER, else in a temporary one; what ends the operator in a trial may then do so again.",
    )
    local_sinks: bool = Field(
        default=False,
        description="Whether AuditSinks may name addresses of the very machine that ships (loopback, link-local, "
        "metadata services). For control planes that live on one machine; ClusterAuditSinks always may.",
    )
    permission_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=600.0,
        description="Time between two lists of the roles and bindings of the cluster, to say who may read records, "
        "write policies and switch auditing off; 0: they are not looked at.",
    )
    report_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0,
        description="Time between two rounds in which report objects (openreports.io, else wgpolicyk8s.io) are brought "
        "up to date, where the cluster has such kinds; 0: none is written.",
    )
    reports_per_second: _Seconds = Field(
        default=10.0, description="Report objects written or deleted a second, on average."
    )
    report_owner: str = Field(
        default="",
        description="ClusterRole that owns all report objects, so that they go with it. Absent: each belongs to its "
        "policies.",
    )
    alert_objects: bool = Field(
        default=False,
        description="Whether a PrometheusRule is written for each policy with detections, where the cluster has that "
        "kind.",
    )
    alert_object_labels: str = Field(
        default="",
        description="Labels of these, as name=value with commas between, by which a Prometheus chooses them.",
    )
    runbook_url: str = Field(
        default="", description="Where docs/runbooks.md is published, to which their alerts link. Absent: no link."
    )
    agent_namespace: str = Field(
        default="", description="Namespace of agents and shippers. Absent: the operator's with -agent."
    )
    service_account: str = Field(
        default="", description="The operator's service account, whose rights are expected. Absent: named as the Lease."
    )
    sidecar: str = Field(
        default="", description="What sidecars are made from, in JSON, as the chart writes it. Absent: there are none."
    )
    sidecar_figures_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=60.0,
        description="Time between two questions of the operator to sidecars, what they have counted; 0: they are not "
        "asked, and do not listen.",
    )
    shippers: ShipperMode = Field(
        default=ShipperMode.NONE,
        description="Who ships what API servers record, but for driver Process. Nodes: a shipper on each control-plane "
        "node (`shipper run`). Gateway: what API servers post to (`gateway run`). None: nobody of ours.",
    )
    shipper_node_selector: str = Field(
        default="node-role.kubernetes.io/control-plane=",
        description="Label selector of the nodes that must have a shipper: `Shipping` speaks of all of them.",
    )
    shipper_control_planes: str = Field(
        default="",
        description="Names, with commas between, of the AuditControlPlanes that have these shippers. Absent: all that "
        "are not of driver Process.",
    )
    control_plane: _Name = Field(
        default="cluster",
        description="AuditControlPlane that is served by a node's shipper, or a gateway; whose records a reader shows.",
    )
    shipper_folder: Path = Field(
        default=Path("/var/lib/audit-operator-shipper"),
        description="Where a node's shipper, or a gateway, keeps what it was told, its offsets and its queues.",
    )
    shipper_poll_seconds: _Seconds = Field(
        default=2.0, description="Time between two looks of a node's shipper at whether it was told something else."
    )
    pseudonym_rotation_days: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Age in days at which all keys of pseudonyms are replaced, so that a subject has another pseudonym "
        "from then on; 0: never.",
    )
    pseudonym_keep_days: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Days after which a key that was replaced is destroyed; 0: never. With less than records are kept, "
        "a subject's older ones cannot be found any more.",
    )
    restart_workloads: bool = Field(
        default=False, description="Whether workloads may be restarted whose policy says restartWorkloads: Rolling."
    )
    webhook: str = Field(
        default="",
        description="Name of the MutatingWebhookConfiguration, the Service and the Secret of the webhook that injects "
        "sidecars. Absent: there is no webhook.",
    )
    webhook_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=9443, description="Port on which it is served; 0 takes any free one."
    )
    node: str = Field(
        default="",
        description="Name of the node that an agent or shipper works on, or of a gateway's pod.",
    )
    gateway_host: str = Field(
        default="0.0.0.0",  # noqa: S104  # API servers come from outside the pod
        description="Address on which a gateway takes what API servers post.",
    )
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8443, description="Port of it; 0 takes any free one."
    )
    gateway_certificate: Path = Field(
        default=Path("/etc/audit-operator-gateway/tls.crt"),
        description="Certificate of a gateway, in PEM. It is read again when it changes, as are the next two.",
    )
    gateway_key: Path = Field(default=Path("/etc/audit-operator-gateway/tls.key"), description="Its key, in PEM.")
    gateway_client_ca: Path = Field(
        default=Path("/etc/audit-operator-gateway/ca.crt"),
        description="Authorities of API servers' client certificates, in PEM.",
    )
    gateway_clients: str = Field(
        default="",
        description="Names of which a client certificate must have one (common name, DNS name or URI), with commas "
        "between. Absent: each certificate of these authorities is good.",
    )
    gateway_anonymous: bool = Field(
        default=False,
        description="Whether a gateway asks for no client certificate: whoever reaches it can then write records.",
    )
    reader_host: str = Field(
        default="0.0.0.0",  # noqa: S104  # callers come from outside the pod
        description="Address on which a reader answers.",
    )
    reader_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8444, description="Port of it; 0 takes any free one."
    )
    reader_certificate: Path = Field(
        default=Path("/etc/audit-operator-reader/tls/tls.crt"),
        description="Certificate of a reader, in PEM. It is read again when it changes, as is the next.",
    )
    reader_key: Path = Field(default=Path("/etc/audit-operator-reader/tls/tls.key"), description="Its key, in PEM.")
    reader_sink: Path = Field(
        default=Path("/etc/audit-operator-reader/sink/sink.yaml"),
        description="File with the ClusterAuditSink whose store a reader asks. It is read again, as are its Secrets.",
    )
    reader_secrets: Path = Field(
        default=Path("/etc/audit-operator-reader/secrets"),
        description="Folder with a folder for each Secret that this sink names, with a file for each key.",
    )
    reader_audiences: str = Field(
        default="",
        description="Audiences of which a caller's token must have one, with commas between. Absent: that of the API "
        "server, so that a reader gets tokens that are good there.",
    )
    reader_clusters: str = Field(
        default="",
        description="Values of the attribute `cluster` of the records that a reader shows, with commas between. "
        "Absent: AUDIT_OPERATOR_CONTROL_PLANE.",
    )
    agent_folder: Path = Field(
        default=Path("/etc/kubernetes/audit-operator"),
        description="Where an agent keeps policies, its journal and the last good manifest. API servers see it, too.",
    )
    agent_manifests: Path = Field(
        default=Path("/etc/kubernetes/manifests"), description="Where the kubelet of an agent's node reads manifests."
    )
    agent_logs: Path = Field(default=Path("/var/log"), description="The log folder of an agent's node.")
    agent_preflight: bool = Field(
        default=True, description="Whether an agent lets its node's own kube-apiserver binary judge a policy first."
    )
    agent_soak_seconds: _Seconds = Field(
        default=10.0,
        description="How long an API server must stay ready after a change until the next node may go on.",
    )
    agent_poll_seconds: _Seconds = Field(default=3.0, description="Time between two looks of an agent.")
    log_level: LogLevel = Field(default=LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stale_seconds <= self.resync_seconds:
            raise ValueError("STALE_SECONDS must exceed RESYNC_SECONDS: a list is always as old as the interval")
        if self.debounce_seconds < self.quiet_seconds:
            raise ValueError("DEBOUNCE_SECONDS must not be less than QUIET_SECONDS")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment.

        Raises:
            SettingsError: a value cannot be used, or a variable with our prefix is none of ours.
        """
        given = {
            name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX) and value
        }
        known = {name: value for name, value in given.items() if name.lower() in cls.model_fields}
        wrong = [f"{PREFIX}{name} is no setting" for name in given.keys() - known.keys() if _is_misspelt(name)]
        try:
            settings = cls.model_validate({name.lower(): value for name, value in known.items()})
        except ValidationError as error:
            wrong.extend(_sentences(error))
        if wrong:
            raise SettingsError("; ".join(sorted(wrong)))
        return settings


def _is_misspelt(name: str) -> bool:
    return name not in _READ_ELSEWHERE and not _SERVICE_LINK.fullmatch(name)


def _sentences(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False):
        said = each["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if each["loc"]:
            yield f"{PREFIX}{str(each['loc'][0]).upper()}={each['input']!r} {said}"
        else:
            yield f"{PREFIX}{said}"
