"""Operator and shipper, as the service accounts that the chart makes: nothing is denied, and all of it is used."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.controlplane.local_control_plane import ClusterUser
from audit_operator.controlplane.shipper.instructions import ShipperInstructions
from audit_operator.controlplane.shipper.report import ShipperReport
from tests.chart.helm import NAMESPACE
from tests.chart.test_rights import OPERATOR as WITHOUT_SHIPPERS
from tests.chart.test_rights import SHIPPER, SHIPPING, together
from tests.chart.test_rights_suffice import _RARE, NODE, _kubeconfig, _without_names, denied, requests
from tests.integration.control_plane import OPERATOR
from tests.integration.operator_process import GROUP, eventually, thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

pytestmark = pytest.mark.integration

NODE_SHIPPER = ClusterUser(
    f"system:serviceaccount:{NAMESPACE}-agent:audit-operator-shipper",
    ("system:serviceaccounts", "system:authenticated"),
)
PLANE = "nodes"
SINK = {
    "type": "VictoriaLogs",
    "victoriaLogs": {"url": "https://logs.example:9428"},
    "credentials": {"type": "Bearer", "secretRef": {"namespace": "payments", "name": "token"}},
}
SHIPPED = {"preset": "Baseline", "sinkRefs": [{"kind": "ClusterAuditSink", "name": "logs"}]}
# Applied where it is not there yet, which is logged as the patch that it was.
RARE = _RARE | {"create secrets", "create coordination.k8s.io/leases"}


@pytest.fixture
def cluster(private_control_plane: Callable[..., RunningControlPlane], helm: Helm) -> RunningControlPlane:
    mine = private_control_plane(users=(OPERATOR, NODE_SHIPPER))
    mine.create_namespace("payments")
    options = [f"shipper.enabled=true,shipper.controlPlane={PLANE}", "shipper.secretNamespaces={payments}"]
    values = [option for value in options for option in ("--set", value)]
    config = ["--kubeconfig", mine.kubeconfig(), "--namespace", NAMESPACE, "--create-namespace"]
    helm.run("install", "audit-operator", "charts/audit-operator", *values, *config)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", "namespace": "payments"},
        "data": {"token": base64.b64encode(b"secret").decode()},
    }
    plane = thing("AuditControlPlane", PLANE, {"default": True, "driver": "Observe", "observe": {"provider": "EKS"}})
    mine.apply(
        NODE, secret, plane, thing("ClusterAuditSink", "logs", SINK), thing("ClusterAuditPolicy", "all", SHIPPED)
    )
    return mine


@pytest.fixture
def operator(cluster: RunningControlPlane, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "AUDIT_OPERATOR_KUBECONFIG": str(_kubeconfig(cluster, OPERATOR, tmp_path)),
        "AUDIT_OPERATOR_LISTEN_HOST": "127.0.0.1",
        "AUDIT_OPERATOR_LISTEN_PORT": "0",
        "AUDIT_OPERATOR_OBSERVE_SECONDS": "1",
        "AUDIT_OPERATOR_SHIPPERS": "Nodes",
    }
    process = subprocess.Popen([sys.executable, "-m", "audit_operator", "run"], env={**os.environ, **environment})
    yield process
    process.terminate()
    process.wait(60)


def test_the_chart_grants_operator_and_shipper_what_they_ask_for(
    cluster: RunningControlPlane, operator: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    granted = _without_names(together(WITHOUT_SHIPPERS, SHIPPING))
    expected = _without_names(SHIPPING) - RARE

    def settled() -> bool:
        return operator.poll() is not None or not expected - requests(cluster, OPERATOR.name)

    eventually(settled, f"each of {sorted(expected)} to be used")
    assert operator.poll() is None
    asyncio.run(_learn_and_report(_kubeconfig(cluster, NODE_SHIPPER, tmp_path)))
    assert requests(cluster, NODE_SHIPPER.name) == _without_names(SHIPPER) - RARE
    assert denied(cluster, NODE_SHIPPER.name) == []
    assert denied(cluster, OPERATOR.name) == []
    assert requests(cluster, OPERATOR.name) <= granted
    lease = cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/audit-shipper-node-1")
    assert lease["spec"]["holderIdentity"] == "node-1"
    assert cluster.get(f"{GROUP}/clusterauditsinks/logs")["status"]["policies"] == 1


async def _learn_and_report(kubeconfig: Path) -> None:
    """Everything that a shipper ever asks for; what it learns has the token in it."""
    connection = await connect(kubeconfig)
    try:
        board = ClusterShipperBoard(RestClient(connection.session()), NAMESPACE, "audit-operator-shipper")
        assert await board.revision(PLANE)
        told = await board.told(PLANE)
        assert told is not None
        files = ShipperInstructions.decoded(told.instructions).files
        assert files is not None
        assert any(b"secret" in content for content in files.credentials.values())
        await board.report("node-1", ShipperReport(plane=PLANE))
    finally:
        await connection.aclose()
