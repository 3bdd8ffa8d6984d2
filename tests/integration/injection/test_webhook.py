"""The operator's own webhook, on an API server that could inject by itself and on one that cannot: the same pods."""

from __future__ import annotations

import dataclasses
import json

import pytest

from audit_operator.controlplane.local_control_plane import ClusterUser
from tests.chart.helm import NAMESPACE
from tests.integration.conftest import install_crds
from tests.integration.control_plane import OPERATOR, RunningControlPlane
from tests.integration.injection.conftest import SIDECARS, admitted, is_injecting, shipper_containers
from tests.integration.injection.test_admission_policy import comparable, patched
from tests.integration.injection.test_operator import Cluster, start
from tests.integration.operator_process import USER, eventually
from tests.ports import free_ports
from tests.shipping.injection.pods import INJECTED, LEFT_ALONE, SELECTIVE, pod, policy

NAME = "audit-operator-webhook"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{NAME}"


@pytest.fixture(params=["1.37", "1.35"])
def server(request, assets):
    """An API server that could inject by itself, and one that cannot."""
    if request.param == "1.35":
        assets = dataclasses.replace(assets, kube_apiserver=request.getfixturevalue("older_api_server"))
    mine = RunningControlPlane(assets, users=(OPERATOR, ClusterUser(USER)))
    with mine.plane:
        yield mine


@pytest.fixture
def cluster(server, helm):
    """A cluster with what the chart renders; the API server reaches the operator on loopback."""
    mine = server
    install_crds(mine)
    mine.create_namespace(NAMESPACE)
    port = next(free_ports())
    objects = helm.objects(*SIDECARS, "sidecar.mechanism=Webhook", "crds.enabled=false")
    for each in objects:
        for webhook in each.get("webhooks", ()):
            webhook["clientConfig"] = {"url": f"https://127.0.0.1:{port}/inject"}
    mine.apply(*objects)
    cluster = Cluster(mine)
    cluster.port = port
    yield cluster
    cluster.stop_all()


def test_pods_are_the_same_as_by_the_api_server_itself(cluster, template):
    server = cluster.control_plane
    start(cluster, webhook=NAME, webhook_port=str(cluster.port))
    with_policy, elsewhere = server.create_namespace(), server.create_namespace()
    server.apply({**SELECTIVE, "metadata": {"name": "pci", "namespace": with_policy}})
    eventually(lambda: is_injecting(server, with_policy, "pci"), "the webhook injects")
    for name, document in (INJECTED | LEFT_ALONE).items():
        by_webhook = admitted(server, with_policy, document)
        by_patch = admitted(server, elsewhere, patched(document, template, SELECTIVE))
        assert comparable(by_webhook) == comparable(by_patch), name
        has_own = "audit-shipper-pci" in shipper_containers(document)
        assert ("audit-shipper-pci" in shipper_containers(by_webhook)) == (name in INJECTED or has_own)
    # Several policies, one more, and one less.
    server.apply(policy("abc", with_policy))
    eventually(lambda: is_injecting(server, with_policy, "abc", "pci"), "the second policy")
    server.kubectl("delete", "auditpolicy", "pci", "-n", with_policy)
    eventually(lambda: is_injecting(server, with_policy, "abc"), "the first has gone")


def test_pods_are_made_while_nobody_serves_and_a_successor_takes_over(cluster):
    server = cluster.control_plane
    namespace = server.create_namespace()
    server.apply(policy("pci", namespace))
    assert shipper_containers(admitted(server, namespace, pod())) == []
    first = start(cluster, webhook=NAME, webhook_port=str(cluster.port))
    eventually(lambda: is_injecting(server, namespace, "pci"), "the webhook injects")
    trusted = server.get(CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"]
    first.kill()
    first.wait(60)
    assert shipper_containers(admitted(server, namespace, pod())) == []
    # Whoever follows serves with what the first has left, before it leads.
    start(cluster, webhook=NAME, webhook_port=str(cluster.port))
    eventually(lambda: is_injecting(server, namespace, "pci"), "the successor injects")
    assert server.get(CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"] == trusted
    # Somebody takes the bundle away, as an upgrade may.
    stripped = json.dumps([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}])
    server.kubectl("patch", "mutatingwebhookconfiguration", NAME, "--type=json", "-p", stripped)
    eventually(lambda: is_injecting(server, namespace, "pci"), "the bundle is back")
