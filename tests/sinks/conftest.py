import json
from dataclasses import replace

import pytest

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.sinks import Access, Failure, open_store
from audit_operator.sinks.access import Timeouts
from audit_operator.sinks.open_search import OpenSearchStore
from tests.sinks.fake_store import serving

SPECS = {
    "VictoriaLogs": lambda url: {
        "type": "VictoriaLogs",
        "victoriaLogs": {"url": url, "accountID": 3, "projectID": 4},
    },
    "Loki": lambda url: {"type": "Loki", "loki": {"url": url, "tenant": "audit"}},
    "OTLP": lambda url: {"type": "OTLP", "otlp": {"endpoint": url}},
    "OpenSearch": lambda url: {"type": "OpenSearch", "openSearch": {"url": url}},
    "Elasticsearch": lambda url: {"type": "Elasticsearch", "elasticsearch": {"url": url, "index": "audit-2"}},
}


def opened(kind, url, access=Access(), *, patience=5.0, **more):  # noqa: B008  # frozen
    """The store of a sink of this type, which waits no longer than a test should."""
    store = open_store(AuditSinkSpec.model_validate_json(json.dumps({**SPECS[kind](url), **more})), access)
    if isinstance(store, Failure):
        return store
    timeouts = Timeouts(patience, patience)
    if isinstance(store, OpenSearchStore):
        return replace(store, connection=replace(store.connection, timeouts=timeouts))
    connection = replace(store.endpoint.connection, timeouts=timeouts)
    return replace(store, endpoint=replace(store.endpoint, connection=connection))


@pytest.fixture
async def server():
    async with serving() as store:
        yield store
