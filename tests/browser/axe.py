"""axe-core (MPL-2.0), which finds what keeps people from using a page: fetched for tests, and not shipped.

It comes by npm, checked against the digest that stands here, and is kept in the cache of tools.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from audit_operator.controlplane.assets.cache import cache_folder

VERSION = "4.14.1"
INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
_SECONDS = 120


@cache
def axe_core() -> str | None:
    """Its source; None where there is no npm, or npm reaches no registry."""
    kept = cache_folder(os.environ) / f"axe-core-{VERSION}.tgz"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            fetched = _fetch(Path(folder))
            if fetched is None:
                return None
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(f".{os.getpid()}")
            shutil.copyfile(fetched, partial)
            partial.replace(kept)
    digest = base64.b64encode(hashlib.sha512(kept.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == INTEGRITY, f"{kept} is not what it should be"
    with tarfile.open(kept) as archive:
        source = archive.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()


def _fetch(folder: Path) -> Path | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    command = [npm, "pack", "--silent", f"axe-core@{VERSION}"]
    try:
        done = subprocess.run(command, cwd=folder, timeout=_SECONDS, capture_output=True, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    return next(folder.glob("*.tgz"), None) if done.returncode == 0 else None
