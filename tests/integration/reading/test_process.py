"""`audit-operator reader run` as it runs in a pod."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.integration.operator_process import eventually
from tests.integration.reading.records import record, write
from tests.integration.reading.world import ROLE, RunningReader, binding, service_account, token
from tests.ports import free_ports


@pytest.fixture
def process(world, tmp_path):
    """With the settings of the world's reader, on ports of its own."""
    ports = free_ports()
    world.health, world.port = next(ports), next(ports)
    settings = world.reader.settings
    environment = {
        "AUDIT_OPERATOR_KUBECONFIG": settings.kubeconfig,
        "AUDIT_OPERATOR_LISTEN_HOST": "127.0.0.1",
        "AUDIT_OPERATOR_LISTEN_PORT": world.health,
        "AUDIT_OPERATOR_READER_HOST": "127.0.0.1",
        "AUDIT_OPERATOR_READER_PORT": world.port,
        "AUDIT_OPERATOR_READER_CERTIFICATE": settings.reader_certificate,
        "AUDIT_OPERATOR_READER_KEY": settings.reader_key,
        "AUDIT_OPERATOR_READER_SINK": settings.reader_sink,
        "AUDIT_OPERATOR_READER_SECRETS": tmp_path,
        "AUDIT_OPERATOR_READER_AUDIENCES": "vault,audit-records",
    }
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(  # the operator under test
            [sys.executable, "-m", "audit_operator", "reader", "run"],
            env={**os.environ, **{name: str(value) for name, value in environment.items()}},
            stdout=log,
            stderr=log,
        )
        yield running, tmp_path / "log"
        running.kill()
        running.wait()


def get(world, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{world.health}{path}", timeout=10) as answer:  # loopback
        return answer.read().decode()


def test_it_answers_and_tells_what_it_did_and_stops_when_told(world, process):
    running, log = process
    plane = world.control_plane
    name = plane.create_namespace(f"process-{world.suffix}")
    plane.apply(service_account(name, "jane"), binding(ROLE, (name, "jane"), name))
    time.sleep(1.1)
    write(world.store, [record(name, "mine", ago=0.0)])
    janes = token(plane, name, "jane", audiences=["audit-records"])
    assert eventually(lambda: get(world, "/readyz"), "it is ready") == "[+] sink ok\n[+] certificate ok\n"

    client = RunningReader.__new__(RunningReader)
    client.authority, client.port = world.reader.authority, world.port
    assert eventually(lambda: client.ask(f"namespace={name}", janes).marks, "it answers") == ["mine"]
    assert client.ask("namespace=kube-system", janes).status == 403
    for_the_api_server = token(plane, name, "jane")
    assert world.reader.ask(f"namespace={name}", for_the_api_server).status == 200
    assert client.ask(f"namespace={name}", for_the_api_server).status == 401
    assert world.reader.ask(f"namespace={name}", janes).status == 401
    assert (
        client.answer(f"GET /v1/records?namespace={name} HTTP/1.1\nAuthorization: Bearer {janes}\n\n".encode()).status
        == 400
    )
    assert "audit_operator_reader_records_total 1.0" in get(world, "/metrics")

    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    text = log.read_text()
    lines = [json.loads(each) for each in text.splitlines()]
    assert janes not in text
    assert [each["records"] for each in lines if each.get("reason") == "Read"] == ["1"]
    [refused] = [each for each in lines if each.get("reason") == "Forbidden"]
    assert (refused["user"], refused["object"]) == (f"system:serviceaccount:{name}:jane", "kube-system")
    plane.finalize_namespace(name)
