"""Whose Leases agents, shippers and gateways may write in the operator's namespace, on a real API server.

The operator's leader holds one there: whoever else writes it can end the operator, again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import CHART, NAMESPACE
from tests.integration.operator_process import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

pytestmark = pytest.mark.integration

AGENTS = f"{NAMESPACE}-agent"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEADER, OTHERS, NEW = "audit-operator", "other", "kube-scheduler"


@pytest.fixture
def cluster(private_control_plane: Callable[..., RunningControlPlane]) -> RunningControlPlane:
    mine = private_control_plane()
    for name in (NAMESPACE, AGENTS):
        mine.create_namespace(name)
    for name in (LEADER, OTHERS):
        assert mine.request("POST", LEASES, lease(name)).status == 201
    return mine


def lease(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"holderIdentity": "me"},
    }


def install(helm: Helm, cluster: RunningControlPlane, *values: str) -> None:
    options = ["--kubeconfig", str(cluster.kubeconfig()), "--namespace", NAMESPACE]
    options += [option for value in values for option in ("--set", value)]
    helm.run("upgrade", "--install", "audit-operator", CHART, *options)


def applied(cluster: RunningControlPlane, name: str, account: str, node: str = "", *, dry_run: bool = False) -> int:
    """The status of applying a Lease as a service account, as reports are; in a pod on this node, if one is named."""
    headers = {"Impersonate-User": f"system:serviceaccount:{account}", "Content-Type": "application/apply-patch+yaml"}
    if node:
        headers["Impersonate-Extra-authentication.kubernetes.io%2fnode-name"] = node
    options = "?fieldManager=test&force=true" + "&dryRun=All" * dry_run
    return cluster.request("PATCH", f"{LEASES}/{name}{options}", lease(name), headers=headers).status


def created(cluster: RunningControlPlane, name: str, account: str) -> int:
    headers = {"Impersonate-User": f"system:serviceaccount:{account}"}
    return cluster.request("POST", LEASES, lease(name), headers=headers).status


@pytest.mark.parametrize(
    ("value", "component", "own"),
    [
        ("shipper.enabled=true", "shipper", ("audit-shipper-node-1", "audit-shipper-node-2")),
        ("nodeAgent.enabled=true", "agent", ("audit-agent-node-1", "audit-rollout-cluster")),
    ],
)
def test_what_runs_on_nodes_writes_leases_of_its_kind_alone(
    cluster: RunningControlPlane, helm: Helm, value: str, component: str, own: tuple[str, ...]
) -> None:
    install(helm, cluster, value, "nodeAgent.createNamespace=false")
    account = f"{AGENTS}:audit-operator-{component}"
    # An API server learns of new policies by a watch.
    eventually(lambda: applied(cluster, LEADER, account, dry_run=True) == 403, "the policy to be in force")
    for name in (LEADER, OTHERS, NEW):
        assert applied(cluster, name, account) == 403
    assert created(cluster, NEW, account) == 403
    assert [applied(cluster, name, account) for name in own * 2] == [201, 201, 200, 200]
    # Others are not asked.
    assert cluster.request("POST", LEASES, lease(NEW)).status == 201


@pytest.mark.parametrize(
    ("value", "component", "shared"),
    [("shipper.enabled=true", "shipper", ()), ("nodeAgent.enabled=true", "agent", ("audit-rollout-cluster",))],
)
def test_a_pod_speaks_for_its_own_node_alone(
    cluster: RunningControlPlane, helm: Helm, value: str, component: str, shared: tuple[str, ...]
) -> None:
    install(helm, cluster, value, "nodeAgent.createNamespace=false")
    account = f"{AGENTS}:audit-operator-{component}"
    own, others = f"audit-{component}-node-1", f"audit-{component}-node-12"
    eventually(lambda: applied(cluster, others, account, "node-1", dry_run=True) == 403, "the policy to be in force")
    for name in (LEADER, others, f"audit-{component}-node", f"audit-{component}-xnode-1"):
        assert applied(cluster, name, account, "node-1") == 403
    assert [applied(cluster, name, account, "node-1") for name in (own, *shared)] == [201] * (1 + len(shared))
    assert applied(cluster, own, account, "node-12") == 403
    # What the API server makes of the token of a pod, and not only of what somebody says of themselves:
    token = token_of_a_pod(cluster, f"audit-operator-{component}", "node-1")
    assert [applied_with(cluster, name, token) for name in (own, *shared)] == [200] * (1 + len(shared))
    assert applied_with(cluster, others, token) == 403


def token_of_a_pod(cluster: RunningControlPlane, account: str, node: str) -> str:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": AGENTS},
        "spec": {"serviceAccountName": account, "nodeName": node, "containers": [{"name": "one", "image": "none"}]},
    }
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}, pod)
    uid = cluster.get(f"/api/v1/namespaces/{AGENTS}/pods/one")["metadata"]["uid"]
    bound = ("--bound-object-kind=Pod", "--bound-object-name=one", f"--bound-object-uid={uid}")
    return cluster.kubectl("create", "token", account, "-n", AGENTS, *bound).stdout.strip()


def applied_with(cluster: RunningControlPlane, name: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/apply-patch+yaml"}
    path = f"{LEASES}/{name}?fieldManager=test&force=true"
    return cluster.request("PATCH", path, lease(name), headers=headers).status


def test_a_gateway_writes_the_leases_of_its_replicas_alone(cluster: RunningControlPlane, helm: Helm) -> None:
    install(helm, cluster, "gateway.enabled=true", "gateway.replicas=3")
    account = f"{NAMESPACE}:audit-operator-gateway"
    own = [f"audit-shipper-audit-operator-gateway-{replica}" for replica in range(3)]
    assert [applied(cluster, name, account) for name in own * 2] == [201] * 3 + [200] * 3
    for name in (LEADER, OTHERS, NEW, "audit-shipper-node-1", "audit-shipper-audit-operator-gateway-3"):
        assert applied(cluster, name, account) == 403
    assert created(cluster, NEW, account) == 403
