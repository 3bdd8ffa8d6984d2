"""Operator and shipper, as the service accounts that the chart makes: nothing is denied, and all of it is used."""

from __future__ import annotations

import asyncio
import base64
from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from audit_operator.cli.erasing import opened
from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.controlplane.local_control_plane import ClusterUser
from audit_operator.controlplane.shipper.instructions import ShipperInstructions
from audit_operator.controlplane.shipper.report import ShipperReport
from audit_operator.retention.erasure import ErasureRecord, Phase
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch, Keyring
from tests.chart.helm import NAMESPACE
from tests.chart.rights_in_use import (
    NODE,
    RARE,
    denied,
    installed,
    kubeconfig,
    requests,
    running_operator,
    without_names,
)
from tests.chart.test_rights import OPERATOR as WITHOUT_SHIPPERS
from tests.chart.test_rights import SHIPPER, SHIPPING, together
from tests.integration.control_plane import OPERATOR
from tests.integration.operator_process import GROUP, eventually, thing

if TYPE_CHECKING:
    import subprocess
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
SHIPPED = {
    "preset": "Baseline",
    "sinkRefs": [{"kind": "ClusterAuditSink", "name": "logs"}],
    "redaction": {"pseudonymize": ["Username"]},
}
ERASER = ClusterUser("eraser@example.com", ("system:authenticated",))
# Applied where it is not there yet, which is logged as the patch that it was.
SELDOM = RARE | {"create secrets", "create coordination.k8s.io/leases"}


@pytest.fixture
def cluster(private_control_plane: Callable[..., RunningControlPlane], helm: Helm) -> RunningControlPlane:
    mine = private_control_plane(users=(OPERATOR, NODE_SHIPPER, ERASER))
    mine.create_namespace("payments")
    values = [f"shipper.enabled=true,shipper.controlPlane={PLANE}", "shipper.secretNamespaces={payments}"]
    installed(mine, helm, values)
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
    with running_operator(cluster, tmp_path, SHIPPERS="Nodes") as process:
        yield process


def test_the_chart_grants_operator_and_shipper_what_they_ask_for(
    cluster: RunningControlPlane, operator: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    granted = without_names(together(WITHOUT_SHIPPERS, SHIPPING))
    expected = without_names(SHIPPING) - SELDOM

    def settled() -> bool:
        return operator.poll() is not None or not expected - requests(cluster, OPERATOR.name)

    eventually(settled, f"each of {sorted(expected)} to be used")
    assert operator.poll() is None
    asyncio.run(_learn_and_report(kubeconfig(cluster, NODE_SHIPPER, tmp_path)))
    assert requests(cluster, NODE_SHIPPER.name) == without_names(SHIPPER) - SELDOM
    assert denied(cluster, NODE_SHIPPER.name) == []
    binding = ("rolebinding", "eraser", "--role=audit-operator-eraser", f"--user={ERASER.name}", "-n", NAMESPACE)
    cluster.kubectl("create", *binding)
    asyncio.run(_destroy_keys_and_record_it(kubeconfig(cluster, ERASER, tmp_path)))
    assert denied(cluster, ERASER.name) == []

    def policies() -> int:
        found: int = cluster.get(f"{GROUP}/clusterauditsinks/logs")["status"]["policies"]
        return found

    # Rights are used before what came of it is written.
    eventually(lambda: policies() == 1, "the status of the sink to count its policy")
    assert denied(cluster, OPERATOR.name) == []
    assert requests(cluster, OPERATOR.name) <= granted
    lease = cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/audit-shipper-node-1")
    assert lease["spec"]["holderIdentity"] == "node-1"


async def _destroy_keys_and_record_it(kubeconfig: Path) -> None:
    """What an erasure does in the operator's namespace."""
    options = Namespace(keyring=None, register=None, kubeconfig=kubeconfig, context="", operator_namespace=NAMESPACE)
    async with opened(options, PLANE) as places:
        held = await places.keyring()
        assert held is not None
        keys = Keyring.decoded(held.content).without(["payments"], datetime.now(UTC), bytes(RANDOM_BYTES))
        await places.keep_keyring(keys.encoded(), held.revision)
        record = ErasureRecord(id="1", phase=Phase.ENDED, time="", subject="s-1", control_plane=PLANE)
        assert await places.register(record) == f"ConfigMap {NAMESPACE}/audit-erasure-1-ended"


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
        assert Epoch.decoded(told.pseudonym_keys).present("payments") is not None
        await board.report("node-1", ShipperReport(plane=PLANE))
    finally:
        await connection.aclose()
