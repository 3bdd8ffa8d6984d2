"""Binaries from the official release hosts, dl.k8s.io and the releases on GitHub, with their published checksums.

Where there is no way to these hosts, that must be known within seconds: the first request, for the checksum, has a
hard limit that covers name resolution and redirects too. A host that has failed once is not asked again.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets.asset import Tool, architecture
from audit_operator.controlplane.assets.progress import Progress
from audit_operator.controlplane.assets.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit_operator.controlplane.assets.asset import Asset

KUBERNETES_HOST = "https://dl.k8s.io"
GITHUB_HOST = "https://github.com"

_FIRST_ANSWER = 8.0
_STALL = 15.0
_CHUNK = 1 << 20
_ATTEMPTS = 2
_NETWORK_ERRORS = (OSError, HTTPException)  # URLError and timeouts are OSErrors


@dataclass(frozen=True, slots=True)
class _Published:
    """One file of a release, with the address of its checksums; `member` is the binary's name if it is an archive."""

    url: str
    checksums: str
    algorithm: str
    member: str | None = None


@dataclass(slots=True)
class Releases:
    """The release hosts; other addresses are for tests."""

    kubernetes: str = KUBERNETES_HOST
    github: str = GITHUB_HOST
    _unreachable: dict[str, str] = field(default_factory=dict)

    def fetch(self, asset: Asset, work: Path, report: Callable[[str], None]) -> Path:
        """Download `asset` into the folder `work`; returns the binary.

        Raises:
            SourceFailed: no such release, no way to the host, or what came is not what was published.
        """
        host = self.kubernetes if asset.tool in {Tool.KUBE_APISERVER, Tool.KUBECTL} else self.github
        published = _published(asset, host)
        if host in self._unreachable:
            raise SourceFailed(self._unreachable[host])
        try:
            expected = _checksum(_within(_FIRST_ANSWER, published.checksums), published.url)
        except urllib.error.HTTPError as error:
            raise SourceFailed(f"{published.checksums}: {error}") from error
        except _NETWORK_ERRORS as error:
            reason = f"{host} cannot be reached: {getattr(error, 'reason', error)}"
            self._unreachable[host] = reason
            raise SourceFailed(reason) from error
        download = work / "download"
        _download(published, expected, download, Progress(f"downloading {asset} from {host}", report))
        return _extract(published.member, download, work / asset.tool) if published.member else download


def _published(asset: Asset, host: str) -> _Published:
    match asset.tool:
        case Tool.ETCD:
            folder = f"{host}/etcd-io/etcd/releases/download/{asset.version}"
            file = f"etcd-{asset.version}-linux-{architecture()}.tar.gz"
            return _Published(f"{folder}/{file}", f"{folder}/SHA256SUMS", "sha256", "etcd")
        case Tool.VICTORIA_LOGS:
            folder = f"{host}/VictoriaMetrics/VictoriaLogs/releases/download/{asset.version}"
            file = f"victoria-logs-linux-{architecture()}-{asset.version}"
            return _Published(
                f"{folder}/{file}.tar.gz", f"{folder}/{file}_checksums.txt", "sha256", "victoria-logs-prod"
            )
        case Tool.OTELCOL:
            # What a test finds must not depend on where its collector came from.
            raise SourceFailed("no published distribution has the components that tools/otelcol names")
        case Tool.KUBE_APISERVER | Tool.KUBECTL:
            url = f"{host}/release/{asset.version}/bin/linux/{architecture()}/{asset.tool}"
            return _Published(url, f"{url}.sha512", "sha512")


def _checksum(text: str, url: str) -> str:
    """The checksum of `url` in a list of ``SUM  FILE`` lines, or in a file that holds one bare sum."""
    name = url.rsplit("/", 1)[1]
    for line in text.splitlines():
        words = line.split()
        if words and words[-1].removeprefix("*") in {name, words[0]} and re.fullmatch("[0-9a-f]{64,128}", words[0]):
            return words[0]
    raise SourceFailed(f"no checksum is published for {url}")


def _within(seconds: float, url: str) -> str:
    """A small text, or TimeoutError after `seconds`, whatever it is that hangs."""
    outcome: list[str | Exception] = []

    def ask() -> None:
        try:
            with _open(url, seconds) as answer:
                outcome.append(answer.read(_CHUNK).decode(errors="replace"))
        except Exception as error:  # noqa: BLE001  # raised again by the caller's thread
            outcome.append(error)

    # A daemon: a name resolution that hangs cannot be interrupted, and must not keep the process from ending.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _download(published: _Published, expected: str, target: Path, progress: Progress) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            actual = _save(published, target, progress)
        except _NETWORK_ERRORS as error:
            reason = f"{published.url}: {error}"
        else:
            if actual == expected:
                return
            reason = f"{published.url} is broken: its {published.algorithm} is {actual}, and {expected} is published"
        progress.report(f"{reason} (attempt {attempt} of {_ATTEMPTS})")
    raise SourceFailed(reason)


def _save(published: _Published, target: Path, progress: Progress) -> str:
    """Write the file, and return its checksum."""
    digest = hashlib.new(published.algorithm)
    done = 0
    with _open(published.url, _STALL) as answer, target.open("wb") as file:
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress.tick(f"{done >> 20} MiB")
    return digest.hexdigest()


def _extract(name: str, archive: Path, binary: Path) -> Path:
    """Take the one file out of the archive that is wanted, wherever the archive would have put it."""
    with tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member) if member.name.rpartition("/")[2] == name else None
            if content is not None:
                with binary.open("wb") as file:
                    while chunk := content.read(_CHUNK):
                        file.write(chunk)
                return binary
    raise SourceFailed(f"the release archive holds no {name}")


def _open(url: str, timeout: float) -> HTTPResponse:
    answer: HTTPResponse = urllib.request.urlopen(url, timeout=timeout)  # noqa: S310  # the hosts above
    return answer
