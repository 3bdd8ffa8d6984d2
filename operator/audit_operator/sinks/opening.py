"""From a sink and what its Secrets hold to its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.sink import SinkType
from audit_operator.shipping.exporters import logs_url, tenant_headers, write_headers
from audit_operator.sinks.access import Access, connect
from audit_operator.sinks.loki import LokiStore
from audit_operator.sinks.otlp import OtlpStore
from audit_operator.sinks.otlp_endpoint import OtlpEndpoint
from audit_operator.sinks.s3 import connect_s3
from audit_operator.sinks.store import Failure
from audit_operator.sinks.unsupported import UnsupportedStore
from audit_operator.sinks.victoria_logs import VictoriaLogsStore

if TYPE_CHECKING:
    from audit_operator.shipping.exporters import SinkSpec
    from audit_operator.sinks.network import Network
    from audit_operator.sinks.store import Store

_CANNOT = {
    SinkType.OPEN_SEARCH: "this release does not query OpenSearch, and its collector cannot write there",
    SinkType.ELASTICSEARCH: "this release does not query Elasticsearch, and its collector cannot write there",
    SinkType.FILE: "files are in a volume of the shipper's, which the operator does not mount",
    SinkType.OTLP: "this release does not speak OTLP over gRPC; use protocol HTTP",
}


def open_store(sink: SinkSpec, access: Access, network: Network | None = None) -> Store | Failure:
    """The sink's store, not talked to yet; a Failure where the Secrets hold what no connection can use.

    `network` says how to get there, and where not to; None goes everywhere. Takes some tens of milliseconds, for the
    system's certificates: keep the store.
    """
    if sink.s3 is not None:
        return connect_s3(sink.s3, access, network)
    url = logs_url(sink)
    if url is None:
        return UnsupportedStore(_CANNOT[sink.type])
    server_name = sink.tls.server_name if sink.tls else None
    connection = connect(_base(sink), access, server_name=server_name, network=network)
    if isinstance(connection, Failure):
        return connection
    endpoint = OtlpEndpoint(connection, url, write_headers(sink))
    if sink.victoria_logs is not None:
        return VictoriaLogsStore(endpoint, tenant_headers(sink))
    if sink.loki is not None:
        return LokiStore(endpoint, tenant_headers(sink))
    return OtlpStore(endpoint)


def _base(sink: SinkSpec) -> str:
    section = sink.victoria_logs or sink.loki
    return section.url if section else sink.otlp.endpoint if sink.otlp else ""
