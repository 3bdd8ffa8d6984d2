"""Installed as the README says, on a real node: what is asked for is recorded, and status says so."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.product import AGENTS, NAMESPACE, PLANE
from tests.e2e.readme import ROOT


def test_the_readme_leads_to_a_policy_that_runs(product):
    assert product.programmed() == ("True", "Programmed")
    status, node = product.plane(), product.node()
    assert status["progress"] == "1/1"
    assert (node["state"], node["ready"], node["runningDigest"]) == ("Running", True, status["digest"])
    assert node["attempts"] == 1
    shown = product.kubectl("get", "acp", PLANE)
    assert "1/1" in shown
    assert "True" in shown


def test_the_process_on_the_node_runs_what_status_says(product):
    flags = product.on_node("sh", "-c", "tr '\\0' '\\n' < /proc/$(pidof kube-apiserver)/cmdline")
    digest = product.plane()["digest"]
    assert f"--audit-policy-file=/etc/kubernetes/audit-operator/policies/policy-{digest}.yaml" in flags
    assert "--audit-log-maxbackup=10" in flags


def test_real_requests_are_recorded_at_the_levels_promised(product):
    digest = product.plane()["digest"]
    product.kubectl("create", "namespace", "payments")
    product.kubectl("apply", "-f", str(ROOT / "manifests/samples/payments-pci.yaml"))
    began = time.monotonic()
    product.eventually(lambda: product.plane().get("digest", digest) != digest, "another policy")
    product.until("True", "Programmed")
    product.report(f"from apply to Programmed: {time.monotonic() - began:.1f} s")
    product.kubectl("-n", "payments", "create", "secret", "generic", "card-key", "--from-literal=key=never-recorded")
    product.kubectl("-n", "payments", "get", "secret", "card-key")
    product.kubectl("-n", "payments", "create", "deployment", "till", "--image=localhost/none", "--replicas=0")
    recorded = {}
    for event in product.events():
        ref = event.get("objectRef", {})
        if ref.get("namespace") == "payments" and event["stage"] == "ResponseComplete":
            recorded[event["verb"], ref["resource"], ref.get("name", "")] = event
    secret = recorded["get", "secrets", "card-key"]
    assert secret["level"] == "Metadata"
    assert "never-recorded" not in json.dumps(list(recorded.values()))
    created = recorded["create", "deployments", "till"]
    assert created["requestObject"]["metadata"]["name"] == "till"
    policy = product.get("-n", "payments", "auditpolicy")["items"][0]
    assert policy["status"]["coverage"]["basis"] == "Running"
    assert policy["status"]["apiServers"] == [{"name": product.cluster.node_name, "programmed": True}]


def test_an_upgrade_leaves_api_servers_alone(product):
    started = product.api_server_started()
    product.shell(
        f"helm upgrade audit-operator charts/audit-operator -n {NAMESPACE} --reuse-values "
        "--set settings.logLevel=DEBUG --wait --timeout 5m"
    )
    product.until("True", "Programmed")
    assert product.api_server_started() == started


def test_pods_keep_to_their_pod_security(product):
    namespace = product.get("namespace", NAMESPACE)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(product.running_pods(NAMESPACE)) >= 2
    assert product.running_pods(AGENTS)


@pytest.mark.parametrize("killed", ["deployment", "daemonset"])
def test_killed_pods_come_back_and_change_nothing(product, killed):
    started = product.api_server_started()
    namespace = {"deployment": NAMESPACE, "daemonset": AGENTS}[killed]
    product.kubectl("-n", namespace, "delete", "pods", "--all", "--grace-period=0", "--force")
    workloads = product.get("-n", namespace, killed)["items"]
    product.kubectl(
        "-n", namespace, "rollout", "status", f"{killed}/{workloads[0]['metadata']['name']}", "--timeout=80s"
    )
    product.until("True", "Programmed")
    assert product.api_server_started() == started
