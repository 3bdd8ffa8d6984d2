"""The whole product around a gateway: operator, two replicas, API server and store, all of them real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

from audit_operator.controlplane.shipper.instructions import shipper_name
from tests.gateway.lists import event, list_of
from tests.integration.conftest import install_crds
from tests.integration.control_plane import ClusterUser
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.world import Stored, post
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.integration.shipping.collector import binary
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

GATEWAY_USER = "gateway"
QUICK = ("--audit-webhook-batch-max-wait=200ms",)


class Replica:
    """One `audit-operator gateway run`."""

    def __init__(self, name, folder, authority, kubeconfig):
        self.name, self.folder, self.process = name, folder / name, None
        self.folder.mkdir()
        self.port, self.health = next(free_ports()), 0
        for source, target in zip((*authority.issue("gateway"), authority.certificate), self.tls, strict=True):
            shutil.copy(source, target)
        settings = {
            "KUBECONFIG": kubeconfig,
            "NODE": name,
            "NAMESPACE": NAMESPACE,
            "CONTROL_PLANE": "main",
            "SHIPPER_FOLDER": self.folder / "state",
            "COLLECTOR": binary(),
            "OBSERVE_SECONDS": "1",
            "LISTEN_HOST": "127.0.0.1",
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": self.port,
            "GATEWAY_CERTIFICATE": self.tls[0],
            "GATEWAY_KEY": self.tls[1],
            "GATEWAY_CLIENT_CA": self.tls[2],
            "GATEWAY_CLIENTS": "api-server, someone-else",
        }
        self.environment = {f"AUDIT_OPERATOR_{key}": str(value) for key, value in settings.items()}

    @property
    def tls(self):
        return [self.folder / name for name in ("tls.crt", "tls.key", "ca.crt")]

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/audit"

    def start(self):
        self.health = next(free_ports())
        environment = {**os.environ, **self.environment, "AUDIT_OPERATOR_LISTEN_PORT": str(self.health)}
        command = [sys.executable, "-m", "audit_operator", "gateway", "run"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)  # noqa: S603
        return self

    def end(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            return self.process.wait(60)
        return None

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}{path}", timeout=5) as answer:
            return answer.read().decode()


class World:
    def __init__(self, start_control_plane, folder):
        self.folder, self.authority = folder, Authority(folder / "pki")
        self.client = self.authority.issue("api-server", "DNS:api-server")
        self.store_port = next(free_ports())
        self.replica = Replica("gateway-0", folder, self.authority, folder / "kubeconfig")
        self.control_plane = start_control_plane(
            users=(ClusterUser(USER), ClusterUser(GATEWAY_USER)),
            arguments=(f"--audit-webhook-config-file={self.webhook_config()}", *QUICK),
        )
        shutil.copy(self.control_plane.kubeconfig(GATEWAY_USER), folder / "kubeconfig")
        self.operator = OperatorProcess(self.control_plane)
        install_crds(self.control_plane)
        for user in (USER, GATEWAY_USER):
            self.control_plane.kubectl(
                "create", "clusterrolebinding", user, "--clusterrole=cluster-admin", f"--user={user}"
            )
        self.control_plane.create_namespace(NAMESPACE)

    def webhook_config(self):
        """As the command line makes it."""
        certificate, key = self.client
        command = [
            sys.executable, "-m", "audit_operator", "gateway", "kubeconfig", "--server", self.replica.url,
            "--ca", self.authority.certificate, "--client-certificate", certificate, "--client-key", key,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - ourselves
        (self.folder / "webhook.yaml").write_bytes(done.stdout)
        return self.folder / "webhook.yaml"

    @contextmanager
    def store(self):
        with victoria_logs(self.folder, port=self.store_port) as url:
            yield Stored(url)

    def apply_everything(self):
        sink = {"type": "VictoriaLogs", "victoriaLogs": {"url": f"http://127.0.0.1:{self.store_port}"}}
        observed = {"default": True, "driver": "Observe", "observe": {"provider": "EKS"}}
        self.control_plane.apply(
            thing("AuditControlPlane", "main", observed),
            thing("ClusterAuditSink", "central", sink),
            thing("ClusterAuditPolicy", "baseline", {"rules": [{"level": "Metadata"}],
                  "sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}]}),
        )  # fmt: skip

    def until_shipping(self, status, reason):
        self.operator.until("Shipping", (status, reason), "clusterauditpolicies", "baseline")

    def request(self, number):
        return [
            self.control_plane.request("GET", f"/api/v1/namespaces/n{each}/pods").audit_id for each in range(number)
        ]


@pytest.fixture
def world(private_control_plane, tmp_path):
    made = World(private_control_plane, tmp_path)
    yield made
    made.operator.stop_all()
    made.control_plane.plane.api_server.stop(grace=1)
    made.replica.end()


def until_arrived(stored, ids):
    eventually(lambda: set(ids) <= {each["auditID"] for each in stored.records()}, "all events to arrive")


def test_from_an_object_to_the_store_through_a_gateway_that_is_killed(world):
    world.apply_everything()
    world.operator.start(shippers="Gateway", process_folder="")
    with world.store() as stored:
        world.until_shipping("False", "ShipperDown")
        world.replica.start()
        world.until_shipping("True", "Shipping")
        ids = world.request(50)
        until_arrived(stored, ids)
        for _ in range(3):
            ids += world.request(30)
            world.replica.end(signal.SIGKILL)
            ids += world.request(30)
            world.replica.start()
        until_arrived(stored, ids)
        eventually(lambda: "[+] collector ok" in world.replica.get("/readyz"), "readiness")
        assert "audit_operator_gateway_events_total" in world.replica.get("/metrics")
        assert world.replica.end() == 0
        # It has gone, and may hold events: nobody claims that everything is shipped.
        eventually(lambda: world.operator.condition("Shipping", "clusterauditpolicies", "baseline")[0] == "False", "it")
        lease = shipper_name("gateway-0")
        assert world.control_plane.kubectl("get", "lease", lease, f"--namespace={NAMESPACE}")


def test_certificates_are_renewed_without_a_restart_and_old_authorities_are_forgotten(world):
    world.apply_everything()
    world.operator.start(shippers="Gateway", process_folder="")
    with world.store():
        world.replica.start()
        world.until_shipping("True", "Shipping")
        new = Authority(world.folder / "new-pki", "new-authority")
        client = new.issue("api-server", "DNS:api-server")
        for source, target in zip((*new.issue("gateway"), new.certificate), world.replica.tls, strict=True):
            shutil.copy(source, target)

        def taken():
            return post(world.replica.url, list_of(event()), authority=new, client=client)[0] == 200

        eventually(taken, "the new certificates to be in force")
        with pytest.raises(OSError, match=r"(?i)ssl|reset|closed"):
            post(world.replica.url, list_of(event()), authority=new, client=world.client)
        stranger = new.issue("stranger", "DNS:stranger")
        assert post(world.replica.url, list_of(event()), authority=new, client=stranger)[0] == 403
