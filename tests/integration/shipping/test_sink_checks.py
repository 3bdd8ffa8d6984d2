"""The operator asks a real VictoriaLogs: what it throws away with success for an answer, and whether it runs."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.api.conditions import Reason
from audit_operator.api.references import ADDRESS_ANNOTATION
from audit_operator.api.store_observations import Drop, StoreState
from audit_operator.cli import main
from audit_operator.controller.sink_access import Stores
from audit_operator.controller.sink_checks import CheckTimes, SinkChecks
from audit_operator.plan.shipping_status import ShippingFacts, ShippingOfPlane
from audit_operator.sinks import Access, Record, open_store
from tests.integration.operator_process import thing
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.plan.objects import control_plane, parsed
from tests.ports import free_ports


class NoSecrets:
    async def read(self, namespace, name):
        raise AssertionError(f"no sink here names a Secret, let alone {namespace}/{name}")


@pytest.fixture
async def checks():
    made = SinkChecks(Stores(NoSecrets()), lambda: None, CheckTimes(every=0.2, patience=5.0, again=0.1, longest=0.2))
    yield made
    await made.aclose()


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # what a store says has no event to wait for
            await asyncio.sleep(0.05)


async def test_what_a_store_throws_away_becomes_a_condition_and_a_store_that_ends_is_missed(tmp_path, checks):
    port = next(free_ports())
    url = f"http://127.0.0.1:{port}"
    sink = parsed("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": url}})
    checks.follow([sink])

    def state():
        seen = checks.observations.get(sink.ref)
        return seen.state if seen else None

    with victoria_logs(tmp_path, "-retentionPeriod=30d", port=port):
        await until(lambda: state() is StoreState.TAKING)
        assert not checks.observations[sink.ref].drops
        audit_id, time = str(uuid.uuid4()), datetime.now(UTC) - timedelta(days=60)
        old = Record(audit_id, "ResponseComplete", time, json.dumps({"auditID": audit_id}))
        await open_store(sink.spec, Access()).write(old)
        await until(lambda: checks.observations[sink.ref].drops == (Drop.TOO_OLD,))
        assert checks.observations[sink.ref].figures.dropped[Drop.TOO_OLD] == 1
        judged = ShippingOfPlane(control_plane(), ShippingFacts(), checks.observations).of_sink(sink.ref)
        assert judged.reason is Reason.LOSSY
        assert "raise its -retentionPeriod" in judged.message
    await until(lambda: state() is StoreState.UNREACHABLE)


def test_a_record_is_written_to_a_real_store_and_read_back(tmp_path, capsys):
    with victoria_logs(tmp_path) as url:
        sink = {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "AuditSink",
            "metadata": {"name": "own", "namespace": "payments"},
            "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": url, "accountID": 7}},
        }
        (tmp_path / "sink.json").write_text(json.dumps(sink))
        status = main(["sinks", "check", "-f", str(tmp_path / "sink.json"), "--write-read", "-o", "json"])
    [tried] = json.loads(capsys.readouterr().out)
    assert (status, tried["ok"]) == (0, True)
    assert [(each["step"], each["result"]) for each in tried["steps"]] == [
        ("reached", "yes"),
        ("written", "yes"),
        ("read back", "yes"),
    ]


@pytest.mark.usefixtures("crds")
def test_a_clusters_sinks_are_tried_with_the_secrets_that_one_may_read(control_plane, namespace, tmp_path, capsys):
    arguments = ("-httpAuth.username=audit", "-httpAuth.password=right")
    command = ["sinks", "check", f"{namespace}/own", "--write-read", "--kubeconfig", str(control_plane.kubeconfig())]
    with victoria_logs(tmp_path, *arguments) as url:
        credentials = {"type": "Basic", "secretRef": {"name": "store"}}
        spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": url}, "credentials": credentials}
        control_plane.apply(thing("AuditSink", "own", spec, namespace))
        assert main(command) == 1
        assert f"Secret {namespace}/store does not exist" in capsys.readouterr().out
        for password, status, said in (("wrong", 1, "HTTP status 401"), ("right", 0, "yes")):
            values = {"username": "audit", "password": password}
            metadata = {"name": "store", "namespace": namespace, "annotations": {ADDRESS_ANNOTATION: url}}
            control_plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})
            assert main(command) == status
            assert said in capsys.readouterr().out
