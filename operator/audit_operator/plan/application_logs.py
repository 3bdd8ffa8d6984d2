"""What the sidecar of an AuditPolicy runs with, and why some of the policy's sinks get nothing from it.

A sidecar runs in a pod that belongs to somebody else: whatever it is given, whoever can enter the pod can read. So no
Secret but those of the policy's own namespace gets there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.redaction import PseudonymizedField, Redaction
from audit_operator.api.sink import ClusterAuditSink, SinkType
from audit_operator.plan.buckets import OWN_COLLECTOR
from audit_operator.plan.collector_files import Places as CollectorPlaces
from audit_operator.plan.collector_files import credential_files
from audit_operator.plan.credentials import SinkCredentials, secrets_of, sink_name
from audit_operator.plan.sinks import Sinks
from audit_operator.shipping.application.configuration import POD_UID_VARIABLE, POD_VARIABLE, render
from audit_operator.shipping.application.pipeline import ApplicationPipeline, LogFiles
from audit_operator.shipping.application.standard import LONGEST_LINE
from audit_operator.shipping.canary.application_rehearsed import ApplicationRehearsal
from audit_operator.shipping.collector.configuration import QUEUES, Endpoints, identified
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import Exporter, Room, exporter, largest_event
from audit_operator.shipping.redaction.demand import union
from audit_operator.shipping.redaction.rendering import PSEUDONYM_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.application_logs import ApplicationLogs
    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.plan.sinks import Sink
    from audit_operator.plan.snapshot import Snapshot

__all__ = [
    "CONFIG_FILE", "DRAIN_SECONDS", "HEALTH_PORT", "METRICS_PORT", "POD_UID_VARIABLE", "POD_VARIABLE",
    "PSEUDONYM_VARIABLE", "STATE_BYTES", "ApplicationFiles", "LogVolume", "Places", "application_files", "not_injected",
]  # fmt: skip

CONFIG_FILE = "config.yaml"
HEALTH_PORT, METRICS_PORT = 19133, 19888
"""A pod's containers share their ports: these are not among the usual ones of applications."""

DRAIN_SECONDS = 5
"""Between the end of the application and SIGTERM for its sidecar (a preStop sleep). At SIGTERM a collector reads no
more: what was written a moment before, and a last line without its end, must have been read and sent by then."""

STATE_BYTES = 512 * 2**20
"""Size of the volume for the state folder. Its queues are smaller: a pod whose volume grows too large is evicted."""
QUEUES_BYTES = STATE_BYTES // 4
_IN_MEMORY = 4 * 2**20

NOT_IN_PODS = "sink-not-for-sidecars"
NO_SINK = "application-logs-not-shipped"
NOT_INJECTED = "application-logs-not-injected"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a sidecar finds its files and keeps its own.

    Attributes:
        config: folder with CONFIG_FILE.
        credentials: folder with a folder for each sink of `ApplicationFiles.secrets`.
        state: folder for offsets and queues, on a volume of STATE_BYTES that lives as long as the pod.
        logs: folder with a folder for each mounted volume of the application.
        endpoints: where the collector listens.
    """

    config: str = "/etc/audit-shipper"
    credentials: str = "/etc/audit-shipper-credentials"
    state: str = "/var/lib/audit-shipper"
    logs: str = "/var/log/audit-shipper"
    endpoints: Endpoints = field(
        default_factory=lambda: Endpoints(health=f"0.0.0.0:{HEALTH_PORT}", metrics_port=METRICS_PORT)
    )


@dataclass(frozen=True, slots=True, order=True)
class LogVolume:
    """A volume of the application's pod, and the folder where the sidecar mounts it, read-only."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ApplicationFiles:
    """What the sidecars of one AuditPolicy run with.

    Attributes:
        config: text of CONFIG_FILE; empty where no sink can be used, so that no sidecar is to be injected.
        digest: of the configuration; a collector that runs with it says so in its own telemetry.
        volumes: which volumes to mount, and where.
        sinks: exporter of each sink that is written to.
        secrets: of those, the ones whose Secrets the sidecar needs, each with the folder where their files must be.
        credentials: content of these files by their path below the folder of credentials. Never shown.
        pseudonyms: whether the sidecar needs PSEUDONYM_VARIABLE in its environment.
        findings: for the policy: what is not shipped as it asks.
        rehearsal: what of the configuration can be tried before it is used; None where there is none.
    """

    config: str
    digest: str
    volumes: tuple[LogVolume, ...]
    sinks: Mapping[ObjectRef, str]
    secrets: Mapping[ObjectRef, str]
    pseudonyms: bool
    findings: tuple[Finding, ...]
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    rehearsal: ApplicationRehearsal | None = field(default=None, repr=False)


def application_files(
    policy: AuditPolicy,
    snapshot: Snapshot,
    cluster: str,
    places: Places = Places(),
    credentials: Mapping[ObjectRef, SinkCredentials | Finding] = MappingProxyType({}),
) -> ApplicationFiles | None:
    """What the policy's sidecars run with; None where it collects no application logs.

    `credentials` has what the Secrets of sinks hold, or why there is nothing. For a sink that is not in it, somebody
    else brings the files. The collector needs POD_VARIABLE and POD_UID_VARIABLE in its environment, and
    PSEUDONYM_VARIABLE where `pseudonyms` says so. It is started with `collector.configuration.ARGUMENTS`.
    """
    logs = policy.spec.application_logs
    if logs is None:
        return None
    known = Sinks.of(snapshot)
    usable, _ = known.of_policy(policy)
    sinks = [known.existing[ref] for ref in usable]
    exporters, findings = _exporters(sinks, places, credentials)
    written = [each for each in sinks if each.ref in exporters]
    redaction = policy.spec.redaction or Redaction()
    digest, config, rehearsal = "", "", None
    if exporters:
        ids = tuple(each.id for each in exporters.values())
        pipeline = replace(
            _pipeline(policy, logs, cluster, places),
            exporters=tuple(exporters.values()),
            standard=ids,
            quarantine=ids,
            longest_line=longest_line(written),
        )
        configuration = render(pipeline, places.endpoints)
        digest = hashlib.sha256(yaml_text(configuration).encode()).hexdigest()
        config = yaml_text(identified(configuration, digest))
        rehearsal = ApplicationRehearsal.of(pipeline, places.endpoints)
    else:
        findings = (*findings, _no_sink())
    held = {each.ref: credentials.get(each.ref) for each in written if secrets_of(each)}
    return ApplicationFiles(
        config=config,
        digest=digest,
        volumes=tuple(sorted({LogVolume(each.volume, f"{places.logs}/{each.volume}") for each in logs.files})),
        sinks={ref: each.id for ref, each in exporters.items()},
        secrets={ref: f"{places.credentials}/{_folder(ref, files)}" for ref, files in held.items()},
        pseudonyms=PseudonymizedField.USERNAME in redaction.pseudonymize,
        findings=findings,
        credentials={
            f"{files.folder(ref)}/{name}": content
            for ref, files in held.items()
            if isinstance(files, SinkCredentials)
            for name, content in files.files.items()
        },
        rehearsal=rehearsal,
    )


def _pipeline(policy: AuditPolicy, logs: ApplicationLogs, cluster: str, places: Places) -> ApplicationPipeline:
    """The pipeline without its sinks."""
    return ApplicationPipeline(
        cluster=cluster,
        namespace=policy.metadata.namespace,
        policy=policy.metadata.name,
        files=tuple(LogFiles(each.volume, each.path, f"{places.logs}/{each.volume}") for each in logs.files),
        redaction=union([policy.spec.redaction or Redaction()]),
        exporters=(),
        standard=(),
        quarantine=(),
        state=places.state,
        fields=logs.fields,
        time_format=logs.time_format,
    )


def not_injected(policy: ClusterAuditPolicy) -> Iterator[Finding]:
    """That a cluster-wide policy asks for application logs."""
    if policy.spec.application_logs is not None:
        yield Finding(
            NOT_INJECTED,
            Severity.WARNING,
            "application logs are collected for AuditPolicies alone: a sidecar belongs to one namespace",
            mend="move applicationLogs to an AuditPolicy in each namespace",
            path="spec.applicationLogs",
        )


def longest_line(sinks: Iterable[Sink]) -> int:
    """Bytes of the longest line that the standard allows and all of these sinks take."""
    return min([LONGEST_LINE, *(largest_event(each.spec) for each in sinks)])


def _exporters(
    sinks: list[Sink], places: Places, credentials: Mapping[ObjectRef, SinkCredentials | Finding]
) -> tuple[dict[ObjectRef, Exporter], tuple[Finding, ...]]:
    """The exporter of each sink that a sidecar can write to, and a finding for each other one."""
    exporters: dict[ObjectRef, Exporter] = {}
    findings: list[Finding] = []
    share = QUEUES_BYTES // max(len(sinks), 1)
    room = Room(
        storage=QUEUES,
        on_disk=share,
        on_disk_of_tenant=share,
        in_memory=_IN_MEMORY,
        in_memory_of_tenant=_IN_MEMORY,
        holds=True,
    )
    for sink in sinks:
        made = _exporter(sink, room, places, credentials.get(sink.ref))
        if isinstance(made, Exporter):
            exporters[sink.ref] = made
        else:
            findings.append(made)
    return exporters, tuple(findings)


def _exporter(sink: Sink, room: Room, places: Places, known: SinkCredentials | Finding | None) -> Exporter | Finding:
    refused = _not_in_pods(sink)
    if refused is not None:
        return _unshipped(sink, *refused)
    if isinstance(known, Finding):
        return _unshipped(sink, known.message, known.mend)
    files = credential_files(sink, CollectorPlaces(credentials=places.credentials), known)
    made = exporter(sink.spec, sink_name(sink.ref), files, room)
    return made if isinstance(made, Exporter) else _unshipped(sink, made.message, made.mend)


def _unshipped(sink: Sink, message: str, mend: str) -> Finding:
    said = f"sidecars do not ship to {sink.ref}: {message}"
    return Finding(NOT_IN_PODS, Severity.ERROR, said, mend, path="spec.sinkRefs")


def _not_in_pods(sink: Sink) -> tuple[str, str] | None:
    """Why a sink cannot be given to pods, and what to do instead."""
    if sink.spec.type is SinkType.FILE:
        return "its volume is the shippers' on control-plane nodes", "use a sink that is reached over the network"
    if sink.spec.type is SinkType.S3:
        # Without a key in its environment, the exporter writes as the worker node, wherever a tenant's sink says.
        return "the sidecar would write to all buckets as one, and no access key is lent to pods", OWN_COLLECTOR
    tls = sink.spec.tls
    secret = sink.spec.credentials is not None or (tls is not None and tls.client_secret_ref is not None)
    if isinstance(sink, ClusterAuditSink) and secret:
        return (
            "its Secret is the platform's, and whoever can enter a pod could read it there",
            "use an AuditSink with a Secret of this namespace, or a ClusterAuditSink without credentials",
        )
    return None


def _no_sink() -> Finding:
    return Finding(
        NO_SINK,
        Severity.ERROR,
        "application logs are not collected: there is no sink that sidecars can write to",
        mend="name one in spec.sinkRefs",
        path="spec.applicationLogs",
    )


def _folder(ref: ObjectRef, files: SinkCredentials | Finding | None) -> str:
    return files.folder(ref) if isinstance(files, SinkCredentials) else sink_name(ref)
