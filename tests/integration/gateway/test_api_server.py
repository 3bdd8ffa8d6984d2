"""From a real API server through the gateway to a store: what its log has, the store has."""

from __future__ import annotations

import threading
import time

from audit_operator.shipping.audit_webhook import FLAGS
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.shipping_collector import ShippingCollector, victoria_logs_sink
from tests.integration.gateway.world import RunningGateway, Stored, running
from tests.integration.shipping.victoria_logs import victoria_logs

EVERYTHING = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: RequestResponse}]
"""

SAME_FOR_THE_LOG = ("--audit-log-truncate-max-event-size=4194304", "--audit-log-truncate-max-batch-size=33554432")


def lines_of(control_plane):
    """The lines of the log that the API server has written beside."""
    text = control_plane.plane.audit_log.read_text()
    return {line for line in text.splitlines() if line.endswith("}")}


def create_config_maps(control_plane, number, name):
    for index in range(number):
        body = {"metadata": {"name": f"{name}-{index}"}, "data": {"text": 'quotes " braces }]{ \\ and ünïcode 😀'}}
        control_plane.request("POST", "/api/v1/namespaces/default/configmaps", body)


def test_every_line_of_the_log_arrives_byte_for_byte(private_control_plane, tmp_path):
    with (
        victoria_logs(tmp_path) as url,
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address) as gateway,
    ):
        webhook = f"--audit-webhook-config-file={gateway.kubeconfig(tmp_path)}"
        control_plane = private_control_plane(policy=EVERYTHING, arguments=(webhook, *FLAGS, *SAME_FOR_THE_LOG))
        threads = [threading.Thread(target=create_config_maps, args=(control_plane, 50, f"t{n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        written = lines_of(control_plane)
        stored = Stored(url)
        stored.until_it_has(written)
        assert len(written) > 400
        assert not stored.records("quarantine:*")
        assert gateway.receiver.figures.answers.keys() == {200}
        control_plane.plane.api_server.stop(grace=30)


def test_a_patch_that_is_no_json_costs_no_event_but_its_own(private_control_plane, tmp_path):
    """kube-apiserver cannot encode its event. Without the flag for truncation, the list that it is in would be lost."""
    with (
        victoria_logs(tmp_path) as url,
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address) as gateway,
    ):
        webhook = f"--audit-webhook-config-file={gateway.kubeconfig(tmp_path)}"
        control_plane = private_control_plane(policy=EVERYTHING, arguments=(webhook, *FLAGS, *SAME_FOR_THE_LOG))
        path, since = "/api/v1/namespaces/default/configmaps", control_plane.audit_position()
        ids = set()
        for _ in range(5):
            ids.add(control_plane.request("GET", path).audit_id)
            headers = {"Content-Type": "application/apply-patch+yaml"}
            assert control_plane.request("PATCH", f"{path}/x?fieldManager=x", "{broken", headers=headers).status == 400
            ids.add(control_plane.request("GET", path).audit_id)
        events = control_plane.audit_events(since=since)
        assert ids <= {each["auditID"] for each in events}
        stored, deadline = Stored(url), time.monotonic() + 30
        while missing := ids - {each.get("auditID") for each in stored.records()}:
            assert time.monotonic() < deadline, missing
            time.sleep(0.2)
        control_plane.plane.api_server.stop(grace=30)
