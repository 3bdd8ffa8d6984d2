"""A real node for tests: kubelet, containerd and a kubeadm control plane; node/README.md says where it comes from.

    def test_something(cluster, kubectl):
        cluster.run_on_node(["cat", "/etc/kubernetes/manifests/kube-apiserver.yaml"])
        kubectl("get", "nodes")

* `cluster`: one for the whole session; node/provider.py shows what it can do. What tests change in it, they put back.
* `kubectl`: runs kubectl with its kubeconfig and returns what it prints; `input` is its standard input. Fails with what
  kubectl said.
* `run_pod`: runs kubectl with these arguments in a pod, with the rights of its service account; returns what it prints.
* `ready`: waits until a pod runs to its end, for which every part of the control plane is needed; as after a restart.
* `product`: audit-operator, installed as the README says; product.py shows what it can do.
* `checkout`: the same, not installed: what a user can do with this checkout and the cluster.
* `victoria_logs`: a store beside it, to read back what was shipped; victoria_logs.py shows what it can do.
* `kubectl_image`: the name of an image with kubectl alone, loaded; for pods that are to ask the API server something.

Every test in this folder has the marker `e2e`. They fail where something is missing that can be installed, and are
skipped, with the reason, where the machine is incapable; AUDIT_OPERATOR_E2E=off leaves them out.
"""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit_operator.controlplane.assets import VICTORIA_LOGS_VERSION, Asset, Tool, provide, provide_one
from audit_operator.controlplane.assets.progress import to_stderr
from tests.e2e.node.binaries import HELM
from tests.e2e.node.binaries import get as get_binary
from tests.e2e.node.box import MachineIncapable
from tests.e2e.node.command import CommandFailed, output
from tests.e2e.node.images import KUBECTL, kubectl_archive, victoria_logs_archive
from tests.e2e.node.provider import start_cluster
from tests.e2e.node.waiting import wait_for
from tests.e2e.product import IMAGE, Product
from tests.e2e.readme import install_commands
from tests.e2e.victoria_logs import VictoriaLogs, install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.node.provider import Cluster


_ORDER = (
    "test_node.py",
    "test_install.py",
    "test_shipping.py",
    "test_sidecar.py",
    "test_rollback.py",
    "test_uninstall.py",
    "test_getting_started.py",
)
"""All use one node, and each file finds it as the one before has left it; the last one begins with nothing there."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    items.sort(key=lambda item: _ORDER.index(item.path.name) if item.path.parent == here else -1)
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)
            if os.environ.get("AUDIT_OPERATOR_E2E") == "off":
                item.add_marker(pytest.mark.skip(reason="AUDIT_OPERATOR_E2E=off"))


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at once, past pytest's capturing: a cold start takes minutes."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            to_stderr(text)

    return line


@pytest.fixture(scope="session")
def cluster(report: Callable[[str], None]) -> Iterator[Cluster]:
    try:
        running = start_cluster(os.environ, report)
    except MachineIncapable as error:
        report(f"no test on a real node is run: {error}")
        pytest.skip(str(error))
    yield running
    running.close()


@pytest.fixture(scope="session")
def kubectl_command(cluster: Cluster) -> list[str]:
    return [str(provide().kubectl), "--kubeconfig", str(cluster.kubeconfig)]


@pytest.fixture(scope="session")
def kubectl(kubectl_command: list[str]) -> Callable[..., str]:
    return lambda *argv, **options: output([*kubectl_command, *argv], **options)


@pytest.fixture(scope="session")
def kubectl_image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = tmp_path_factory.mktemp("image") / "kubectl.tar"
    kubectl_archive(provide().kubectl, archive)
    cluster.load_image(archive)
    return KUBECTL


@pytest.fixture(scope="session")
def run_pod(kubectl: Callable[..., str], kubectl_image: str) -> Callable[..., str]:
    def run_to_end(*arguments: str, timeout: float = 120.0) -> str:
        name = f"probe-{os.urandom(4).hex()}"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "kubectl", "image": kubectl_image, "args": arguments}],
            },
        }
        kubectl("create", "--filename=-", input=json.dumps(pod))
        try:
            kubectl("wait", f"pod/{name}", f"--timeout={timeout:.0f}s", "--for=jsonpath={.status.phase}=Succeeded")
            return kubectl("logs", name)
        finally:
            kubectl("delete", "pod", name, "--wait=false")

    return run_to_end


@pytest.fixture(scope="session")
def ready(kubectl: Callable[..., str], run_pod: Callable[..., str]) -> Callable[[], None]:
    def a_pod_runs() -> bool:
        try:
            kubectl("get", "--raw", "/readyz")
            run_pod("version", "--client", timeout=30)
        except CommandFailed:
            return False
        return True

    # What the API says of pods and nodes just after a restart is from before it. A pod needs all of them.
    return partial(wait_for, "a pod to run", a_pod_runs)


@pytest.fixture(scope="session")
def checkout(cluster: Cluster, report: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Product:
    """A user of this checkout, with the cluster's kubeconfig."""
    return Product(cluster, provide().kubectl, get_binary(HELM), tmp_path_factory.mktemp("home"), report)


@pytest.fixture(scope="session")
def product(checkout: Product, cluster: Cluster, report: Callable[[str], None]) -> Product:
    """audit-operator, installed as the README says; it stays until test_uninstall.py takes it away."""
    for command in install_commands():
        began = time.monotonic()
        printed = checkout.shell(command)
        if command.startswith("make image"):
            cluster.load_image(IMAGE)
        report(f"{command}: {time.monotonic() - began:.1f} s\n{printed}")
    return checkout


@pytest.fixture(scope="session")
def victoria_logs(product: Product, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> VictoriaLogs:
    archive = tmp_path_factory.mktemp("image") / "victoria-logs.tar"
    victoria_logs_archive(provide_one(Asset(Tool.VICTORIA_LOGS, VICTORIA_LOGS_VERSION)), archive)
    cluster.load_image(archive)
    return install(product)
