"""The root file system of the image: Python, the locked dependencies, the project, the collector, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tools.image import debian

USER = 65532
"""Uid and gid of the operator; the number that distroless images use for their unprivileged user."""
COMMAND = "audit-operator"
APPLICATION = "usr/local"
"""Where the dependencies, the project and the collector are; everything else comes from Debian."""
COLLECTOR = f"{APPLICATION}/bin/otelcol"

_SITE = f"{APPLICATION}/lib/{debian.PYTHON}/dist-packages"
_LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}
_FOLDERS = {"dev": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "usr/lib64": 0o755}
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/none\n{COMMAND}:x:{USER}:{USER}:{COMMAND}:/:/none\n",
    "etc/group": f"root:x:0:\n{COMMAND}:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
# -I: neither the environment nor the working folder has a say in what is imported.
_LAUNCHER = f"""#!/usr/bin/{debian.PYTHON} -I
import sys

from audit_operator.cli import main

sys.exit(main())
"""
_COMPILING = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def build(root: Path, project: Path, cache: Path, created: int, collector: Path | None = None) -> None:
    """Make the root file system in an empty folder; all its files are as old as `created` (seconds since 1970) says.

    Without the collector, somebody else puts it into the image.

    Raises:
        PackagesUnavailableError: apt cannot provide the packages.
        subprocess.CalledProcessError: pip or Python failed; they have said why.
    """
    for package in debian.download(debian.wanted(), cache / "debian"):
        debian.unpack(package, root)
    _finish_system(root)
    # Compiled on its own: what is compiled before has an influence on the bytes.
    _compile(root, root / "usr/lib" / debian.PYTHON)
    site = root / _SITE
    shutil.copytree(_dependencies(root, project / "requirements.lock", cache), site, symlinks=True)
    _install_project(root, site, project)
    _compile(root, site / "audit_operator")
    if collector is not None:
        shutil.copy(collector, root / COLLECTOR)
    _settle(root, created)


def version(project: Path) -> str:
    """The project's version, from its pyproject.toml."""
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return str(metadata["project"]["version"])


def _finish_system(root: Path) -> None:
    """What Debian leaves to maintainer scripts and to the administrator."""
    for name, mode in _FOLDERS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)
    for name, text in _FILES.items():
        (root / name).write_text(text)
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / _BUNDLE).parent.mkdir(parents=True)
    (root / _BUNDLE).write_text("".join(each.read_text(encoding="ascii") for each in authorities))
    shutil.rmtree(root / "usr/share/ca-certificates")


def _dependencies(root: Path, lock: Path, cache: Path) -> Path:
    """A folder with the locked dependencies, compiled; from the cache where it has been made before."""
    made_of = lock.read_bytes() + _python_release(root) + Path(__file__).read_bytes()
    folder = cache / f"dependencies-{debian.architecture()}-{hashlib.sha256(made_of).hexdigest()[:16]}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".dependencies-") as name:
        scratch = Path(name) / "site"
        subprocess.run(  # noqa: S603 - pip of the Python that runs this
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"),
                *("--disable-pip-version-check", "--no-deps", "--no-compile", "--only-binary=:all:"),
                *("--require-hashes", "--requirement", str(lock), "--target", str(scratch)),
                *("--python-version", debian.PYTHON.removeprefix("python"), "--implementation", "cp"),
            ],
            check=True,
            stdout=sys.stderr,
        )
        _drop_commands(scratch)
        _compile(root, scratch, seen_as=f"/{_SITE}")
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.exists():  # else somebody else was faster, with the same bytes
                raise
    return folder


def _drop_commands(site: Path) -> None:
    """Nobody needs the dependencies' commands, and they would start the Python that runs this."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for record in site.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith("../../bin/")), encoding="utf-8")


def _python_release(root: Path) -> bytes:
    return (root / "var/lib/dpkg/status.d" / f"{debian.PYTHON}-minimal").read_bytes()


def _install_project(root: Path, site: Path, project: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(project / "operator" / "audit_operator", site / "audit_operator", ignore=ignored)
    information = site / f"audit_operator-{version(project)}.dist-info"
    information.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: audit-operator\nVersion: {version(project)}\nLicense: Apache-2.0\n"
    (information / "METADATA").write_text(metadata)
    shutil.copy(project / "LICENSE", information / "LICENSE")
    launcher = root / APPLICATION / "bin" / COMMAND
    launcher.parent.mkdir(parents=True)
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)


def _compile(root: Path, folder: Path, seen_as: str = "") -> None:
    """Compile modules with the image's own Python: it runs on a read-only file system, as a user who may not write.

    The compiled files are tied to their sources by nothing but their place ("unchecked hash", PEP 552): a time would
    differ from build to build, and nothing can change the sources in an image.
    """
    libraries = next(root.glob("usr/lib/*/libc.so.6")).parent
    loader = next(each for each in sorted(libraries.glob("ld-linux*")) if not each.is_symlink())
    seen_as = seen_as or f"/{folder.relative_to(root)}"
    subprocess.run(  # noqa: S603 - the image's Python
        [
            *(str(loader), "--library-path", str(libraries), str(root / "usr/bin" / debian.PYTHON), "-S", "-s"),
            *("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
            *("-s", str(folder), "-p", seen_as, str(folder)),
        ],
        env={**_COMPILING, "PYTHONHOME": str(root / "usr")},
        check=True,
        stdout=sys.stderr,
    )


def _settle(root: Path, created: int) -> None:
    """Take away what depends on who builds, and when: times, and what the umask has left of modes."""
    for path in sorted(root.rglob("*")):
        if not path.is_symlink():
            path.chmod(_mode(path))
        os.utime(path, (created, created), follow_symlinks=False)


def _mode(path: Path) -> int:
    mode = path.stat().st_mode
    if mode & stat.S_ISVTX:
        return 0o1777
    return 0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644
