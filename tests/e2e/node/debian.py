"""What the node needs that is no Go module: runc, the CNI plugins and nft, from Debian, without installing anything.

The packages are unpacked into the cache, with the libraries that they use, and the machine is left as it was.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets.asset import architecture
from audit_operator.controlplane.assets.cache import Cache, cache_folder
from audit_operator.controlplane.assets.progress import to_stderr
from tools.image.debian import download, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = (
    "runc",
    "libseccomp2",
    "containernetworking-plugins",
    "nftables",
    # What nft is linked against; libc is this machine's.
    *("libnftables1", "libnftnl11", "libmnl0", "libxtables12", "libjansson4", "libgmp10", "libedit2"),
    *("libbsd0", "libmd0", "libtinfo6"),
)


@dataclass(frozen=True, slots=True)
class UnpackedPackages:
    """The folder that the packages are unpacked in, as if it were `/`."""

    root: Path

    @property
    def runc(self) -> Path:
        return self.root / "usr/sbin/runc"

    @property
    def nft(self) -> Path:
        return self.root / "usr/sbin/nft"

    @property
    def cni_plugins(self) -> Path:
        return self.root / "usr/lib/cni"

    @property
    def libraries(self) -> list[Path]:
        """Every shared library, by the name that the linker looks for."""
        return [path for folder in self._library_folders() for path in folder.glob("*.so*")]

    def linked_against(self, binary: Path) -> list[Path]:
        """The libraries and the loader of a binary, this machine's own where no package has them."""
        path = ":".join(map(str, self._library_folders()))
        answer = subprocess.run(
            ["ldd", binary], env={**os.environ, "LD_LIBRARY_PATH": path}, check=True, capture_output=True, text=True
        )
        words = (word for line in answer.stdout.splitlines() for word in line.split())
        return [Path(word) for word in words if word.startswith("/")]

    def _library_folders(self) -> list[Path]:
        # Debian 12 has both: packages that know of merged /usr, and those that do not.
        return [each for part in ("lib", "usr/lib") for each in (self.root / part).glob("*-linux-gnu") if each.is_dir()]


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The shape of an `Asset`: names the folder and the lock in the cache."""

    name: str
    tool: str = "Debian packages"

    def __str__(self) -> str:
        return self.tool


def unpacked_packages(report=to_stderr, names: Sequence[str] = PACKAGES) -> UnpackedPackages:
    """The packages from the cache; downloaded and unpacked first if need be, which takes seconds."""
    fingerprint = hashlib.sha256(" ".join(names).encode()).hexdigest()[:8]
    bundle = _Bundle(f"debian-{_release()}-{fingerprint}-{architecture()}")
    cache = Cache(cache_folder(os.environ))
    target = cache.folder / bundle.name
    if not target.exists():
        with cache.exclusive(bundle, report) as work:
            if not target.exists():
                report(f"downloading Debian packages, once: {', '.join(names)}")
                root = work / "root"
                for package in download(wanted(names), work):
                    subprocess.run(["dpkg", "-x", package, root], check=True)
                root.rename(target)
    return UnpackedPackages(target)


def _release() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.split("=", 1)[1].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))
