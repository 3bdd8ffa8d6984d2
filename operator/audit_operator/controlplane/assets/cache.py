"""A folder of binaries that several processes share, in which nothing is ever half-written.

Each asset is a folder of its own with the binary and the SHA-256 that it had when it was stored, and appears by one
rename. The checksum is verified on every use, so that a truncated or damaged file is found and replaced. It guards
against accidents, not against somebody who can write here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from audit_operator.controlplane.assets.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from audit_operator.controlplane.assets.asset import Asset

CACHE_VARIABLE = "AUDIT_OPERATOR_CACHE"
_CHECKSUM = "sha256"
_LOCK_POLL = 0.2


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where the cache is: `AUDIT_OPERATOR_CACHE`, else below `XDG_CACHE_HOME`, else ``~/.cache/audit-operator``."""
    if environ.get(CACHE_VARIABLE):
        return Path(environ[CACHE_VARIABLE])
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audit-operator"


class Named(Protocol):
    """What is stored under a name of its own."""

    @property
    def name(self) -> str:
        """Of its folder."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache in one folder, which is made when first needed."""

    folder: Path

    def get(self, asset: Asset) -> Path | None:
        """The binary if it is there and intact, else None."""
        path = self.folder / asset.name / asset.tool
        try:
            recorded = (path.parent / _CHECKSUM).read_text().strip()
            return path if sha256_of(path) == recorded and os.access(path, os.X_OK) else None
        except OSError:
            return None

    @contextmanager
    def exclusive(self, asset: Named, report: Callable[[str], None]) -> Iterator[Path]:
        """Be the only process that provides this asset; yields an empty folder to work in, removed afterwards.

        The lock belongs to the open file, so that it ends with the process, however that ends.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{asset.name}.lock").open("w") as lock:
            _acquire(lock.fileno(), f"waiting for another process that provides {asset}", report)
            prefix = f".{asset.name}.tmp-"
            # Whoever holds the lock is alone: what lies about is left over from a process that was killed.
            for leftover in self.folder.glob(f"{prefix}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder))
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def put(self, asset: Asset, binary: Path) -> Path:
        """Move a binary from the working folder that `exclusive` gave into the cache; returns its place there."""
        binary.chmod(0o755)
        staged = Path(tempfile.mkdtemp(dir=binary.parent))
        staged.chmod(0o755)
        (staged / _CHECKSUM).write_text(f"{sha256_of(binary)}\n")
        binary.rename(staged / asset.tool)
        _flush(staged)
        target = self.folder / asset.name
        if target.exists():  # damaged: a rename does not replace a folder that is not empty
            target.rename(binary.parent / "damaged")
        staged.rename(target)
        return target / asset.tool


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    """Bring the content to the disk before the rename says that it is there."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _acquire(descriptor: int, what: str, report: Callable[[str], None]) -> None:
    progress: Progress | None = None
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress = progress or Progress(what, report)
            progress.tick()
            time.sleep(_LOCK_POLL)
        else:
            return
