"""The files of one control plane's shippers, as a collector reads them, and what cannot be shipped.

A sink that cannot be written to is left out and said; the others get everything all the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.plan.sinks import existing_sinks
from audit_operator.shipping.collector.configuration import QUEUES, Endpoints, render
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.sink import AuditSink, ClusterAuditSink
    from audit_operator.plan.shipping import Shipping
    from audit_operator.plan.snapshot import Snapshot

CONFIG_FILE, TABLE_FILE = "config.yaml", "table.yaml"
CREDENTIALS = "credentials"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a collector finds its files, and keeps its own.

    Attributes:
        config: folder with CONFIG_FILE and TABLE_FILE.
        credentials: folder with a folder for each sink.
        state: folder for offsets and queues; it must outlive the collector.
        claims: folder with the mounted claim of each sink of type File.
        audit_log: path of the API server's log, as the collector sees it.
        endpoints: where the collector listens.
    """

    config: str = "/etc/audit-shipper"
    credentials: str = "/etc/audit-shipper-credentials"
    state: str = "/var/lib/audit-shipper"
    claims: str = "/var/lib/audit-claims"
    audit_log: str = "/var/log/kubernetes/audit/audit.log"
    endpoints: Endpoints = field(default_factory=Endpoints)


@dataclass(frozen=True, slots=True)
class CollectorFiles:
    """What the shippers of one control plane run with.

    Attributes:
        config: text of the configuration. When it changes, the collector must be told.
        table: text of the decision table, which the collector reads anew by itself.
        sinks: exporter of each sink that is written to.
        findings: why others are not, by sink.
    """

    config: str
    table: str
    sinks: Mapping[ObjectRef, str]
    findings: Mapping[ObjectRef, Finding]

    @property
    def digest(self) -> str:
        """Of the configuration."""
        return hashlib.sha256(self.config.encode()).hexdigest()


def collector_files(shipping: Shipping, snapshot: Snapshot, cluster: str, places: Places = Places()) -> CollectorFiles:
    """Render what was planned."""
    exporters: dict[ObjectRef, Exporter] = {}
    findings: dict[ObjectRef, Finding] = {}
    existing = existing_sinks(snapshot)
    for ref in shipping.sinks:
        made = exporter(existing[ref].spec, sink_name(ref), credential_files(existing[ref], places), _room(ref, places))
        if isinstance(made, Exporter):
            exporters[ref] = made
        else:
            findings[ref] = Finding("sink-not-usable", Severity.ERROR, made.message, made.mend, object=ref)
    routes = {
        route: tuple(exporters[ref].id for ref in sinks if ref in exporters) for route, sinks in shipping.routes.items()
    }
    pipeline = AuditPipeline(
        cluster=cluster,
        files=AuditFiles.of_log(places.audit_log),
        shape=shipping.table.shape,
        table=f"{places.config}/{TABLE_FILE}",
        state=places.state,
        routes=routes,
        quarantine=routes[""],
        exporters=tuple(exporters.values()),
    )
    return CollectorFiles(
        config=yaml_text(render(pipeline, places.endpoints)),
        table=yaml_text(shipping.table.entries),
        sinks={ref: each.id for ref, each in exporters.items()},
        findings=findings,
    )


def sink_name(ref: ObjectRef) -> str:
    """A name for a sink that no other sink has: a queue on disk is found again under it."""
    return ".".join(filter(None, (ref.kind.lower(), ref.namespace, ref.name)))


def credential_files(sink: AuditSink | ClusterAuditSink, places: Places) -> CredentialFiles:
    """Where the collector finds what the Secrets of a sink hold."""
    folder, tls = f"{places.credentials}/{sink_name(sink.ref)}", sink.spec.tls
    has_client = tls is not None and tls.client_secret_ref is not None
    return CredentialFiles(
        authorization=f"{folder}/authorization" if sink.spec.credentials else "",
        ca=f"{folder}/ca.crt" if tls is not None and tls.ca_secret_ref is not None else "",
        certificate=f"{folder}/tls.crt" if has_client else "",
        key=f"{folder}/tls.key" if has_client else "",
    )


def _room(ref: ObjectRef, places: Places) -> Room:
    return Room(storage=QUEUES, folder=f"{places.claims}/{sink_name(ref)}")
