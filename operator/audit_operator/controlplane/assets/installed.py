"""Binaries that are on the machine already: in the folder `KUBEBUILDER_ASSETS` (envtest's convention) or on PATH."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets.asset import binary_version
from audit_operator.controlplane.assets.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.controlplane.assets.asset import Asset

KUBEBUILDER_ASSETS = "KUBEBUILDER_ASSETS"


def find_installed(asset: Asset, environ: Mapping[str, str]) -> Path:
    """The first binary of a fitting version.

    Raises:
        SourceFailed: there is none; says which were looked at and why they do not fit.
    """
    reasons = []
    for origin, path in _candidates(asset, environ):
        if path is None:
            reasons.append(f"{origin} has no {asset.tool}")
            continue
        found = binary_version(asset.tool, path)
        if found is not None and asset.suits(found):
            return path
        reasons.append(f"{path} is {found}" if found else f"{path} does not say its version")
    raise SourceFailed("; ".join(reasons))


def _candidates(asset: Asset, environ: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    folder = environ.get(KUBEBUILDER_ASSETS)
    for origin, search in ((KUBEBUILDER_ASSETS, folder), ("PATH", environ.get("PATH"))):
        if search:
            found = shutil.which(asset.tool, path=search)
            yield origin, Path(found).absolute() if found else None
