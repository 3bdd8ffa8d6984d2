"""From a wish to a path: the sources in their order, and an error that says what was tried."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets import go_build
from audit_operator.controlplane.assets.asset import (
    ETCD_VERSION,
    KUBERNETES_VERSION,
    OTELCOL_VERSION,
    VICTORIA_LOGS_VERSION,
    Asset,
    Tool,
    binary_version,
    parse_version,
)
from audit_operator.controlplane.assets.cache import Cache, cache_folder
from audit_operator.controlplane.assets.installed import KUBEBUILDER_ASSETS, find_installed
from audit_operator.controlplane.assets.progress import to_stderr
from audit_operator.controlplane.assets.release import Releases
from audit_operator.controlplane.assets.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    # Puts an asset into the folder and returns its place there, saying what takes time; raises SourceFailed.
    Source = Callable[[Asset, Path, Callable[[str], None]], Path]


class AssetsUnavailable(Exception):  # noqa: N818  # names a state of the machine
    """No source could provide a binary.

    Attributes:
        asset: that was wanted.
        tried: every source with the reason why it could not help.
    """

    def __init__(self, asset: Asset, tried: Mapping[str, str]) -> None:
        self.asset = asset
        self.tried = dict(tried)
        reasons = "\n".join(f"  {source}: {reason}" for source, reason in self.tried.items())
        super().__init__(
            f"{asset} cannot be provided. Tried:\n{reasons}\n"
            f"Mend: set {KUBEBUILDER_ASSETS} to a folder that has it, "
            "or install Go (https://go.dev/doc/install) and run this from a checkout of audit-operator."
        )


@dataclass(frozen=True, slots=True)
class Assets:
    """The three binaries, as absolute paths; `kubernetes_version` is the API server's own word, ``v1.37.2``."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    kubernetes_version: str


@dataclass(frozen=True, slots=True)
class ShippingAssets:
    """What ships events and what keeps them, as absolute paths."""

    otelcol: Path
    victoria_logs: Path


@dataclass(frozen=True, slots=True)
class Provider:
    """The sources, in a form that tests can replace. See `provide`."""

    environ: Mapping[str, str]
    cache: Cache
    release: Source = field(default_factory=lambda: Releases().fetch)
    build: Source = go_build.build
    report: Callable[[str], None] = to_stderr

    def get(self, asset: Asset) -> Path:
        """The binary from the first source that has it.

        Raises:
            AssetsUnavailable: none has.
        """
        tried = {}
        try:
            return find_installed(asset, self.environ)
        except SourceFailed as failure:
            tried["installed"] = str(failure)
        cached = self.cache.get(asset)
        if cached is not None:
            return cached
        tried["cache"] = f"{self.cache.folder} has no intact {asset.name}"
        try:
            return self._provide(asset, tried)
        except OSError as error:  # the folder cannot be written, or the disk is full
            tried["cache"] = str(error)
            raise AssetsUnavailable(asset, tried) from error

    def _provide(self, asset: Asset, tried: dict[str, str]) -> Path:
        with self.cache.exclusive(asset, self.report) as work:
            cached = self.cache.get(asset)  # another process may have stored it in the meantime
            if cached is not None:
                return cached
            for name, source in (("official release", self.release), ("build from source", self.build)):
                try:
                    return self.cache.put(asset, self._checked(asset, source(asset, work, self.report)))
                except SourceFailed as failure:
                    tried[name] = str(failure)
        raise AssetsUnavailable(asset, tried)

    @staticmethod
    def _checked(asset: Asset, binary: Path) -> Path:
        """What runs and says the right version is what was meant."""
        binary.chmod(0o755)
        version = binary_version(asset.tool, binary)
        if version is None or version != parse_version(asset.version):
            raise SourceFailed(f"the binary does not run, or is {version} in place of {asset.version}")
        return binary


def provide(
    kubernetes_version: str = KUBERNETES_VERSION,
    etcd_version: str = ETCD_VERSION,
    *,
    environ: Mapping[str, str] = os.environ,
    report: Callable[[str], None] = to_stderr,
) -> Assets:
    """Find, fetch or build the binaries of a control plane.

    Takes a second if they are there, minutes where they must be built; `report` is told what is going on.

    Raises:
        AssetsUnavailable: no source could provide one of them; the message says what was tried and what helps.
    """
    etcd = provide_one(Asset(Tool.ETCD, etcd_version), environ=environ, report=report)
    kube_apiserver = provide_one(Asset(Tool.KUBE_APISERVER, kubernetes_version), environ=environ, report=report)
    # Shares most of its sources with the former.
    kubectl = provide_one(Asset(Tool.KUBECTL, kubernetes_version), environ=environ, report=report)
    return Assets(etcd, kube_apiserver, kubectl, str(binary_version(Tool.KUBE_APISERVER, kube_apiserver)))


def provide_shipping(
    *, environ: Mapping[str, str] = os.environ, report: Callable[[str], None] = to_stderr
) -> ShippingAssets:
    """Find, fetch or build the OpenTelemetry Collector and VictoriaLogs; see `provide`."""
    return ShippingAssets(
        provide_one(Asset(Tool.OTELCOL, OTELCOL_VERSION), environ=environ, report=report),
        provide_one(Asset(Tool.VICTORIA_LOGS, VICTORIA_LOGS_VERSION), environ=environ, report=report),
    )


def provide_one(
    asset: Asset, *, environ: Mapping[str, str] = os.environ, report: Callable[[str], None] = to_stderr
) -> Path:
    """Find, fetch or build a single binary; see `provide`."""
    return Provider(environ, Cache(cache_folder(environ)), report=report).get(asset)
