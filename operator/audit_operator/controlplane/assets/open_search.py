"""OpenSearch, for tests: the jars that its makers publish, put where a node looks for them.

No release host is needed, only Maven and its repository. What comes is what `tools/opensearch/jars.sha256` names, byte
for byte, or nothing. Java and Maven are the machine's (Debian: `openjdk-17-jre-headless`, `maven`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets.cache import Cache, cache_folder, sha256_of
from audit_operator.controlplane.assets.go_build import CHECKOUT_TOOLS
from audit_operator.controlplane.assets.progress import Progress, to_stderr
from audit_operator.controlplane.assets.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIST = "jars.sha256"
_MODULES = "modules"
_MENDS = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """What a node is started from: a home with `lib` and `modules`, which nobody writes to, and Java."""

    home: Path
    java: Path


@dataclass(frozen=True, slots=True)
class _Jars:
    """What a folder in `tools` says of them; the cache knows them by `name`."""

    tools: Path

    @property
    def name(self) -> str:
        return f"opensearch-{(self.tools / 'VERSION').read_text().strip()}"

    def __str__(self) -> str:
        return self.name

    def checksums(self) -> dict[Path, str]:
        """SHA-256 of each jar, by its place in the home."""
        lines = (self.tools / _LIST).read_text().splitlines()
        return {Path(place): checksum for checksum, place in (line.split(maxsplit=1) for line in lines)}

    def are_in(self, home: Path) -> bool:
        """Whether all of them are there, and intact."""
        try:
            return all(sha256_of(home / place) == checksum for place, checksum in self.checksums().items())
        except OSError:
            return False


def provide_open_search(
    *,
    environ: Mapping[str, str] = os.environ,
    report: Callable[[str], None] = to_stderr,
    tools: Path = CHECKOUT_TOOLS / "opensearch",
) -> OpenSearch:
    """Find it in the cache, or fetch it with Maven: 60 MB, once.

    Raises:
        SourceFailed: Java or Maven is missing, has no way to its repository, or brings something else.
    """
    java, jars, cache = _program("java", environ), _Jars(tools), Cache(cache_folder(environ))
    home = cache.folder / jars.name
    if not jars.are_in(home):
        with cache.exclusive(jars, report) as work:
            if not jars.are_in(home):
                _fetch(jars, work, environ, report)
                if home.exists():  # damaged: a rename does not replace a folder that is not empty
                    home.rename(work / "damaged")
                (work / "home").rename(home)
    return OpenSearch(home, java)


def _program(name: str, environ: Mapping[str, str]) -> Path:
    found = shutil.which(name, path=environ.get("PATH", ""))
    if found is None:
        raise SourceFailed(f"there is no {name} on PATH; install it, on Debian with `apt-get install {_MENDS[name]}`")
    return Path(found)


def _fetch(jars: _Jars, work: Path, environ: Mapping[str, str], report: Callable[[str], None]) -> None:
    """Into the folder `home` of the working folder, whole."""
    shutil.copytree(jars.tools / _MODULES, work / "home" / _MODULES)
    (work / "home" / "lib").mkdir()
    _run_maven(jars.tools / "pom.xml", work, environ, Progress(f"fetching {jars} with Maven (60 MB, once)", report))
    for place in jars.checksums():
        jar = work / "jars" / place.name
        if not jar.exists():
            raise SourceFailed(f"Maven did not bring {place.name}")
        jar.rename(work / "home" / place)
    others = sorted(each.name for each in (work / "jars").iterdir())
    if others or not jars.are_in(work / "home"):
        raise SourceFailed(f"what Maven brought is not what {_LIST} names{': ' if others else ''}{', '.join(others)}")


def _run_maven(pom: Path, work: Path, environ: Mapping[str, str], progress: Progress) -> None:
    """Its goal copies into `jars` what a file names, and what that needs."""
    goal = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"
    output_folder = f"-DoutputDirectory={work / 'jars'}"
    command: list[str | Path] = [_program("mvn", environ), "-B", "-ntp", "-f", pom, goal, output_folder]
    log = work / "maven.log"
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603  # Maven, with arguments from here
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=work
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    progress.tick()
        finally:
            process.kill()
            process.wait()
    if status != 0:
        tail = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        raise SourceFailed("\n".join([f"Maven ended with status {status}:", *tail]))
