"""Debian packages: where they come from, and which ones, and what of them, the image needs.

They come from the package sources that this machine's apt is configured with, and are checked against the SHA-256 in
apt's signed lists. Only `apt-get download` and `dpkg-deb` are used: nothing is installed here, and no maintainer script
runs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = "python3.11"
"""The interpreter in the image: Debian 12's."""

PACKAGES = (
    "base-files",
    "ca-certificates",
    "gcc-12-base",  # the licence of libgcc and libstdc++
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    f"lib{PYTHON}-minimal",
    f"lib{PYTHON}-stdlib",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    f"{PYTHON}-minimal",
    "zlib1g",
)

# There is no shell and no tool in the image. Parts of Python whose libraries are left out are dropped; licences stay.
_KEPT = re.compile(
    rf"""
    etc/(debian_version|os-release) | usr/lib/os-release
    | usr/bin/{re.escape(PYTHON)}
    | usr/lib(64)?/ld-[^/]+
    | usr/lib/[^/]+-linux-gnu[^/]*/( [^/]+\.so(\.[^/]+)? | ossl-modules/.+ )
    | usr/lib/{re.escape(PYTHON)}/
        (?! ( ensurepip | idlelib | lib2to3 | pydoc_data )/ | sitecustomize\.py
            | lib-dynload/( _curses | _dbm | _sqlite3 | nis | readline ) )
        .+
    | usr/share/( ca-certificates | common-licenses )/.+
    | usr/share/doc/[^/]+( /copyright )?
    """,
    re.VERBOSE,
)
_MERGED = re.compile(r"^(bin|sbin|lib|lib64)(?=/|$)")  # these are links to /usr/... in a merged system
_URI = re.compile(r"^'[^']+' (?P<file>\S+) \d+ SHA256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE)


class PackagesUnavailableError(Exception):
    """This machine's apt cannot provide the packages; the message says what it said."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package file, as apt would download it now."""

    file: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the package."""
        return self.file.split("_", 1)[0]


def architecture() -> str:
    """This machine's, as Debian and OCI alike call the usual ones: amd64, arm64."""
    return _output("dpkg", "--print-architecture").strip()


def wanted(names: Sequence[str] = PACKAGES) -> list[Package]:
    """The package files that apt would download now; its lists are fetched first where they are missing or old.

    Raises:
        PackagesUnavailableError: apt does not know them all.
    """
    command = ("apt-get", "--print-uris", "download", *names)
    try:
        try:
            listed = _output(*command)
        except subprocess.CalledProcessError:
            _output("apt-get", "--quiet", "update")
            listed = _output(*command)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        message = f"Debian 12 packages are needed, which apt does not offer here (apt-get update?): {said}"
        raise PackagesUnavailableError(message) from error
    found = [Package(each["file"], each["sha256"]) for each in _URI.finditer(listed)]
    if missing := set(names) - {each.name for each in found}:
        raise PackagesUnavailableError(f"apt names no file with a SHA-256 for {', '.join(sorted(missing))}")
    return sorted(found, key=lambda each: each.file)


def download(packages: list[Package], cache: Path) -> list[Path]:
    """The package files, from the cache where they are there with the right content.

    Raises:
        PackagesUnavailableError: a file cannot be downloaded, or is not what apt's lists say.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as name:
        scratch = Path(name)
        absent = [each for each in packages if _sha256(cache / each.file) != each.sha256]
        if absent:
            # Without a sandbox: apt's own user could not write here.
            arguments = ("-o", "APT::Sandbox::User=root", "download", *(each.name for each in absent))
            try:
                _output("apt-get", "--quiet", *arguments, cwd=scratch)
            except subprocess.CalledProcessError as error:
                raise PackagesUnavailableError(error.stderr) from error
        for each in absent:
            if _sha256(scratch / each.file) != each.sha256:
                raise PackagesUnavailableError(f"{each.file} is not what apt's lists say")
            (scratch / each.file).rename(cache / each.file)
    return [cache / each.file for each in packages]


def unpack(file: Path, root: Path) -> None:
    """Put what is needed of a package into a root folder, with its entry for scanners.

    Scanners find packages of images that have no dpkg by `var/lib/dpkg/status.d`, as distroless images have it.
    """
    command = ["dpkg-deb", "--fsys-tarfile", str(file)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,  # noqa: S603 - dpkg
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            path = _MERGED.sub(r"usr/\1", str(PurePosixPath(member.name)))
            if _KEPT.fullmatch(path) and not member.isdir():
                _extract(archive, member, root / path)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    status = root / "var/lib/dpkg/status.d" / file.name.split("_", 1)[0]
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(_output("dpkg-deb", "--field", str(file)))


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        target.symlink_to(member.linkname)
    elif (content := archive.extractfile(member)) is not None:
        with content, target.open("wb") as output:
            shutil.copyfileobj(content, output)
        target.chmod(member.mode & 0o755)
    else:
        raise ValueError(f"{member.name} is neither a file nor a symbolic link")


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _output(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd)  # noqa: S603 - apt and dpkg
    return done.stdout
