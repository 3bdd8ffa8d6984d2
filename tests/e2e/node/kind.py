"""A node of kind (https://kind.sigs.k8s.io), where a container engine works."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.node.command import NODE_ENVIRONMENT, output, run
from tests.e2e.node.kubeadm import API_SERVER_GRACE, API_SERVER_PATCH_FILE, api_server_patch
from tests.e2e.node.waiting import wait_for

if TYPE_CHECKING:
    import subprocess

_PATCHES = "/etc/kubeadm/patches"


@dataclass(slots=True)
class KindCluster:
    """A `Cluster` in a container."""

    name: str
    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def node_name(self) -> str:
        return f"{self.name}-control-plane"

    def run_on_node(self, argv, **options) -> subprocess.CompletedProcess[str]:
        environment = [f"--env={key}={value}" for key, value in NODE_ENVIRONMENT.items()]
        return run(["docker", "exec", "--interactive", *environment, self.node_name, *argv], **options)

    def load_image(self, archive: Path) -> None:
        output(["kind", "load", "image-archive", str(archive), "--name", self.name])

    def restart_node(self) -> None:
        output(["docker", "restart", "--time=0", self.node_name])
        wait_for("the kubelet's start", lambda: self.run_on_node(["systemctl", "is-active", "kubelet"]).returncode == 0)

    def stop_kubelet(self) -> None:
        self.run_on_node(["systemctl", "stop", "kubelet"], check=True)

    def start_kubelet(self) -> None:
        self.run_on_node(["systemctl", "start", "kubelet"], check=True)

    def close(self) -> None:
        output(["kind", "delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig)])
        shutil.rmtree(self.folder)


def is_possible() -> bool:
    """Whether kind is here and a container engine answers."""
    return all(map(shutil.which, ("kind", "docker"))) and run(["docker", "info"]).returncode == 0


def start() -> KindCluster:
    """Start a cluster of one node, whose image kind brings along; about a minute."""
    cluster = KindCluster(f"audit-operator-{os.getpid()}", Path(tempfile.mkdtemp(prefix="audit-operator-kind-")))
    patches = cluster.folder / "patches"
    patches.mkdir()
    (patches / API_SERVER_PATCH_FILE).write_text(api_server_patch(API_SERVER_GRACE))
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [
            {"role": "control-plane", "extraMounts": [{"hostPath": str(patches), "containerPath": _PATCHES}]},
        ],
        "kubeadmConfigPatches": [
            yaml.safe_dump({"kind": "InitConfiguration", "patches": {"directory": _PATCHES}}),
        ],
    }
    (cluster.folder / "kind.yaml").write_text(yaml.safe_dump(config))
    try:
        output(
            [
                *("kind", "create", "cluster", "--name", cluster.name, "--wait", "180s"),
                *("--config", str(cluster.folder / "kind.yaml"), "--kubeconfig", str(cluster.kubeconfig)),
            ]
        )
    except BaseException:
        cluster.close()
        raise
    return cluster
