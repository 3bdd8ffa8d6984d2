"""The image as it is built here: its archive, and its files.

Needs what the build needs (Debian 12's apt, pip, a network the first time), and may enter a root file system: as root,
or in a user namespace.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.controlplane.assets import OTELCOL_VERSION, Asset, Tool, provide_one

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SOURCES = ("tools/image", "operator/audit_operator", "requirements.lock", "pyproject.toml", "LICENSE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)


@dataclass(frozen=True)
class Archive:
    file: Path
    printed: str

    def read(self, name: str) -> bytes:
        with tarfile.open(self.file) as archive:
            content = archive.extractfile(name)
            assert content is not None
            return content.read()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def blob(self, digest: str) -> bytes:
        content = self.read("blobs/" + digest.replace(":", "/"))
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
        return content

    @property
    def manifest_digest(self) -> str:
        [entry] = self.json("index.json")["manifests"]
        return str(entry["digest"])

    @property
    def manifest(self) -> Any:
        return json.loads(self.blob(self.manifest_digest))

    @property
    def config(self) -> Any:
        return json.loads(self.blob(self.manifest["config"]["digest"]))


@dataclass(frozen=True)
class RootFileSystem:
    folder: Path

    def run(self, *command: str, user: int = 65532) -> str:
        """Run a command in it, alone: neither the environment nor any file of this machine is there."""
        enter = ["unshare", *([] if os.geteuid() == 0 else ["--map-auto", "--map-root-user"])]
        done = subprocess.run(  # noqa: S603 - what is in the image
            [*enter, f"--root={self.folder}", f"--setuid={user}", f"--setgid={user}", *command],
            env={"PATH": "/usr/local/bin:/usr/bin", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Copies of what the image is made of, each in a folder of its own, all equal."""
    first = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, first / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, first / name)
    return lambda: Path(shutil.copytree(first, tmp_path_factory.mktemp("checkout") / "project"))


@pytest.fixture(scope="session")
def collector() -> Path:
    """The collector that goes into the image."""
    return provide_one(Asset(Tool.OTELCOL, OTELCOL_VERSION))


def build(sources: Path, collector: Path, cache: Path | None = None, umask: int = 0o022) -> Archive:
    environment = {**os.environ, **({"AUDIT_OPERATOR_CACHE": str(cache)} if cache else {})}
    done = subprocess.run(  # noqa: S603 - the build
        [sys.executable, "-m", "tools.image.build", "--collector", str(collector)],
        cwd=sources,
        env=environment,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Archive(sources / "build" / "audit-operator-image.tar", done.stdout)


@pytest.fixture(scope="session")
def archive(sources: Callable[[], Path], collector: Path) -> Archive:
    return build(sources(), collector)


@pytest.fixture(scope="session")
def root(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> RootFileSystem:
    folder = tmp_path_factory.mktemp("root")
    for layer in archive.manifest["layers"]:
        with tarfile.open(archive.file) as outer:
            inner = outer.extractfile("blobs/" + layer["digest"].replace(":", "/"))
            with tarfile.open(fileobj=inner) as files:
                files.extractall(folder, filter="fully_trusted")  # noqa: S202 - made by ourselves
    # pytest's folders are for their owner alone; the image's user has to get through.
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.geteuid() and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)
    return RootFileSystem(folder)
