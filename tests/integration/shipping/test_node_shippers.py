"""Shippers on nodes: a real API server, operator and VictoriaLogs, and two processes that take themselves for nodes.

Each has a mount namespace with a /var/log of its own. The first finds the API server's audit log there, the second what
tests write. Nothing is asserted about time; what was measured is printed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.controlplane.shipper.instructions import (
    INSTRUCTIONS_KEY,
    ShipperInstructions,
    instructions_name,
    shipper_name,
)
from audit_operator.sinks import Access, Found, open_store
from tests.integration.conftest import install_crds
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.integration.shipping.collector import binary
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

NODES = ("cp-1", "cp-2")
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
PASSWORD = "correct horse"


@dataclass
class Node:
    """A control-plane node, as far as a shipper needs one."""

    name: str
    folder: Path
    kubeconfig: Path
    audit_logs: Path
    process: subprocess.Popen | None = None
    ports: list = field(default_factory=list)

    @property
    def collector(self):
        return Collector(self.folder)

    def start(self, **settings):
        self.ports.append(next(free_ports()))
        environment = {
            "KUBECONFIG": str(self.kubeconfig),
            "NODE": self.name,
            "NAMESPACE": NAMESPACE,
            "CONTROL_PLANE": "main",
            "SHIPPER_FOLDER": str(self.folder),
            "COLLECTOR": str(binary()),
            "OBSERVE_SECONDS": "1",
            "LISTEN_HOST": "127.0.0.1",
            "LISTEN_PORT": str(self.ports[-1]),
            **settings,
        }
        (self.var_log / "kubernetes" / "audit").mkdir(parents=True, exist_ok=True)
        command = [
            "/usr/bin/unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "/bin/sh", "-c",
            'mount --bind "$0" /var/log && mount --bind "$1" /var/log/kubernetes/audit && shift && exec "$@"',
            str(self.var_log), str(self.audit_logs), sys.executable, "-m", "audit_operator", "shipper", "run",
        ]  # fmt: skip
        variables = {f"AUDIT_OPERATOR_{name}": value for name, value in environment.items()}
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=log)  # noqa: S603 - ourselves

    def end(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def http(self, path):
        """Status and text of an answer of its own server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[-1]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def said(self):
        return (self.folder.parent / f"{self.name}.log").read_text()

    @property
    def var_log(self):
        return self.folder.parent / f"{self.name}-log"


class World:
    def __init__(self, control_plane, folder):
        self.control_plane, self.folder = control_plane, folder
        self.operator = OperatorProcess(control_plane)
        self.port = next(free_ports())
        kubeconfig = control_plane.kubeconfig("shipper")
        self.other_log = folder / "other" / "audit.log"
        self.other_log.parent.mkdir()
        logs = (control_plane.plane.audit_log.parent, self.other_log.parent)
        self.nodes = [Node(name, folder / name, kubeconfig, each) for name, each in zip(NODES, logs, strict=True)]
        spec = {"default": True, "driver": "Observe", "observe": {"provider": "EKS"}}
        self.plane = thing("AuditControlPlane", "main", spec)
        self.began = datetime.now(UTC) - timedelta(minutes=1)

    def sink(self, **more):
        logs = {"url": f"http://127.0.0.1:{self.port}"}
        return thing("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": logs, **more})

    def start_operator(self, **settings):
        return self.operator.start(shippers="Nodes", process_folder="", **settings)

    def start_nodes(self):
        for node in self.nodes:
            node.start()

    def begin(self, *objects):
        """Operator and nodes at work on these objects, or on two policies for the whole cluster and a namespace."""
        operator = self.start_operator()
        self.start_nodes()
        self.control_plane.apply(self.plane, *(objects or (self.sink(), baseline(), pci())))
        return operator

    @contextmanager
    def all_shipping(self):
        """Both nodes ship to a store that is there; yields the operator."""
        with self.victoria_logs():
            operator = self.begin()
            self.record_on_the_other_node()
            self.until_shipping()
            yield operator

    @contextmanager
    def victoria_logs(self, *arguments):
        with victoria_logs(self.folder, *arguments, port=self.port):
            yield

    def found(self, audit_id, password=""):
        spec = ClusterAuditSinkSpec.model_validate_json(json.dumps(self.sink()["spec"]))
        header = "Basic " + base64.b64encode(f"audit:{password}".encode()).decode() if password else ""
        store = open_store(spec, Access(authorization=header))
        answer = asyncio.run(store.find(audit_id, "ResponseComplete", since=self.began))
        return answer.records if isinstance(answer, Found) else ()

    def request(self, namespace="payments"):
        return self.control_plane.request("GET", f"/api/v1/namespaces/{namespace}/services").audit_id

    def record_on_the_other_node(self):
        """An event such as the API server writes, in the second node's log."""
        known = self.request()
        [event] = [e for e in self.control_plane.audit_events(known) if e["stage"] == "ResponseComplete"]
        audit_id = str(uuid.uuid4())
        with self.other_log.open("a") as log:
            log.write(json.dumps({**event, "auditID": audit_id}) + "\n")
        return audit_id

    def until_shipping(self, expected=("True", "Shipping")):
        self.operator.until("Shipping", expected, "auditpolicies", "pci", "payments")

    def message(self):
        return self._of_shipping("message")

    def reason(self):
        return self._of_shipping("reason")

    def _of_shipping(self, field):
        conditions = self.operator.status("auditpolicies", "pci", "payments").get("conditions", [])
        return next((each[field] for each in conditions if each["type"] == "Shipping"), "")

    def plane_says(self):
        """What the owner of the control plane is told of its shippers."""
        findings = self.operator.status("auditcontrolplanes", "main").get("findings", [])
        return "; ".join(each["message"] for each in findings)

    def secret(self, password):
        values = {"username": "audit", "password": password}
        metadata = {"name": "central", "namespace": NAMESPACE}
        self.control_plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})

    def secured_sink(self):
        return self.sink(credentials={"type": "Basic", "secretRef": {"namespace": NAMESPACE, "name": "central"}})

    def rewrite(self, instructions):
        """Tell nodes something else than the operator does."""
        patch = json.dumps({"data": {INSTRUCTIONS_KEY: base64.b64encode(instructions).decode()}})
        secret = ("secret", instructions_name("main"), "-n", NAMESPACE)
        self.control_plane.kubectl("patch", *secret, "--type=merge", "-p", patch)

    def running(self):
        return [node.name for node in self.nodes if node.collector.process() is not None]


def pci(**spec):
    return thing("AuditPolicy", "pci", {"rules": [{"level": "Request"}], "sinkRefs": TO_CENTRAL, **spec}, "payments")


def baseline():
    return thing("ClusterAuditPolicy", "baseline", {"rules": [{"level": "Metadata"}], "sinkRefs": TO_CENTRAL})


def report(text):
    """What was measured: for whoever reads the output of the tests."""
    sys.stdout.write(f"{text}\n")


def may(user, namespace, *rules):
    """Roles that give a user these rights; without a namespace, in the cluster."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": f"{user}-shipping", **({"namespace": namespace} if namespace else {})}
    api = "rbac.authorization.k8s.io"
    parts = [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs, **({"resourceNames": [name]} if name else {})}
        for group, resource, name, verbs in rules
    ]
    subject = {"kind": "User", "name": user, "apiGroup": api}
    reference = {"kind": kind, "name": metadata["name"], "apiGroup": api}
    return [
        {"apiVersion": f"{api}/v1", "kind": kind, "metadata": metadata, "rules": parts},
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": [subject],
        },
    ]


LEASES, OWN = "coordination.k8s.io", "audit-operator.dev"
INSTRUCTIONS = instructions_name("main")
RIGHTS = [
    # What the operator needs anyway: charts/audit-operator/templates/operator/rbac.yaml.
    *may(
        USER,
        "",
        (OWN, "*", "", ["get", "list", "watch", "patch"]),
        ("", "namespaces", "", ["list", "watch"]),
        ("", "configmaps", "", ["list", "watch"]),
        ("apiextensions.k8s.io", "customresourcedefinitions", "", ["list", "watch"]),
        ("events.k8s.io", "events", "", ["create"]),
        # What docs/design/shipping.md says that it needs for shippers.
        ("", "nodes", "", ["list"]),
    ),
    *may(
        USER,
        NAMESPACE,
        (LEASES, "leases", "", ["create", "list"]),
        (LEASES, "leases", "audit-operator", ["get", "update"]),
        ("", "secrets", INSTRUCTIONS, ["get", "patch"]),
        ("", "secrets", "", ["create"]),
        ("", "secrets", "central", ["get"]),
    ),
    *may(USER, "payments", ("", "secrets", "", ["get"])),
    *may(
        "shipper",
        NAMESPACE,
        ("", "secrets", INSTRUCTIONS, ["get"]),
        (LEASES, "leases", "", ["get", "create", "patch"]),
    ),
]


@pytest.fixture
def world(private_control_plane, tmp_path):
    control_plane = private_control_plane(users=(ClusterUser(USER), ClusterUser("shipper")))
    install_crds(control_plane)
    for namespace in (NAMESPACE, "payments", "web"):
        control_plane.create_namespace(namespace)
    control_plane.apply(*RIGHTS)
    for name in NODES:
        metadata = {"name": name, "labels": {"node-role.kubernetes.io/control-plane": ""}}
        control_plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    world = World(control_plane, tmp_path)
    yield world
    for node in world.nodes:
        node.end()
    world.operator.stop_all()
    for node in world.nodes:
        node.collector.stop()


def test_events_of_all_nodes_get_to_the_store_and_status_says_so(world):
    with world.victoria_logs():
        world.start_operator()
        world.start_nodes()
        eventually(lambda: world.nodes[0].http("/readyz")[0] == 200, "a shipper with nothing to do to be ready")
        applied = time.monotonic()
        world.control_plane.apply(world.plane, world.sink(), baseline(), pci())
        one, other = world.request(), world.record_on_the_other_node()
        eventually(lambda: world.found(one), "an event of the first node to be in the store")
        report(f"an event was found {time.monotonic() - applied:.1f} s after policies, sink and control plane")
        eventually(lambda: world.found(other), "an event of the second node to be in the store")
        world.until_shipping()
        assert world.operator.condition("Shipping", "clusterauditsinks", "central") == ("True", "Shipping")
        assert world.running() == list(NODES)
        for node in world.nodes:
            assert node.http("/livez")[0] == node.http("/readyz")[0] == 200
            where = f'control_plane="main",shipper="{node.name}"'
            assert f"audit_operator_shipper_healthy{{{where}}} 1.0" in node.http("/metrics")[1]
        # Figures change all the time, and nothing but Leases with them.
        time.sleep(5)
        since = world.control_plane.audit_position()
        time.sleep(20)
        assert list(world.operator.writes(since)) == []


def test_a_change_of_policies_reaches_nodes_and_their_end_ends_collectors(world):
    with world.all_shipping():
        processes = [node.collector.process() for node in world.nodes]
        world.control_plane.apply(pci(rules=[{"level": "None"}]), baseline())
        eventually(lambda: dropped_to_metadata(world), "the new level to be in force")
        assert [node.collector.process() for node in world.nodes] == processes
        world.control_plane.kubectl("delete", "auditpolicies,clusterauditpolicies", "--all", "--all-namespaces")
        eventually(lambda: world.running() == [], "collectors to end")
        assert world.nodes[0].http("/readyz")[0] == 200
        world.control_plane.apply(pci())
        eventually(lambda: world.running() == list(NODES), "collectors to be there again")


def dropped_to_metadata(world):
    created = world.control_plane.request(
        "POST", "/api/v1/namespaces/payments/configmaps", {"metadata": {"generateName": "x"}, "data": {"key": "value"}}
    ).audit_id
    eventually(lambda: world.found(created), "an event to arrive")
    return json.loads(world.found(created)[0].text)["level"] == "Metadata"


def test_credentials_reach_nodes_and_so_do_new_ones(world):
    world.secret("wrong at first")
    with world.victoria_logs("-httpAuth.username=audit", f"-httpAuth.password={PASSWORD}"):
        world.begin(world.secured_sink(), baseline(), pci())
        eventually(lambda: world.reason() in {"SinkUnauthenticated", "Backlog"}, "the refusal to be said")
        changed = time.monotonic()
        world.secret(PASSWORD)
        until_one_arrives(world, world.request, PASSWORD)
        report(f"a new password was in use {time.monotonic() - changed:.1f} s after it was written")
        until_one_arrives(world, world.record_on_the_other_node, PASSWORD)
        for node in world.nodes:
            [file] = (node.folder / "credentials").rglob("authorization")
            assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
            assert PASSWORD not in node.said()
        log = (world.control_plane.plane.folder / "operator-0.log").read_text()
        assert PASSWORD not in log
        assert base64.b64encode(f"audit:{PASSWORD}".encode()).decode() not in log

    world.operator.stop_all()
    world.control_plane.kubectl("delete", "secret", "central", "-n", NAMESPACE)
    with world.victoria_logs("-httpAuth.username=audit", f"-httpAuth.password={PASSWORD}"):
        world.start_operator()
        world.until_shipping(("False", "SinkNotUsable"))
        assert "with what its Secrets held before" in world.message()
        until_one_arrives(world, world.request, PASSWORD)


def until_one_arrives(world, record, password=""):
    """Of several, since the first are lost where credentials are wrong."""
    sent = []

    def arrived():
        sent.append(record())
        return any(world.found(each, password) for each in sent[-5:])

    eventually(arrived, "an event to arrive")


def test_a_secret_that_cannot_be_read_concerns_its_sink_alone(world):
    credentials = {"type": "Bearer", "secretRef": {"name": "no"}}
    own = thing("AuditSink", "own", {**world.sink()["spec"], "credentials": credentials}, "payments")
    both = [*TO_CENTRAL, {"kind": "AuditSink", "name": "own"}]
    with world.victoria_logs():
        world.begin(world.sink(), own, baseline(), pci(sinkRefs=both))
        world.until_shipping(("False", "SinkNotUsable"))
        assert "payments/no" in world.message()
        until_one_arrives(world, world.request)
        shipping = ("True", "Shipping")
        world.operator.until("Shipping", shipping, "clusterauditsinks", "central")


def test_what_was_learned_last_is_used_at_once_while_the_api_server_is_away(world):
    with world.all_shipping():
        for node in world.nodes:
            node.end()
        assert world.running() == []
        for node in world.nodes:
            node.kubeconfig = unreachable(world)
            node.start()
        audit_id = world.request()
        eventually(lambda: world.found(audit_id), "an event to arrive from a shipper that cannot ask")
        assert world.nodes[0].http("/readyz")[0] == 200
        world.until_shipping(("False", "ShipperDown"))
        eventually(lambda: "cp-1: no report since" in world.plane_says(), "the silent node to be named")
        for node in world.nodes:
            node.end(signal.SIGKILL)
            node.kubeconfig = world.control_plane.kubeconfig("shipper")
            node.start()
        world.until_shipping()


def unreachable(world):
    document = json.loads(world.control_plane.kubeconfig("shipper").read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{next(free_ports())}"
    path = world.folder / "unreachable"
    path.write_text(json.dumps(document))
    return path


def test_what_is_not_understood_or_refused_leaves_the_last_in_force(world):
    with world.all_shipping() as operator:
        digests = [node.collector.configured_digest() for node in world.nodes]
        operator.terminate()
        operator.wait(60)
        told = told_last(world)
        world.rewrite(b"not what anybody has written")
        eventually(lambda: all("not understood" in node.said() for node in world.nodes), "nodes to complain")
        until_one_arrives(world, world.request)
        bad = told.files.model_copy(update={"config": told.files.config + "? nonsense\n: 1\n", "digest": "0" * 64})
        world.rewrite(told.model_copy(update={"files": bad}).encoded())
        eventually(
            lambda: all("refuses its configuration" in node.said() for node in world.nodes), "collectors to refuse"
        )
        until_one_arrives(world, world.request)
        name = instructions_name("main")
        world.control_plane.kubectl("delete", "secret", name, "-n", NAMESPACE)
        assert [node.collector.configured_digest() for node in world.nodes] == digests
        assert world.running() == list(NODES)
        world.start_operator()
        eventually(lambda: world.control_plane.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"), "the Secret")
        world.until_shipping()


def told_last(world):
    secret = world.control_plane.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{instructions_name('main')}")
    return ShipperInstructions.decoded(base64.b64decode(secret["data"][INSTRUCTIONS_KEY]))


def test_a_node_that_falls_silent_or_never_spoke_is_named(world):
    with world.victoria_logs():
        world.start_operator()
        world.nodes[0].start()
        world.control_plane.apply(world.plane, world.sink(), baseline(), pci())
        world.until_shipping(("False", "ShipperDown"))
        eventually(lambda: "shipper cp-2" in world.message(), "the node that never spoke to be named")
        said = "shipper cp-2: no shipper has reported from it"
        eventually(lambda: said in world.plane_says(), "the node that never spoke")
        world.nodes[1].start()
        world.record_on_the_other_node()
        world.until_shipping()
        world.nodes[1].end()
        world.until_shipping(("False", "ShipperDown"))
        eventually(lambda: "cp-2: no report since" in world.plane_says(), "the node that fell silent")
        world.control_plane.kubectl("delete", "node", "cp-2")
        world.until_shipping()


def test_one_shipper_works_in_a_folder_and_the_next_waits_for_it(world):
    with world.all_shipping():
        first, before = world.nodes[0].process, world.nodes[0].collector.process()
        world.nodes[0].start()
        eventually(lambda: "Another shipper works in this folder" in world.nodes[0].said(), "the second to wait")
        first.terminate()
        first.wait(60)
        eventually(lambda: world.nodes[0].collector.process() not in (None, before), "the second to take over")
        audit_id = world.request()
        eventually(lambda: world.found(audit_id), "an event to arrive")
        lease = world.control_plane.get(
            f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{shipper_name('cp-1')}"
        )
        assert lease["spec"]["holderIdentity"] == "cp-1"
        with suppress(OSError):
            assert world.nodes[0].http("/readyz")[0] == 200
