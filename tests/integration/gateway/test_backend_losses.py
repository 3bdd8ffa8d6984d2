"""What kube-apiserver's own webhook backend loses while nobody takes its events for 20 s, by its mode.

Nothing here is ours to change; the figures stand in docs/gateway.md, and are printed.
"""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from audit_operator.shipping.audit_webhook import FLAGS
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.shipping_collector import ShippingCollector, victoria_logs_sink
from tests.integration.gateway.world import RunningGateway, Stored, running
from tests.integration.shipping.victoria_logs import victoria_logs

AWAY, RATE, CLIENTS = 20.0, 10, 4
ONLY_OURS = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: Metadata, namespaces: [default], resources: [{group: "", resources: [pods]}]}
"""
"""In the blocking modes, an API server that starts waits for each of its own events, and may not be ready in time."""


class Client(threading.Thread):
    """Sends requests at a rate, one after the other; `slowest` in seconds, and how many failed."""

    def __init__(self, control_plane):
        super().__init__(daemon=True)
        self.control_plane, self.stopped = control_plane, threading.Event()
        self.answers, self.slowest = [], 0.0

    def run(self):
        while not self.stopped.wait(1 / RATE):
            began = time.monotonic()
            try:
                answer = self.control_plane.request("GET", "/api/v1/namespaces/default/pods")
                self.answers.append((answer.audit_id, answer.status))
            except OSError:
                self.answers.append(("", 0))
            self.slowest = max(self.slowest, time.monotonic() - began)


def errors(control_plane):
    found = re.findall(r'^apiserver_audit_error_total\{plugin="([^"]+)"\} (\S+)', metrics(control_plane), re.MULTILINE)
    return {plugin: int(float(number)) for plugin, number in found}


def metrics(control_plane):
    return control_plane.request("GET", "/metrics", headers={"Accept": "text/plain"}).body


@pytest.mark.measurement
@pytest.mark.parametrize("who", ["collector", "gateway"])
@pytest.mark.parametrize("mode", ["batch", "blocking", "blocking-strict"])
def test_what_is_lost_while_nobody_takes_events(private_control_plane, tmp_path, mode, who):
    with (
        victoria_logs(tmp_path) as url,
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url))) as collector,
    ):
        authority = Authority(tmp_path / "pki")
        gateway = RunningGateway(authority, collector.address)
        with gateway:
            file = gateway.kubeconfig(tmp_path)
            mine = [f"--audit-webhook-config-file={file}", *FLAGS, f"--audit-webhook-mode={mode}"]
            control_plane = private_control_plane(policy=ONLY_OURS, arguments=mine)
            clients = [Client(control_plane) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            time.sleep(5)
            if who == "collector":
                collector.kill()
                time.sleep(AWAY)
                collector.start()
        port = gateway.port
        if who == "gateway":
            time.sleep(AWAY)
        again = RunningGateway(authority, collector.address)
        again.port = port
        with again:
            time.sleep(5)
            for client in clients:
                client.stopped.set()
            for client in clients:
                client.join(120)
            written = {json.loads(line)["auditID"] for line in control_plane.plane.audit_log.read_text().splitlines()}
            asked = {audit_id for client in clients for audit_id, status in client.answers if status == 200}
            stored = Stored(url)
            deadline = time.monotonic() + 180
            while missing := (asked & written) - {each["auditID"] for each in stored.records()}:
                if time.monotonic() > deadline:
                    break
                time.sleep(1)
            failed = sum(status != 200 for client in clients for _, status in client.answers)
            print(  # noqa: T201
                f"{mode}, {who} away for {AWAY:.0f} s: {len(asked)} requests, {len(missing)} of their events missing, "
                f"{failed} requests failed, the slowest took {max(each.slowest for each in clients):.1f} s, "
                f"errors counted: {errors(control_plane)}"
            )
            control_plane.plane.api_server.stop(grace=5)
            assert asked <= written
