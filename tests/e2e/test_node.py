"""The node that the other tests stand on: what they take for granted is shown here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.node import nodebox, supervisor
from tests.e2e.node.binaries import node_binaries
from tests.e2e.node.debian import unpacked_packages
from tests.e2e.node.images import KUBECTL
from tests.e2e.node.waiting import wait_for

MANIFESTS = "/etc/kubernetes/manifests"
API_SERVER = f"{MANIFESTS}/kube-apiserver.yaml"


@pytest.fixture
def own_nodebox(cluster):
    """Only a node in namespaces is to leave nothing behind; kind's and the user's own are their affair."""
    if not isinstance(cluster, nodebox.Nodebox):
        pytest.skip("the cluster is not a node in namespaces of this machine")


def static_pod(name):
    container = {"name": "probe", "image": KUBECTL, "args": ["version", "--client"], "imagePullPolicy": "Never"}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [container]},
        }
    )


def write(cluster, path, text):
    """As one step: the kubelet sees a file that is written in the folder while it is half there."""
    next_to_it = f"/etc/kubernetes/{Path(path).name}.tmp"
    cluster.run_on_node(["tee", next_to_it], input=text, check=True)
    cluster.run_on_node(["mv", next_to_it, path], check=True)


def test_the_node_is_ready(cluster, kubectl):
    node = json.loads(kubectl("get", "node", cluster.node_name, "--output=json"))
    [condition] = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    assert condition["status"] == "True"
    assert "taints" not in node["spec"]


def test_a_pod_reaches_the_kubernetes_service(run_pod):
    assert run_pod("get", "--raw", "/readyz") == "ok"


def test_the_api_server_is_a_static_pod_without_audit_flags(cluster):
    manifest = yaml.safe_load(cluster.run_on_node(["cat", API_SERVER], check=True).stdout)
    assert manifest["spec"]["containers"][0]["command"][0] == "kube-apiserver"
    assert "audit" not in str(manifest)
    assert manifest["spec"]["terminationGracePeriodSeconds"] == 5


def test_the_kubelet_ignores_files_that_begin_with_a_dot(cluster, kubectl):
    def mirror_pods():
        names = kubectl("get", "pods", "--output=jsonpath={.items[*].metadata.name}").split()
        return {name.removesuffix(f"-{cluster.node_name}") for name in names}

    hidden, shown, later = (f"{MANIFESTS}/{name}" for name in (".hidden.yaml", "shown.yaml", "later.yaml"))
    try:
        write(cluster, hidden, static_pod("hidden"))
        write(cluster, shown, static_pod("shown"))
        wait_for("a static pod", lambda: "shown" in mirror_pods())
        # It has followed the folder's changes so far; when it starts, it reads the whole folder.
        cluster.stop_kubelet()
        cluster.start_kubelet()
        write(cluster, later, static_pod("later"))
        wait_for("a second static pod", lambda: "later" in mirror_pods())
        assert "hidden" not in mirror_pods()
        cluster.run_on_node(["mv", hidden, f"{MANIFESTS}/hidden.yaml"], check=True)
        wait_for("the pod whose file is hidden no more", lambda: "hidden" in mirror_pods())
        cluster.run_on_node(["mv", f"{MANIFESTS}/hidden.yaml", hidden], check=True)
        wait_for("the end of the pod whose file is hidden again", lambda: "hidden" not in mirror_pods())
    finally:
        cluster.run_on_node(["rm", "-f", hidden, shown, later, f"{MANIFESTS}/hidden.yaml"], check=True)
    wait_for("the end of the static pods", lambda: not mirror_pods() & {"hidden", "shown", "later"})


def test_what_a_stopped_kubelet_has_started_goes_on(cluster, kubectl, ready):
    cluster.stop_kubelet()
    try:
        assert cluster.run_on_node(["pgrep", "-x", "kubelet"]).returncode == 1
        assert kubectl("get", "--raw", "/readyz") == "ok"
    finally:
        cluster.start_kubelet()
    ready()


def test_a_restart_brings_everything_back(cluster, kubectl, ready):
    def started():
        pod = json.loads(
            kubectl("--namespace=kube-system", "get", "pod", f"kube-apiserver-{cluster.node_name}", "-ojson")
        )
        return pod["status"]["containerStatuses"][0]["state"].get("running", {}).get("startedAt")

    before = started()
    kubectl("create", "configmap", "from-before")
    cluster.restart_node()
    ready()
    wait_for("the kubelet's word on the new API server", lambda: started() not in {None, before})
    kubectl("delete", "configmap", "from-before")


def left_of(node_name, link):
    """All that this machine still has of a node."""
    processes = [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if f"/nodes/{node_name}/" in read(path)]
    cgroups = [path / node_name for path in supervisor.cgroup_hierarchies() if (path / node_name).exists()]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/nodes/{node_name}/" in line]
    links = [path for path in [Path("/sys/class/net", link)] if path.exists()]
    folders = [path for path in [nodebox.nodes_folder() / node_name] if path.exists()]
    return {"processes": processes, "cgroups": cgroups, "mounts": mounts, "links": links, "folders": folders}


def read(path):
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


@pytest.mark.usefixtures("own_nodebox")
def test_nothing_is_left_of_a_closed_node(report):
    settings = [Path("/proc/sys", name) for name in (*supervisor.SYSCTLS, "net/ipv4/ip_forward")]
    before = [path.read_text() for path in settings]
    node = nodebox.start(f"closed-{os.getpid()}", report=report)
    name, link = node.node_name, node.box.link
    assert all(found for what, found in left_of(name, link).items() if what != "mounts")
    node.close()
    assert not any(left_of(name, link).values())
    assert [path.read_text() for path in settings] == before


BOOT_AND_WAIT = """
import sys, time
from tests.e2e.test_node import boot
print(boot(sys.argv[1]).box.link, flush=True)
time.sleep(600)
"""


def boot(name):
    return nodebox.boot(name, node_binaries(), unpacked_packages(), keep=False, report=print)


@pytest.mark.usefixtures("own_nodebox")
def test_a_node_ends_with_tests_that_are_killed_and_the_next_start_removes_what_is_left():
    name = f"orphan-{os.getpid()}"
    caller = subprocess.Popen(
        [sys.executable, "-c", BOOT_AND_WAIT, name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "operator:."},
    )
    with caller:
        link = caller.stdout.readline().strip()
        assert left_of(name, link)["processes"]
        caller.kill()
    wait_for("the end of the node's processes", lambda: not left_of(name, link)["processes"])
    boot(f"next-{os.getpid()}").close()
    assert not any(left_of(name, link).values())
