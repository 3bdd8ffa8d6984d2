"""The archive: always the same bytes, and readable by those who load it."""

from __future__ import annotations

import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tests.image.conftest import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.image.conftest import Archive


def test_equal_sources_make_equal_bytes_wherever_and_by_whomever_they_are_built(
    archive: Archive, sources: Callable[[], Path], tmp_path: Path
) -> None:
    # Nothing is cached here: packages are downloaded, and dependencies installed and compiled, once more.
    again = build(sources(), cache=tmp_path, umask=0o077)
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


def test_files_belong_to_root_and_carry_neither_times_nor_privileges(archive: Archive) -> None:
    for layer in archive.manifest["layers"]:
        with tarfile.open(archive.file) as outer:
            inner = outer.extractfile("blobs/" + layer["digest"].replace(":", "/"))
            with tarfile.open(fileobj=inner) as files:
                entries = files.getmembers()
        paths = [PurePosixPath(entry.name) for entry in entries]
        assert paths == sorted(paths)
        assert {(entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) for entry in entries} == {
            (0, 0, "", "", 0)
        }
        assert {entry.mode for entry in entries if not entry.issym()} <= {0o644, 0o755, 0o1777}
