"""A control-plane node as the agent sees it: the manifest, the agent's own folder, the API server's process.

Everything here blocks and decides nothing. Each method that changes something makes one change that is there whole or
not at all, also after a power cut, so that `rollout` may die between any two of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from audit_operator.controlplane import os_process
from audit_operator.controlplane.files import flush_folder, write_atomically
from audit_operator.controlplane.preflight import Preflight, preflight
from audit_operator.controlplane.static_pod.audit_flags import (
    AUDIT_PREFIX,
    POLICY_FILE,
    effective_flags,
    policy_file_name,
)
from audit_operator.controlplane.static_pod.container_log import last_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.controlplane.os_process import ProcessIdentity

_PROGRAM = "kube-apiserver"
_PORT_FLAG = "--secure-port"
_DEFAULT_PORT = "6443"
_KEPT_POLICIES = 5


@dataclass(frozen=True, slots=True)
class Places:
    """Folders, as the agent sees them.

    Attributes:
        folder: the agent's own; the API server sees its `policies` under the same path.
        manifests: the kubelet's manifests.
        logs: the node's /var/log.
    """

    folder: Path
    manifests: Path
    logs: Path

    @property
    def policies(self) -> Path:
        """What is mounted into the API server."""
        return self.folder / "policies"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The one process that serves a port.

    Attributes:
        process: which one.
        audit_flags: the audit flags that it was started with, and their values.
        policy_digest: SHA-256 of its policy file; empty if it has none, or it cannot be read.
    """

    process: ProcessIdentity
    audit_flags: Mapping[str, str]
    policy_digest: str

    @property
    def policy_file(self) -> str:
        """Path of its policy, as it sees it; empty if it has none."""
        return self.audit_flags.get(POLICY_FILE, "")


class Host(Protocol):
    """What a rollout needs of a node; `NodeHost` describes each method, tests put faults in its place."""

    @property
    def places(self) -> Places: ...  # noqa: D102  # see NodeHost

    def read_manifest(self, name: str) -> str | None: ...  # noqa: D102
    def stage(self, name: str, suffix: str, text: str) -> None: ...  # noqa: D102
    def swap_in(self, name: str, suffix: str) -> None: ...  # noqa: D102
    def discard(self, name: str, suffix: str) -> None: ...  # noqa: D102
    def read(self, name: str) -> bytes | None: ...  # noqa: D102
    def write(self, name: str, content: bytes) -> None: ...  # noqa: D102
    def remove(self, name: str) -> None: ...  # noqa: D102
    def store_policy(self, digest: str, text: str) -> None: ...  # noqa: D102
    def forget_policies_except(self, digests: set[str]) -> None: ...  # noqa: D102
    def server(self, port: int) -> RunningServer | None: ...  # noqa: D102
    def age(self, server: RunningServer) -> float: ...  # noqa: D102
    def obstacle(self, address: str, port: int) -> str: ...  # noqa: D102
    def version(self, address: str, port: int) -> str: ...  # noqa: D102
    def last_words(self, since: float) -> str: ...  # noqa: D102
    def judge(self, server: RunningServer | None, policy: str) -> Preflight | None: ...  # noqa: D102
    def running_policy(self, server: RunningServer) -> str: ...  # noqa: D102
    def free_for_logs(self, log_path: str) -> int | None: ...  # noqa: D102


class Probe(Protocol):
    """Asks an API server on this machine; see `loopback.Loopback`."""

    def obstacle(self, address: str, port: int) -> str: ...  # noqa: D102  # see Loopback
    def version(self, address: str, port: int) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class NodeHost:
    """The node that this process runs on. It needs the host's process ids, and root for the manifests."""

    places: Places
    probe: Probe
    preflights: bool = True

    # The manifest

    def read_manifest(self, name: str) -> str | None:
        """Its text; None if there is none. Raises OSError, UnicodeDecodeError."""
        try:
            return (self.places.manifests / name).read_bytes().decode()
        except FileNotFoundError:
            return None

    def stage(self, name: str, suffix: str, text: str) -> None:
        """Put a text beside a manifest, with its mode and owner, under a name that the kubelet ignores."""
        target = _beside(self.places.manifests / name, suffix)
        write_atomically(target, text.encode())
        with suppress(FileNotFoundError):
            like = (self.places.manifests / name).stat()
            os.chown(target, like.st_uid, like.st_gid)
            target.chmod(stat.S_IMODE(like.st_mode))

    def swap_in(self, name: str, suffix: str) -> None:
        """Make the text that was staged the manifest. It needs no free space. Raises OSError."""
        _beside(self.places.manifests / name, suffix).replace(self.places.manifests / name)
        flush_folder(self.places.manifests)

    def discard(self, name: str, suffix: str) -> None:
        """Forget a text that was staged."""
        _beside(self.places.manifests / name, suffix).unlink(missing_ok=True)

    # The agent's own folder

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is no such file."""
        try:
            return (self.places.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Make this a file's content. Raises OSError."""
        write_atomically(self.places.folder / name, content)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self.places.folder / name).unlink(missing_ok=True)
        flush_folder(self.places.folder)

    def store_policy(self, digest: str, text: str) -> None:
        """Keep a policy where the API server will look for it. Raises OSError."""
        self.places.policies.mkdir(mode=0o755, exist_ok=True)
        path = self.places.policies / policy_file_name(digest)
        write_atomically(path, text.encode())
        path.chmod(0o644)  # an API server that does not run as root must be able to read it; it holds no secret

    def forget_policies_except(self, digests: set[str]) -> None:
        """Remove policies but for these and the latest few."""
        files = sorted(self.places.policies.glob("policy-*.yaml"), key=lambda each: each.stat().st_mtime, reverse=True)
        kept = {policy_file_name(each) for each in digests}
        for path in files[_KEPT_POLICIES:]:
            if path.name not in kept:
                path.unlink(missing_ok=True)

    # The API server

    def server(self, port: int) -> RunningServer | None:
        """The API server with this port; None if there is none, or more than one."""
        found = [each for each in _api_servers() if each[1].get(_PORT_FLAG, _DEFAULT_PORT) == str(port)]
        if len(found) != 1:
            return None
        process, flags = found[0]
        file = flags.get(POLICY_FILE, "")
        audit_flags = {flag: value for flag, value in flags.items() if flag.startswith(AUDIT_PREFIX)}
        return RunningServer(process, audit_flags, self._digest_seen_by(process, file) if file else "")

    def age(self, server: RunningServer) -> float:
        """Seconds since its process was started."""
        return os_process.age(server.process)

    def obstacle(self, address: str, port: int) -> str:
        """Why the API server is not ready; empty if it is."""
        return self.probe.obstacle(address, port)

    def version(self, address: str, port: int) -> str:
        """What it says its version is, as in ``v1.37.2``; empty if it does not say."""
        return self.probe.version(address, port)

    def last_words(self, since: float) -> str:
        """What the API server said last before it ended, at or after a time; empty if nothing is found."""
        return last_words(self.places.logs / "pods", since)

    def judge(self, server: RunningServer | None, policy: str) -> Preflight | None:
        """Let the API server's own binary judge a policy, as it runs here; None where there is none to ask."""
        if server is None or not self.preflights:
            return None
        return preflight(os_process.PROC / str(server.process.pid) / "exe", policy)

    def running_policy(self, server: RunningServer) -> str:
        """The text of the policy that the API server was started with, as it sees that file; empty if unknown."""
        try:
            return _seen_by(server.process, server.policy_file).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def free_for_logs(self, log_path: str) -> int | None:
        """Bytes that a log may take: what is free, and what its files take already; None where that is not seen."""
        relative = Path(log_path).relative_to("/var/log") if log_path.startswith("/var/log/") else None
        if relative is None:
            return None
        folder = (self.places.logs / relative).parent
        there = sum(each.stat().st_size for each in _files(folder))
        while not folder.is_dir():
            folder = folder.parent
        try:
            return shutil.disk_usage(folder).free + there
        except OSError:
            return None

    def _digest_seen_by(self, process: ProcessIdentity, file: str) -> str:
        for path in (_seen_by(process, file), self.places.policies / Path(file).name):
            with suppress(OSError):
                return hashlib.sha256(path.read_bytes()).hexdigest()
        return ""


def _beside(manifest: Path, suffix: str) -> Path:
    """The kubelet passes over names that begin with a dot (pkg/kubelet/config/file.go and file_linux.go)."""
    return manifest.with_name(f".{manifest.name}{suffix}")


def _api_servers() -> Iterator[tuple[ProcessIdentity, dict[str, str]]]:
    for process, arguments in os_process.running(_PROGRAM):
        if _shares_our_network(process):
            yield process, effective_flags(arguments)


def _shares_our_network(process: ProcessIdentity) -> bool:
    """Any pod may call a process kube-apiserver; a kubelet's own has the node's network, as this one has."""
    try:
        theirs = (os_process.PROC / str(process.pid) / "ns" / "net").readlink()
        return theirs == (os_process.PROC / "self" / "ns" / "net").readlink()
    except OSError:
        return True  # it may not be asked: then it counts, and two that count are none


def _seen_by(process: ProcessIdentity, path: str) -> Path:
    return os_process.PROC / str(process.pid) / "root" / path.lstrip("/")


def _files(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (each for each in folder.iterdir() if each.is_file() and "audit" in each.name)
