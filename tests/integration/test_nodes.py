"""Roll-outs over three nodes: real API servers, real agents, a real operator; only the kubelet is simulated."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from audit_operator.controlplane.local_control_plane import ClusterUser
from tests.integration.conftest import install_crds
from tests.integration.operator_process import BASELINE, NAMESPACE, OperatorProcess, eventually, thing
from tests.integration.simulated_nodes import SimulatedNodes

OPERATOR = ClusterUser("operator", ("system:masters",))
AGENT = ClusterUser("agent", ("system:masters",))
ROLLOUT = {"readyTimeout": "20s"}
PLANE = thing("AuditControlPlane", "main", {"default": True, "driver": "StaticPod", "rollout": ROLLOUT})
BODIES_OF_PODS = {"level": "Request", "resources": [{"group": "", "resources": ["pods"]}]}
STRICTER = {**BASELINE, "spec": {"rules": [BODIES_OF_PODS, {"level": "Metadata"}]}}


@pytest.fixture
def nodes(private_control_plane, tmp_path):
    control_plane = private_control_plane(users=(OPERATOR, AGENT))
    install_crds(control_plane)
    control_plane.create_namespace(NAMESPACE)
    with SimulatedNodes(control_plane, 3, tmp_path) as nodes:
        eventually(lambda: all(nodes.ready(node) for node in nodes.nodes), "three ready API servers")
        yield nodes


@pytest.fixture
def operator(nodes):
    running = OperatorProcess(nodes.control_plane)
    running.start(kubeconfig=str(nodes.kubeconfig("operator")), lease_seconds="15")
    yield running
    running.stop_all()


def start_agents(nodes):
    for node in nodes.nodes:
        node.start_agent(nodes.kubeconfig("agent"), NAMESPACE)


def status(operator):
    return operator.status("auditcontrolplanes", "main")


def until_programmed(operator):
    operator.until("Programmed", ("True", "Programmed"), "auditcontrolplanes", "main")


def phase(node):
    """Of the change under way on a node; empty if there is none."""
    journal = node.agent_folder / "journal.json"
    return json.loads(journal.read_text())["phase"] if journal.exists() else ""


def digests(operator):
    return [each.get("runningDigest") for each in status(operator)["apiServers"]]


class Client:
    """Asks through the balancer all the time, and tries a request once more where the connection broke."""

    def __init__(self, nodes):
        self.url = f"https://127.0.0.1:{nodes.balancer.port}/api/v1/namespaces/default/configmaps"
        self.context = ssl.create_default_context(cafile=nodes.control_plane.plane.ca_file)
        self.headers = {"Authorization": f"Bearer {nodes.control_plane.plane.token()}"}
        self.asked = self.repeated = 0
        self.failed = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        while not self._stop.wait(0.02):
            self.asked += 1
            for attempt in range(4):
                try:
                    request = urllib.request.Request(self.url, headers=self.headers)  # noqa: S310  # https, loopback
                    with urllib.request.urlopen(request, timeout=5, context=self.context) as answer:  # noqa: S310
                        answer.read()
                    break
                except OSError as error:
                    self.repeated += 1
                    if attempt == 3:
                        self.failed.append(str(error))
                    time.sleep(0.2 * 2**attempt)


def test_a_good_rollout_takes_one_api_server_at_a_time_and_clients_notice_nothing(nodes, operator):
    nodes.control_plane.apply(BASELINE, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    began = time.monotonic()
    with Client(nodes) as client:
        nodes.control_plane.apply(STRICTER)
        eventually(lambda: status(operator)["progress"] != "3/3", "the change to begin")
        until_programmed(operator)
    took = time.monotonic() - began
    sys.stdout.write(f"3 API servers in {took:.0f} s; {client.asked} requests, {client.repeated} sent again\n")
    assert client.failed == []
    assert nodes.balancer.least_ready(began) >= 2
    assert status(operator)["progress"] == "3/3"
    wanted = status(operator)["digest"]
    for node in nodes.nodes:
        assert f"--audit-policy-file={node.agent_folder}/policies/policy-{wanted}.yaml" in node.arguments()
        assert node.audit_log.stat().st_size > 0
        assert node.kubelet.restarts == 3  # as it was found, enrolled, changed


def test_a_bad_configuration_stops_after_the_first_node(nodes, operator):
    nodes.control_plane.apply(BASELINE, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    good = status(operator)["digest"]
    restarts = [node.kubelet.restarts for node in nodes.nodes]
    for node in nodes.nodes:
        (node.folder / "log" / "blocked").write_text("no folder can be made below a file")
    bad = {**PLANE, "spec": {**PLANE["spec"], "log": {"path": "/var/log/blocked/audit.log"}}}
    began = time.monotonic()
    nodes.control_plane.apply(bad)
    operator.until("Programmed", ("False", "RolledBack"), "auditcontrolplanes", "main")
    time.sleep(5)
    assert nodes.balancer.least_ready(began) >= 2
    assert digests(operator) == [good] * 3
    changed = [node.kubelet.restarts - before for node, before in zip(nodes.nodes, restarts, strict=True)]
    assert sorted(1 if each else 0 for each in changed) == [0, 0, 1]
    states = sorted(each["state"] for each in status(operator)["apiServers"])
    assert states == ["RolledBack", "Waiting", "Waiting"]
    assert any("it has failed on node" in each.get("lastError", "") for each in status(operator)["apiServers"])


def test_an_agent_that_falls_silent_in_a_change_keeps_its_turn(nodes, operator):
    nodes.control_plane.apply(BASELINE, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    nodes.control_plane.apply(STRICTER)
    # Read on the node: what status says of a change may come when that is over.
    node = eventually(lambda: next((each for each in nodes.nodes if phase(each) == "Applied"), None), "a change")
    os.kill(node.agent.pid, signal.SIGKILL)
    node.agent.wait()
    assert phase(node) == "Applied", "killed too late"
    time.sleep(45)  # longer than a turn is good for
    wanted = status(operator)["digest"]
    others = [each for each in nodes.nodes if each is not node]
    assert not any(f"policy-{wanted}.yaml" in " ".join(each.arguments()) for each in others)
    node.start_agent(nodes.kubeconfig("agent"), NAMESPACE)
    until_programmed(operator)


def test_two_operators_and_one_that_was_asleep_tell_agents_the_same(nodes, operator):
    nodes.control_plane.apply(BASELINE, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    first = operator.processes[0]
    operator.start(kubeconfig=str(nodes.kubeconfig("operator")), lease_seconds="15", namespace=NAMESPACE)
    os.kill(first.pid, signal.SIGSTOP)
    nodes.control_plane.apply(STRICTER)
    eventually(lambda: status(operator)["progress"] != "3/3", "the second operator to lead")
    until_programmed(operator)
    restarts = [node.kubelet.restarts for node in nodes.nodes]
    before = nodes.control_plane.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/audit-rollout-main")
    os.kill(first.pid, signal.SIGCONT)
    first.wait(60)
    time.sleep(5)
    after = nodes.control_plane.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/audit-rollout-main")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert [node.kubelet.restarts for node in nodes.nodes] == restarts


def test_rollouts_can_be_paused_rolled_back_and_taken_back_altogether(nodes, operator):
    found = [node.manifest.read_text() for node in nodes.nodes]
    nodes.control_plane.apply(BASELINE, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    first = status(operator)["digest"]
    nodes.control_plane.apply(STRICTER)
    eventually(lambda: status(operator)["digest"] != first, "another policy")
    until_programmed(operator)
    rollout(nodes, "rollback", "--wait")
    assert digests(operator) == [first] * 3
    operator.until("Programmed", ("False", "Pinned"), "auditcontrolplanes", "main")
    rollout(nodes, "resume", "--wait")
    until_programmed(operator)
    rollout(nodes, "pause")
    nodes.control_plane.apply(BASELINE)
    operator.until("Programmed", ("False", "Paused"), "auditcontrolplanes", "main")
    shown = json.loads(rollout(nodes, "status", "-o", "json"))
    assert {each["runningDigest"] for each in shown["status"]["apiServers"]} != {first}
    rollout(nodes, "unenrol", "--wait")
    assert [node.manifest.read_text() for node in nodes.nodes] == found


def rollout(nodes, *arguments):
    command = [sys.executable, "-m", "audit_operator", "rollout", *arguments, "--kubeconfig", str(nodes.kubeconfig())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603 - ourselves
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
