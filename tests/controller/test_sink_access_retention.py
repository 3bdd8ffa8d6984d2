"""Through whose sinks anything is ever deleted."""

from pathlib import Path

import pytest

from audit_operator.controller.sink_access import Stores
from audit_operator.sinks.retention.file import FileRetention
from audit_operator.sinks.retention.unsupported import UnsupportedRetention
from tests.plan.objects import parsed

SECTIONS = {
    "VictoriaLogs": {"victoriaLogs": {"url": "http://logs:9428"}},
    "Loki": {"loki": {"url": "http://loki:3100"}},
    "S3": {"s3": {"bucket": "records"}},
    "OTLP": {"otlp": {"endpoint": "http://any:4318"}},
}


async def opened(kind, store, namespace=""):
    sink = parsed(kind, "one", {"type": store, **SECTIONS[store]}, namespace)
    return await Stores(None).open_retention(sink, ("main",))


@pytest.mark.parametrize("store", ["VictoriaLogs", "Loki"])
async def test_nothing_is_deleted_where_a_namespace_chose_the_address(store):
    assert (await opened("ClusterAuditSink", store)).may_delete
    assert not (await opened("AuditSink", store, "web")).may_delete


async def test_a_loki_without_tenants_has_one_with_a_name_of_its_own():
    assert (await opened("ClusterAuditSink", "Loki")).client.tenant == "fake"


async def test_what_cannot_be_asked_says_what_its_owner_can_do():
    for kind, store, namespace in (
        ("AuditSink", "S3", "web"),
        ("ClusterAuditSink", "S3", ""),
        ("AuditSink", "OTLP", "web"),
    ):
        made = await opened(kind, store, namespace)
        assert isinstance(made, UnsupportedRetention)
        assert "declare" in made.reason


@pytest.mark.parametrize(("folder", "made"), [(Path("/somewhere"), FileRetention), (None, UnsupportedRetention)])
async def test_files_are_seen_to_where_they_are_on_this_machine_and_nowhere_else(folder, made):
    asked = []

    def files(sink, clusters):
        asked.append((sink.name, clusters))
        return folder

    sink = parsed("ClusterAuditSink", "one", {"type": "File", "file": {"claimName": "audit"}})
    assert isinstance(await Stores(None, files=files).open_retention(sink, ("main",)), made)
    assert asked == [("one", ("main",))]
