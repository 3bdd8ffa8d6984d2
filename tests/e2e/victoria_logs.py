"""VictoriaLogs in a pod, behind a Service and a password, as a store that tests read back from.

It keeps what it has in its pod. Nothing is shipped there until a sink says so; see `VictoriaLogs.sink`.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.node.images import VICTORIA_LOGS
from tests.e2e.node.waiting import wait_for
from tests.e2e.product import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.product import Product

STORE = "logs"
"""Namespace of the store; its Service has the name `SERVICE`."""
SERVICE = "victoria-logs"
CREDENTIALS = "victoria-logs"
"""Secret with the store's user and password, in the operator's namespace."""
_PORT = 9428
_USER, _PASSWORD = "audit", "shown-to-nobody"
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class VictoriaLogs:
    """The store, as it runs in a cluster."""

    product: Product
    url: str

    def sink(self, name: str, account: int = 0) -> dict[str, Any]:
        """A ClusterAuditSink for an account of it, for the policies of all namespaces."""
        return {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "ClusterAuditSink",
            "metadata": {"name": name},
            "spec": {
                "type": "VictoriaLogs",
                "victoriaLogs": {"url": self.url, **({"accountID": account} if account else {})},
                "credentials": {"type": "Basic", "secretRef": {"namespace": NAMESPACE, "name": CREDENTIALS}},
            },
        }

    def records(self, query: str, account: int = 0) -> list[dict[str, Any]]:
        """What a LogsQL query finds: of each record its attributes, and its text as ``_msg``.

        Raises:
            OSError: the store cannot be reached now.
        """
        credentials = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        with self._forwarded() as port:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/select/logsql/query",
                data=urllib.parse.urlencode({"query": query, "limit": 100_000}).encode(),
                headers={"Authorization": f"Basic {credentials}", "AccountID": str(account)},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
                return [json.loads(line) for line in answer if line.strip()]

    def events(self, query: str) -> list[dict[str, Any]]:
        """The events that a query finds, as API servers wrote them, or shippers changed them; copies, too."""
        return [json.loads(each["_msg"]) for each in self.records(query)]

    @contextmanager
    def _forwarded(self) -> Iterator[int]:
        """A port of this machine that leads to it."""
        arguments = ["-n", STORE, "port-forward", f"service/{SERVICE}", f":{_PORT}"]
        command = [str(self.product.kubectl_binary), "--kubeconfig", str(self.product.cluster.kubeconfig), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forwarding:
            try:
                said = forwarding.stdout.readline() if forwarding.stdout else ""
                found = _FORWARDED.search(said)
                if found is None:
                    raise OSError(f"no way to the store: {said}")
                yield int(found[1])
            finally:
                forwarding.terminate()


def install(product: Product) -> VictoriaLogs:
    """Run it, and wait until it answers; its image must be loaded."""
    metadata = {"name": SERVICE, "namespace": STORE, "labels": {"app": SERVICE}}
    product.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORE}},
        _secret(NAMESPACE),
        _secret(STORE),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": metadata["labels"], "ports": [{"name": "http", "port": _PORT}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": metadata["labels"]},
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"labels": metadata["labels"]}, "spec": _pod()},
            },
        },
    )
    product.kubectl("-n", STORE, "rollout", "status", f"deployment/{SERVICE}", "--timeout=80s")
    # By its address: a cluster need not have names.
    address = product.get("-n", STORE, "service", SERVICE)["spec"]["clusterIP"]
    host = f"[{address}]" if ":" in address else address
    store = VictoriaLogs(product, f"http://{host}:{_PORT}")
    wait_for("the store to answer", lambda: _answers(store))
    return store


def _answers(store: VictoriaLogs) -> bool:
    try:
        return store.records("nothing-is-there-yet") == []
    except OSError:
        return False


def _secret(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CREDENTIALS, "namespace": namespace},
        "stringData": {"username": _USER, "password": _PASSWORD},
    }


def _pod() -> dict[str, Any]:
    container = {
        "name": SERVICE,
        "image": VICTORIA_LOGS,
        "imagePullPolicy": "Never",
        "args": [
            f"-httpListenAddr=:{_PORT}",
            "-storageDataPath=/data/logs",
            "-memory.allowedBytes=128MiB",
            f"-httpAuth.username={_USER}",
            "-httpAuth.password=file:///credentials/password",
        ],
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "credentials", "mountPath": "/credentials"}],
    }
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "credentials", "secret": {"secretName": CREDENTIALS}}]
    return {"terminationGracePeriodSeconds": 5, "containers": [container], "volumes": volumes}
