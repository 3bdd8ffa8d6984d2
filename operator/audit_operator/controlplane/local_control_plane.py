"""A control plane of one's own on loopback: etcd and kube-apiserver, up in three seconds, gone without a trace.

For the demo, the tests, and whoever wants to try an audit policy. RBAC is on; users prove themselves by token. There
is no kube-controller-manager: the ServiceAccount admission is off, nothing collects garbage, and a deleted namespace
stays Terminating until somebody finalizes it. A changed audit policy needs a restart (`load_policy`, or the `Process`
driver).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from audit_operator.api.observations import DesiredPolicy
from audit_operator.controlplane.api_server import CERTIFICATES_FLAG, ApiServer, Launch, NotReady
from audit_operator.controlplane.etcd import Etcd, EtcdFailed
from audit_operator.controlplane.files import write_atomically
from audit_operator.controlplane.ports import ADDRESS_IN_USE, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from audit_operator.controlplane.assets import Assets

METADATA_FOR_ALL = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""

# Anonymous requests reach these paths and no other. The field `conditions` is stable since Kubernetes 1.34.
_AUTHENTICATION = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AuthenticationConfiguration",
    "anonymous": {
        "enabled": True,
        "conditions": [{"path": path} for path in ("/livez", "/readyz", "/healthz", "/version")],
    },
}
_START_ATTEMPTS = 5
_REAPER_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class ClusterUser:
    """Somebody who can log in by token."""

    name: str
    groups: tuple[str, ...] = ()


ADMIN = ClusterUser("admin", ("system:masters",))


class LocalControlPlane:
    """One etcd and one kube-apiserver. A context manager: entering starts, leaving stops and removes the folder.

    Its processes end with the process that has started it, even if that is killed.
    """

    def __init__(
        self,
        assets: Assets,
        *,
        users: Iterable[ClusterUser] = (),
        policy: str = METADATA_FOR_ALL,
        arguments: Iterable[str] = (),
        folder: Path | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            assets: the binaries.
            users: who can log in, besides `ADMIN`.
            policy: the audit policy to start with.
            arguments: further flags for kube-apiserver; of a flag that is given twice, the last one counts.
            folder: where everything is kept, and stays; None for a temporary folder.
        """
        self._assets = assets
        self._policy = policy
        self._arguments = tuple(arguments)
        self._keep = folder is not None
        self._wanted_folder = folder
        self._tokens = {user: secrets.token_hex(16) for user in (ADMIN, *users)}
        self._reaper: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self.url = ""

    # Life

    def start(self) -> Self:
        """Start both, and return when `/readyz` says ok. Blocks for about three seconds.

        Raises:
            EtcdFailed, NotReady: it does not come up; the message has the reason from the log.
        """
        folder = self._wanted_folder or Path(tempfile.mkdtemp(prefix="audit-operator-"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._start_reaper()
        try:
            for attempt in range(1, _START_ATTEMPTS + 1):
                try:
                    self._start_on_free_ports()
                    break
                except (EtcdFailed, NotReady) as failure:
                    if attempt == _START_ATTEMPTS or ADDRESS_IN_USE not in str(failure):
                        raise
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End both processes, by whomever the API server was restarted, and remove a temporary folder. Blocks."""
        reaper, self._reaper = self._reaper, None
        if reaper is not None and reaper.stdin is not None:
            reaper.stdin.close()
            reaper.wait(_REAPER_TIMEOUT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        self.stop()

    # What others need

    @property
    def api_server(self) -> ApiServer:
        """The API server, to look at or to restart; the `Process` driver needs its folder only."""
        return ApiServer(self.folder)

    @property
    def etcd(self) -> Etcd:
        """The etcd."""
        return Etcd(self.folder)

    @property
    def audit_log(self) -> Path:
        """The audit log: one `audit.k8s.io/v1` event as JSON a line, written before the request is answered."""
        return self.api_server.audit_log

    @property
    def ca_file(self) -> Path:
        """The certificate to trust."""
        return self.api_server.certificates / "apiserver.crt"

    def token(self, user: str = ADMIN.name) -> str:
        """The bearer token of a user."""
        return next(token for each, token in self._tokens.items() if each.name == user)

    def kubeconfig(self, user: str = ADMIN.name) -> Path:
        """A kubeconfig file with which its holder is that user."""
        path = self.folder / f"kubeconfig-{user}"
        if not path.exists():
            write_atomically(path, json.dumps(self._kubeconfig(user), indent=1).encode())
        return path

    def load_policy(self, text: str) -> str:
        """Restart the API server with another audit policy, in about two seconds; returns its digest. Blocks.

        Raises:
            NotReady: it does not come up with it.
        """
        policy = DesiredPolicy(text)
        server = self.api_server
        server.store_policy(policy)
        server.wait_ready(server.restart(policy.digest, grace=0))  # an abrupt end is quicker
        return policy.digest

    # Inside

    def _start_reaper(self) -> None:
        command = [sys.executable, "-m", "audit_operator.controlplane.reaper", str(self.folder)]
        package = str(Path(__file__).parents[2])
        with (self.folder / "reaper.log").open("wb") as log:
            self._reaper = subprocess.Popen(  # noqa: S603  # ourselves
                [*command, *(["--keep"] if self._keep else [])],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": package},
                start_new_session=True,
            )

    def _start_on_free_ports(self) -> None:
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        ports = free_ports()
        etcd = self.etcd.start(self._assets.etcd, next(ports), next(ports))
        port = next(ports)
        self.url = f"https://127.0.0.1:{port}"
        self._write_users()
        self.api_server.describe(
            Launch(self._assets.kube_apiserver, (*self._flags(etcd, port), *self._arguments), self.url)
        )
        try:
            self.load_policy(self._policy)
        except NotReady:
            self.etcd.stop()
            raise

    def _write_users(self) -> None:
        lines = [f'{token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user, token in self._tokens.items()]
        write_atomically(self.folder / "tokens.csv", "".join(lines).encode())
        write_atomically(self.folder / "authentication.json", json.dumps(_AUTHENTICATION).encode())

    def _flags(self, etcd: str, port: int) -> tuple[str, ...]:
        server = self.api_server
        key = (
            server.certificates / "apiserver.key"
        )  # made by kube-apiserver itself; good enough for service accounts too
        return (
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"{CERTIFICATES_FLAG}={server.certificates}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--authentication-config={self.folder / 'authentication.json'}",
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-log-path={server.audit_log}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=1024",
            "--audit-log-truncate-enabled",
            "--profiling=false",
            "--logging-format=json",
        )

    def _kubeconfig(self, user: str) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "local", "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": user, "user": {"token": self.token(user)}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
            "current-context": "local",
        }
