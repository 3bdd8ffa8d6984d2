"""OTLP over gRPC, from the collector into another one."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter, largest_event
from tests.integration.gateway.pki import Authority
from tests.integration.shipping.lines_shipper import STORAGE, Shipper, until
from tests.integration.shipping.otlp_receiver import Receiver

AT = {"namespace": "audit"}
TLS = {"caSecretRef": {"name": "a", **AT}, "clientSecretRef": {"name": "b", **AT}}
BEARER = {"type": "Bearer", "secretRef": {"name": "s", **AT}}


def spec(url, **more):
    document = {"type": "OTLP", "otlp": {"endpoint": url, "protocol": "GRPC"}, **more}
    return ClusterAuditSinkSpec.model_validate_json(json.dumps(document))


def made(sink, name="central", files=CredentialFiles()):  # noqa: B008  # frozen
    result = exporter(sink, name, files, Room(STORAGE))
    assert isinstance(result, Exporter), result
    return result


@pytest.fixture
def shipper(tmp_path):
    started = []

    def start(*exporters):
        started.append(Shipper(tmp_path, *exporters))
        return started[-1]

    yield start
    for each in started:
        each.stop()


async def test_records_wait_for_a_receiver_that_is_away_and_reach_only_the_one_that_is_trusted(tmp_path, shipper):
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    certificate, key = ours.issue("store", "DNS:store.internal")
    client, client_key = ours.issue("shipper")
    stranger, strangers_key = others.issue("stranger")
    authorization = tmp_path / "authorization"
    authorization.write_text("Bearer abc")
    receiver = Receiver(
        tmp_path / "receiver",
        tls={"cert_file": str(certificate), "key_file": str(key), "client_ca_file": str(ours.certificate)},
    )
    url = f"https://{receiver.address}"
    files = CredentialFiles(str(authorization), str(ours.certificate), str(client), str(client_key))
    named = spec(url, tls={**TLS, "serverName": "store.internal"}, credentials=BEARER)
    sender = shipper(
        made(named, "central", files),
        made(named, "untrusted", replace(files, ca=str(others.certificate))),
        made(named, "unknown", replace(files, certificate=str(stranger), key=str(strangers_key))),
        made(spec(url, tls=TLS, credentials=BEARER), "misnamed", files),
    )
    sender.append(0, 100)
    await sender.start()
    with receiver.running():
        await until(lambda: len(ids(receiver)) == 100, "what was written while nobody listened")
    sender.append(100, 200)
    await until(lambda: "connection refused" in sender.log, "a refusal")
    with receiver.running():
        await until(lambda: len(ids(receiver)) == 200, "what was written while it was away")
        assert ids(receiver) == {f"id-{number}" for number in range(200)}
        assert {each.attributes["said"] for each in receiver.records} == {"Bearer abc"}
    told = await sender.metrics_text()
    assert await sender.count("otelcol_exporter_send_failed_log_records") == 0
    sent = set(re.findall(r'otelcol_exporter_sent_log_records\{exporter="otlp_grpc/(\w+)"', told))
    assert sent == {"central"}


def ids(receiver):
    return {each.attributes["auditID"] for each in receiver.records}


async def test_events_up_to_the_limit_arrive_at_a_receiver_with_its_default_limit(tmp_path, shipper):
    receiver = Receiver(tmp_path / "receiver")
    sink = spec(f"http://{receiver.address}")
    sender = shipper(made(sink))
    with receiver.running():
        for number in range(3):
            sender.append(number, number + 1, size=largest_event(sink) - 200)
        sender.append(3, 103, size=100_000)
        await sender.start()
        await until(lambda: len(ids(receiver)) == 103, "events of all sizes")
    assert await sender.count("otelcol_exporter_send_failed_log_records") == 0


async def test_records_wait_for_a_receiver_that_takes_no_logs(tmp_path, shipper):
    receiver = Receiver(tmp_path / "receiver", signal="traces")
    sender = shipper(made(spec(f"http://{receiver.address}")))
    sender.append(0, 50)
    await sender.start()
    with receiver.running():
        await until(lambda: "answered with Unimplemented" in sender.log, "a refusal")
    mended = Receiver(tmp_path / "mended", address=receiver.address)
    with mended.running():
        await until(lambda: len(ids(mended)) == 50, "all events")
    assert await sender.count("otelcol_exporter_send_failed_log_records") == 0
