"""What pages tell their readers to type works where it takes a cluster and stores, in the order of the page.

As tests/docs/test_commands.py does it offline, with the same blocks. Here are a real API server that the chart's own
page has installed the operator's objects into, a VictoriaLogs with records, an S3 for seals, and dated files. Nothing
runs in the cluster: no pod is waited for.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audit_operator.cli import main
from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring
from tests.chart.helm import HELM
from tests.cli.test_dated_files import put
from tests.docs.blocks import ANYTHING, blocks, commands, follow
from tests.e2e.node.binaries import get
from tests.integration.control_plane import RunningControlPlane
from tests.integration.operator_process import eventually, thing
from tests.integration.prometheus_rule import CRD
from tests.integration.reading.records import record, write
from tests.integration.reading.world import ROLE, binding, reading, service_account
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, seaweedfs
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.replay.logs import event, line

CHECKOUT = Path(__file__).parents[2]
THE_CHARTS_OWN = "charts/audit-operator/README.md"
PAGES = (
    "docs/compliance.md",
    "docs/incident.md",
    "docs/report.md",
    "docs/integrity.md",
    "docs/erasure.md",
    "docs/reading.md",
    "docs/sinks.md",
    "README.md",
    "docs/detections.md",
)
AUDIT_ID, LOST = "6f2c1d9e-0b7a-4c55-9d0e-3f1a2b4c5d6e", "6f2c2222-0b7a-4c55-9d0e-3f1a2b4c5d6e"
_STATUS = re.compile(r"# (?:.* )?exit status (\d)$")
_OF_A_SHELL = set("|$>;&")
_EXAMPLE = re.compile(r"\S*\d\S*|\.\.\.")
"""A page's times, counts and IDs are examples; so is what it leaves out."""


@dataclass(frozen=True)
class World:
    """What the pages' commands meet."""

    control_plane: RunningControlPlane
    store: str
    bucket: str
    programs: Path
    folder: Path

    def shell(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.programs), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        kubeconfig = str(self.control_plane.kubeconfig())
        return subprocess.run(  # noqa: S603  # what our own pages say
            ["/bin/bash", "-o", "pipefail", "-c", command],
            env={**os.environ, "PATH": path, "HOME": str(self.folder), "KUBECONFIG": kubeconfig},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def lose(self) -> None:
        """Delete a record, as whoever administers the store could."""
        name = urllib.parse.urlencode({"filter": f'auditID:="{LOST}"'}).encode()
        urllib.request.urlopen(f"{self.store}/delete/run_task", name, timeout=60).close()  # noqa: S310  # loopback
        query = urllib.parse.urlencode({"query": f'auditID:="{LOST}"'}).encode()

        def gone() -> bool:
            with urllib.request.urlopen(f"{self.store}/select/logsql/query", query, timeout=60) as answer:  # noqa: S310
                return not answer.read()

        eventually(gone, "the record is gone")


def run(world, command, folder, capsys):
    """What a command prints that ends as it says."""
    for place in ("/mnt/", "/etc/kubernetes/", "/var/log/kubernetes/"):
        command = command.replace(f" {place}", f" {folder}{place}")
    status = int(found[1]) if (found := _STATUS.search(command)) else 0
    if command.startswith("audit-operator ") and not _OF_A_SHELL & set(_STATUS.sub("", command).partition(" # ")[0]):
        capsys.readouterr()
        ended = main(shlex.split(command, comments=True)[1:])
        said = capsys.readouterr()
        printed, complaint = said.out, said.err
    else:
        command = command.replace(" --wait", "") if command.startswith("helm ") else command
        done = world.shell(command, folder)
        ended, printed, complaint = done.returncode, done.stdout, done.stderr
    assert ended == status, f"{command}: {printed}{complaint}"
    return printed


def cluster_sink(name, kind, section, **more):
    return thing("ClusterAuditSink", name, {"type": kind, kind[0].lower() + kind[1:]: section, **more})


def in_s3(name, prefix, url):
    keys = {"type": "AccessKey", "secretRef": {"namespace": "audit-operator", "name": "seals"}}
    section = {"bucket": "audit-seals", "prefix": prefix, "endpoint": url, "pathStyle": True}
    return cluster_sink(name, "S3", section, credentials=keys)


PCI = {
    "preset": "Baseline",
    "sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}],
    "retention": {"minimum": "366d"},
    "compliance": {"frameworks": ["PCI-DSS-4"]},
    "detections": [{"name": "exec", "preset": "Exec"}],
}
FALCO = "- rule: it\n  source: k8s_audit\n  condition: ka.verb = get and ka.target.resource = secrets\n"
SIGMA = """title: it
logsource: {product: kubernetes, service: audit}
detection:
  selection: {verb: delete}
  condition: selection
"""
ELASTIC = """[rule]
name = 'it'
language = 'kuery'
type = 'query'
query = 'kubernetes.audit.verb: delete'
"""
POD = {"resource": "pods", "subresource": "exec", "namespace": "prod-web", "name": "x", "apiVersion": "v1"}
METADATA = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}


def secret(namespace, name, **data):
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def recorded():
    """What the store has: of a deletion that has an incident, of somebody who may ask for erasure, of another."""
    sealed_first = time.time() % 3600 + 3600 + 1800  # seconds ago, in the last hour that is over for an hour
    path = "/api/v1/namespaces/payments/secrets/db"
    of_payments = {"verb": "delete", "name": "db", "resource": "secrets"}
    yield record("payments", "", ago=sealed_first, auditID=AUDIT_ID, event=event("delete", path, "jane"), **of_payments)
    of_payments["name"] = "db-password"
    yield record("payments", "", event=event("delete", f"{path}-password", "jane"), **of_payments)
    for days, namespace in ((0, "payments"), (400, "payments"), (0, "web")):
        whole = event("get", f"/api/v1/namespaces/{namespace}/secrets/db", "dora@example.com")
        own = {"username": "dora@example.com", "name": "db"}
        yield record(namespace, "", ago=days * 86_400 + sealed_first, event=whole, **own)
    yield record("shop", "", ago=sealed_first, auditID=LOST, event=event("get", "/api/v1/namespaces/shop/secrets/db"))


async def give_keys(kubeconfig):
    """Keys of pseudonyms, as the operator makes them."""
    connection = await connect(kubeconfig)
    try:
        board = ClusterShipperBoard(RestClient(connection.session(), attempts=1), "audit-operator", "audit-operator")
        ring = Keyring.begun(datetime.now(UTC), os.urandom(RANDOM_BYTES + REGISTER_BYTES))
        await board.keep_keyring("cluster", ring.encoded(), "")
    finally:
        await connection.aclose()


@pytest.fixture(scope="module")
def world(assets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(assets.kubectl)
    (programs / "helm").symlink_to(get(HELM))
    with ExitStack() as running:
        control_plane = RunningControlPlane(assets)
        running.enter_context(control_plane.plane)
        store = running.enter_context(victoria_logs(folder, "-retentionPeriod=800d", "-delete.enable"))
        bucket = running.enter_context(seaweedfs(folder))
        bucket.client.make_bucket("audit-seals")
        made = World(control_plane, store, bucket.url, programs, folder)
        (folder / "charts").symlink_to(CHECKOUT / "charts")
        for block in blocks(CHECKOUT / THE_CHARTS_OWN):
            if block.kind == "console" and not block.reason:
                for command, _ in commands(block):
                    done = made.shell(command, folder)
                    assert done.returncode == 0, f"{command}: {done.stderr}"
        control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CHECKOUT / "crds"))
        for name in ("payments", "web", "shop"):
            control_plane.create_namespace(name)
        control_plane.apply(
            secret("audit-operator", "seals", accessKeyID=KEY_ID, secretAccessKey=KEY),
            secret("payments", "victoria-logs", username="own", password="x"),
            thing("ClusterAuditPolicy", "baseline", {"preset": "Baseline"}),
            thing("AuditPolicy", "pci", PCI, "payments"),
            cluster_sink("central", "VictoriaLogs", {"url": store}),
            in_s3("archive", "archive/", bucket.url),
        )
        asyncio.run(give_keys(control_plane.kubeconfig()))
        write(store, list(recorded()))
        yield made


@pytest.fixture
def folder(request, world, tmp_path, monkeypatch, capsys):
    """What the reader of a page has before: a checkout, policies, logs, and an archive where a chain has begun."""
    page = request.getfixturevalue("page")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(world.control_plane.kubeconfig()))
    (tmp_path / "charts").symlink_to(CHECKOUT / "charts")
    for name in ("audit-policy.yaml", "new.yaml"):
        (tmp_path / name).write_text(json.dumps(METADATA))
    for name in ("policies", "objects"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pci.json").write_text(json.dumps(thing("AuditPolicy", "pci", PCI, "payments")))
        (tmp_path / name / "central.json").write_text(
            json.dumps(cluster_sink("central", "VictoriaLogs", {"url": world.store}))
        )
    if "--seals-sink worm" in (text := (CHECKOUT / page).read_text()):
        world.control_plane.apply(in_s3("worm", f"{Path(page).stem}/", world.bucket))
        if "--new-chain " not in text:
            assert main(["seal", "--new-key", "seal.pem"]) == 0
            chain = ["--seals-sink", "worm", "--new-chain", "--since", "4h"]
            assert main(["seal", "central", "--key", "seal.pem", *chain]) == 0
            capsys.readouterr()
    return tmp_path


def as_it_stands(command):
    return command


@contextmanager
def nothing(_world, _folder):
    yield as_it_stands


@contextmanager
def a_loss(world, _):
    """Between sealing and verifying."""

    def prepare(command):
        if command.startswith("audit-operator verify"):
            world.lose()
        return command

    yield prepare


@contextmanager
def a_reader(world, folder):
    """That somebody in payments may ask, of records that came after the namespace."""
    plane = world.control_plane
    time.sleep(1.1)  # a namespace's creation is known to the second
    write(world.store, [record("payments", "", ago=0.0) for _ in range(3)])
    spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": world.store}}
    (folder / "reader").mkdir()
    with reading(plane, folder / "reader", world.store, spec) as made:
        plane.apply(service_account("payments", "auditor"), binding(ROLE, ("payments", "auditor"), "payments"))
        shutil.copy(made.reader.authority.certificate, folder / "ca.crt")
        yield lambda command: command.replace("https://audit-reader.example.com", made.reader.url)


@contextmanager
def files_with_seals(world, folder):
    """Of a sink of type File."""
    audit, seals = (str(folder / "mnt" / name) for name in ("audit", "seals"))
    put(folder / "mnt" / "audit", 1)
    put(folder / "mnt" / "audit", 2, timedelta(hours=3))
    files = cluster_sink("files", "File", {"claimName": "audit"})
    world.control_plane.apply(files)
    assert main(["seal", "--new-key", "seal.pem"]) == 0
    chain = ["--files", audit, "--seals", seals, "--new-chain", "--since", "6h"]
    assert main(["seal", "files", "--key", "seal.pem", *chain]) == 0
    try:
        with a_reader(world, folder) as prepare:
            yield prepare
    finally:
        world.control_plane.kubectl("delete", "clusterauditsink", "files")


class Refusing(BaseHTTPRequestHandler):
    """A store that takes no credentials."""

    def _refuse(self):
        self.send_error(401)

    do_GET = do_POST = _refuse  # noqa: N815  # as http.server calls them

    def log_message(self, *_):
        """Says nothing."""


@contextmanager
def a_refusing_sink(world, _):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": f"http://127.0.0.1:{server.server_port}"}}
    world.control_plane.apply(thing("AuditSink", "own", spec, "payments"))
    try:
        yield as_it_stands
    finally:
        world.control_plane.kubectl("delete", "auditsink", "own", "-n", "payments")
        server.shutdown()
        server.server_close()


@contextmanager
def what_the_readme_names(world, folder):
    """Its objects, logs, requests and rules."""
    shutil.copytree(CHECKOUT / "manifests" / "samples", folder / "manifests" / "samples")
    shipping = folder / "manifests" / "samples" / "cluster-shipping.yaml"
    shipping.write_text(shipping.read_text().replace("http://victoria-logs.logs:9428", world.store))
    for name in ("before", "after"):
        shutil.copytree(folder / "policies", folder / name)
    for name in ("etc/kubernetes", "var/log/kubernetes/audit"):
        (folder / name).mkdir(parents=True)
    shutil.copy(folder / "audit-policy.yaml", folder / "etc" / "kubernetes")
    log = b"".join(line(event(user=f"user-{number}")) for number in range(9))
    (folder / "audit.log").write_bytes(log)
    (folder / "audit.log.gz").write_bytes(gzip.compress(log))
    (folder / "var/log/kubernetes/audit/audit.log").write_bytes(log)
    request = {"user": {"name": "jane"}, "verb": "get", "resourceRequest": True, "resource": "secrets"}
    everything = thing("ClusterAuditPolicy", "everything", {"rules": [{"level": "Metadata"}]})
    (folder / "policies" / "everything.json").write_text(json.dumps(everything))
    (folder / "requests.jsonl").write_text(json.dumps(request) + "\n")
    logs = {"preset": "Metadata", "applicationLogs": {"files": [{"volume": "audit", "path": "*.log"}]}}
    (folder / "policy.yaml").write_text(json.dumps(thing("AuditPolicy", "orders", logs, "shop")))
    done = {"time": "2026-11-28T12:00:00Z", "user": "jane", "action": "pay", "result": "success"}
    done |= {"id": "e-1", "correlationId": "4bf9"}
    (folder / "app.log").write_text(json.dumps(done) + "\n")
    [expectations, *_] = [each for each in blocks(CHECKOUT / "docs/testing.md") if each.title]
    (folder / "tests").mkdir()
    (folder / expectations.title).write_text(expectations.text)
    rule = {"rule": "Secret read", "condition": "ka.verb = get and ka.target.resource = secrets"}
    rule |= {"desc": "x", "output": "x", "priority": "WARNING", "source": "k8s_audit"}
    (folder / "rules.yaml").write_text(json.dumps([rule]))
    assert main(["report", "-o", "json", "--output", "10.json"]) == 0
    yield as_it_stands


@contextmanager
def rules_and_a_log(world, folder):
    """Of others, and what fires one of the page's own."""
    world.control_plane.apply(CRD)
    world.control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s", f"crd/{CRD['metadata']['name']}"
    )
    (folder / "k8s_audit_rules.yaml").write_text(FALCO)
    for name, text in (
        ("rules/application/kubernetes/rule.yml", SIGMA),
        ("rules/integrations/kubernetes/rule.toml", ELASTIC),
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    log = folder / "var/log/kubernetes/audit/audit.log"
    log.parent.mkdir(parents=True)
    path = "/api/v1/namespaces/prod-web/pods/x/exec"
    log.write_bytes(
        b"".join(
            line(event("create", path, "mallory", stage="ResponseStarted", auditID=f"id-{n}", objectRef=POD))
            for n in range(7)
        )
    )
    yield as_it_stands


AROUND = {
    "docs/detections.md": rules_and_a_log,
    "docs/integrity.md": a_loss,
    "docs/reading.md": files_with_seals,
    "docs/sinks.md": a_refusing_sink,
    "README.md": what_the_readme_names,
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_literally(page, world, folder, capsys):
    with AROUND.get(page, nothing)(world, folder) as prepare:
        assert follow(
            CHECKOUT / page,
            folder,
            lambda command: run(world, prepare(command), folder, capsys),
            as_promised=lambda promised: _EXAMPLE.sub(ANYTHING, promised),
        )
