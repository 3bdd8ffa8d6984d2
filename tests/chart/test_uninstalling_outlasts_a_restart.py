"""`helm uninstall` with `onUninstall: Restore`, while the API server that it watches comes back and knows no roles yet.

So it is wherever there is one API server: it is restarted to give back what was there. A kube-apiserver answers before
it has read its roles, and what it refuses then, it allows a moment later. Helm 4 takes that for the last word while it
waits for a hook (its status watcher ends at 403), unless it waits as Helm 3 does.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.controlplane.local_control_plane import METADATA_FOR_ALL, ClusterUser
from tests.chart.helm import CHART, NAMESPACE, RELEASE
from tests.integration.operator_process import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

pytestmark = pytest.mark.integration

OWNER = ClusterUser("owner", ("system:authenticated",))
ROLES = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": OWNER.name},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OWNER.name}],
}
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/audit-operator-uninstall"
VALUES = "nodeAgent.enabled=true,nodeAgent.createNamespace=false,nodeAgent.onUninstall=Restore"
NOW = "2026-11-28T00:00:00Z"
# The job controller's part; Kubernetes checks that it fits together.
DONE = {
    "status": {
        "startTime": NOW,
        "completionTime": NOW,
        "succeeded": 1,
        "conditions": [
            {"type": each, "status": "True", "lastTransitionTime": NOW} for each in ("SuccessCriteriaMet", "Complete")
        ],
    }
}


@pytest.fixture
def cluster(private_control_plane: Callable[..., RunningControlPlane]) -> RunningControlPlane:
    mine = private_control_plane(users=(OWNER,))
    mine.create_namespace(NAMESPACE)
    mine.create_namespace(f"{NAMESPACE}-agent")
    mine.apply(ROLES)
    return mine


@contextmanager
def uninstalling(helm: Helm, wait: str, options: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [helm.binary, "uninstall", RELEASE, wait, "--timeout", "5m", *options]
    with subprocess.Popen(  # noqa: S603 - Helm
        command, env={"HOME": str(helm.home)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def refused(cluster: RunningControlPlane) -> list[dict[str, Any]]:
    """What Helm was refused when it wanted to know of the job again."""
    return [
        event
        for event in cluster.audit_events()
        if event["user"].get("username") == OWNER.name
        and event.get("objectRef", {}).get("resource") == "jobs"
        and event.get("responseStatus", {}).get("code") == 403
    ]


@pytest.mark.parametrize(("version", "wait"), [("Helm 4", "--wait=legacy"), ("Helm 3", "--wait")])
def test_an_uninstallation_outlasts_an_api_server_that_knows_no_roles_yet(
    cluster: RunningControlPlane, provide_helm: Callable[[str], Helm], version: str, wait: str
) -> None:
    helm = provide_helm(version)
    options = ["--kubeconfig", str(cluster.kubeconfig(OWNER.name)), "--namespace", NAMESPACE]
    helm.run("install", RELEASE, str(CHART), "--set", VALUES, *options)
    with uninstalling(helm, wait, options) as process:
        eventually(lambda: cluster.request("GET", JOBS).status == 200, "the job that gives back")
        cluster.kubectl("delete", "clusterrolebinding", OWNER.name)
        cluster.plane.load_policy(METADATA_FOR_ALL)  # which restarts it
        eventually(lambda: refused(cluster), "Helm to be refused")
        cluster.apply(ROLES)
        headers = {"Content-Type": "application/merge-patch+json"}
        done = cluster.request("PATCH", f"{JOBS}/status", DONE, headers=headers)
        assert done.status == 200, done.body
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert cluster.request("GET", JOBS).status == 404
