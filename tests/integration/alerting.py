"""A cluster that tells Alertmanager of detections: API server, controllers, shipper, operator, store, Prometheus.

    with alerting(control_plane, folder, scrape="5s") as cluster:
        cluster.told()

The rules are those of the PrometheusRule objects that the operator writes. Of a node there is only what the API server
sees of it: Leases and status, and a kubelet that takes an exec and ends it.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.node.binaries import get
from tests.integration.binaries import CONTROLLER_MANAGER
from tests.integration.conftest import install_crds
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import MAIN, NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.integration.prometheus import Prometheus, alertmanager, prometheus
from tests.integration.prometheus_rule import CRD
from tests.integration.shipping.collector import binary
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.control_plane import RunningControlPlane

SHOP = "shop"
DEVELOPER, DEPLOYER, MALLORY = ClusterUser("jane"), ClusterUser("deployer"), ClusterUser("mallory")
NODES = tuple(f"node-{number}" for number in range(3))
USERS = (
    # Who is refused while the only API server starts again, whose roles it has not read yet, makes a burst of 403.
    ClusterUser(USER, ("system:masters",)),
    DEVELOPER,
    DEPLOYER,
    MALLORY,
    *(ClusterUser(f"system:node:{each}", ("system:nodes",)) for each in NODES),
)
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
RBAC = {"group": "rbac.authorization.k8s.io", "resources": ["clusterrolebindings", "rolebindings"]}
PRESETS = {
    "base": (
        "UnauthenticatedBurst",
        "ForbiddenBurst",
        "SecretEnumeration",
        "Exec",
        "ClusterAdminBinding",
        "TokenMinting",
    ),
    "more": ("AuditTampering", "AnonymousAccess", "DeleteCollectionStorm", "SlowEndpoint", "FailingEndpoint"),
}
CONTROLLERS = "*,-ttl-after-finished-controller,-node-lifecycle-controller,-taint-eviction-controller"


def detections(presets: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"name": each.lower(), "preset": each} for each in presets]


POLICY = {"rules": [{"level": "RequestResponse", "resources": [RBAC]}, {"level": "Metadata"}], "sinkRefs": TO_CENTRAL}
POLICIES = (
    *(thing("ClusterAuditPolicy", name, {**POLICY, "detections": detections(each)}) for name, each in PRESETS.items()),
    thing(
        "AuditPolicy",
        "web",
        {"preset": "Metadata", "sinkRefs": TO_CENTRAL, "detections": detections(("ForbiddenBurst",))},
        SHOP,
    ),
)

Alert = dict[str, Any]


@dataclass
class Cluster:
    """What runs, and what Alertmanager was told; `more` policies than POLICIES have detections."""

    control_plane: RunningControlPlane
    operator: OperatorProcess
    prometheus: Prometheus
    alertmanager: str
    folder: Path
    sink: dict[str, Any]
    kubelet: int
    more: int = 0

    def told(self) -> list[Alert]:
        """The alerts that fire, by what Alertmanager knows."""
        with urllib.request.urlopen(f"{self.alertmanager}/api/v2/alerts", timeout=30) as answer:  # noqa: S310 - loopback
            return [each for each in json.load(answer) if each["status"]["state"] == "active"]

    def told_of(self, detection: str, policy: str = "base") -> Alert | None:
        """The alert of a detection, but for those of the start."""
        wanted = {"detection_name": detection, "policy_name": policy}
        return next(
            (each for each in self.told() if wanted.items() <= each["labels"].items() and not of_start(each)), None
        )

    def take_rules(self) -> None:
        """As the Prometheus operator does: what PrometheusRules say becomes what Prometheus evaluates."""
        wanted = len(POLICIES) + self.more
        found = eventually(lambda: _groups(self.control_plane, wanted), "a PrometheusRule for each policy")
        (self.folder / "rules.json").write_text(json.dumps({"groups": found}))
        self.prometheus.reload()

    def until_it_ships(self) -> None:
        self.operator.until("Shipping", ("True", "Shipping"), "clusterauditpolicies", "base")

    def request(self, method: str, path: str, body: Any = None, **how: Any) -> int:
        return self.control_plane.request(method, path, body, **how).status


def of_start(alert: Alert) -> bool:
    """Whether it tells of how an API server starts: who asks for /readyz is refused until it has read its roles."""
    return bool(alert["labels"].get("user") == "system:anonymous")


def _groups(control_plane: RunningControlPlane, expected: int) -> list[dict[str, Any]]:
    items = control_plane.get("/apis/monitoring.coreos.com/v1/prometheusrules")["items"]
    return [group for each in items for group in each["spec"]["groups"]] if len(items) == expected else []


@contextmanager
def alerting(
    control_plane: RunningControlPlane,
    folder: Path,
    *,
    scrape: str,
    policies: tuple[dict[str, Any], ...] = (),
    **settings: str,
) -> Iterator[Cluster]:
    """Until the end of the block; `control_plane` has USERS, and is nobody else's.

    There are these policies besides, in namespaces of their own; the operator runs with these settings besides.
    """
    install_crds(control_plane)
    for namespace in (NAMESPACE, SHOP, *(each["metadata"]["namespace"] for each in policies)):
        control_plane.create_namespace(namespace)
    control_plane.apply(CRD, MAIN, *POLICIES, *policies, *_rights())
    operator, port = OperatorProcess(control_plane), next(free_ports())
    with (
        victoria_logs(folder) as store,
        alertmanager(folder / "alertmanager") as alerts,
        prometheus(folder / "prometheus", _scraping(port, alerts, folder, scrape)) as asked,
        kubelet(folder) as kubelet_port,
        _controllers(control_plane),
    ):
        sink = thing("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": store}})
        control_plane.apply(sink)
        operator.start(collector=str(binary()), alert_objects="true", listen_port=str(port), **settings)
        cluster = Cluster(control_plane, operator, asked, alerts, folder, sink, kubelet_port, len(policies))
        try:
            yield cluster
        finally:
            operator.stop_all()


def _scraping(target: int, alerts: str, folder: Path, scrape: str) -> dict[str, Any]:
    """What Prometheus does: scrape that port, evaluate rules.json of the folder, tell that Alertmanager."""

    def static(address: str) -> list[dict[str, Any]]:
        return [{"targets": [address]}]

    return {
        "global": {"scrape_interval": scrape, "scrape_timeout": scrape},
        "rule_files": [str(folder / "rules.json")],
        "scrape_configs": [{"job_name": "shippers", "static_configs": static(f"127.0.0.1:{target}")}],
        "alerting": {"alertmanagers": [{"static_configs": static(alerts.removeprefix("http://"))}]},
    }


def _rights() -> Iterator[dict[str, Any]]:
    """What people and programs may do who do their work."""
    for name, rules, users in (
        (
            "nodes",
            [(["coordination.k8s.io"], ["leases"], ["*"]), ([""], ["nodes", "nodes/status", "pods"], ["*"])],
            NODES,
        ),
        (
            "developer",
            [([""], ["pods", "events", "pods/exec"], ["get", "list", "watch", "create"])],
            ("jane", "mallory"),
        ),
        ("deployer", [(["apps"], ["deployments"], ["*"]), ([""], ["configmaps", "secrets"], ["*"])], ("deployer",)),
        ("mallory", [([""], ["secrets"], ["get"]), ([""], ["serviceaccounts/token"], ["create"])], ("mallory",)),
        ("binds", [(["rbac.authorization.k8s.io"], ["*"], ["*"])], ("mallory",)),
    ):
        names = [f"system:node:{each}" if each in NODES else each for each in users]
        group = "rbac.authorization.k8s.io"
        listed = [dict(zip(("apiGroups", "resources", "verbs"), each, strict=True)) for each in rules]
        kind = {"apiVersion": f"{group}/v1", "metadata": {"name": f"test-{name}"}}
        yield {**kind, "kind": "ClusterRole", "rules": listed}
        subjects = [{"kind": "User", "apiGroup": group, "name": each} for each in names]
        yield {
            **kind,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": f"test-{name}"},
            "subjects": subjects,
        }


@contextmanager
def _controllers(control_plane: RunningControlPlane) -> Iterator[None]:
    with (control_plane.plane.folder / "controllers.log").open("wb") as log:
        arguments = ["--leader-elect=true", "--secure-port=0", f"--controllers={CONTROLLERS}"]
        command = [get(CONTROLLER_MANAGER), f"--kubeconfig={control_plane.kubeconfig()}", *arguments]
        running = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - kube-controller-manager
    try:
        yield
    finally:
        running.terminate()
        running.wait(60)


# Ordinary traffic


@contextmanager
def ordinary_traffic(cluster: Cluster) -> Iterator[None]:
    """Until the end of the block: what nodes, a deployer and a developer do all day, at their usual pace."""
    over = threading.Event()
    workers = [threading.Thread(target=_repeat, args=(over, every, cluster, work)) for every, work in WORK]
    for each in workers:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in workers:
            each.join(120)


def _repeat(over: threading.Event, every: float, cluster: Cluster, work: Any) -> None:
    turn = 0
    while True:
        with suppress(OSError, AssertionError):  # the only API server may be on its way to another policy
            work(cluster, turn)
        turn += 1
        if over.wait(every):
            return


def _heartbeats(cluster: Cluster, turn: int) -> None:
    """Every node renews its Lease every 10 s, as its kubelet."""
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    for node in NODES:
        user = f"system:node:{node}"
        spec = {"holderIdentity": node, "leaseDurationSeconds": 40}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node}, "spec": spec}
        if turn == 0:
            cluster.request("POST", path, body, user=user)
        merge = {"Content-Type": "application/merge-patch+json"}
        cluster.request("PATCH", f"{path}/{node}", {"spec": spec}, user=user, headers=merge)
        cluster.request("GET", f"/api/v1/nodes/{node}", user=user)


def _deploys(cluster: Cluster, turn: int) -> None:
    """A pipeline reads its Secret, brings a ConfigMap and rolls a Deployment; controllers do the rest."""
    container = {"name": "c", "image": f"shop:{turn}"}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    as_applied = {"Content-Type": "application/apply-patch+yaml"}
    cluster.request("GET", f"/api/v1/namespaces/{SHOP}/secrets/registry", user="deployer")
    path = f"/apis/apps/v1/namespaces/{SHOP}/deployments/web?fieldManager=pipeline&force=true"
    cluster.request("PATCH", path, body, user="deployer", headers=as_applied)


def _looks(cluster: Cluster, turn: int) -> None:
    """Somebody looks at pods, mistypes a name, and once in a while asks for what is not theirs to see."""
    cluster.request("GET", f"/api/v1/namespaces/{SHOP}/pods", user="jane")
    cluster.request("GET", f"/api/v1/namespaces/{SHOP}/pods/wbe", user="jane")
    if turn % 3 == 0:
        cluster.request("GET", f"/api/v1/namespaces/{SHOP}/secrets", user="jane")
        cluster.request("GET", "/api/v1/nodes", token="expired")


WORK = ((10.0, _heartbeats), (30.0, _deploys), (15.0, _looks))


# What is not ordinary


@dataclass(frozen=True)
class Attack:
    """What somebody does; `detection` is what should tell of it."""

    detection: str
    run: Any


def _refused(cluster: Cluster) -> None:
    for number in range(20):
        assert cluster.request("GET", f"/api/v1/namespaces/{SHOP}/configmaps/c{number}", user="mallory") == 403


def _enumerates(cluster: Cluster) -> None:
    for number in range(10):
        assert cluster.request("GET", f"/api/v1/namespaces/{SHOP}/secrets/s{number}", user="mallory") == 404


def _guesses(cluster: Cluster) -> None:
    for number in range(20):
        assert cluster.request("GET", "/api/v1/namespaces", token=f"guess-{number}") == 401


def _mints(cluster: Cluster) -> None:
    for _ in range(5):
        path = f"/api/v1/namespaces/{SHOP}/serviceaccounts/default/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        assert cluster.request("POST", path, body, user="mallory") == 201


def _binds(cluster: Cluster) -> None:
    group = "rbac.authorization.k8s.io"
    body = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"generateName": "mine-"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "mallory"}],
    }
    assert cluster.request("POST", f"/apis/{group}/v1/clusterrolebindings", body, user="mallory") == 201


def _execs(cluster: Cluster) -> None:
    name, node = "victim", NODES[0]
    address = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
    status = {**address, "daemonEndpoints": {"kubeletEndpoint": {"Port": cluster.kubelet}}}
    pod_spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "serviceAccountName": "default"}
    cluster.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    merge = {"Content-Type": "application/merge-patch+json"}
    cluster.request("PATCH", f"/api/v1/nodes/{node}/status", {"status": status}, headers=merge)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec}
    cluster.request("POST", f"/api/v1/namespaces/{SHOP}/pods", pod)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "SPDY/3.1",
        "X-Stream-Protocol-Version": "v4.channel.k8s.io",
    }
    path = f"/api/v1/namespaces/{SHOP}/pods/{name}/exec?command=sh&stdout=true"
    assert cluster.request("POST", path, user="mallory", headers=upgrade) == 101


ATTACKS = (
    Attack("forbiddenburst", _refused),
    Attack("secretenumeration", _enumerates),
    Attack("unauthenticatedburst", _guesses),
    Attack("tokenminting", _mints),
    Attack("clusteradminbinding", _binds),
    Attack("exec", _execs),
)


def seconds_until_told(cluster: Cluster, attack: Attack) -> float:
    """From the last request that it takes until Alertmanager's API shows the alert."""
    attack.run(cluster)
    began = time.monotonic()
    eventually(lambda: cluster.told_of(attack.detection), f"an alert of {attack.detection}")
    return time.monotonic() - began


@contextmanager
def kubelet(folder: Path) -> Iterator[int]:
    """Answers every request with an upgrade, and ends it. Gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, context), daemon=True)
        thread.start()
        yield listening.getsockname()[1]


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:
            return
        with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(1 << 16)
            connection.sendall(switching + b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n")
            time.sleep(0.5)


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelet")]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "kubelet.pem"
    file.write_bytes(secret + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return file
