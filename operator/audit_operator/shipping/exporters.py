"""From a sink to the collector's exporter: how records reach a store, and what may happen to them on the way.

The collector's defaults lose records: its queue is in memory and refuses when full, and it gives up after five minutes.
Where a sink asks for AtLeastOnce, nothing here gives up, ever. What the collector drops all the same, whatever is
configured, stands in docs/sinks.md: an answer that it holds to be final (anything but 429, 502, 503 and 504; of
OpenSearch and Elasticsearch, what they refuse of a document itself).

Secrets never stand in what is made here. The Authorization header is read from a file, and what is in that file must
come from `authorization`: the collector expands `${...}` also in files that it reads, so that a Secret written by a
tenant could otherwise name a file of another tenant. The collector reads it when it starts and on SIGHUP.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from audit_operator.api.sink import (
    S3,
    AuditSinkSpec,
    ClusterAuditSinkSpec,
    CredentialType,
    Guarantee,
    OtlpProtocol,
    SearchIndex,
    SinkType,
)
from audit_operator.shipping.pipeline import LARGEST_LINE
from audit_operator.shipping.search_index import NEW_INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.sink import Otlp

SinkSpec = AuditSinkSpec | ClusterAuditSinkSpec

AUDIT_ID = "auditID"
STAGE = "stage"
CLUSTER = "cluster"
NAMESPACE = "namespace"
"""Attributes by which stored records are found, of those that every record has (`collector.attributes.SHIPPED`)."""

AWS_CREDENTIALS = "AWS_SHARED_CREDENTIALS_FILE"
"""Variable of the collector's environment that must name `CredentialFiles.access_key`: its exporter for S3 has no
setting for keys, so that one collector writes to all buckets as one and the same."""

S3_PARTITION = "%Y/%m/%d/%H"
"""Of the hour, in UTC, in which an object was uploaded; a part of its key."""

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30

ATTRIBUTES_BUDGET = 64 * _KIB
"""Bytes left in every limit for what a record carries beside the event; attributes must be cut to fit."""

_OTHER_COMPONENTS: Mapping[SinkType | OtlpProtocol, str] = {
    OtlpProtocol.GRPC: "otlp_grpc",
    SinkType.S3: "awss3",
    SinkType.OPEN_SEARCH: "search_bulk",
    SinkType.ELASTICSEARCH: "search_bulk",
    SinkType.FILE: "dated_files",
}
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[(?P<ip>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?(?:/(?:[A-Za-z0-9._~/-]|%[0-9A-Fa-f]{2})*)?"
)
_HIGHEST_PORT = 65535
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_KEY_PART = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Where the shipper finds what the sink's Secrets hold; empty where the sink names none.

    Attributes:
        authorization: file whose content `authorization` made.
        ca: certificate authorities in PEM.
        certificate: client certificate in PEM.
        key: its key in PEM.
        access_key: file whose content `access_key` made, the same for all sinks of a collector.
    """

    authorization: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    access_key: str = ""


RETRIED_REFUSALS = "retried_refusals"
"""Extension of the collector for exporters for OTLP: what a store answers to everything is retried, and no redirect is
followed, which would take records and credentials where it likes. Exporters of ours do so by themselves."""
_RETRIED: Mapping[str, Any] = MappingProxyType({"middlewares": [{"id": RETRIED_REFUSALS}]})


@dataclass(frozen=True, slots=True)
class Exporter:
    """One entry of the collector's `exporters`.

    Attributes:
        id: its name there, for example ``otlp_http/central``.
        config: its settings.
        detached: whether the pipeline must end in a `detach` processor before it, which takes every record and passes
            no error back: a full queue of a BestEffort or a tenant's sink must not hold up, or repeat, the rest. Its
            queue must not wait for room, since that processor waits for it.
        largest: bytes of the largest event that may come to it; see `largest_event`.
    """

    id: str
    config: Mapping[str, Any]
    detached: bool
    largest: int = LARGEST_LINE


@dataclass(frozen=True, slots=True)
class Unusable:
    """Credentials that do not fit the sink, or that no header can carry. Never holds any of them."""

    message: str
    mend: str


@dataclass(frozen=True, slots=True)
class Room:
    """What the shipper has for one sink.

    A queue must be larger than any one request of the receiver: a request that it cannot ever take waits for ever.

    Attributes:
        storage: the collector's file_storage extension, for example ``file_storage/queues``.
        folder: where the claim of a sink of type File is mounted.
        table: of decisions, where it says in which folders of this sink records lie; empty: all lie in one.
        sink: under which name it says so.
        on_disk: bytes of the queue of a cluster-wide sink AtLeastOnce; when it is full, everything waits.
        on_disk_of_tenant: the same of a tenant's; when it is full, what is new is given up, and counted.
        in_memory: bytes of the queue of a cluster-wide sink BestEffort.
        in_memory_of_tenant: the same of a tenant's.
        holds: whether everything waits for tenants' sinks, too, since it is theirs alone.
    """

    storage: str
    folder: str = ""
    table: str = ""
    sink: str = ""
    on_disk: int = 4 * _GIB
    on_disk_of_tenant: int = 256 * _MIB
    in_memory: int = 64 * _MIB
    in_memory_of_tenant: int = 64 * _MIB
    holds: bool = False


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a store takes: `event` bytes in one event, `batch` bytes in one request; larger ones it refuses or drops.

    Where each request costs money and leaves an object, `gathered` bytes are waited for, up to `wait`.
    """

    event: int
    batch: int
    gathered: int = 0
    wait: str = "1s"


# VictoriaLogs drops entries above 2 MiB (logstorage.maxUncompressedBlockSize) and refuses requests above 64 MiB; its
# -insert.maxLineSizeBytes does not apply to OTLP. Loki refuses lines above 256 kB, and a request above its tenant's
# burst of 6 MB is answered 429 for ever. An OTLP receiver takes 20 MiB unless told otherwise; over gRPC messages of
# 4 MiB, and what it refuses for its size is dropped. OpenSearch and Elasticsearch take requests of 100 MB
# (http.max_content_length), in which a character may have become six; what a node with little memory does not take at
# once it answers 429.
_SEARCH_LIMITS = _Limits(event=8 * _MIB - ATTRIBUTES_BUDGET, batch=8 * _MIB)
_LIMITS: Mapping[SinkType | OtlpProtocol, _Limits] = {
    SinkType.VICTORIA_LOGS: _Limits(event=2 * _MIB - ATTRIBUTES_BUDGET, batch=32 * _MIB),
    SinkType.LOKI: _Limits(event=256 * _KIB, batch=2 * _MIB),
    SinkType.OTLP: _Limits(event=16 * _MIB - ATTRIBUTES_BUDGET, batch=16 * _MIB),
    OtlpProtocol.GRPC: _Limits(event=4 * _MIB - 2 * ATTRIBUTES_BUDGET, batch=4 * _MIB - ATTRIBUTES_BUDGET),
    SinkType.S3: _Limits(event=16 * _MIB - ATTRIBUTES_BUDGET, batch=16 * _MIB, gathered=8 * _MIB, wait="30s"),
    SinkType.FILE: _Limits(event=16 * _MIB - ATTRIBUTES_BUDGET, batch=16 * _MIB),
    SinkType.OPEN_SEARCH: _SEARCH_LIMITS,
    SinkType.ELASTICSEARCH: _SEARCH_LIMITS,
}


def largest_event(sink: SinkSpec) -> int:
    """Bytes of the largest event, as JSON text, that the store keeps by its default settings.

    What is larger must be cut or put elsewhere before the exporter: the store drops it, often with success for an
    answer, and what does not fit into one batch takes the records behind it with it, uncounted.
    """
    return _LIMITS[_kind(sink)].event


def exporter(sink: SinkSpec, name: str, files: CredentialFiles, room: Room) -> Exporter | Unusable:
    """How the collector writes to this sink.

    `name` tells exporters apart. A queue on disk is found again under it, so it must stay the same for the same sink.
    """
    refused = _unfit_address(sink) or _unfit_credentials(sink) or _missing_files(sink, files) or _unfit_tls(sink)
    if refused is not None:
        return refused
    component = _OTHER_COMPONENTS.get(_kind(sink), "otlp_http")
    config, detached = _config(sink, files, room), not _may_block(sink, room)
    return Exporter(f"{component}/{name}", config, detached, largest_event(sink))


def _config(sink: SinkSpec, files: CredentialFiles, room: Room) -> dict[str, Any]:
    if sink.type is SinkType.FILE:
        return _files(sink, room)
    if sink.s3 is not None:
        folders = {"folders": {"table": room.table, "sink": room.sink}} if room.table else {}
        return {**_s3(sink.s3, _delivery(sink, room)), **folders}
    receiver = _grpc_receiver(sink)
    if receiver is not None:
        return _over_grpc(sink, receiver, files, room)
    index = search_index(sink)
    return _over_http(sink, files, room, {**_otlp(sink), **_RETRIED} if index is None else _bulk(index))


def _may_block(sink: SinkSpec, room: Room) -> bool:
    """Whether everything may have to wait for this sink. Not for a tenant's where others would wait with it."""
    is_ours = room.holds or isinstance(sink, ClusterAuditSinkSpec)
    return guarantee(sink) is Guarantee.AT_LEAST_ONCE and is_ours


def _unfit_address(sink: SinkSpec) -> Unusable | None:
    """One address that the collector cannot read would make it refuse its whole configuration, for everybody."""
    receiver, url = _grpc_receiver(sink), _address(sink)
    if url is None:
        return None
    found = _ADDRESS.fullmatch(url)
    if found is None or not _is_host(found["ip"]) or int(found["port"] or 0) > _HIGHEST_PORT:
        return Unusable("the address of the store is none that can be connected to", "correct its host, port or path")
    if receiver is not None and (not found["port"] or urlsplit(url).path not in {"", "/"}):
        return Unusable("an address for OTLP over gRPC has a port and no path", "name its port, such as 4317, alone")
    return None


def _address(sink: SinkSpec) -> str | None:
    """Where the exporter connects to; None where it does not, or knows by itself."""
    if sink.s3 is not None:
        return sink.s3.endpoint
    section = search_index(sink)
    receiver = _grpc_receiver(sink)
    return section.url if section else receiver.endpoint if receiver else logs_url(sink)


def _is_host(ip: str | None) -> bool:
    """Whether what stands in brackets, if anything, is an address."""
    try:
        return ip is None or bool(ipaddress.IPv6Address(ip))
    except ValueError:
        return False


def _unfit_credentials(sink: SinkSpec) -> Unusable | None:
    kind = sink.credentials.type if sink.credentials else None
    if kind is None or (sink.type is not SinkType.FILE and (kind is CredentialType.ACCESS_KEY) == bool(sink.s3)):
        return None
    return Unusable(
        f"credentials of type {kind} are of no use to a sink of type {sink.type}",
        "use AccessKey with S3, Basic or Bearer with other stores that speak HTTP, and none with files",
    )


def _unfit_tls(sink: SinkSpec) -> Unusable | None:
    """Ignoring them would mean to trust whom the user does not."""
    if sink.s3 is None or sink.tls is None:
        return None
    return Unusable(
        "the collector's exporter for S3 knows no TLS settings",
        "leave spec.tls away, and give the store a certificate of an authority that the system trusts",
    )


def _missing_files(sink: SinkSpec, files: CredentialFiles) -> Unusable | None:
    """Without them the store would refuse every request, and what it refuses the collector drops."""
    ca = sink.tls.ca_secret_ref if sink.tls else None
    client = sink.tls.client_secret_ref if sink.tls else None
    wanted = {
        "credentials": (sink.credentials, files.access_key if sink.s3 else files.authorization),
        "tls.caSecretRef": (ca, files.ca),
        "tls.clientSecretRef": (client, files.certificate and files.key),
    }
    missing = [name for name, (reference, file) in wanted.items() if reference is not None and not file]
    if not missing:
        return None
    return Unusable(
        f"the shipper has not what {' and '.join(missing)} names", "create the Secret, with the keys it needs"
    )


def authorization(kind: CredentialType, secret: Mapping[str, bytes]) -> str | Unusable:
    """Value of the Authorization header, without a line end: what the file of the credentials must hold.

    Made of characters that neither the collector nor HTTP gives a meaning to, whatever the Secret holds.
    """
    if kind is CredentialType.BEARER:
        token = secret.get("token", b"").decode("latin-1").strip()
        if _BEARER_TOKEN.fullmatch(token):
            return f"Bearer {token}"
        return Unusable(
            "the Secret's key token is missing, or holds no bearer token",
            "put the token there as it is: letters, digits and . _ ~ + / - =",
        )
    if kind is CredentialType.BASIC:
        user, password = secret.get("username"), secret.get("password")
        if user and password is not None and b":" not in user:
            return "Basic " + base64.b64encode(user + b":" + password).decode()
        return Unusable(
            "the Secret needs the keys username and password, and no colon in the former",
            "put user name and password there as they are, not encoded",
        )
    return Unusable(f"no header carries credentials of type {kind}", "use Basic or Bearer")


def access_key(secret: Mapping[str, bytes]) -> str | Unusable:
    """What the file of an access key must hold: credentials as the tools of AWS share them."""
    parts = access_key_parts(secret)
    if isinstance(parts, Unusable):
        return parts
    identity, key = parts
    return f"[default]\naws_access_key_id = {identity}\naws_secret_access_key = {key}\n"


def access_key_parts(secret: Mapping[str, bytes]) -> tuple[str, str] | Unusable:
    """The access key's ID, and its secret part."""
    identity, key = (secret.get(name, b"").decode("latin-1").strip() for name in ("accessKeyID", "secretAccessKey"))
    if _KEY_PART.fullmatch(identity) and _KEY_PART.fullmatch(key):
        return identity, key
    return Unusable(
        "the Secret's keys accessKeyID and secretAccessKey are missing, or hold no access key",
        "put both there as they are, not encoded",
    )


def logs_url(sink: SinkSpec) -> str | None:
    """Where records are posted to as OTLP over HTTP; None where the sink takes none."""
    if sink.victoria_logs is not None:
        return sink.victoria_logs.url.rstrip("/") + "/insert/opentelemetry/v1/logs"
    if sink.loki is not None:
        return sink.loki.url.rstrip("/") + "/otlp/v1/logs"
    if sink.otlp is not None and sink.otlp.protocol is OtlpProtocol.HTTP:
        return sink.otlp.endpoint.rstrip("/") + "/v1/logs"
    return None


def search_index(sink: SinkSpec) -> SearchIndex | None:
    """The section of a sink whose records become documents of an index."""
    return sink.open_search or sink.elasticsearch


def tenant_headers(sink: SinkSpec) -> dict[str, str]:
    """Headers that say whose records these are, for writing and for asking alike."""
    if sink.victoria_logs is not None:
        return {"AccountID": str(sink.victoria_logs.account_id), "ProjectID": str(sink.victoria_logs.project_id)}
    if sink.loki is not None and sink.loki.tenant is not None:
        return {"X-Scope-OrgID": sink.loki.tenant}
    return {}


def write_headers(sink: SinkSpec) -> dict[str, str]:
    """Headers of a request that writes.

    A record's body is text and becomes VictoriaLogs' message as it is; VL-Msg-Field would let an attribute replace it.
    """
    streams = {"VL-Stream-Fields": f"{CLUSTER},{NAMESPACE}"} if sink.victoria_logs is not None else {}
    return {**tenant_headers(sink), **streams}


def _kind(sink: SinkSpec) -> SinkType | OtlpProtocol:
    """What decides how records are written: the type, and of OTLP whether it is the protocol that is not HTTP."""
    return OtlpProtocol.GRPC if _grpc_receiver(sink) is not None else sink.type


def _grpc_receiver(sink: SinkSpec) -> Otlp | None:
    return sink.otlp if sink.otlp is not None and sink.otlp.protocol is OtlpProtocol.GRPC else None


def guarantee(sink: SinkSpec) -> Guarantee:
    """What a sink asks for: AtLeastOnce unless it says something else."""
    return sink.delivery.guarantee if sink.delivery else Guarantee.AT_LEAST_ONCE


def _over_http(sink: SinkSpec, files: CredentialFiles, room: Room, target: Mapping[str, Any]) -> dict[str, Any]:
    headers = {**write_headers(sink), **_authorized(files)}
    config: dict[str, Any] = {
        **target,
        "timeout": "30s",
        "compression": "gzip",
        # Shrinks events to a ninth instead of a twelfth, in two thirds of the time.
        "compression_params": {"level": 1},
        **({"headers": headers} if headers else {}),
        **_delivery(sink, room),
    }
    tls = _tls(sink, files)
    return {**config, "tls": tls} if tls else config


def _authorized(files: CredentialFiles) -> dict[str, str]:
    return {"Authorization": f"${{file:{files.authorization}}}"} if files.authorization else {}


def _over_grpc(sink: SinkSpec, receiver: Otlp, files: CredentialFiles, room: Room) -> dict[str, Any]:
    """The name is said to be one for DNS: gRPC would take a host called `unix` for the scheme of a socket."""
    address = urlsplit(receiver.endpoint)
    headers = _authorized(files)
    return {
        "endpoint": f"dns:///{address.netloc}",
        "tls": _tls(sink, files) if address.scheme == "https" else {"insecure": True},
        **_RETRIED,
        "timeout": "30s",
        "compression": "gzip",
        **({"headers": headers} if headers else {}),
        **_delivery(sink, room),
    }


def _otlp(sink: SinkSpec) -> dict[str, Any]:
    return {"logs_endpoint": logs_url(sink)}


def _bulk(index: SearchIndex) -> dict[str, Any]:
    return {"endpoint": index.url, "index": index.index, "new_index": NEW_INDEX}


def _delivery(sink: SinkSpec, room: Room) -> dict[str, Any]:
    keep, limits = guarantee(sink) is Guarantee.AT_LEAST_ONCE, _LIMITS[_kind(sink)]
    is_ours = isinstance(sink, ClusterAuditSinkSpec)
    on_disk = room.on_disk if is_ours else room.on_disk_of_tenant
    in_memory = room.in_memory if is_ours else room.in_memory_of_tenant
    queue = {"storage": room.storage, "queue_size": on_disk} if keep else {"queue_size": in_memory}
    return {
        "sending_queue": {
            "enabled": True,
            **queue,
            "sizer": "bytes",
            "block_on_overflow": _may_block(sink, room),
            # Few, and nothing gathered: what the queue has handed out is at stake where the collector is killed while
            # it starts (docs/sinks.md). Batches serve to split what is too large for one request.
            "num_consumers": 2,
            "batch": {
                "sizer": "bytes",
                "flush_timeout": limits.wait,
                "min_size": limits.gathered,
                "max_size": limits.batch,
            },
        },
        "retry_on_failure": {
            "enabled": True,
            "initial_interval": "1s",
            "max_interval": "30s",
            "max_elapsed_time": "0s" if keep else "60s",
        },
    }


def _s3(bucket: S3, delivery: Mapping[str, Any]) -> dict[str, Any]:
    """One object for each request and folder, under the hour of its upload.

    Whatever the store answers, it tries again (measured: 403, for ever).
    """
    return {
        "s3uploader": {
            "region": bucket.region,
            "s3_bucket": bucket.bucket,
            **({"s3_base_prefix": bucket.prefix.removesuffix("/")} if bucket.prefix else {}),
            "s3_partition_format": S3_PARTITION,
            "s3_partition_timezone": "UTC",
            **({"endpoint": bucket.endpoint} if bucket.endpoint else {}),
            "s3_force_path_style": bucket.path_style,
            "compression": "gzip",
            "unique_key_func_name": "uuidv7",
        },
        # With attributes; `body` would leave out all but the event itself.
        "marshaler": "otlp_json",
        "timeout": "60s",
        **delivery,
    }


def _tls(sink: SinkSpec, files: CredentialFiles) -> dict[str, Any]:
    """No switch turns verification off. A renewed client certificate is read again, a renewed authority is not."""
    server_name = sink.tls.server_name if sink.tls else None
    settings = {
        "ca_file": files.ca,
        "cert_file": files.certificate,
        "key_file": files.key,
        "reload_interval": "1m" if files.certificate else "",
        "server_name_override": server_name or "",
    }
    return {key: value for key, value in settings.items() if value}


def _files(sink: SinkSpec, room: Room) -> dict[str, Any]:
    """Nothing is ever deleted here: how long files are kept is not the shipper's to decide."""
    return {"directory": room.folder, **_delivery(sink, room)}
