"""The operator and an agent, as the service accounts that the chart makes: nothing is denied, and all of it is used.

The audit log says what they asked for.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.board import ClusterBoard
from audit_operator.controlplane.local_control_plane import ClusterUser
from audit_operator.controlplane.static_pod.report import NodeReport
from tests.chart.helm import NAMESPACE
from tests.chart.test_rights import AGENT, DELIVERY, OWN, WITH_AGENTS
from tests.integration.control_plane import OPERATOR
from tests.integration.operator_process import GROUP, eventually, thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

pytestmark = pytest.mark.integration

NODE_AGENT = ClusterUser(
    f"system:serviceaccount:{NAMESPACE}-agent:audit-operator-agent", ("system:serviceaccounts", "system:authenticated")
)
VALUES = (
    "nodeAgent.enabled=true",
    "configMapDriver.targets[0].namespace=kube-system,configMapDriver.targets[0].name=audit-policy",
)
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
}
PLANES = (
    thing(
        "AuditControlPlane",
        "main",
        {"default": True, "driver": "ConfigMap", "configMap": {"namespace": "kube-system", "name": "audit-policy"}},
    ),
    thing("AuditControlPlane", "nodes", {"driver": "StaticPod"}),
)
POLICIES = (
    thing("ClusterAuditPolicy", "baseline", {"preset": "Baseline"}),
    thing("ClusterAuditPolicy", "on-nodes", {"preset": "Baseline", "controlPlaneRef": {"name": "nodes"}}),
    # Waits for somebody, which an event says.
    thing("AuditPolicy", "lost", {"preset": "Baseline", "controlPlaneRef": {"name": "nowhere"}}, "default"),
    thing(
        "AuditSink", "logs", {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example:9428"}}, "default"
    ),
    thing("ClusterAuditSink", "logs", {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example:9428"}}),
)

# Only after a conflict of two writers is one of our own objects read by itself.
_RARE = {f"get audit-operator.dev/{kind}" for kind in OWN}
# Only when policies have been published that nobody needs any more.
_RARE |= {"delete configmaps"}
# What is applied and not there yet has to be allowed to be created, and is logged as the patch that it was.
_RARE |= {"create configmaps"}


@pytest.fixture
def cluster(private_control_plane: Callable[..., RunningControlPlane], helm: Helm) -> RunningControlPlane:
    mine = private_control_plane(users=(OPERATOR, NODE_AGENT))
    options = [option for value in VALUES for option in ("--set", value)]
    config = ["--kubeconfig", mine.kubeconfig(), "--namespace", NAMESPACE, "--create-namespace"]
    helm.run("install", "audit-operator", "charts/audit-operator", *options, *config)
    mine.apply(NODE, *PLANES, *POLICIES)
    return mine


@pytest.fixture
def operator(cluster: RunningControlPlane, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "AUDIT_OPERATOR_KUBECONFIG": str(_kubeconfig(cluster, OPERATOR, tmp_path)),
        "AUDIT_OPERATOR_LISTEN_HOST": "127.0.0.1",
        "AUDIT_OPERATOR_LISTEN_PORT": "0",
        "AUDIT_OPERATOR_OBSERVE_SECONDS": "1",
    }
    # What it logs, pytest shows where the test fails.
    process = subprocess.Popen([sys.executable, "-m", "audit_operator", "run"], env={**os.environ, **environment})
    yield process
    process.terminate()
    process.wait(60)


def test_the_operator_is_denied_nothing_and_uses_what_it_was_granted(
    cluster: RunningControlPlane, operator: subprocess.Popen[bytes]
) -> None:
    granted = _without_names({**WITH_AGENTS, **{key: DELIVERY[key] for key in DELIVERY if key[1] == "kube-system"}})
    expected = granted - _RARE

    def settled() -> bool:
        return operator.poll() is not None or not expected - requests(cluster, OPERATOR.name)

    eventually(settled, f"each of {sorted(expected)} to be used")
    assert operator.poll() is None
    assert denied(cluster, OPERATOR.name) == []
    assert requests(cluster, OPERATOR.name) <= granted
    plane = cluster.get(f"{GROUP}/auditcontrolplanes/nodes")
    assert [each["name"] for each in plane["status"]["apiServers"]] == ["node-1"]


def test_an_agent_is_denied_nothing_and_uses_what_it_was_granted(cluster: RunningControlPlane, tmp_path: Path) -> None:
    asyncio.run(_talk(_kubeconfig(cluster, NODE_AGENT, tmp_path)))
    assert denied(cluster, NODE_AGENT.name) == []
    assert requests(cluster, NODE_AGENT.name) == _without_names(AGENT)


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


def requests(cluster: RunningControlPlane, user: str) -> set[str]:
    """What a user has asked for, as rights are written in test_rights.py, without names; discovery aside."""
    return {_spelt(event["verb"], event["objectRef"]) for event in _events(cluster, user) if "objectRef" in event}


def denied(cluster: RunningControlPlane, user: str) -> list[str]:
    return [event["requestURI"] for event in _events(cluster, user) if event["responseStatus"]["code"] in (401, 403)]


def _events(cluster: RunningControlPlane, user: str) -> Iterator[dict[str, Any]]:
    for event in cluster.audit_events():
        # A watch is answered long before it ends.
        if event["user"].get("username") == user and event["stage"] in ("ResponseStarted", "ResponseComplete"):
            yield event


def _spelt(verb: str, ref: dict[str, str]) -> str:
    group = f"{ref['apiGroup']}/" if ref.get("apiGroup") else ""
    subresource = f"/{ref['subresource']}" if ref.get("subresource") else ""
    return f"{verb} {group}{ref['resource']}{subresource}"


def _without_names(granted: dict[tuple[str, str], set[str]]) -> set[str]:
    return {" ".join(each.split()[:2]) for rights in granted.values() for each in rights}


def _kubeconfig(cluster: RunningControlPlane, user: ClusterUser, folder: Path) -> Path:
    # Colons in a file's name would be taken for a list of files.
    return Path(shutil.copy(cluster.kubeconfig(user.name), folder / "kubeconfig"))
