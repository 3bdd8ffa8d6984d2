"""Container images of single files, for the node: static binaries and what little they need, in one layer."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets.asset import architecture
from tools.image import oci

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Image:
    """What is in an image: `files` maps a place in it, without the leading slash, to a file of this machine."""

    name: str
    files: Mapping[str, Path]
    entrypoint: Sequence[str]
    environment: Sequence[str] = field(default=("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",))


def write_archive(image: Image, target: Path) -> None:
    """Write `image` as an OCI archive; the same files make the same bytes."""
    config = {"Entrypoint": list(image.entrypoint), "Env": list(image.environment)}
    with tempfile.NamedTemporaryFile(dir=target.parent) as layer:
        _write_layer(image.files, layer)
        layer.flush()
        oci.write_archive(oci.Image(image.name, architecture(), config), [Path(layer.name)], target)


def _write_layer(files: Mapping[str, Path], target) -> None:
    folders = sorted({str(parent) for place in files for parent in Path(place).parents} - {"."})
    with tarfile.open(fileobj=target, mode="w") as layer:
        for place in [*folders, "tmp"]:
            folder = tarfile.TarInfo(place)
            folder.type = tarfile.DIRTYPE
            folder.mode = 0o1777 if place == "tmp" else 0o755
            layer.addfile(folder)
        for place, source in sorted(files.items()):
            member = tarfile.TarInfo(place)
            member.size = source.stat().st_size
            member.mode = 0o755
            with source.open("rb") as content:
                layer.addfile(member, content)
