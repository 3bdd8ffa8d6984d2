"""From a sink and what its Secrets hold to whoever asks its store about retention."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.sink import SinkType
from audit_operator.shipping.exporters import tenant_headers
from audit_operator.sinks.access import Timeouts, connect
from audit_operator.sinks.retention.loki import LokiRetention
from audit_operator.sinks.retention.loki_client import LokiClient
from audit_operator.sinks.retention.loki_settings import SINGLE
from audit_operator.sinks.retention.s3 import S3Retention
from audit_operator.sinks.retention.unsupported import UnsupportedRetention
from audit_operator.sinks.retention.victoria_logs import VictoriaLogsRetention
from audit_operator.sinks.s3 import connect_s3
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.access import Access
    from audit_operator.sinks.network import Network
    from audit_operator.sinks.retention.protocol import RetentionStore

_CANNOT = {
    SinkType.OTLP: "nothing is known of what takes OTLP: declare in the store behind it how long it keeps records",
    SinkType.OPEN_SEARCH: "this release does not ask OpenSearch: declare an Index State Management policy there",
    SinkType.ELASTICSEARCH: "this release does not ask Elasticsearch: declare the data stream's lifecycle",
    SinkType.FILE: "files are in a volume of the shipper's, which the operator does not mount: delete dated files in "
    "the volume by their age",
}
_BUCKET = (
    "the operator asks buckets of ClusterAuditSinks alone, and with an access key of their own: declare lifecycle "
    "rules and Object Lock in the bucket"
)
_COUNTING = Timeouts(request=60.0)
"""Records are counted over everything that the store has."""


def open_retention(
    sink: Sink, access: Access, network: Network | None, clusters: tuple[str, ...], *, may_delete: bool
) -> RetentionStore | Failure:
    """The sink's store, not talked to yet; a Failure where the Secrets hold what no connection can use.

    `clusters` are the names that records of ours carry. `may_delete`: whether anything may ever be deleted there.
    """
    spec = sink.spec
    if spec.s3 is not None:
        if not may_delete or not access.access_key_id:
            # As for other questions: no tenant's bucket, and none without a key of its own.
            return UnsupportedRetention(_BUCKET)
        store = connect_s3(spec.s3, access, network)
        return store if isinstance(store, Failure) else S3Retention(store, sink.metadata.name, clusters)
    section = spec.victoria_logs or spec.loki
    if section is None:
        return UnsupportedRetention(_CANNOT[spec.type])
    connection = connect(section.url, access, server_name=spec.tls.server_name if spec.tls else None, network=network)
    if isinstance(connection, Failure):
        return connection
    connection, headers = replace(connection, timeouts=_COUNTING), tenant_headers(spec)
    if spec.loki is not None:
        client = LokiClient(connection, spec.loki.tenant or SINGLE, headers)
        return LokiRetention(client, clusters, may_delete=may_delete)
    return VictoriaLogsRetention(connection, clusters, headers, may_delete=may_delete)
