"""What is wanted: a tool in a version for this machine, and which other versions would do."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KUBERNETES_VERSION = "v1.37.2"
ETCD_VERSION = "v3.6.16"
OTELCOL_VERSION = "v0.157.0+28"
"""What follows the plus counts the sets of components that we have built of one release."""
VICTORIA_LOGS_VERSION = "v1.52.1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_VERSION_TIMEOUT = 20.0


class Tool(StrEnum):
    """The binaries, by the names they have in every distribution."""

    ETCD = "etcd"
    KUBE_APISERVER = "kube-apiserver"
    KUBECTL = "kubectl"
    OTELCOL = "otelcol"
    VICTORIA_LOGS = "victoria-logs"


class Version(NamedTuple):
    """A release's number; pre-release suffixes are ignored."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version | None:
    """The first version in `text`, as ``Kubernetes v1.37.2`` or ``etcd Version: 3.6.16``; None if there is none."""
    found = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return Version(*map(int, found.groups())) if found else None


@dataclass(frozen=True, slots=True)
class Asset:
    """One binary that is wanted; `version` as in ``v1.37.2``, or ``v0.157.0+5`` where we choose what is in it."""

    tool: Tool
    version: str

    @property
    def name(self) -> str:
        """Names it in the cache, for example ``kube-apiserver-v1.37.2-linux-amd64``."""
        return f"{self.tool}-{self.version}-{sys.platform}-{architecture()}"

    def suits(self, found: Version) -> bool:
        """Whether a binary of another version serves as well.

        The same minor version for kube-apiserver, one more or less for kubectl (the version skew that Kubernetes
        supports), and etcd from 3.5 on, the oldest that Kubernetes supports. VictoriaLogs from the wanted version on,
        and no other version of the collector, whose components are renamed from one to the next.
        """
        wanted = parse_version(self.version)
        if wanted is None or found.major != wanted.major:
            return False
        match self.tool:
            case Tool.KUBE_APISERVER:
                return found.minor == wanted.minor
            case Tool.KUBECTL:
                return abs(found.minor - wanted.minor) <= 1
            case Tool.ETCD:
                return (found.major, found.minor) >= (3, 5)
            case Tool.VICTORIA_LOGS:
                return found >= wanted
            case Tool.OTELCOL:
                return found == wanted

    def __str__(self) -> str:
        return f"{self.tool} {self.version}"


def architecture() -> str:
    """This machine's architecture in Go's words; the kernel's word where Go's is not known here."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def binary_version(tool: Tool, path: Path) -> Version | None:
    """The version that a binary says it has; None if it does not run or does not say."""
    arguments = ["version", "--client"] if tool is Tool.KUBECTL else ["--version"]
    try:
        answer = subprocess.run(  # noqa: S603  # the binary that was asked for
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_VERSION_TIMEOUT,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stdout)
