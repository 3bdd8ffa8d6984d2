"""The process of the injected container, with the real collector."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import aiohttp
import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.sink import AuditSinkSpec
from audit_operator.cluster.resources import CONFIG_MAP
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.sidecar_objects import SidecarObjects
from audit_operator.controller.sidecar_questions import Carriers, SidecarQuestions, ask
from audit_operator.controller.sidecars import Sidecars
from audit_operator.plan import Snapshot, plan
from audit_operator.plan.status import statuses
from audit_operator.shipping.application.configuration import render
from audit_operator.shipping.collector.configuration import (
    HEALTH_VARIABLE,
    METRICS_PORT_VARIABLE,
    QUEUES,
    Endpoints,
    variable,
)
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.injection.names import LOGS_FOLDER, STATE_FOLDER
from audit_operator.shipping.injection.pod import pod_of
from audit_operator.shipping.redaction.rendering import PSEUDONYM_VARIABLE
from audit_operator.sinks.network import Network
from tests.cluster.fake_api_server import fake_api_server
from tests.integration.shipping.collector import binary, records
from tests.integration.shipping.otlp_receiver import Receiver
from tests.integration.shipping.sidecar import Sidecar
from tests.plan.objects import control_plane
from tests.plan.test_shipping import sink
from tests.plan.test_sidecars import injected
from tests.shipping.injection import pods

ENDPOINTS = Endpoints(variable(HEALTH_VARIABLE), "127.0.0.1", variable(METRICS_PORT_VARIABLE))
LINE = b'{"time":"2026-01-01T12:00:00Z","user":"ann","action":"pay","result":"ok","id":"%d","correlationId":"c"}\n'
LITTLE = {"check_interval": "1s", "limit_mib": 1}
PATIENCE = 180.0
PCI = ObjectRef("AuditPolicy", "pci", "payments")
COLLECTING = pods.policy(files=[{"volume": "logs", "path": "*.log"}])
COLLECTING["spec"]["sinkRefs"] = [{"kind": "AuditSink", "name": "own"}]
NOWHERE = sink("AuditSink", "own", "payments", victoriaLogs={"url": "http://logs.invalid:9428"})
PLANE = control_plane()
ORDERS, ADDRESS = ObjectRef("AuditPolicy", "orders", "shop"), "127.83.19.9"


def ids(found) -> set[str]:
    text = json.dumps([each.body for each in found])
    return set(re.findall(r'"id\\?": \\?"(\d+)', text)) | set(re.findall(r'\\"id\\":\\"(\d+)', text))


class Container:
    """The folders that the injection mounts, and the process in them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pipeline, self.uid = folder, Sidecar(folder), str(uuid.uuid4())
        for each in ("config", "secret", "keys", "state"):
            (folder / each).mkdir()
        (folder / "termination-log").touch()
        self.process: subprocess.Popen[bytes] | None = None

    def configuration(self, **changed):
        rendered = {**render(self.pipeline.pipeline(), ENDPOINTS), **changed}
        if "file" in rendered["exporters"]:
            rendered["exporters"]["file"]["append"] = True  # else each start of a collector would empty it
        return rendered

    def configure(self, text: str) -> None:
        """As a kubelet does: the content of a volume changes in one step."""
        draft = self.folder / "draft"
        draft.write_text(text)
        draft.replace(self.folder / "config" / "config.yaml")

    def start(self) -> None:
        places = {
            "CONFIG_FOLDER": "config",
            "SECRET_FOLDER": "secret",
            "CREDENTIALS_FOLDER": "keys",
            "STATE_FOLDER": "state",
            "MESSAGE": "termination-log",
        }
        environment = {f"AUDIT_SHIPPER_{name}": str(self.folder / path) for name, path in places.items()}
        environment |= {
            "AUDIT_SHIPPER_COLLECTOR": str(binary()),
            "AUDIT_SHIPPER_MEMORY_LIMIT": str(160 * 2**20),
            "AUDIT_SHIPPER_POD": "web-1",
            "AUDIT_SHIPPER_POD_UID": self.uid,
            "AUDIT_SHIPPER_POD_IP": ADDRESS,
            "AUDIT_SHIPPER_HOST_IP": "10.0.0.1",
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "audit_operator.sidecar"], env={**os.environ, **environment}, stderr=log
            )

    def write(self, *numbers: int) -> None:
        self.pipeline.write("audit.log", b"".join(LINE % each for each in numbers))

    def ids(self) -> set[str]:
        return ids(records(self.folder / "out.jsonl"))

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def collectors(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
        return [pid for pid, command in commands.items() if b"--config=" in command and b"validate" not in command]

    def until(self, condition, what: str):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < deadline, f"in vain: {what}\n{self.log()[-3000:]}"
            assert self.process is not None
            assert self.process.poll() is None, self.log()[-3000:]
            time.sleep(0.1)
        return found

    def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def container(tmp_path):
    made = Container(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        for each in made.collectors():
            os.kill(each, signal.SIGKILL)
        made.process.kill()
        made.process.wait()


def arrived(container, *numbers):
    return lambda: container.ids() >= {str(each) for each in numbers}


def test_it_waits_for_a_configuration_and_then_ships_and_sends_the_rest_at_the_end(container):
    container.start()
    container.write(1)
    container.until(lambda: "waiting for a configuration" in container.log(), "it says that it waits")
    assert container.collectors() == []
    container.configure(yaml_text(container.configuration()))
    container.until(arrived(container, 1), "the first record")
    # As a Job that writes its last line and ends: the kubelet then tells the sidecar.
    container.write(2)
    assert container.end() == 0
    assert container.ids() == {"1", "2"}
    assert '"sent": "all"' in container.log()


def test_it_ends_at_once_where_there_was_never_anything_to_do(container):
    container.start()
    container.until(lambda: "waiting for a configuration" in container.log(), "it is up")
    began = time.monotonic()
    assert container.end() == 0
    assert time.monotonic() - began < PATIENCE / 2


def test_another_configuration_is_used_without_a_restart_and_a_refused_one_is_not(container):
    container.configure(yaml_text(container.configuration()))
    container.start()
    container.write(1)
    container.until(arrived(container, 1), "the first record")
    [collector] = container.collectors()

    container.configure("receivers: {nonsense: }\n")
    container.until(lambda: "configuration is refused, what ran before stays" in container.log(), "a refusal")
    assert "refused" in (container.folder / "termination-log").read_text()
    container.write(2)
    container.until(arrived(container, 2), "records go on")

    changed = container.configuration()
    changed["receivers"]["file_log"]["include"].append(str(container.pipeline.logs / "more.txt"))
    container.configure(yaml_text(changed))
    container.until(lambda: "told the collector" in container.log(), "the change is taken")
    container.pipeline.write("more.txt", LINE % 3)
    container.write(4)
    container.until(arrived(container, 3, 4), "records of the new file and of the old one")
    assert container.collectors() == [collector]


def test_a_collector_that_dies_is_started_again_and_loses_nothing(container):
    container.configure(yaml_text(container.configuration()))
    container.start()
    for number in range(1, 4):
        container.write(number)
        container.until(arrived(container, number), f"record {number}")
        [collector] = container.collectors()
        os.kill(collector, signal.SIGKILL)
        container.write(number + 100)
        # That this exporter has it is no proof that the file has it: it writes 50 ms later.
        container.until(arrived(container, number + 100), f"record {number + 100}, by another collector")
    assert container.ids() == {"1", "2", "3", "101", "102", "103"}


def test_a_configuration_that_is_accepted_and_cannot_work_is_taken_back(container):
    container.configure(yaml_text(container.configuration()))
    container.start()
    container.write(1)
    container.until(arrived(container, 1), "the first record")
    container.until((container.folder / "state" / "config.yaml").exists, "it runs")
    time.sleep(11)  # until what runs counts as good
    broken = container.configuration()
    out = broken["exporters"]["file"]
    broken["exporters"]["file"] = {**out, "path": str(container.folder / "nowhere" / "out.jsonl")}
    container.configure(yaml_text(broken))
    container.until(lambda: "ends with it" in container.log(), "the collector could not work with it")
    container.write(2)
    container.until(arrived(container, 2), "records go on")


def test_credentials_come_with_the_secret_and_the_configuration_waits_for_them(container):
    folder, path = container.folder / "keys", "auditsink.shop.own/4b/authorization"
    container.start()
    with_path = container.configuration()
    with_path["exporters"]["file"]["path"] = str(container.folder / "out.jsonl")
    text = yaml_text(with_path) + f"# {folder}/{path}\n"
    container.configure(text)
    container.until(lambda: "waiting for 1 files of credentials" in container.log(), "it says what is missing")
    assert container.collectors() == []
    secret = {"files": {path: base64.b64encode(b"Bearer x").decode()}, "environment": {PSEUDONYM_VARIABLE: "k" * 64}}
    (container.folder / "secret" / "sidecar.json").write_text(json.dumps(secret))
    container.until(container.collectors, "the collector")
    assert (folder / path).read_bytes() == b"Bearer x"
    assert (folder / path).stat().st_mode & 0o077 == 0
    [collector] = container.collectors()
    environment = Path(f"/proc/{collector}/environ").read_bytes().split(b"\0")
    assert f"{PSEUDONYM_VARIABLE}={'k' * 64}".encode() in environment
    assert "Bearer" not in container.log()


def ask_sidecar(web, sources, sinks):
    of = Carriers(ORDERS, (web,), frozenset(), frozenset(sources), frozenset(sinks))
    # The operator's own way to it, but that pods are never at addresses of its own machine.
    return asyncio.run(ask(web, of, Network(), PATIENCE))


def test_the_operator_learns_what_is_in_quarantine_and_what_was_sent(container):
    container.configure(yaml_text(container.configuration()))
    container.start()
    container.write(1, 2)
    container.pipeline.write("audit.log", b"no JSON\n{}\n")
    container.until(arrived(container, 1, 2), "the records")
    document = {"metadata": {"name": "web-1", "uid": container.uid}, "spec": {"containers": []}}
    web = pod_of({**document, "status": {"podIP": ADDRESS, "hostIP": "10.0.0.1"}})
    [source] = {each.name for each in container.pipeline.pipeline().files}
    assert ask_sidecar(web, [source], ["file"]) is None, "it listens for nobody who did not say so"

    (container.folder / "config" / "figures.json").write_text(json.dumps({"policy": "shop/orders"}))

    def told():
        answer = ask_sidecar(web, [source, "other/*.log"], ["file", "other"])
        return answer if answer is not None and answer.received == 4 else None

    answer = container.until(told, "an answer")
    assert answer.runs
    assert answer.quarantined == {source: 2}
    assert answer.epoch
    assert list(answer.sinks) == ["file"]
    [collector] = container.collectors()
    os.kill(collector, signal.SIGKILL)
    # Counters begin anew, which the operator sees by the epoch.
    container.until(lambda: (now := ask_sidecar(web, [source], ["file"])) and now.epoch != answer.epoch, "another")
    (container.folder / "config" / "figures.json").unlink()
    container.until(lambda: ask_sidecar(web, [source], ["file"]) is None, "it listens no more")


def test_changes_and_restarts_while_a_full_queue_holds_the_collector_up_lose_nothing(container, tmp_path):
    receiver, lines = Receiver(tmp_path / "receiver"), range(1, 2001)
    endpoint = {"endpoint": f"http://{receiver.address}", "protocol": "GRPC"}
    spec = AuditSinkSpec.model_validate_json(json.dumps({"type": "OTLP", "otlp": endpoint}))
    out = exporter(spec, "own", CredentialFiles(), Room(QUEUES, on_disk_of_tenant=200_000, holds=True))
    assert isinstance(out, Exporter)
    container.pipeline.exporters = (out,)
    (container.folder / "config" / "figures.json").write_text(json.dumps({"policy": "shop/orders"}))
    document = {"metadata": {"name": "web-1", "uid": container.uid}, "spec": {"containers": []}}
    web = pod_of({**document, "status": {"podIP": ADDRESS, "hostIP": "10.0.0.1"}})

    def is_full():
        answer = ask_sidecar(web, [], [out.id])
        figures = answer.sinks.get(out.id) if answer is not None else None
        return figures is not None and 2 * figures.queue > figures.capacity > 0

    def started_anew(times):
        return lambda: container.log().count("started the collector anew") == times

    configuration = container.configuration()
    container.configure(yaml_text(configuration))
    container.start()
    container.write(*lines)
    for change in (1, 2):
        container.until(is_full, "the queue takes no more, with nobody to send to")
        configuration["receivers"]["file_log"]["include"].append(str(container.pipeline.logs / f"more{change}.txt"))
        container.configure(yaml_text(configuration))
        container.until(started_anew(change), "a collector that was not asked to end in order")
    container.until(is_full, "and again")
    # A container that is restarted in its pod finds its volumes again.
    assert container.end() == 0
    assert '"sent": "not all' in container.log()
    container.start()
    with receiver.running():
        container.until(lambda: ids(receiver.records) == {str(each) for each in lines}, "every line")


def turned_away(container):
    """Lines that the collector's memory limit did not let in, as often as they were offered."""
    [collector] = container.collectors()
    environment = Path(f"/proc/{collector}/environ").read_text().split("\0")
    port = next(each.partition("=")[2] for each in environment if each.startswith(METRICS_PORT_VARIABLE))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            said = answer.read().decode()
    except OSError:
        return 0
    return sum(map(int, re.findall(r"memory_limiter_refused_log_records\{.*\} (\d+)\n", said)))


def test_a_change_while_the_memory_limit_lets_nothing_in_loses_nothing(container):
    lines = range(1, 301)
    configuration = container.configuration()
    processors = {**configuration["processors"], "memory_limiter": LITTLE}
    container.configure(yaml_text({**configuration, "processors": processors}))
    container.start()
    container.until(lambda: "Refusing data" in container.log(), "too little memory")
    container.write(*lines)
    container.until(lambda: turned_away(container), "lines that wait to be let in")
    assert container.ids() == set()
    container.configure(yaml_text(configuration))
    container.until(arrived(container, *lines), "every line")
    assert "started the collector anew" in container.log()


class OnePod:
    """What the operator knows of a namespace: the pod in which a container runs."""

    def __init__(self, uid):
        running = {"podIP": ADDRESS, "hostIP": "10.0.0.1", "phase": "Running"}
        self.pod = injected({**pods.pod(), "status": running}, by=COLLECTING, uid=uid)

    def follow(self, _namespaces):
        pass

    def pods(self, _namespace):
        return (self.pod,)

    async def aclose(self):
        pass


class NoSecrets:
    async def of(self, _asker, _sinks):
        return {}


async def test_status_says_of_a_pod_what_breaks_the_standard_and_that_nothing_arrives(container):
    snapshot = Snapshot(audit_policies=(pods.model(COLLECTING),), audit_sinks=(NOWHERE,), control_planes=(PLANE,))
    questions = SidecarQuestions(every=1.0, patience=PATIENCE, network=Network())
    async with fake_api_server() as server, aiohttp.ClientSession(server.url) as session:
        objects = SidecarObjects(RestClient(session, attempts=1), "audit-operator", asks=True)
        operator = Sidecars(
            pods.TEMPLATE, OnePod(container.uid), objects, NoSecrets(), lambda: None, questions=questions
        )
        planned = plan(snapshot)

        async def status():
            await operator.deliver(snapshot, planned)
            return statuses(snapshot, planned, {}, sidecars=operator.facts)[PCI]

        await operator.deliver(snapshot, planned)
        data = server.get(CONFIG_MAP, "audit-shipper-pci", "payments")["data"]
        await operator.aclose()
    # As a kubelet does; and where this container finds its folders.
    config = data["config.yaml"].replace(STATE_FOLDER, f"{container.folder}/state")
    (container.folder / "config" / "figures.json").write_text(data["figures.json"])
    container.configure(config.replace(LOGS_FOLDER, f"{container.folder}/mounted"))
    container.start()
    container.write(1, 2)
    container.pipeline.write("audit.log", b"no JSON\n" * 7)

    async def until(condition):
        deadline = time.monotonic() + PATIENCE
        while not condition(said := (await status())):
            assert time.monotonic() < deadline, f"{said}\n{container.log()[-3000:]}"
            await asyncio.sleep(1)
            await questions.round()
        return said

    said = await until(lambda said: "quarantined" in said["sidecars"])
    assert said["sidecars"]["answering"] == said["sidecars"]["injected"] == 1
    assert said["sidecars"]["quarantined"] == [{"source": "logs/*.log", "lines": 5}]
    assert "lines-quarantined" in [each["id"] for each in said["sidecars"]["findings"]]

    def shipping(said):
        return next(each for each in said["conditions"] if each["type"] == "Shipping")

    said = await until(lambda said: shipping(said)["reason"] == "Backlog")
    assert shipping(said)["status"] == "False"
    assert "web-1" in shipping(said)["message"]


def test_it_listens_nowhere_itself_and_its_collector_on_loopback_alone(container):
    container.configure(yaml_text(container.configuration()))
    container.start()
    container.write(1)
    container.until(arrived(container, 1), "the first record")
    [collector] = container.collectors()
    inodes = {
        link[8:-1]
        for pid in (collector, container.process.pid)
        for each in Path(f"/proc/{pid}/fd").iterdir()
        if (link := str(each.readlink())).startswith("socket:[")
    }
    tables = [Path(f"/proc/{collector}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    listening = [row.split() for table in tables for row in table if row.split()[3] == "0A"]
    addresses = {row[1].partition(":")[0] for row in listening if row[9] in inodes}
    assert addresses == {"0100007F"}


def test_the_process_itself_costs_a_pod_little(container):
    container.start()
    container.until(lambda: "waiting for a configuration" in container.log(), "it is up")
    status = Path(f"/proc/{container.process.pid}/status").read_text()
    [resident] = re.findall(r"RssAnon:\s+(\d+) kB", status)
    assert int(resident) < 16 * 1024
