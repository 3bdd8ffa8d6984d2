"""Whatever goes wrong with a change, the API server comes back by itself with the last good policy.

Each test prints for how long there was no ready API server; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.e2e.product import AGENTS, FOLDER, MANIFEST, NAMESPACE, PLANE

ROLLOUT = f"audit-rollout-{PLANE}"
DEPLOYMENT = "deployment/audit-operator"
DAEMON_SET = "daemonset/audit-operator-agent"
REFUSED = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]\n"


@pytest.fixture(scope="module")
def short_cut(product):
    """Pods reach the API server without its Service, which comes back to them half a minute after the API server."""
    address = urlsplit(yaml.safe_load(product.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    reach = (f"KUBERNETES_SERVICE_HOST={address.hostname}", f"KUBERNETES_SERVICE_PORT={address.port}")
    for namespace, workload in ((NAMESPACE, DEPLOYMENT), (AGENTS, DAEMON_SET)):
        product.kubectl("-n", namespace, "set", "env", workload, *reach)
    product.kubectl("-n", NAMESPACE, "set", "env", DEPLOYMENT, "AUDIT_OPERATOR_LEASE_SECONDS=60")
    product.kubectl("-n", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=80s")


@pytest.fixture(autouse=True)
def calm(product, short_cut):  # noqa: ARG001  # wanted for what it does
    """Each test begins and ends with a policy that runs, and with short time-outs."""
    product.kubectl(
        "patch", "acp", PLANE, "--type=merge", "-p", json.dumps({"spec": {"rollout": {"readyTimeout": "60s"}}})
    )
    product.until("True", "Programmed")
    yield
    product.until("True", "Programmed")


def patch(product, spec):
    product.kubectl("patch", "acp", PLANE, "--type=merge", "-p", json.dumps({"spec": spec}))


def resume(product):
    product.shell("kubectl audit-policy rollout resume")


def until_state(product, state):
    return product.eventually(lambda: (report := product.agent_report())["state"] == state and report, f"state {state}")


def until_changing(product):
    """On the node itself, since the API server goes away with it."""
    product.eventually(
        lambda: "Applied" in product.on_node("sh", "-c", f"cat {FOLDER}/journal.json || true"), "a change to begin"
    )


def edit(product, old, new):
    """As an administrator's tool does: a new file takes the place of the old one."""
    new_file = "/etc/kubernetes/edited"
    product.on_node("sh", "-c", f"sed 's/{old}/{new}/' {MANIFEST} > {new_file} && mv {new_file} {MANIFEST}")


def move_folder(product, command):
    """Put another file system under the agent's folder, or take it away, and keep the content."""
    kept = "/etc/kubernetes/kept"
    save, restore = f"mkdir {kept} && cp -a {FOLDER}/. {kept}", f"cp -a {kept}/. {FOLDER} && rm -r {kept}"
    product.on_node("sh", "-c", f"{save} && {command} && {restore}")
    product.kubectl("-n", AGENTS, "delete", "pods", "--all", "--wait")


def say(product, what, availability):
    product.report(
        f"{what}: {availability.gap:.1f} s without a ready API server at most, {availability.away:.1f} s in all"
    )


def test_a_good_change_is_one_restart(product):
    with product.availability() as availability:
        product.change_policy("good")
        product.until("True", "Programmed")
    say(product, "a good change", availability)
    assert product.node()["attempts"] == 1


@contextlib.contextmanager
def agents_that(product, **settings):
    """The agents with other settings for a while."""
    product.kubectl("-n", AGENTS, "set", "env", DAEMON_SET, *(f"{name}={value}" for name, value in settings.items()))
    product.kubectl("-n", AGENTS, "rollout", "status", DAEMON_SET, "--timeout=80s")
    yield
    product.kubectl("-n", AGENTS, "set", "env", DAEMON_SET, *(f"{name}-" for name in settings))
    product.kubectl("-n", AGENTS, "rollout", "status", DAEMON_SET, "--timeout=80s")


@contextlib.contextmanager
def instead_of_the_operator(product, policy):
    """Nothing of ours would deliver a policy that is refused: it is written where agents read."""
    product.kubectl("-n", NAMESPACE, "scale", DEPLOYMENT, "--replicas=0")
    product.eventually(lambda: not product.running_pods(NAMESPACE), "the operator to be gone")
    digest = hashlib.sha256(policy.encode()).hexdigest()
    metadata = {"name": f"audit-policy-{digest[:16]}", "namespace": NAMESPACE}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap"}
    told = product.get("-n", NAMESPACE, "configmap", ROLLOUT)["data"]
    instructions = json.loads(told["instructions.json"])
    instructions["configuration"]["digest"] = digest
    told["instructions.json"] = json.dumps(instructions)
    product.apply(
        {**config_map, "metadata": metadata, "data": {"policy.yaml": policy}},
        {**config_map, "metadata": {"name": ROLLOUT, "namespace": NAMESPACE}, "data": told},
    )
    yield
    product.kubectl("-n", NAMESPACE, "scale", DEPLOYMENT, "--replicas=2")


def test_a_policy_that_the_api_server_refuses_is_taken_back(product):
    before, manifest = product.plane()["digest"], product.manifest()
    with (
        product.availability() as availability,
        agents_that(product, AUDIT_OPERATOR_AGENT_PREFLIGHT="false"),
        instead_of_the_operator(product, REFUSED),
    ):
        report = until_state(product, "RolledBack")
    say(product, "a refused policy", availability)
    assert report["running_digest"] == before
    assert "loading audit policy file" in report["error"]
    assert product.manifest() == manifest


def test_a_log_that_cannot_be_written_is_taken_back(product):
    manifest = product.manifest()
    product.on_node("sh", "-c", "echo none > /var/log/blocked")
    with product.availability() as availability:
        patch(product, {"log": {"path": "/var/log/blocked/audit.log"}})
        product.until("False", "RolledBack")
    say(product, "a log path that is a file", availability)
    assert product.manifest() == manifest
    patch(product, {"log": {"path": None}})


def test_an_api_server_that_keeps_dying_gets_its_last_policy_back(product):
    """Its process is killed whenever it has come up with the new policy, as one that crashes it late would."""
    before = product.plane()["digest"]
    stop = threading.Event()

    def kill():
        while not stop.wait(1):
            digest = product.on_node("sh", "-c", "tr '\\0' '\\n' < /proc/$(pidof kube-apiserver)/cmdline || true")
            if before not in digest and "policy-" in digest:
                time.sleep(5)
                product.on_node("sh", "-c", "kill -9 $(pidof kube-apiserver) || true")

    killer = threading.Thread(target=kill, daemon=True)
    with product.availability() as availability:
        killer.start()
        product.change_policy("crashing")
        report = until_state(product, "RolledBack")
        stop.set()
    killer.join(30)
    say(product, "an API server that keeps dying", availability)
    assert report["running_digest"] == before
    resume(product)
    product.until("True", "Programmed")


def test_a_full_disk_changes_nothing_until_there_is_room(product):
    """The agent's folder is put on a small disk, which is then filled."""
    move_folder(product, f"mount -t tmpfs -o size=1m none {FOLDER}")
    try:
        product.on_node("sh", "-c", f"dd if=/dev/zero of={FOLDER}/fill bs=1k count=2000 2>/dev/null || true")
        started = product.api_server_started()
        product.change_policy("full")
        report = until_state(product, "Blocked")
        assert "No space left on device" in report["error"]
        product.until("False", "NodeBlocked")
        assert product.api_server_started() == started
        product.on_node("rm", f"{FOLDER}/fill")
        product.until("True", "Programmed")
    finally:
        move_folder(product, f"umount -l {FOLDER}")


def test_a_manifest_that_somebody_edits_meanwhile_keeps_that_edit(product):
    with product.availability() as availability:
        product.change_policy("edited")
        until_changing(product)
        edit(product, "- --allow-privileged=true", "- --allow-privileged=true\\n    - --v=1")
        product.until("True", "Programmed")
    say(product, "a manifest that somebody edits meanwhile", availability)
    assert "- --v=1\n" in product.manifest()


def test_audit_flags_that_somebody_edits_stop_the_agent_until_it_is_asked(product):
    edit(product, "--audit-log-maxage=30", "--audit-log-maxage=31")
    product.until("False", "ForeignChange")
    edited = product.manifest()
    time.sleep(10)
    assert product.manifest() == edited
    resume(product)
    product.until("True", "Programmed")
    assert "--audit-log-maxage=30" in product.manifest()


def test_a_stopped_kubelet_costs_nothing(product):
    started = product.api_server_started()
    product.cluster.stop_kubelet()
    try:
        with product.availability() as availability:
            product.change_policy("kubelet")
            report = until_state(product, "RolledBack")
        say(product, "a kubelet that is stopped", availability)
        assert "kubelet has not acted" in report["error"]
        assert product.api_server_started() == started
    finally:
        product.cluster.start_kubelet()
    resume(product)
    product.until("True", "Programmed")


def test_a_reboot_in_the_middle_of_a_change(product, ready):
    with product.availability() as availability:
        product.change_policy("reboot")
        until_changing(product)
        product.cluster.restart_node()
        ready()
        product.until("True", "Programmed")
    say(product, "a reboot in the middle of a change", availability)


@pytest.fixture
def dying_agents(product):
    """Agents that die once, right after they have written in their journal that they enter a phase."""
    found = product.get("-n", AGENTS, DAEMON_SET)
    container = found["spec"]["template"]["spec"]["containers"][0]
    command = ["/usr/bin/python3.11", "-I", "-c", (Path(__file__).parent / "dying_agent.py").read_text()]
    change = {"name": container["name"], "command": command, "args": []}
    patched = {"spec": {"template": {"spec": {"containers": [change]}}}}
    product.kubectl("-n", AGENTS, "patch", DAEMON_SET, "-p", json.dumps(patched))
    yield
    whole = {"name": container["name"], "command": container.get("command"), "args": container.get("args")}
    patched["spec"]["template"]["spec"]["containers"] = [whole]
    product.kubectl("-n", AGENTS, "patch", DAEMON_SET, "-p", json.dumps(patched))
    product.kubectl("-n", AGENTS, "rollout", "status", DAEMON_SET, "--timeout=80s")


def agent_restarts(product):
    pods = product.get("-n", AGENTS, "pods", "-l", "app.kubernetes.io/component=agent")["items"]
    return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))


@pytest.mark.usefixtures("dying_agents")
@pytest.mark.parametrize("phase", ["Prepared", "Applied", "Probation"])
def test_an_agent_that_dies_in_a_good_change_finishes_it(product, phase):
    with agents_that(product, DIE_ENTERING=phase), product.availability() as availability:
        product.change_policy(phase)
        product.until("True", "Programmed")
        product.eventually(lambda: agent_restarts(product), "the agent to die")
    say(product, f"an agent that dies as a change is {phase}", availability)


@pytest.mark.usefixtures("dying_agents")
def test_an_agent_that_dies_while_it_takes_a_change_back_finishes_that(product):
    before = product.plane()["digest"]
    with (
        product.availability() as availability,
        agents_that(product, DIE_ENTERING="RollingBack", AUDIT_OPERATOR_AGENT_PREFLIGHT="false"),
        instead_of_the_operator(product, REFUSED),
    ):
        report = until_state(product, "RolledBack")
        assert agent_restarts(product)
    say(product, "an agent that dies while it takes a change back", availability)
    assert report["running_digest"] == before
