"""A running control plane as tests see it: kubectl, plain requests, the audit log. See conftest.py for the fixtures."""

from __future__ import annotations

import http.client
import io
import json
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.controlplane.api_server import trust
from audit_operator.controlplane.local_control_plane import METADATA_FOR_ALL, ClusterUser, LocalControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from audit_operator.controlplane.assets import Assets

OPERATOR = ClusterUser(
    "system:serviceaccount:audit-operator:audit-operator",
    ("system:serviceaccounts", "system:serviceaccounts:audit-operator", "system:authenticated"),
)
ALICE = ClusterUser("alice", ("team-a",))
BOB = ClusterUser("bob", ("team-b",))
USERS = (OPERATOR, ALICE, BOB)

_GROUP = "/apis/audit-operator.dev/v1alpha1"
_TIMEOUT = 60
_PATIENCE = 180.0
_AWAY = ("connection refused", "apiserver is shutting down")
"""What kubectl says of an API server that has done nothing yet, and may do so when asked again."""


@dataclass(frozen=True)
class Response:
    """An answer of the API server; `audit_id` is the one that its audit events carry."""

    status: int
    headers: http.client.HTTPMessage
    body: str
    audit_id: str

    def json(self) -> Any:
        return json.loads(self.body)


class RunningControlPlane:
    """One control plane, with the users admin, OPERATOR, ALICE and BOB; only admin has any rights at first."""

    def __init__(self, assets: Assets, **settings: Any) -> None:
        """Takes the settings of LocalControlPlane."""
        self.assets = assets
        self.plane = LocalControlPlane(assets, **{"users": USERS, **settings})

    @property
    def url(self) -> str:
        return self.plane.url

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.plane.kubeconfig(user)

    # Talking to it

    def kubectl(
        self, *arguments: str, user: str = "admin", stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user. With `check`, a failure fails the test and shows what kubectl said.

        With it, an API server that is being restarted is waited for, too.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            done = subprocess.run(  # noqa: S603  # the kubectl under test
                [self.assets.kubectl, f"--kubeconfig={self.kubeconfig(user)}", *arguments],
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
            if not check or done.returncode == 0:
                return done
            is_away = any(each in done.stderr for each in _AWAY) and time.monotonic() < deadline
            assert is_away, f"kubectl {' '.join(arguments)}: {done.stderr}"
            time.sleep(0.3)

    def apply(self, *objects: Mapping[str, Any], user: str = "admin") -> None:
        """Apply objects with `kubectl apply --server-side`."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", user=user, stdin=json.dumps(document))

    def get(self, path: str) -> Any:
        """The document at a path, as admin: ``get("/api/v1/namespaces/default")``.

        An API server that is being restarted is waited for.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                response = self.request("GET", path)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            else:
                if response.status != http.HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    assert response.status == http.HTTPStatus.OK, response.body
                    return response.json()
            time.sleep(0.3)

    def request(  # noqa: PLR0913  # the parts of a request
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str | None = "admin",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request with an Audit-ID of its own.

        Returns when the server has closed the connection. It does so after its handlers have returned, and in blocking
        mode the audit events are written by then: what is not in the log now will not come.

        `user` None sends no credentials; `token` sends this one. A dict as `body` is sent as JSON.
        """
        audit_id = str(uuid.uuid4())
        credentials = token if token is not None else self.plane.token(user) if user is not None else None
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else b""
        fields = {
            "Host": "127.0.0.1",
            "Connection": "close",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Audit-ID": audit_id,
            **({"Authorization": f"Bearer {credentials}"} if credentials is not None else {}),
            **(headers or {}),
        }
        head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        raw = self._exchange(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        answer = http.client.HTTPResponse(_Received(raw), method=method)
        answer.begin()
        return Response(answer.status, answer.headers, answer.read().decode(), audit_id)

    def _exchange(self, request: bytes) -> bytes:
        port = int(self.url.rsplit(":", 1)[1])
        context = trust(self.plane.api_server.certificates)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    # What it has recorded

    def audit_position(self) -> int:
        """Where the audit log ends now; give it to `audit_events` to see only what comes later."""
        log = self.plane.audit_log
        return log.stat().st_size if log.exists() else 0

    def audit_events(self, audit_id: str = "", *, since: int = 0) -> list[dict[str, Any]]:
        """The events in the log, in order: those with this Audit-ID, or all.

        Select by Audit-ID or by user, never count lines: the API server and its clients have requests of their own.
        """
        with self.plane.audit_log.open("rb") as log:
            log.seek(since)
            events = [json.loads(line) for line in log if line.endswith(b"\n") and audit_id.encode() in line]
        return [event for event in events if audit_id in {"", event["auditID"]}]

    # Changing it

    @contextmanager
    def audit_policy(self, text: str) -> Iterator[str]:
        """Run with another audit policy (a restart, 2 s), and with METADATA_FOR_ALL afterwards; yields its digest."""
        try:
            yield self.plane.load_policy(text)
        finally:
            self.plane.load_policy(METADATA_FOR_ALL)

    def create_namespace(self, name: str = "", labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace, with a unique name unless told otherwise; returns the name."""
        name = name or f"test-{uuid.uuid4().hex[:8]}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
        response = self.request("POST", "/api/v1/namespaces", body)
        assert response.status == http.HTTPStatus.CREATED, response.body
        return name

    def finalize_namespace(self, name: str) -> None:
        """Delete a namespace for good.

        There is no controller that would empty it: our own objects in it are deleted here, all others stay in etcd,
        where nobody can reach them.
        """
        for resource in self._own_namespaced_resources():
            self.request("DELETE", f"{_GROUP}/namespaces/{name}/{resource}")
        self.request("DELETE", f"/api/v1/namespaces/{name}")
        response = self.request("GET", f"/api/v1/namespaces/{name}")
        if response.status == http.HTTPStatus.OK:
            namespace = response.json()
            namespace["spec"]["finalizers"] = []
            self.request("PUT", f"/api/v1/namespaces/{name}/finalize", namespace)

    def _own_namespaced_resources(self) -> Sequence[str]:
        response = self.request("GET", _GROUP)
        if response.status != http.HTTPStatus.OK:
            return []
        return [each["name"] for each in response.json()["resources"] if each["namespaced"] and "/" not in each["name"]]


class _Received(socket.socket):
    """What was received, in the shape in which http.client wants to parse it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, *_arguments: Any, **_options: Any) -> io.BytesIO:
        return io.BytesIO(self._content)
