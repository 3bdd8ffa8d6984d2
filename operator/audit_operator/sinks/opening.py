"""From a sink and what its Secrets hold to its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.sink import SinkType
from audit_operator.shipping.exporters import logs_url, search_index, tenant_headers, write_headers
from audit_operator.sinks.access import Access, connect
from audit_operator.sinks.loki import LokiStore
from audit_operator.sinks.open_search import OpenSearchStore
from audit_operator.sinks.otlp import OtlpStore
from audit_operator.sinks.otlp_endpoint import OtlpEndpoint
from audit_operator.sinks.s3 import connect_s3
from audit_operator.sinks.store import Failure
from audit_operator.sinks.unsupported import UnsupportedStore
from audit_operator.sinks.victoria_logs import VictoriaLogsStore

if TYPE_CHECKING:
    from audit_operator.shipping.exporters import SinkSpec
    from audit_operator.sinks.access import Connection
    from audit_operator.sinks.network import Network
    from audit_operator.sinks.store import Store

_CANNOT = {
    SinkType.FILE: "files are in a volume of the shipper's, which the operator does not mount; where it is mounted, "
    "commands read it with --files",
    SinkType.OTLP: "the operator does not speak gRPC, and OTLP has no way to ask for what was written",
}


def open_store(sink: SinkSpec, access: Access, network: Network | None = None) -> Store | Failure:
    """The sink's store, not talked to yet; a Failure where the Secrets hold what no connection can use.

    `network` says how to get there, and where not to; None goes everywhere. Takes some tens of milliseconds, for the
    system's certificates: keep the store.
    """
    if sink.s3 is not None:
        return connect_s3(sink.s3, access, network)
    if logs_url(sink) is None and search_index(sink) is None:
        return UnsupportedStore(_CANNOT[sink.type])
    server_name = sink.tls.server_name if sink.tls else None
    connection = connect(_base(sink), access, server_name=server_name, network=network)
    return connection if isinstance(connection, Failure) else _over(connection, sink)


def _over(connection: Connection, sink: SinkSpec) -> Store:
    index = search_index(sink)
    if index is not None:
        return OpenSearchStore(connection, index.index)
    endpoint = OtlpEndpoint(connection, logs_url(sink) or "", write_headers(sink))
    if sink.victoria_logs is not None:
        return VictoriaLogsStore(endpoint, tenant_headers(sink))
    if sink.loki is not None:
        return LokiStore(endpoint, tenant_headers(sink))
    return OtlpStore(endpoint)


def _base(sink: SinkSpec) -> str:
    section = sink.victoria_logs or sink.loki or search_index(sink)
    return section.url if section else sink.otlp.endpoint if sink.otlp else ""
