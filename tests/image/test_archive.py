"""The archive: always the same bytes, and readable by those who load it."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tests.image.conftest import build
from tools.image import rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.image.conftest import Archive


def layers_of(archive: Archive) -> Iterator[tarfile.TarFile]:
    """The layers, the lowest first."""
    for layer in archive.manifest["layers"]:
        with tarfile.open(archive.file) as outer:
            inner = outer.extractfile("blobs/" + layer["digest"].replace(":", "/"))
            with tarfile.open(fileobj=inner) as files:
                yield files


def test_equal_sources_make_equal_bytes_wherever_and_by_whomever_they_are_built(
    archive: Archive, sources: Callable[[], Path], collector: Path, tmp_path: Path
) -> None:
    # Nothing is cached here: packages are downloaded, and dependencies installed and compiled, once more.
    again = build(sources(), Path(shutil.copy(collector, tmp_path)), cache=tmp_path / "cache", umask=0o077)
    assert again.manifest_digest == archive.manifest_digest
    assert again.file.read_bytes() == archive.file.read_bytes()


def test_the_digest_that_is_printed_is_the_one_that_engines_show(archive: Archive) -> None:
    reference, digest, _ = archive.printed.split()
    [entry] = archive.json("index.json")["manifests"]
    assert reference.startswith("localhost/audit-operator:")
    assert digest == entry["digest"]
    assert entry["annotations"] == {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference,
    }
    assert archive.json("manifest.json")[0]["RepoTags"] == [reference]


def test_the_image_runs_the_operator_as_an_unprivileged_user(archive: Archive) -> None:
    config = archive.config["config"]
    assert (config["Entrypoint"], config["User"]) == (["audit-operator"], "65532:65532")


def test_every_layer_is_there_and_is_what_the_configuration_says(archive: Archive) -> None:
    digests = [layer["digest"] for layer in archive.manifest["layers"]]
    assert archive.config["rootfs"]["diff_ids"] == digests
    for layer in archive.manifest["layers"]:
        assert len(archive.blob(layer["digest"])) == layer["size"]


def test_the_collector_is_a_layer_of_its_own_below_the_project(archive: Archive, collector: Path) -> None:
    files = [{entry.name: entry for entry in layer.getmembers() if not entry.isdir()} for layer in layers_of(archive)]
    system, shipping, project = files
    assert [(name, entry.size) for name, entry in shipping.items()] == [(rootfs.COLLECTOR, collector.stat().st_size)]
    assert rootfs.COLLECTOR not in system.keys() | project.keys()
    assert f"{rootfs.APPLICATION}/bin/{rootfs.COMMAND}" in project


def test_every_folder_is_made_before_what_is_in_it(archive: Archive) -> None:
    for layer in layers_of(archive):
        seen = {PurePosixPath(".")}
        for entry in layer.getmembers():
            assert PurePosixPath(entry.name).parent in seen
            seen.add(PurePosixPath(entry.name))


def test_files_belong_to_root_and_carry_neither_times_nor_privileges(archive: Archive) -> None:
    for layer in layers_of(archive):
        entries = layer.getmembers()
        paths = [PurePosixPath(entry.name) for entry in entries]
        assert paths == sorted(paths)
        assert {(entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) for entry in entries} == {
            (0, 0, "", "", 0)
        }
        assert {entry.mode for entry in entries if not entry.issym()} <= {0o644, 0o755, 0o1777}
