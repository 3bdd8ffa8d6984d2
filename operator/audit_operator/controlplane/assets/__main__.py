"""`python -m audit_operator.controlplane.assets`: provide the binaries and print a folder that holds them by name."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from audit_operator.controlplane.assets.asset import ETCD_VERSION, KUBERNETES_VERSION, Tool, architecture
from audit_operator.controlplane.assets.cache import cache_folder
from audit_operator.controlplane.assets.provide import Assets, AssetsUnavailable, provide


def link_folder(assets: Assets, cache: Path) -> Path:
    """A folder with links to the three binaries, which serves as `KUBEBUILDER_ASSETS` and on PATH."""
    folder = cache / f"bin-{assets.kubernetes_version}-{sys.platform}-{architecture()}"
    folder.mkdir(parents=True, exist_ok=True)
    for tool, path in (
        (Tool.ETCD, assets.etcd),
        (Tool.KUBE_APISERVER, assets.kube_apiserver),
        (Tool.KUBECTL, assets.kubectl),
    ):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            link = Path(scratch) / tool
            link.symlink_to(path.resolve())  # `path` may be in this very folder
            link.replace(folder / tool)
    return folder


def main() -> int:
    """Provide, link, print."""
    parser = argparse.ArgumentParser(prog="python -m audit_operator.controlplane.assets", description=__doc__)
    parser.add_argument("--kubernetes-version", default=KUBERNETES_VERSION)
    parser.add_argument("--etcd-version", default=ETCD_VERSION)
    arguments = parser.parse_args()
    try:
        assets = provide(arguments.kubernetes_version, arguments.etcd_version)
    except AssetsUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{link_folder(assets, cache_folder(os.environ))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
