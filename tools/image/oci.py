"""An OCI image archive from a root file system: two equal file systems make the same bytes.

Layers are not compressed, so that digests do not depend on a compressor; registries' clients compress when they push.
The archive is an OCI image layout (image-spec v1.1) that also carries the `manifest.json` by which `docker load` finds
its way, as `docker save` writes them.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_MEDIA = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True)
class Image:
    """What an image is, but for its files.

    Attributes:
        reference: the name under which container engines store it, such as ``localhost/audit-operator:0.1.0``.
        architecture: of its binaries, such as ``amd64``.
        config: entry point, user, environment and labels, with the names of the OCI image configuration.
        created: seconds since 1970; also the time of all files.
    """

    reference: str
    architecture: str
    config: Mapping[str, Any]
    created: int = 0


@dataclass(frozen=True, slots=True)
class _Blob:
    file: Path | None
    content: bytes
    digest: str
    size: int

    @property
    def name(self) -> str:
        return f"blobs/sha256/{self.digest}"

    def descriptor(self, media_type: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": f"sha256:{self.digest}", "size": self.size, **more}


def write(image: Image, root: Path, parts: Sequence[str], archive: Path) -> str:
    """Write an archive with a layer for each of `parts`, folders or files of `root`, above one with all the rest.

    The lowest layer's part comes first; what is in several of them belongs to the first.

    Returns:
        The digest of the image's manifest, by which container engines know it: ``sha256:...``.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    layers = []
    for number, names in enumerate(_split(root, parts)):
        file = archive.with_suffix(f".layer-{number}")
        _write_layer(root, names, image.created, file)
        layers.append(file)
    try:
        return write_archive(image, layers, archive)
    finally:
        for layer in layers:
            layer.unlink()


def _split(root: Path, parts: Sequence[str]) -> list[list[str]]:
    """What belongs to each layer, the lowest first; a layer also has the folders that lead to its part."""
    layers: list[list[str]] = [[] for _ in range(len(parts) + 1)]
    for name in map(str, sorted(path.relative_to(root) for path in root.rglob("*"))):
        within = [number for number, part in enumerate(parts, 1) if f"{name}/".startswith(f"{part}/")]
        on_the_way = [number for number, part in enumerate(parts, 1) if part.startswith(f"{name}/")]
        for number in {(within or [0])[0], *on_the_way}:
            layers[number].append(name)
    return layers


def _write_layer(root: Path, names: Sequence[str], created: int, file: Path) -> None:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as layer:
        for name in names:
            _add(layer, root / name, name, created)


def _add(layer: tarfile.TarFile, path: Path, name: str, created: int) -> None:
    entry = layer.gettarinfo(path, name)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = created
    if not entry.isreg():
        layer.addfile(entry)
        return
    with path.open("rb") as content:
        layer.addfile(entry, content)


def write_archive(image: Image, layer_files: Sequence[Path], archive: Path) -> str:
    """Write an archive with these layers, each a tar file, the lowest first; returns the manifest's digest."""
    layers = [_of_file(each) for each in layer_files]
    config = _of_json(_config(image, layers))
    manifest = _of_json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": config.descriptor(f"{_MEDIA}.config.v1+json"),
            "layers": [each.descriptor(f"{_MEDIA}.layer.v1.tar") for each in layers],
        }
    )
    names = {"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": image.reference}
    platform = {"os": "linux", "architecture": image.architecture}
    entry = manifest.descriptor(f"{_MEDIA}.manifest.v1+json", platform=platform, annotations=names)
    index = {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": [entry]}
    for_docker = [{"Config": config.name, "RepoTags": [image.reference], "Layers": [each.name for each in layers]}]
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as output:
        _add_bytes(output, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', image.created)
        _add_bytes(output, "index.json", _json(index), image.created)
        _add_bytes(output, "manifest.json", _json(for_docker), image.created)
        for blob in _unique([manifest, config, *layers]):
            _add_blob(output, blob, image.created)
    partial.replace(archive)
    return f"sha256:{manifest.digest}"


def _config(image: Image, layers: list[_Blob]) -> dict[str, Any]:
    return {
        "architecture": image.architecture,
        "os": "linux",
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in layers]},
    }


def _unique(blobs: list[_Blob]) -> Iterator[_Blob]:
    yield from {each.digest: each for each in blobs}.values()


def _add_blob(output: tarfile.TarFile, blob: _Blob, created: int) -> None:
    if blob.file is None:
        _add_bytes(output, blob.name, blob.content, created)
        return
    with blob.file.open("rb") as content:
        output.addfile(_entry(blob.name, blob.size, created), content)


def _add_bytes(output: tarfile.TarFile, name: str, content: bytes, created: int) -> None:
    output.addfile(_entry(name, len(content), created), io.BytesIO(content))


def _entry(name: str, size: int, created: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, created, 0o644
    return entry


def _of_file(file: Path) -> _Blob:
    with file.open("rb") as content:
        return _Blob(file, b"", hashlib.file_digest(content, "sha256").hexdigest(), file.stat().st_size)


def _of_json(document: Mapping[str, Any]) -> _Blob:
    content = _json(document)
    return _Blob(None, content, hashlib.sha256(content).hexdigest(), len(content))


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
