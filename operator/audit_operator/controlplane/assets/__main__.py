"""`python -m audit_operator.controlplane.assets`: provide binaries and print a folder that holds them by name."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from audit_operator.controlplane.assets.asset import (
    ETCD_VERSION,
    KUBERNETES_VERSION,
    OTELCOL_VERSION,
    VICTORIA_LOGS_VERSION,
    Asset,
    Tool,
    architecture,
)
from audit_operator.controlplane.assets.cache import cache_folder
from audit_operator.controlplane.assets.installed import KUBEBUILDER_ASSETS
from audit_operator.controlplane.assets.provide import AssetsUnavailable, provide, provide_one, provide_shipping

CONTROL_PLANE = "control-plane"
SHIPPING = "shipping"
COLLECTOR = "collector"


def link_folder(name: str, binaries: dict[Tool, Path], cache: Path) -> Path:
    """A folder with links to the binaries, which serves as `KUBEBUILDER_ASSETS` and on PATH."""
    folder = cache / f"bin-{name}-{sys.platform}-{architecture()}"
    folder.mkdir(parents=True, exist_ok=True)
    for tool, path in binaries.items():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            link = Path(scratch) / tool
            link.symlink_to(path.resolve())  # `path` may be in this very folder
            link.replace(folder / tool)
    return folder


def control_plane_folder(kubernetes_version: str, etcd_version: str) -> Path:
    """etcd, kube-apiserver and kubectl."""
    assets = provide(kubernetes_version, etcd_version)
    binaries = {Tool.ETCD: assets.etcd, Tool.KUBE_APISERVER: assets.kube_apiserver, Tool.KUBECTL: assets.kubectl}
    return link_folder(assets.kubernetes_version, binaries, cache_folder(os.environ))


def shipping_folder() -> Path:
    """The collector and VictoriaLogs."""
    assets = provide_shipping()
    binaries = {Tool.OTELCOL: assets.otelcol, Tool.VICTORIA_LOGS: assets.victoria_logs}
    name = f"{SHIPPING}-{OTELCOL_VERSION}-{VICTORIA_LOGS_VERSION}"
    return link_folder(name, binaries, cache_folder(os.environ))


def collector_folder() -> Path:
    """The collector alone, built of `tools/otelcol`.

    Never one that is installed: its version does not say which components it has, and an image is to be the same
    wherever it is built.
    """
    environ = {name: value for name, value in os.environ.items() if name not in {KUBEBUILDER_ASSETS, "PATH"}}
    binary = provide_one(Asset(Tool.OTELCOL, OTELCOL_VERSION), environ=environ)
    return link_folder(f"{COLLECTOR}-{OTELCOL_VERSION}", {Tool.OTELCOL: binary}, cache_folder(os.environ))


def main() -> int:
    """Provide, link, print."""
    parser = argparse.ArgumentParser(prog="python -m audit_operator.controlplane.assets", description=__doc__)
    parser.add_argument("what", nargs="?", choices=[CONTROL_PLANE, SHIPPING, COLLECTOR], default=CONTROL_PLANE)
    parser.add_argument("--kubernetes-version", default=KUBERNETES_VERSION)
    parser.add_argument("--etcd-version", default=ETCD_VERSION)
    arguments = parser.parse_args()
    try:
        if arguments.what == SHIPPING:
            folder = shipping_folder()
        elif arguments.what == COLLECTOR:
            folder = collector_folder()
        else:
            folder = control_plane_folder(arguments.kubernetes_version, arguments.etcd_version)
    except AssetsUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
