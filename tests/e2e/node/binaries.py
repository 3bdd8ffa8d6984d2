"""The node's own binaries, built from source once and kept in the same cache as the product's assets.

The product needs etcd, kube-apiserver and kubectl alone and gets them from `audit_operator.controlplane.assets`; what
is here, only tests need. Each is pinned by a Go module in `tools/`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets import ETCD_VERSION, KUBERNETES_VERSION, provide
from audit_operator.controlplane.assets.asset import architecture
from audit_operator.controlplane.assets.cache import Cache, cache_folder
from audit_operator.controlplane.assets.go_build import CHECKOUT_TOOLS, compile_package, kubernetes_version_flags
from audit_operator.controlplane.assets.progress import Progress, to_stderr

if TYPE_CHECKING:
    from pathlib import Path

KUBERNETES = ("kubelet", "kubeadm", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")


@dataclass(frozen=True, slots=True)
class NodeBinary:
    """One command of a module in `tools/`; the shape of an `Asset`, so that the same cache keeps it."""

    tool: str
    module: str
    package: str

    @property
    def version(self) -> str:
        return (CHECKOUT_TOOLS / self.module / "VERSION").read_text().strip()

    @property
    def name(self) -> str:
        return f"{self.tool}-{self.version}-{sys.platform}-{architecture()}"

    @property
    def linker_flags(self) -> list[str]:
        match self.module:
            case "k8s":
                return kubernetes_version_flags(self.version)
            case "containerd":
                return [f"-X github.com/containerd/containerd/v2/version.Version={self.version}"]
            case "helm":
                return [f"-X helm.sh/helm/v4/internal/version.version={self.version}"]
            case _:
                return []

    def __str__(self) -> str:
        return f"{self.tool} {self.version}"


NODE_BINARIES = (
    *(NodeBinary(command, "k8s", f"k8s.io/kubernetes/cmd/{command}") for command in KUBERNETES),
    *(
        NodeBinary(command, "containerd", f"github.com/containerd/containerd/v2/cmd/{command}")
        for command in CONTAINERD
    ),
    NodeBinary("pause", "pause", "."),
)
HELM = NodeBinary("helm", "helm", "helm.sh/helm/v4/cmd/helm")


def get(binary: NodeBinary, report=to_stderr) -> Path:
    """The binary from the cache, where it is built first if need be: some minutes for the first of a module."""
    cache = Cache(cache_folder(os.environ))
    cached = cache.get(binary)
    if cached is not None:
        return cached
    with cache.exclusive(binary, report) as work:
        cached = cache.get(binary)  # another process may have built it in the meantime
        if cached is not None:
            return cached
        progress = Progress(f"building {binary} from source, once", report)
        module = CHECKOUT_TOOLS / binary.module
        return cache.put(
            binary, compile_package(module, binary.package, work / binary.tool, binary.linker_flags, progress)
        )


helm = partial(get, HELM)


def node_binaries(report=to_stderr) -> dict[str, Path]:
    """All that a node runs, by name, with etcd, kube-apiserver and kubectl."""
    assets = provide(KUBERNETES_VERSION, ETCD_VERSION, report=report)
    found = {"etcd": assets.etcd, "kube-apiserver": assets.kube_apiserver, "kubectl": assets.kubectl}
    return found | {binary.tool: get(binary, report) for binary in NODE_BINARIES}
