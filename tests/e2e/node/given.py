"""A cluster that the user has: any, as long as commands can be run on its one control-plane node."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.node.command import NODE_ENVIRONMENT, output, run
from tests.e2e.node.waiting import wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

KUBECONFIG = "AUDIT_OPERATOR_E2E_KUBECONFIG"
NODE_EXEC = "AUDIT_OPERATOR_E2E_NODE_EXEC"
LOAD_IMAGE = "AUDIT_OPERATOR_E2E_LOAD_IMAGE"
_REBOOT_TIMEOUT = 600.0


@dataclass(slots=True)
class GivenCluster:
    """A `Cluster`; the commands get what is to be run, or the image archive, as their last arguments."""

    kubeconfig: Path
    node_name: str
    node_exec: list[str]
    image_load: list[str]

    def run_on_node(self, argv, **options) -> subprocess.CompletedProcess[str]:
        # ssh joins its arguments and gives them to a shell; others, such as `docker exec`, pass them on as they are.
        script = f"exec env {' '.join(f'{k}={v}' for k, v in NODE_ENVIRONMENT.items())} {shlex.join(argv)}"
        quoted = shlex.quote(script) if self.node_exec[0].endswith("ssh") else script
        return run([*self.node_exec, "sh", "-c", quoted], **options)

    def load_image(self, archive: Path) -> None:
        output([*self.image_load, str(archive)])

    def restart_node(self) -> None:
        before = self._boot()
        self.run_on_node(["systemctl", "reboot"])  # its status says nothing: the connection breaks
        wait_for("the reboot of the node", lambda: self._boot() not in {"", before}, _REBOOT_TIMEOUT)

    def stop_kubelet(self) -> None:
        self.run_on_node(["systemctl", "stop", "kubelet"], check=True)

    def start_kubelet(self) -> None:
        self.run_on_node(["systemctl", "start", "kubelet"], check=True)

    def close(self) -> None:
        """It is the user's."""

    def _boot(self) -> str:
        return self.run_on_node(["cat", "/proc/sys/kernel/random/boot_id"]).stdout


def given_cluster(environ: Mapping[str, str]) -> GivenCluster | None:
    """The user's cluster, None if there is none.

    Raises:
        KeyError: a variable is missing that goes with the kubeconfig.
        ValueError: it has not exactly one control-plane node.
    """
    if not environ.get(KUBECONFIG):
        return None
    kubeconfig = Path(environ[KUBECONFIG])
    selector = "--selector=node-role.kubernetes.io/control-plane"
    answer = output(["kubectl", "--kubeconfig", str(kubeconfig), "get", "nodes", selector, "--output=json"])
    names = [node["metadata"]["name"] for node in json.loads(answer)["items"]]
    if len(names) != 1:
        raise ValueError(f"{kubeconfig}: these tests need a cluster of one control-plane node, and there are {names}")
    return GivenCluster(kubeconfig, names[0], shlex.split(environ[NODE_EXEC]), shlex.split(environ[LOAD_IMAGE]))
