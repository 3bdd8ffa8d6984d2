"""One kube-apiserver on this machine, described by a folder, so that any process can find it, judge it and restart it.

    launch.json                     how it is started, all but the audit policy
    process.json                    the process that was started last, and the policy file that it was given
    policies/policy-<digest>.yaml   content-addressed policies
    retired                         is there when it must not be started any more
    pki/ audit/audit.log kube-apiserver.log

What runs is read from the process: its arguments from /proc, the content of the file they name, readiness from
`/readyz`. Everything here blocks.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from audit_operator.controlplane import klog, os_process
from audit_operator.controlplane.files import exclusive, write_atomically
from audit_operator.controlplane.os_process import ProcessIdentity
from audit_operator.controlplane.static_pod.audit_flags import (
    POLICY_FILE,
    digest_in_name,
    effective_flags,
    policy_file_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.api.observations import DesiredPolicy

CERTIFICATES_FLAG = "--cert-dir"
STOP_GRACE = 10.0
READY_TIMEOUT = 60.0

_REQUEST_TIMEOUT = 5.0
_POLL = 0.05


class NotReady(Exception):  # noqa: N818  # a state of the API server
    """The API server has ended, or does not become ready in time; the message says what it gave as reason."""


class ControlPlaneGone(Exception):  # noqa: N818  # a state of the control plane
    """The control plane that the API server belongs to was stopped: there is nothing to start any more."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How the API server is started.

    Attributes:
        binary: of kube-apiserver.
        arguments: all flags but `--audit-policy-file`.
        url: where it answers, for example ``https://127.0.0.1:21443``.
    """

    binary: Path
    arguments: tuple[str, ...]
    url: str

    def to_json(self) -> bytes:
        """As the content of launch.json."""
        return json.dumps({"binary": str(self.binary), "arguments": self.arguments, "url": self.url}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """From the content of launch.json."""
        document = json.loads(content)
        return cls(Path(document["binary"]), tuple(document["arguments"]), document["url"])


@dataclass(frozen=True, slots=True)
class _PolicyFile:
    """A file as it was when a process was started with it; a change shows in `changed_ns`, even one that was undone."""

    path: str
    inode: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        stat = path.stat()
        return cls(str(path), stat.st_ino, stat.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class _Started:
    """process.json."""

    process: ProcessIdentity
    policy: _PolicyFile
    log_offset: int
    at: str


class ApiServer:
    """The API server that a folder describes. Holds no state of its own, so that two of them always agree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "kube-apiserver.log"
        self.audit_log = folder / "audit" / "audit.log"
        self.certificates = folder / "pki"
        self._launch = folder / "launch.json"
        self._started = folder / "process.json"
        self._policies = folder / "policies"
        self._retired = folder / "retired"
        self._lock = folder / "process.lock"

    # How it is set up

    def describe(self, launch: Launch) -> None:
        """Say how it is to be started. Makes the folders."""
        for folder in (self.certificates, self._policies):
            folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self._launch, launch.to_json())

    def launch(self) -> Launch:
        """How it is started.

        Raises:
            ControlPlaneGone: the folder is gone.
        """
        try:
            return Launch.from_json(self._launch.read_bytes())
        except FileNotFoundError as error:
            raise ControlPlaneGone(f"{self.folder} describes no API server") from error

    # What it runs

    def process(self) -> ProcessIdentity | None:
        """The process that runs now, by whomever it was started; None if there is none."""
        started = self._last_started()
        if started is not None and os_process.is_alive(started.process):
            return started.process
        # Whoever started it may have died before saying so. Only ours has this folder among its arguments.
        with suppress(ControlPlaneGone):
            own = f"{CERTIFICATES_FLAG}={self.certificates}"
            return next(os_process.find_by_argument(self.launch().binary, own), None)
        return None

    def running_digest(self) -> str:
        """Digest of the policy that the process has loaded; empty where there is no process or no proof.

        kube-apiserver reads the file once, when it starts, and no API tells what it has read. So it is proved by the
        file that the process's arguments name, as long as that file was not touched since just before the start.
        """
        started = self._last_started()
        if started is None:
            return ""
        path = effective_flags(os_process.arguments(started.process)).get(POLICY_FILE, "")
        try:
            if path != started.policy.path or _PolicyFile.of(Path(path)) != started.policy:
                return ""
            content = Path(path).read_bytes()
            return hashlib.sha256(content).hexdigest() if _PolicyFile.of(Path(path)) == started.policy else ""
        except OSError:
            return ""

    def last_started_digest(self) -> str:
        """The digest that the last process was started with, whether it still runs or not; empty if there was none."""
        started = self._last_started()
        return digest_in_name(started.policy.path) if started else ""

    def started_at(self) -> datetime | None:
        """When the last process was started, to the second."""
        started = self._last_started()
        return datetime.fromisoformat(started.at) if started else None

    def age(self, process: ProcessIdentity) -> float:
        """For how many seconds a process has run."""
        return os_process.age(process)

    def obstacle(self) -> str:
        """Why it is not ready; empty if it is: `/readyz` answered 200, under the key that only ours has."""
        try:
            status, body = self._get("/readyz")
        except (OSError, http.client.HTTPException) as error:
            return f"/readyz: {error}"
        return "" if status == http.HTTPStatus.OK else f"/readyz: {status} {body.strip()[:500]}"

    def version(self) -> str:
        """The version that it reports, for example ``v1.37.2``; empty if it does not answer."""
        try:
            status, body = self._get("/version")
            return str(json.loads(body)["gitVersion"]) if status == http.HTTPStatus.OK else ""
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return ""

    # Changing it

    def has_policy(self, digest: str) -> bool:
        """Whether the policy is stored, unharmed."""
        try:
            return hashlib.sha256(self.policy_path(digest).read_bytes()).hexdigest() == digest
        except OSError:
            return False

    def store_policy(self, policy: DesiredPolicy) -> None:
        """Store a policy under its digest. A file that is right already is left alone: a process may rest on it."""
        if not self.has_policy(policy.digest):
            write_atomically(self.policy_path(policy.digest), policy.text.encode())

    def policy_path(self, digest: str) -> Path:
        """Where a policy is stored."""
        return self._policies / policy_file_name(digest)

    def forget_policies_except(self, digests: set[str]) -> None:
        """Remove stored policies that nobody needs any more."""
        keep = {self.policy_path(digest) for digest in digests}
        for path in self._policies.glob("policy-*.yaml"):
            if path not in keep:
                path.unlink(missing_ok=True)

    def restart(self, digest: str, grace: float = STOP_GRACE) -> ProcessIdentity:
        """End what runs and start it with a stored policy; does not wait until it is ready.

        Raises:
            ControlPlaneGone: the control plane was stopped.
            OSError: the policy is not there, or the binary cannot be started.
        """
        with exclusive(self._lock):
            launch = self.launch()
            if self._retired.exists():
                raise ControlPlaneGone(f"the control plane in {self.folder} was stopped")
            path = self.policy_path(digest)
            policy = _PolicyFile.of(path)
            if not self.has_policy(digest):
                raise OSError(f"{path} is not what its name says")
            self._end_all(grace)
            offset = self.log.stat().st_size if self.log.exists() else 0
            process = os_process.spawn([launch.binary, *launch.arguments, f"{POLICY_FILE}={path}"], self.log)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_atomically(self._started, json.dumps(asdict(_Started(process, policy, offset, now))).encode())
            return process

    def stop(self, grace: float = STOP_GRACE) -> None:
        """End what runs. It may be started again."""
        with exclusive(self._lock):
            self._end_all(grace)

    def retire(self, grace: float = STOP_GRACE) -> None:
        """End what runs, and let nobody start it again."""
        self._retired.touch()
        self.stop(grace)

    def wait_ready(
        self, process: ProcessIdentity, timeout: float = READY_TIMEOUT, halted: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until the process is ready.

        Args:
            process: that was started; its end ends the waiting.
            timeout: seconds.
            halted: asked again and again; True gives up.

        Raises:
            NotReady: it has ended, or the time is over.
        """
        deadline = time.monotonic() + timeout
        while True:
            obstacle = self.obstacle()
            if not os_process.is_alive(process):
                raise NotReady(self.last_words() or "kube-apiserver ended without a word")
            if not obstacle:
                return
            if halted() or time.monotonic() >= deadline:
                raise NotReady(f"not ready within {timeout:.0f} s: {obstacle}")
            time.sleep(_POLL)

    def last_words(self) -> str:
        """Why the process that was started last has ended, from its log."""
        started = self._last_started()
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(started.log_offset if started else 0)
            return klog.reason_for_end(klog.entries(file.read().decode(errors="replace")))
        return ""

    # Inside

    def _last_started(self) -> _Started | None:
        try:
            document = json.loads(self._started.read_bytes())
        except OSError:
            return None
        return _Started(
            ProcessIdentity(**document["process"]),
            _PolicyFile(**document["policy"]),
            document["log_offset"],
            document["at"],
        )

    def _end_all(self, grace: float) -> None:
        while (process := self.process()) is not None:
            os_process.end(process, grace)

    def _get(self, path: str) -> tuple[int, str]:
        address = urlsplit(self.launch().url)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=_REQUEST_TIMEOUT, context=trust(self.certificates)
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


def trust(certificates: Path) -> ssl.SSLContext:
    """Trust the self-signed certificate that kube-apiserver has written there, and nothing else."""
    context = ssl.create_default_context(cafile=os.fspath(certificates / "apiserver.crt"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on; the certificate lacks what it asks for
    return context
