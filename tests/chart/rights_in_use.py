"""The chart in a real API server, what runs with its service accounts, and what the audit log says of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chart.helm import CHART, NAMESPACE
from tests.chart.test_rights import OWN
from tests.integration.control_plane import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.controlplane.local_control_plane import ClusterUser
    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
}

# Only after a conflict of two writers is one of our own objects read by itself.
RARE = {f"get audit-operator.dev/{kind}" for kind in OWN}
# Only when policies have been published that nobody needs any more.
RARE |= {"delete configmaps"}
# What is applied and not there yet has to be allowed to be created, and is logged as the patch that it was.
RARE |= {"create configmaps"}


def installed(cluster: RunningControlPlane, helm: Helm, values: Iterable[str]) -> None:
    options = [option for value in values for option in ("--set", value)]
    config = ["--kubeconfig", cluster.kubeconfig(), "--namespace", NAMESPACE, "--create-namespace"]
    helm.run("install", "audit-operator", CHART, *options, *config)


@contextmanager
def running_operator(cluster: RunningControlPlane, folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """With the rights of its service account, until the end of the block; `settings` by their names."""
    settings = {
        "KUBECONFIG": str(kubeconfig(cluster, OPERATOR, folder)),
        "LISTEN_HOST": "127.0.0.1",
        "LISTEN_PORT": "0",
        "OBSERVE_SECONDS": "1",
        **settings,
    }
    environment = {f"AUDIT_OPERATOR_{name}": value for name, value in settings.items()}
    # What it logs, pytest shows where the test fails.
    process = subprocess.Popen([sys.executable, "-m", "audit_operator", "run"], env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def requests(cluster: RunningControlPlane, user: str) -> set[str]:
    """What a user has asked for, as rights are written in test_rights.py, without names; discovery aside."""
    return {_spelt(event["verb"], event["objectRef"]) for event in _events(cluster, user) if "objectRef" in event}


def denied(cluster: RunningControlPlane, user: str) -> list[str]:
    return [event["requestURI"] for event in _events(cluster, user) if event["responseStatus"]["code"] in (401, 403)]


def _events(cluster: RunningControlPlane, user: str) -> Iterator[dict[str, Any]]:
    for event in cluster.audit_events():
        # A watch is answered long before it ends.
        if event["user"].get("username") == user and event["stage"] in ("ResponseStarted", "ResponseComplete"):
            yield event


def _spelt(verb: str, ref: dict[str, str]) -> str:
    group = f"{ref['apiGroup']}/" if ref.get("apiGroup") else ""
    subresource = f"/{ref['subresource']}" if ref.get("subresource") else ""
    return f"{verb} {group}{ref['resource']}{subresource}"


def without_names(granted: dict[tuple[str, str], set[str]]) -> set[str]:
    return {" ".join(each.split()[:2]) for rights in granted.values() for each in rights}


def kubeconfig(cluster: RunningControlPlane, user: ClusterUser, folder: Path) -> Path:
    # Colons in a file's name would be taken for a list of files.
    return Path(shutil.copy(cluster.kubeconfig(user.name), folder / "kubeconfig"))
