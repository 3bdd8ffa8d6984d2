"""The files of one control plane's shippers, as a collector reads them, and what cannot be shipped.

A sink that cannot be written to is left out and said; the others get everything all the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.plan.sinks import Sinks
from audit_operator.shipping.collector.configuration import QUEUES, Endpoints, identified, render
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter, largest_event
from audit_operator.shipping.pipeline import LARGEST_EVENT, AuditFiles, AuditPipeline, AuditWebhook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.sink import AuditSink, AuditSinkSpec, ClusterAuditSink
    from audit_operator.plan.shipping import Shipping
    from audit_operator.plan.snapshot import Snapshot

CONFIG_FILE, TABLE_FILE = "config.yaml", "table.yaml"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a collector finds its files, and keeps its own.

    Attributes:
        config: folder with CONFIG_FILE and the table.
        table: name of the table's file. A ``{}`` in it becomes a part of the configuration's digest, so that no
            collector ever reads a table that was made for another configuration than its own.
        credentials: folder with a folder for each sink; empty where the collector is given no Secrets.
        state: folder for offsets and queues; it must outlive the collector.
        claims: folder with the mounted claim of each sink of type File.
        audit_log: path of the API server's log, as the collector sees it.
        webhook: address on loopback where the collector takes what the gateway hands on; empty: it reads `audit_log`.
        endpoints: where the collector listens.
    """

    config: str = "/etc/audit-shipper"
    table: str = TABLE_FILE
    credentials: str = "/etc/audit-shipper-credentials"
    state: str = "/var/lib/audit-shipper"
    claims: str = "/var/lib/audit-claims"
    audit_log: str = "/var/log/kubernetes/audit/audit.log"
    webhook: str = ""
    endpoints: Endpoints = field(default_factory=Endpoints)


@dataclass(frozen=True, slots=True)
class CollectorFiles:
    """What the shippers of one control plane run with.

    Attributes:
        config: text of the configuration. When it changes, the collector must be told.
        digest: of the configuration; a collector that runs with it says so in its own telemetry.
        table: text of the decision table, which the collector reads anew by itself.
        table_file: name of its file.
        sinks: exporter of each sink that is written to.
        settings: digest of each exporter's settings: what was sent with others says nothing about these.
        findings: why other sinks are not written to, by sink.
    """

    config: str
    digest: str
    table: str
    table_file: str
    sinks: Mapping[ObjectRef, str]
    settings: Mapping[str, str]
    findings: Mapping[ObjectRef, Finding]


def collector_files(shipping: Shipping, snapshot: Snapshot, cluster: str, places: Places = Places()) -> CollectorFiles:
    """Render what was planned."""
    exporters: dict[ObjectRef, Exporter] = {}
    findings: dict[ObjectRef, Finding] = {}
    existing = Sinks.of(snapshot).existing
    for ref in shipping.sinks:
        made = exporter(existing[ref].spec, sink_name(ref), credential_files(existing[ref], places), _room(ref, places))
        if isinstance(made, Exporter):
            exporters[ref] = made
        else:
            mend = made.mend if places.credentials else "this shipper is given no Secrets: use a sink that needs none"
            findings[ref] = Finding("sink-not-usable", Severity.ERROR, made.message, mend, object=ref)
    routes = {
        route: tuple(exporters[ref].id for ref in sinks if ref in exporters) for route, sinks in shipping.routes.items()
    }
    pipeline = AuditPipeline(
        cluster=cluster,
        source=AuditWebhook(places.webhook) if places.webhook else AuditFiles.of_log(places.audit_log),
        shape=shipping.table.shape,
        table=f"{places.config}/{places.table}",
        state=places.state,
        routes=routes,
        quarantine=routes[""],
        exporters=tuple(exporters.values()),
        redactions=shipping.redactions,
        largest_event=_largest_event(existing[ref].spec for ref in exporters),
    )
    digest = _digest(yaml_text(render(pipeline, places.endpoints)))
    table_file = places.table.replace("{}", digest[:16])
    configuration = render(replace(pipeline, table=f"{places.config}/{table_file}"), places.endpoints)
    return CollectorFiles(
        config=yaml_text(identified(configuration, digest)),
        digest=digest,
        table=yaml_text(shipping.table.entries),
        table_file=table_file,
        sinks={ref: each.id for ref, each in exporters.items()},
        settings={each.id: _digest(json.dumps(each.config, sort_keys=True)) for each in exporters.values()},
        findings=findings,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _largest_event(sinks: Iterable[AuditSinkSpec | ClusterAuditSinkSpec]) -> int:
    """What every cluster-wide sink takes: no tenant's sink may cost others the bodies of their events."""
    limits = (largest_event(each) for each in sinks if isinstance(each, ClusterAuditSinkSpec))
    return min(filter(None, limits), default=LARGEST_EVENT)


def sink_name(ref: ObjectRef) -> str:
    """A name for a sink that no other sink has: a queue on disk is found again under it."""
    return ".".join(filter(None, (ref.kind.lower(), ref.namespace, ref.name)))


def credential_files(sink: AuditSink | ClusterAuditSink, places: Places) -> CredentialFiles:
    """Where the collector finds what the Secrets of a sink hold."""
    if not places.credentials:
        return CredentialFiles()
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
