import json
from dataclasses import replace

import pytest

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.sinks import Access, Failure, open_store
from audit_operator.sinks.access import Timeouts
from tests.sinks.fake_store import serving

SPECS = {
    "VictoriaLogs": lambda url: {
        "type": "VictoriaLogs",
        "victoriaLogs": {"url": url, "accountID": 3, "projectID": 4},
    },
    "Loki": lambda url: {"type": "Loki", "loki": {"url": url, "tenant": "audit"}},
    "OTLP": lambda url: {"type": "OTLP", "otlp": {"endpoint": url}},
}


def opened(kind, url, access=Access(), *, patience=5.0, **more):  # noqa: B008  # frozen
    """The store of a sink of this type, which waits no longer than a test should."""
    store = open_store(AuditSinkSpec.model_validate_json(json.dumps({**SPECS[kind](url), **more})), access)
    if isinstance(store, Failure):
        return store
    connection = replace(store.endpoint.connection, timeouts=Timeouts(patience, patience))
    return replace(store, endpoint=replace(store.endpoint, connection=connection))


@pytest.fixture
async def server():
    async with serving() as store:
        yield store
