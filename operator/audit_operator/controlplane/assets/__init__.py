"""etcd, kube-apiserver and kubectl for the demo, the tests and preflight: found, fetched or built.

The first source that works is taken: the folder `KUBEBUILDER_ASSETS` and then `PATH`, where a binary of a fitting
version is there (`installed`); the cache, `~/.cache/audit-operator` or `AUDIT_OPERATOR_CACHE` (`cache`); the official
release (`release`); a build from source with the Go toolchain, about seven minutes, once (`go_build`).

`python -m audit_operator.controlplane.assets` provides all three and prints a folder that holds them. Linux only, as
the control plane that runs on them is. Everything here blocks; call it from a thread where there is an event loop.
"""

from audit_operator.controlplane.assets.asset import ETCD_VERSION, KUBERNETES_VERSION, Asset, Tool
from audit_operator.controlplane.assets.provide import Assets, AssetsUnavailable, provide, provide_one

__all__ = [
    "ETCD_VERSION",
    "KUBERNETES_VERSION",
    "Asset",
    "Assets",
    "AssetsUnavailable",
    "Tool",
    "provide",
    "provide_one",
]
