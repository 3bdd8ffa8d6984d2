"""The operator and an agent, as the service accounts that the chart makes: nothing is denied, and all of it is used.

The audit log says what they asked for.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.board import ClusterBoard
from audit_operator.controlplane.local_control_plane import ClusterUser
from audit_operator.controlplane.static_pod.report import NodeReport
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
from tests.chart.test_rights import AGENT, ALERTS, DELIVERY, REPORTS, WITH_AGENTS
from tests.integration.control_plane import OPERATOR
from tests.integration.operator_process import GROUP, eventually, thing
from tests.integration.prometheus_rule import CRD

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

pytestmark = pytest.mark.integration

NODE_AGENT = ClusterUser(
    f"system:serviceaccount:{NAMESPACE}-agent:audit-operator-agent", ("system:serviceaccounts", "system:authenticated")
)
VALUES = (
    "nodeAgent.enabled=true",
    "reports.enabled=true",
    "detections.prometheusRules.enabled=true",
    "configMapDriver.targets[0].namespace=kube-system,configMapDriver.targets[0].name=audit-policy",
)
PLANES = (
    thing(
        "AuditControlPlane",
        "main",
        {"default": True, "driver": "ConfigMap", "configMap": {"namespace": "kube-system", "name": "audit-policy"}},
    ),
    thing("AuditControlPlane", "nodes", {"driver": "StaticPod"}),
)
REPORT_KINDS = Path(__file__).parents[1] / "integration" / "open_reports"
# Nothing is deleted here, and what is created is logged as the patch that it was.
SELDOM = {f"{verb} openreports.io/{kind}reports" for verb in ("create", "delete") for kind in ("", "cluster")}
SELDOM |= {f"{verb} monitoring.coreos.com/prometheusrules" for verb in ("create", "delete")}
POLICIES = (
    thing("ClusterAuditPolicy", "baseline", {"preset": "Baseline", "detections": [{"name": "exec", "preset": "Exec"}]}),
    thing("ClusterAuditPolicy", "on-nodes", {"preset": "Baseline", "controlPlaneRef": {"name": "nodes"}}),
    thing("AuditPolicy", "own", {"preset": "Baseline"}, "default"),
    # Waits for somebody, which an event says.
    thing("AuditPolicy", "lost", {"preset": "Baseline", "controlPlaneRef": {"name": "nowhere"}}, "default"),
    thing(
        "AuditSink", "logs", {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example:9428"}}, "default"
    ),
    thing("ClusterAuditSink", "logs", {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example:9428"}}),
)


@pytest.fixture
def cluster(private_control_plane: Callable[..., RunningControlPlane], helm: Helm) -> RunningControlPlane:
    mine = private_control_plane(users=(OPERATOR, NODE_AGENT))
    installed(mine, helm, VALUES)
    mine.kubectl("apply", "--server-side", "-f", str(REPORT_KINDS))
    mine.apply(CRD)
    mine.apply(NODE, *PLANES, *POLICIES)
    return mine


@pytest.fixture
def operator(cluster: RunningControlPlane, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running_operator(
        cluster, tmp_path, REPORT_SECONDS="1", REPORT_OWNER="audit-operator-reports", ALERT_OBJECTS="true"
    ) as process:
        yield process


def test_the_operator_is_denied_nothing_and_uses_what_it_was_granted(
    cluster: RunningControlPlane, operator: subprocess.Popen[bytes]
) -> None:
    granted = without_names({**WITH_AGENTS, **{key: DELIVERY[key] for key in DELIVERY if key[1] == "kube-system"}})
    granted |= without_names(REPORTS) | without_names(ALERTS)
    expected = {each for each in granted - RARE - SELDOM if "wgpolicyk8s.io" not in each}

    def settled() -> bool:
        return operator.poll() is not None or not expected - requests(cluster, OPERATOR.name)

    def nodes() -> list[str]:
        plane = cluster.get(f"{GROUP}/auditcontrolplanes/nodes")
        return [each["name"] for each in plane["status"]["apiServers"]]

    eventually(settled, f"each of {sorted(expected)} to be used")
    assert operator.poll() is None
    # Rights are used before what came of it is written.
    eventually(lambda: nodes() == ["node-1"], "the status of the control plane to name its node")
    assert denied(cluster, OPERATOR.name) == []
    assert requests(cluster, OPERATOR.name) <= granted


def test_an_agent_is_denied_nothing_and_uses_what_it_was_granted(cluster: RunningControlPlane, tmp_path: Path) -> None:
    asyncio.run(_talk(kubeconfig(cluster, NODE_AGENT, tmp_path)))
    assert denied(cluster, NODE_AGENT.name) == []
    assert requests(cluster, NODE_AGENT.name) == without_names(AGENT)


async def _talk(kubeconfig: Path) -> None:
    """Everything that an agent ever asks for."""
    connection = await connect(kubeconfig)
    try:
        board = ClusterBoard(RestClient(connection.session()), NAMESPACE, "audit-operator-agent")
        assert await board.instructions() == ()
        assert await board.policy("0" * 64) == ""
        await board.report("node-1", NodeReport())
        assert set(await board.reports()) == {"node-1"}
        turn = await board.write_turn("nodes", await board.turn("nodes"), "node-1")
        await board.write_turn("nodes", turn, "")
    finally:
        await connection.aclose()
