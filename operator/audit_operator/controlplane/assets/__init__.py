"""Binaries for the demo, the tests and preflight: found, fetched or built.

A control plane runs on etcd, kube-apiserver and kubectl (`provide`); the OpenTelemetry Collector and VictoriaLogs ship
and keep its events (`provide_shipping`).

The first source that works is taken: the folder `KUBEBUILDER_ASSETS` and then `PATH`, where a binary of a fitting
version is there (`installed`); the cache, `~/.cache/audit-operator` or `AUDIT_OPERATOR_CACHE` (`cache`); the official
release (`release`); a build from source with the Go toolchain, about seven minutes, once (`go_build`). The collector
is never a release: none has the components that `tools/otelcol` names. OpenSearch, for tests, comes as jars
(`open_search`).

`python -m audit_operator.controlplane.assets` provides what a control plane needs, with the word `shipping` the other
two, with `collector` the collector for the image, and prints a folder that holds them. Linux only, as the control plane
that runs on them is. Everything here blocks; call it from a thread where there is an event loop.
"""

from audit_operator.controlplane.assets.asset import (
    ETCD_VERSION,
    KUBERNETES_VERSION,
    OTELCOL_VERSION,
    VICTORIA_LOGS_VERSION,
    Asset,
    Tool,
)
from audit_operator.controlplane.assets.open_search import OpenSearch, provide_open_search
from audit_operator.controlplane.assets.provide import (
    Assets,
    AssetsUnavailable,
    ShippingAssets,
    provide,
    provide_one,
    provide_shipping,
)

__all__ = [
    "ETCD_VERSION",
    "KUBERNETES_VERSION",
    "OTELCOL_VERSION",
    "VICTORIA_LOGS_VERSION",
    "Asset",
    "Assets",
    "AssetsUnavailable",
    "OpenSearch",
    "ShippingAssets",
    "Tool",
    "provide",
    "provide_one",
    "provide_open_search",
    "provide_shipping",
]
