"""Log lines of an application, read by an injected sidecar on a real node: of a Job, which ends, and of a pod."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.product import NAMESPACE
from tests.e2e.victoria_logs import CREDENTIALS

TEAM = "team"
API = "audit-operator.dev/v1alpha1"
LINES = 100
_WRITE = """
import json, sys, time
with open("/logs/audit.log", "a") as file:
    for number in range(int(sys.argv[2])):
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "user": "ann", "action": "pay",
                "result": "ok", "id": f"{sys.argv[1]}-{number}", "correlationId": "c"}
        file.write(json.dumps(line) + "\\n")
"""


@pytest.fixture(scope="module")
def team(product, victoria_logs):
    """A namespace whose application logs are collected; the store has the first line of an application already."""
    product.kubectl("create", "namespace", TEAM)  # a Role is made in it
    product.shell(
        f"helm upgrade audit-operator charts/audit-operator -n {NAMESPACE} --reuse-values "
        f"--set sidecar.enabled=true,shipper.secretNamespaces={{{TEAM}}} "
        "--set settings.sidecarFiguresSeconds=2 --wait --timeout 5m"
    )
    secret = product.get("-n", NAMESPACE, "secret", CREDENTIALS)
    sink = victoria_logs.sink("store")["spec"]
    spec = {
        "preset": "Baseline",
        "sinkRefs": [{"kind": "AuditSink", "name": "store"}],
        "applicationLogs": {"files": [{"volume": "logs", "path": "*.log"}]},
    }
    began = time.monotonic()
    product.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": CREDENTIALS,
                "namespace": TEAM,
                "annotations": {"audit-operator.dev/sink-address": sink["victoriaLogs"]["url"]},
            },
            "data": secret["data"],
        },
        {
            "apiVersion": API,
            "kind": "AuditSink",
            "metadata": {"name": "store", "namespace": TEAM},
            "spec": {**sink, "credentials": {"type": "Basic", "secretRef": {"name": CREDENTIALS}}},
        },
        {"apiVersion": API, "kind": "AuditPolicy", "metadata": {"name": "logs", "namespace": TEAM}, "spec": spec},
    )
    product.eventually(lambda: "audit-shipper-logs" in product.kubectl("-n", TEAM, "get", "configmap"), "its ConfigMap")
    # Now the operator knows the policy; a pod that came before would have no sidecar.
    create_pod(product, "first", 1)
    product.eventually(lambda: ids(victoria_logs, "first"), "the first line in the store")
    took = time.monotonic() - began
    product.report(f"from apply of policy and sink to an application's first line in the store: {took:.1f} s")
    product.kubectl("-n", TEAM, "delete", "pod", "first", "--wait=true")
    return victoria_logs


def pod(product, name, lines, *, stays):
    """A pod that writes lines, and ends or stays; its image is ours, which is on the node."""
    [operator] = product.get("-n", NAMESPACE, "deployment", "audit-operator")["spec"]["template"]["spec"]["containers"]
    script = _WRITE + ("\ntime.sleep(100000)\n" if stays else "")
    return {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
        "containers": [
            {
                "name": "app",
                "image": operator["image"],
                "imagePullPolicy": operator["imagePullPolicy"],
                "command": ["/usr/bin/python3.11", "-c", script, name, str(lines)],
                "volumeMounts": [{"name": "logs", "mountPath": "/logs"}],
            }
        ],
        "volumes": [{"name": "logs", "emptyDir": {}}],
    }


def create_pod(product, name, lines):
    """One that stays."""
    metadata = {"name": name, "namespace": TEAM}
    product.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod(product, name, lines, stays=True)}
    )


def ids(store, name):
    """Ids of the records of one pod, in the store; audit events that speak of it lie there, too."""
    records = store.records(f'"{name}-0" OR "{name}"*')
    found = {json.loads(each["_msg"]).get("id", "") for each in records if each["_msg"].startswith("{")}
    return {each for each in found if each.startswith(f"{name}-")}


def test_a_job_ends_and_all_of_its_lines_are_in_the_store(product, team):
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once", "namespace": TEAM},
        "spec": {"backoffLimit": 0, "template": {"spec": pod(product, "once", LINES, stays=False)}},
    }
    product.apply(job)

    def complete():
        conditions = product.get("-n", TEAM, "job", "once").get("status", {}).get("conditions", [])
        return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)

    product.eventually(complete, "the Job to end, and its sidecar with it")
    product.eventually(lambda: len(ids(team, "once")) == LINES, "all lines in the store", patience=60.0)


def test_a_pod_is_ready_with_its_sidecar_and_counted_and_has_no_token_in_it(product, team):
    create_pod(product, "stays", LINES)
    product.kubectl("-n", TEAM, "wait", "--for=condition=Ready", "--timeout=120s", "pod/stays")
    product.eventually(lambda: len(ids(team, "stays")) == LINES, "all lines in the store")
    [sidecar] = product.get("-n", TEAM, "pod", "stays")["spec"]["initContainers"]
    mounts = {each["mountPath"]: each["name"] for each in sidecar["volumeMounts"]}
    assert mounts["/var/run/secrets/kubernetes.io/serviceaccount"] == "audit-shipper-config-logs"

    def counted():
        found = product.get("-n", TEAM, "auditpolicy", "logs").get("status", {}).get("sidecars", {})
        # The operator has asked it, from a pod of its own to a pod of somebody else.
        return (found.get("expected"), found.get("injected"), found.get("answering")) == (1, 1, 1)

    product.eventually(counted, "status to count it, and its sidecar to answer")
    product.kubectl("-n", TEAM, "exec", "stays", "-c", "app", "--", "/usr/bin/python3.11", "-c", _WRITE, "later", "5")
    product.eventually(lambda: len(ids(team, "later")) == 5, "what was written later")
    product.report("an application's lines reached the store through an injected sidecar, of a pod and of a Job")


def test_credentials_go_with_their_sink(product, team):  # noqa: ARG001  # has made it
    def secrets():
        return product.kubectl("-n", TEAM, "get", "secrets", "--output=name").split()

    assert "secret/audit-shipper-logs" in secrets()
    product.kubectl("-n", TEAM, "delete", "auditsink", "store")
    product.eventually(lambda: "secret/audit-shipper-logs" not in secrets(), "the copy of its credentials to go")
