"""Pods as kube-controller-manager makes them of all kinds of workloads, and what the operator makes of the workloads.

There is no kubelet: the tests say of pods that they are ready.
"""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from audit_operator.controlplane.local_control_plane import ClusterUser
from tests.chart.helm import CHART, NAMESPACE
from tests.e2e.node.binaries import get
from tests.integration.binaries import CONTROLLER_MANAGER
from tests.integration.control_plane import OPERATOR
from tests.integration.injection.conftest import SIDECARS, is_injecting, shipper_containers
from tests.integration.injection.test_operator import PLANE, SINK, Cluster, logs, start
from tests.integration.operator_process import USER, eventually, thing
from tests.shipping.injection.pods import inits, pod

NAME = "payments"


def template(**changed):
    document = pod(**changed)
    return {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": document["spec"]}


def workload(kind, name, spec, group="apps/v1"):
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": NAME}, "spec": spec}


SELECTOR = {"matchLabels": {"app": "web"}}
JOB = {"template": template(restartPolicy="Never")}
WORKLOADS = {
    "Deployment": workload("Deployment", "deployment", {"selector": SELECTOR, "template": template()}),
    "StatefulSet": workload(
        "StatefulSet", "stateful", {"selector": SELECTOR, "serviceName": "s", "template": template()}
    ),
    "Job": workload("Job", "job", JOB, "batch/v1"),
    "CronJob": workload("CronJob", "cron", {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}, "batch/v1"),
    "Mesh": workload(
        "Deployment", "mesh", {"selector": SELECTOR, "template": template(initContainers=inits("istio-init", "setup"))}
    ),
}


class Workloads(Cluster):
    """With controllers."""

    def pods(self, prefix, namespace=NAME):
        found = self.control_plane.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        return [each for each in found if each["metadata"]["name"].startswith(prefix)]

    def be_the_kubelet(self, prefix):
        """Say of all pods of a workload that they are ready, and let those go that are to be deleted."""
        for each in self.pods(prefix):
            path = f"/api/v1/namespaces/{NAME}/pods/{each['metadata']['name']}"
            if each["metadata"].get("deletionTimestamp"):
                self.control_plane.request("DELETE", path, {"gracePeriodSeconds": 0})
            elif each.get("status", {}).get("phase") != "Running":
                status = {
                    "phase": "Running",
                    "conditions": [
                        {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
                    ],
                }
                merge = {"Content-Type": "application/merge-patch+json"}
                self.control_plane.request("PATCH", f"{path}/status", {"status": status}, headers=merge)
        return self.pods(prefix)


@pytest.fixture
def cluster(private_control_plane, helm):
    mine = private_control_plane(users=(OPERATOR, ClusterUser(USER)))
    values = [*SIDECARS, "sidecar.mechanism=AdmissionPolicy", "sidecar.restartWorkloads=true"]
    options = [option for value in values for option in ("--set", value)]
    config = ["--kubeconfig", mine.kubeconfig(), "--namespace", NAMESPACE, "--create-namespace"]
    mine.create_namespace(NAME)
    helm.run("install", "audit-operator", CHART, *options, *config)
    with (mine.plane.folder / "controllers.log").open("wb") as log:
        running = subprocess.Popen(  # noqa: S603 - kube-controller-manager
            [
                get(CONTROLLER_MANAGER),
                f"--kubeconfig={mine.kubeconfig()}",
                "--leader-elect=false",
                "--secure-port=0",
                "--controllers=*,-ttl-after-finished-controller,-node-lifecycle-controller",
            ],
            stdout=log,
            stderr=log,
        )
    cluster = Workloads(mine)
    yield cluster
    cluster.stop_all()
    running.terminate()
    running.wait(60)


def ask(cluster, **more):
    cluster.control_plane.apply(PLANE, thing("AuditSink", "logs", SINK, NAME), logs(**more))
    eventually(lambda: is_injecting(cluster.control_plane, NAME, "pci"), "injection")


def test_pods_of_every_kind_of_workload_get_the_sidecar_and_are_counted(cluster):
    start(cluster)
    ask(cluster)
    cluster.control_plane.apply(*WORKLOADS.values())
    cluster.create(pod(), "bare")
    cluster.create(pod({"annotations": {"audit-operator.dev/inject": "false"}}), "opted-out")
    prefixes = ("deployment-", "stateful-", "job-", "cron-", "mesh-", "bare")
    for prefix in prefixes:
        [made, *_] = eventually(lambda: cluster.pods(prefix), f"pods of {prefix}")  # noqa: B023
        assert shipper_containers(made) == ["audit-shipper-pci"]
        assert made["spec"]["initContainers"][-1 if prefix != "mesh-" else 1]["restartPolicy"] == "Always"
    [opted_out] = cluster.pods("opted-out")
    assert shipper_containers(opted_out) == []
    eventually(lambda: (found := cluster.sidecars()) and found["injected"] == found["expected"] >= 6, "all are counted")
    # A policy that has gone collects nothing more: new pods come without, and what its sidecars read goes with it.
    cluster.control_plane.kubectl("delete", "auditpolicy", "pci", "-n", NAME)
    eventually(lambda: is_injecting(cluster.control_plane, NAME), "no injection")
    eventually(lambda: cluster.config_map() is None, "the garbage collector takes the ConfigMap")
    cluster.control_plane.kubectl("delete", "pod", "-n", NAME, "stateful-0", "--force", "--grace-period=0")
    eventually(lambda: [shipper_containers(each) for each in cluster.pods("stateful-")] == [[]], "its successor")


def test_a_namespace_may_be_there_before_the_policy_or_come_with_it(cluster):
    start(cluster)
    late = cluster.control_plane.create_namespace("late")
    cluster.control_plane.apply(
        thing("AuditSink", "logs", SINK, late), {**logs(), "metadata": {"name": "pci", "namespace": late}}
    )
    eventually(lambda: is_injecting(cluster.control_plane, late, "pci"), "injection in a new namespace")
    cluster.create(pod(), "web", late)
    cluster.until_counted("one pod", 1, 1, 0, 0, namespace=late)


def test_a_deployment_that_was_there_first_is_restarted_once_within_its_budget_and_a_job_is_not(cluster):
    server = cluster.control_plane
    # A selector may be larger than our own kinds let one be.
    other = {"key": "app", "operator": "NotIn", "values": [f"other-{number}" for number in range(100)]}
    selector = {**SELECTOR, "matchExpressions": [other]}
    budget = workload("PodDisruptionBudget", "web", {"selector": selector, "minAvailable": 3}, "policy/v1")
    first = workload(
        "Deployment",
        "deployment",
        {
            "replicas": 4,
            "selector": SELECTOR,
            "strategy": {"rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 0}},
            "template": template(),
        },
    )
    server.apply(first, WORKLOADS["Job"], budget)
    before = eventually(lambda: len(found := cluster.be_the_kubelet("deployment-")) == 4 and found, "its pods")
    eventually(lambda: cluster.pods("job-"), "a Job's pod")
    start(cluster, restart_workloads="true")
    ask(cluster, restartWorkloads="Rolling")
    cluster.until_counted("all pods are older", 5, 0, 0, 5)

    def annotations():
        found = server.get(f"/apis/apps/v1/namespaces/{NAME}/deployments/deployment")
        return found["spec"]["template"]["metadata"].get("annotations", {})

    def held_back():
        found = [each for each in cluster.sidecars().get("findings", ()) if each["id"] == "restart-held-back"]
        return found and "2 of its pods" in found[0]["message"] and "Budget web" in found[0]["message"]

    # Two would go at once, and the budget lets one go.
    eventually(held_back, "status to say why it waits")
    time.sleep(20)
    assert annotations() == {}
    one = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}
    server.kubectl("patch", "deployment", "deployment", "-n", NAME, "--type=merge", "-p", json.dumps(one))
    old = {each["metadata"]["uid"] for each in before}
    fewest = 4

    def replaced():
        nonlocal fewest
        fewest = min(fewest, sum(map(is_ready, cluster.pods("deployment-"))))
        found = cluster.be_the_kubelet("deployment-")
        return old.isdisjoint(each["metadata"]["uid"] for each in found) and len(found) == 4 and found

    after = eventually(replaced, "other pods")
    assert fewest >= 3
    assert {name for each in after for name in shipper_containers(each)} == {"audit-shipper-pci"}
    cluster.until_counted("the Job's pod is left alone", 5, 4, 0, 1)
    eventually(lambda: not held_back(), "status to forget it")
    goal = annotations()
    assert list(goal) == ["restart.audit-operator.dev/pci"]
    time.sleep(35)
    assert annotations() == goal


def is_ready(found):
    conditions = found.get("status", {}).get("conditions", [])
    stays = "deletionTimestamp" not in found["metadata"]
    return stays and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
