"""Container images without a container engine: an OCI image archive of one layer, written by hand.

The format is the OCI image layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) in a tar
file, as `ctr images import`, `docker load` and `kind load image-archive` read it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.controlplane.assets.asset import architecture
from audit_operator.controlplane.assets.cache import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
_TYPE = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True)
class Image:
    """What is in an image: `files` maps a place in it, without the leading slash, to a file of this machine."""

    name: str
    files: Mapping[str, Path]
    entrypoint: Sequence[str]
    environment: Sequence[str] = field(default=("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",))


def write_archive(image: Image, target: Path) -> None:
    """Write `image` as an OCI archive; the same files make the same bytes."""
    with tempfile.NamedTemporaryFile(dir=target.parent) as layer:
        _write_layer(image.files, layer)
        layer.flush()
        layer_digest, layer_size = sha256_of(Path(layer.name)), Path(layer.name).stat().st_size
        config = _json(
            {
                "architecture": architecture(),
                "os": "linux",
                "config": {"Entrypoint": list(image.entrypoint), "Env": list(image.environment)},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_TYPE}.manifest.v1+json",
                "config": _descriptor(f"{_TYPE}.config.v1+json", config),
                "layers": [
                    {"mediaType": f"{_TYPE}.layer.v1.tar", "digest": f"sha256:{layer_digest}", "size": layer_size}
                ],
            }
        )
        index = _descriptor(f"{_TYPE}.manifest.v1+json", manifest) | {
            "annotations": {
                "io.containerd.image.name": image.name,
                "org.opencontainers.image.ref.name": image.name.rsplit(":", 1)[1],
            }
        }
        with tarfile.open(target, "w") as archive:
            _add(archive, "oci-layout", _LAYOUT)
            _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [index]}))
            for blob in (config, manifest):
                _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
            layer.seek(0)
            member = tarfile.TarInfo(f"blobs/sha256/{layer_digest}")
            member.size = layer_size
            archive.addfile(member, layer)


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


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
