"""A reader in a thread of its own, before a real VictoriaLogs and a real API server, with tenants who have tokens."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import ssl
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

from audit_operator.cluster.connection import connect
from audit_operator.reader_application import ReaderServer
from audit_operator.reading.load import Load
from audit_operator.settings import Settings
from tests.integration.gateway.pki import Authority

READER = "reader"
READ_RECORDS = {"apiGroups": ["audit-operator.dev"], "resources": ["auditpolicies/records"], "verbs": ["get"]}
READERS_RIGHTS = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
]
RBAC = "rbac.authorization.k8s.io"
ROLE = "test-records-reader"


def cluster_role(name, rules):
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}


def service_account(namespace, name):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def binding(role, account, namespace=""):
    """In a namespace, or cluster-wide; `account` is the namespace and name of a service account."""
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    metadata = {"name": f"{role}-{account[0]}-{account[1]}", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}],
    }


def token(control_plane, namespace, name, **spec):
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600, **spec},
    }
    answer = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body)
    assert answer.status == 201, answer.body
    return answer.json()["status"]["token"]


@dataclass(frozen=True)
class Answer:
    """What came back, as it came, and its first response."""

    raw: bytes
    status: int
    body: str

    @property
    def records(self):
        assert self.status == 200, self.body
        lines = [json.loads(each) for each in self.body.splitlines()]
        assert "end" in lines[-1], lines[-1]
        return lines[:-1]

    @property
    def marks(self):
        return [json.loads(each["text"])["mark"] for each in self.records]


class RunningReader:
    """Serves on a free port, with the rights of a service account that has no more than the reader's."""

    def __init__(self, kubeconfig, sink, pki, **settings):
        self.authority = pki
        certificate, key = pki.issue("reader")
        self.settings = Settings(
            kubeconfig=kubeconfig, reader_host="127.0.0.1", reader_port=0, reader_certificate=certificate,
            reader_key=key, reader_sink=sink, reader_secrets=sink.parent, **settings,
        )  # fmt: skip
        self.server, self.port = None, 0
        self._ready, self._failed = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self):
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        connection = await connect(self.settings.kubeconfig)
        try:
            self.server = ReaderServer(self.settings, connection)
            self.server.reader.load = Load(burst=1e9)
            self.port = await self.server.start()
            self._ready.set()
            await self._stop.wait()
            await self.server.aclose()
        finally:
            self._ready.set()
            await connection.aclose()
            await asyncio.sleep(0.25)  # TLS connections say goodbye

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60)
        assert self.port
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def spoken(self, content):
        """All that is answered to these bytes until it closes the connection."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            received = bytearray()
            try:
                connection.sendall(content)
                while chunk := connection.recv(1 << 16):
                    received += chunk
            except (ConnectionError, ssl.SSLError):
                pass  # it has closed, and not waited for what else we said
            return bytes(received)

    def ask(self, query, token, *, headers=(), target=None):
        """One request, whose query goes out as it is written here."""
        target = target if target is not None else f"/v1/records?{query}"
        fields = ["Host: reader", *([f"Authorization: Bearer {token}"] if token else []), *headers]
        head = f"GET {target} HTTP/1.1\r\n" + "".join(f"{each}\r\n" for each in fields) + "\r\n"
        return self.answer(head.encode("latin-1"))

    def answer(self, content):
        raw = self.spoken(content)
        if not raw:
            return Answer(raw, 0, "")
        parsed = http.client.HTTPResponse(_Received(raw))
        parsed.begin()
        try:
            return Answer(raw, parsed.status, parsed.read().decode())
        except http.client.IncompleteRead:  # of HEAD
            return Answer(raw, parsed.status, "")


class _Received(socket.socket):
    def __init__(self, content):
        self._content = content

    def makefile(self, *_arguments, **_options):
        return io.BytesIO(self._content)


def kubeconfig(control_plane, path, token):
    """For whoever has this token."""
    text = json.loads(control_plane.kubectl("config", "view", "--raw", "-o", "json").stdout)
    text["users"] = [{"name": each["name"], "user": {"token": token}} for each in text["users"]]
    path.write_text(json.dumps(text))
    return path


def sink_file(path, spec):
    document = {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "ClusterAuditSink",
        "metadata": {"name": "central"},
    }
    path.write_text(json.dumps({**document, "spec": spec}))
    return path


@contextmanager
def reading(control_plane, folder, store, spec):
    """A reader before a store, whose sink has this spec, and what tests need to make tenants."""
    suffix = uuid.uuid4().hex[:6]
    home = control_plane.create_namespace(f"reader-{suffix}")
    control_plane.apply(
        cluster_role(ROLE, [READ_RECORDS]),
        cluster_role(READER, READERS_RIGHTS),
        service_account(home, READER),
        binding(READER, (home, READER)),
    )
    with RunningReader(
        kubeconfig(control_plane, folder / "kubeconfig", token(control_plane, home, READER)),
        sink_file(folder / "sink.yaml", spec),
        Authority(folder / "pki"),
    ) as reader:
        yield SimpleNamespace(
            control_plane=control_plane, folder=folder, suffix=suffix, home=home, store=store, reader=reader, made=[]
        )
    for kind, name in (
        ("clusterrolebinding", f"{READER}-{home}-{READER}"),
        ("clusterrole", ROLE),
        ("clusterrole", READER),
    ):
        control_plane.kubectl("delete", kind, name)
    control_plane.finalize_namespace(home)
