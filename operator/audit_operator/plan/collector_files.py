"""The files of one control plane's shippers, as a collector reads them, and what cannot be shipped.

A sink that cannot be written to is left out and said; the others get everything all the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.sink import Guarantee, SinkType
from audit_operator.plan.buckets import access_key_revision, barred_buckets
from audit_operator.plan.canary import canary, in_part
from audit_operator.plan.credentials import (
    ACCESS_KEY,
    AUTHORIZATION,
    CA,
    CERTIFICATE,
    KEY,
    NOT_USABLE,
    SinkCredentials,
    bounded,
    identity,
    sink_name,
)
from audit_operator.plan.shares import beyond_bounds, room_of
from audit_operator.plan.sinks import Sinks, has_folders
from audit_operator.retention.folders import home_of
from audit_operator.shipping.collector import demands
from audit_operator.shipping.collector.configuration import QUEUES, Endpoints, identified, render
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.table import folders_key
from audit_operator.shipping.exporters import CredentialFiles, Exporter, exporter, guarantee
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline, AuditWebhook

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from audit_operator.plan.shipping import Shipping
    from audit_operator.plan.sinks import Sink
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.shipping.exporters import Room

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
        claims: folder with the mounted claim of each sink of type File; empty where no claim can be mounted.
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
        unkept: cluster-wide sinks AtLeastOnce of which none is written to where events are to go to some of them. What
            reads goes on, and these events would go nowhere, or only to where they may be given up.
        stale: why sinks are written to with credentials that their Secrets do not hold any more, by sink.
        credentials: content of files by their path below the folder of credentials. Never shown.
        identities: whose the credentials are (`credentials.identity`), by the name of the sink.
        pseudonymous: namespaces in whose records some fields get pseudonyms; ``""`` stands for records without one.
        pseudonym_keys: where their keys come from (`Epoch.encoded`); all shippers of a control plane must have the
            same, or one person is several. Empty: the shipper makes its own. Never shown.
        canary: lines that the configuration is tried with before it is used (`Canary.encoded`); empty: it is not.
        remarks: what those who run it should know of it, for the control plane.
    """

    config: str
    digest: str
    table: str
    table_file: str
    sinks: Mapping[ObjectRef, str]
    settings: Mapping[str, str]
    findings: Mapping[ObjectRef, Finding]
    unkept: tuple[ObjectRef, ...] = ()
    stale: Mapping[ObjectRef, Finding] = field(default_factory=dict)
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    identities: Mapping[str, str] = field(default_factory=dict)
    pseudonymous: tuple[str, ...] = ()
    pseudonym_keys: str = field(default="", repr=False)
    canary: str = field(default="", repr=False)
    remarks: tuple[Finding, ...] = ()


def collector_files(  # noqa: PLR0913  # the last two say what else whoever asks has, and wants
    shipping: Shipping,
    snapshot: Snapshot,
    cluster: str,
    places: Places = Places(),
    credentials: Mapping[ObjectRef, SinkCredentials | Finding] = MappingProxyType({}),
    *,
    tries: bool = False,
) -> CollectorFiles:
    """Render what was planned.

    `credentials` has what the Secrets of sinks hold, or why there is nothing. For a sink that is not in it, somebody
    else brings the files. `tries` says that there are to be lines to try the configuration with.
    """
    exporters: dict[ObjectRef, Exporter] = {}
    findings: dict[ObjectRef, Finding] = {}
    contents: dict[str, bytes] = {}
    existing, left_out = Sinks.of(snapshot).existing, beyond_bounds(shipping.sinks)
    credentials = bounded({**credentials, **left_out})
    barred = barred_buckets([existing[ref] for ref in shipping.sinks], credentials)
    room = room_of((ref for ref in shipping.sinks if ref not in left_out), QUEUES)
    for ref in shipping.sinks:
        known = credentials.get(ref)
        found = barred.get(ref) or _exporter(existing[ref], places, known, room)
        if isinstance(found, Finding):
            findings[ref] = found
            continue
        exporters[ref] = found
        if isinstance(known, SinkCredentials):
            contents |= {_credential_path(ref, known, name): content for name, content in known.files.items()}
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
        keys=f"{places.config}/{KEYS_FILE}",
        counting=shipping.counting,
    )
    configuration = render(pipeline, places.endpoints)
    made = canary(pipeline, shipping, "" if places.webhook else places.audit_log) if tries else None
    # The one file that no configuration names: a new key must be a new configuration all the same.
    digest = _digest(yaml_text(configuration) + access_key_revision(credentials, exporters))
    return CollectorFiles(
        config=yaml_text(identified(_with_table_of(digest, configuration), digest)),
        digest=digest,
        table=yaml_text({**shipping.table.entries, **demands.entries(shipping.redactions), **_folders(shipping)}),
        table_file=_in_table(digest, places.table),
        sinks={ref: each.id for ref, each in exporters.items()},
        settings={each.id: _digest(json.dumps(each.config, sort_keys=True)) for each in exporters.values()},
        findings=findings,
        unkept=_unkept(shipping, existing, exporters),
        stale=_stale(credentials, exporters),
        credentials=contents,
        identities={
            sink_name(ref): identity(existing[ref])
            for ref in exporters
            if isinstance(credentials.get(ref), SinkCredentials)
        },
        pseudonymous=shipping.pseudonymous,
        canary=made.encoded() if made else "",
        remarks=tuple(filter(None, [in_part(made) if made else None])),
    )


def _exporter(sink: Sink, places: Places, known: SinkCredentials | Finding | None, room: Room) -> Exporter | Finding:
    """How the collector writes to a sink, or why it cannot."""
    if isinstance(known, Finding):
        return known
    ref = sink.ref
    if sink.spec.type is SinkType.FILE and not places.claims:
        mend = "use a sink of another type; or run a collector by hand with what `audit-operator shipper render` writes"
        return Finding(NOT_USABLE, Severity.ERROR, "this shipper can mount no claim", mend, object=ref)
    table = f"{places.config}/{places.table}" if has_folders(sink) else ""
    room = replace(room, folder=f"{places.claims}/{sink_name(ref)}", table=table, sink=sink_name(ref))
    made = exporter(sink.spec, sink_name(ref), credential_files(sink, places, known), room)
    if isinstance(made, Exporter):
        return made
    mend = made.mend if places.credentials else "this shipper is given no Secrets: use a sink that needs none"
    return Finding(NOT_USABLE, Severity.ERROR, made.message, mend, object=ref)


def _unkept(
    shipping: Shipping, existing: Mapping[ObjectRef, Sink], written: Collection[ObjectRef]
) -> tuple[ObjectRef, ...]:
    found: set[ObjectRef] = set()
    for sinks in shipping.routes.values():
        keep = {ref for ref in sinks if not ref.namespace and guarantee(existing[ref].spec) is Guarantee.AT_LEAST_ONCE}
        if keep.isdisjoint(written):
            found |= keep
    return tuple(sorted(found))


def _stale(
    credentials: Mapping[ObjectRef, SinkCredentials | Finding], used: Iterable[ObjectRef]
) -> dict[ObjectRef, Finding]:
    known = {ref: credentials.get(ref) for ref in used}
    return {ref: each.stale for ref, each in known.items() if isinstance(each, SinkCredentials) and each.stale}


def _credential_path(ref: ObjectRef, known: SinkCredentials, name: str) -> str:
    """Where a file lies, below the folder of all credentials."""
    return ACCESS_KEY if name == ACCESS_KEY else f"{known.folder(ref)}/{name}"


def _in_table(digest: str, path: str) -> str:
    return path.replace("{}", digest[:16])


def _with_table_of(digest: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but for the name of the table's file, which the digest is a part of."""
    lookup = configuration["processors"]["lookup"]
    source = {**lookup["source"], "path": _in_table(digest, lookup["source"]["path"])}
    processors = {**configuration["processors"], "lookup": {**lookup, "source": source}}
    exporters = {name: _with_folders_of(digest, each) for name, each in configuration["exporters"].items()}
    return {**configuration, "processors": processors, "exporters": exporters}


def _with_folders_of(digest: str, exporter: Mapping[str, Any]) -> dict[str, Any]:
    folders = exporter.get("folders")
    if folders is None:
        return dict(exporter)
    return {**exporter, "folders": {**folders, "table": _in_table(digest, folders["table"])}}


def _folders(shipping: Shipping) -> dict[str, dict[str, str]]:
    """Entries of the table that the exporters of sinks with folders read."""
    return {
        folders_key(name): {sink_name(ref): f"{home_of(ref.name)}{folder}" for ref, folder in each.items()}
        for name, each in shipping.folders.items()
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def credential_files(sink: Sink, places: Places, known: SinkCredentials | None = None) -> CredentialFiles:
    """Where the collector finds what the Secrets of a sink hold."""
    if not places.credentials:
        return CredentialFiles()
    folder = f"{places.credentials}/{known.folder(sink.ref) if known else sink_name(sink.ref)}"
    tls = sink.spec.tls
    has_client = tls is not None and tls.client_secret_ref is not None
    return CredentialFiles(
        access_key=f"{places.credentials}/{ACCESS_KEY}" if sink.spec.credentials else "",
        authorization=f"{folder}/{AUTHORIZATION}" if sink.spec.credentials else "",
        ca=f"{folder}/{CA}" if tls is not None and tls.ca_secret_ref is not None else "",
        certificate=f"{folder}/{CERTIFICATE}" if has_client else "",
        key=f"{folder}/{KEY}" if has_client else "",
    )
