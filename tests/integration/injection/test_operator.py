"""The operator, with the rights that the chart gives it, beside the chart's MutatingAdmissionPolicy."""

from __future__ import annotations

import base64
import json

import pytest

from audit_operator.api.references import ADDRESS_ANNOTATION
from audit_operator.controller.sidecar_objects import COMPONENT_LABEL
from audit_operator.controlplane.local_control_plane import ClusterUser
from tests.chart.helm import CHART, NAMESPACE
from tests.integration.control_plane import OPERATOR
from tests.integration.injection.conftest import SIDECARS, is_injecting
from tests.integration.operator_process import USER, OperatorProcess, eventually, thing
from tests.integration.shipping.collector import binary
from tests.shipping.injection.pods import pod, policy

SINK_URL = "https://logs.example:9428"
SINK = {"type": "VictoriaLogs", "victoriaLogs": {"url": SINK_URL}}

PLANE = thing("AuditControlPlane", "main", {"default": True, "driver": "Observe", "observe": {"provider": "EKS"}})


class Cluster(OperatorProcess):
    """With the chart installed."""

    def sidecars(self, name="pci", namespace="payments"):
        return self.status("auditpolicies", name, namespace).get("sidecars", {})

    def until_counted(self, what, *figures, name="pci", namespace="payments"):
        def counted():
            found = self.sidecars(name, namespace)
            return [found.get(each) for each in ("expected", "injected", "stale", "missing")] == list(figures)

        eventually(counted, f"{what}: {figures}, not {self.sidecars(name, namespace)}")

    def create(self, document, name, namespace="payments", **metadata):
        body = {**document, "metadata": {**document["metadata"], "name": name, **metadata}}
        response = self.control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)
        assert response.status == 201, response.body
        return response.json()

    def config_map(self, name="audit-shipper-pci", namespace="payments"):
        response = self.control_plane.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        return response.json() if response.status == 200 else None


@pytest.fixture
def cluster(private_control_plane, helm):
    mine = private_control_plane(users=(OPERATOR, ClusterUser(USER)))
    values = [option for value in (*SIDECARS, "sidecar.mechanism=AdmissionPolicy") for option in ("--set", value)]
    values += ["--set", "shipper.secretNamespaces={payments}"]
    config = ["--kubeconfig", mine.kubeconfig(), "--namespace", NAMESPACE, "--create-namespace"]
    mine.create_namespace("payments")
    helm.run("install", "audit-operator", CHART, *values, *config)
    cluster = Cluster(mine)
    yield cluster
    cluster.stop_all()


def start(cluster, **settings):
    """As the chart's Deployment would."""
    deployment = cluster.control_plane.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/audit-operator")
    [operator] = deployment["spec"]["template"]["spec"]["containers"]
    [text] = [each["value"] for each in operator["env"] if each["name"] == "AUDIT_OPERATOR_SIDECAR"]
    # A colon in a path would be taken for the end of one of several paths.
    kubeconfig = cluster.control_plane.plane.folder / "kubeconfig-of-the-operator"
    kubeconfig.write_text(cluster.control_plane.kubeconfig(OPERATOR.name).read_text())
    settings = {"collector": str(binary()), **settings}
    return cluster.start(kubeconfig=str(kubeconfig), sidecar=text, process_folder="", **settings)


def logs(**more):
    document = policy(**more)
    document["spec"]["sinkRefs"] = [{"kind": "AuditSink", "name": "logs"}]
    return document


def test_pods_are_counted_and_what_their_sidecars_read_is_there(cluster):
    server = cluster.control_plane
    cluster.create(pod(), "before")
    start(cluster, sidecar_figures_seconds="0.5")
    server.apply(PLANE, thing("AuditSink", "logs", SINK, "payments"), logs())
    cluster.until_counted("one pod was there before the policy", 1, 0, 0, 1)
    assert [each["reason"] for each in cluster.sidecars()["reasons"]] == ["OlderThanPolicy"]
    cluster.until("Shipping", ("False", "SidecarsMissing"), "auditpolicies", "pci", "payments")
    eventually(lambda: is_injecting(server, "payments", "pci"), "injection")

    cluster.create(pod(), "after")
    cluster.create(pod({"labels": {"audit-operator.dev/inject": "false"}}), "opted-out")
    cluster.create(pod(volumes=None, containers=[{"name": "app", "image": "app:1"}]), "without-volumes")
    cluster.until_counted("three pods are meant", 3, 1, 0, 2)
    written = cluster.config_map()
    assert json.loads(written["data"]["figures.json"]) == {"policy": "payments/pci"}
    assert "file_log" in written["data"]["config.yaml"]
    assert written["metadata"]["ownerReferences"][0]["name"] == "pci"

    server.kubectl("delete", "pod", "-n", "payments", "before", "without-volumes", "--force", "--grace-period=0")
    cluster.until_counted("one is left", 1, 1, 0, 0)
    assert "reasons" not in cluster.sidecars()

    # At the operator's own addresses no pod is asked, whatever its status says: so it counts as silent.
    where = json.dumps({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "hostIP": "10.0.0.1"}})
    server.kubectl("patch", "pod", "-n", "payments", "after", "--subresource=status", "--type=merge", "-p", where)
    cluster.until("Shipping", ("Unknown", "SidecarsSilent"), "auditpolicies", "pci", "payments")
    assert cluster.sidecars()["answering"] == 0
    assert [each["id"] for each in cluster.sidecars()["findings"]] == ["sidecars-silent"]

    # Whoever throws away or changes what sidecars read gets it back, and nothing is written otherwise.
    changed = logs(files=[{"volume": "other", "path": "a.log"}])
    server.apply(changed)
    cluster.until_counted("another volume is wanted", 1, 0, 1, 0)
    assert [each["reason"] for each in cluster.sidecars()["reasons"]] == ["Stale"]
    eventually(lambda: cluster.config_map()["data"] != written["data"], "the changed configuration, once it is tried")

    without = logs()
    del without["spec"]["applicationLogs"]
    server.apply(without)
    eventually(lambda: cluster.config_map() is None, "the ConfigMap goes with applicationLogs")
    eventually(lambda: not cluster.sidecars(), "no sidecars in status")


def test_credentials_of_the_namespaces_own_sink_reach_the_pod_and_follow_the_secret(cluster):
    server = cluster.control_plane
    start(cluster)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "store", "namespace": "payments", "annotations": {ADDRESS_ANNOTATION: SINK_URL}},
        "stringData": {"token": "first"},
    }
    credentials = {"type": "Bearer", "secretRef": {"name": "store"}}
    server.apply(secret, thing("AuditSink", "logs", {**SINK, "credentials": credentials}, "payments"), logs())

    def files():
        response = server.request("GET", "/api/v1/namespaces/payments/secrets/audit-shipper-pci")
        if response.status != 200:
            return None
        content = json.loads(base64.b64decode(response.json()["data"]["sidecar.json"]))
        return {path: base64.b64decode(text).decode() for path, text in content["files"].items()}

    found = eventually(files, "the Secret")
    assert list(found.values()) == ["Bearer first"]
    [path] = found
    assert path in cluster.config_map()["data"]["config.yaml"]
    server.apply({**secret, "stringData": {"token": "second"}})
    eventually(lambda: list((files() or {}).values()) == ["Bearer second"], "the new token")
    # A sink that is gone leaves nothing behind that pods could go on writing to it with.
    server.kubectl("delete", "auditsink", "-n", "payments", "logs")
    eventually(lambda: files() is None and cluster.config_map() is None, "the credentials go with the sink")
    log = (server.plane.folder / "operator-0.log").read_text()
    assert "first" not in log
    assert "second" not in log


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_object_that_somebody_else_has_under_the_name_stays_as_it_is_and_the_policy_says_so(cluster, kind):
    server = cluster.control_plane
    name = {"name": "audit-shipper-pci", "namespace": "payments"}
    server.apply({"apiVersion": "v1", "kind": kind, "metadata": name, "data": {"a": "Yg=="}})
    document = logs()
    document["spec"]["redaction"] = {"pseudonymize": ["Username"]}
    start(cluster)
    server.apply(thing("AuditSink", "logs", SINK, "payments"), document)

    def findings():
        return [each["id"] for each in cluster.sidecars().get("findings", ())]

    eventually(lambda: findings() == ["sidecar-name-taken"], "the name is taken")
    cluster.until("Shipping", ("False", "SidecarsMissing"), "auditpolicies", "pci", "payments")
    path = f"/api/v1/namespaces/payments/{kind.lower()}s/audit-shipper-pci"
    server.apply({**document, "spec": {**document["spec"], "sinkRefs": []}})
    eventually(lambda: findings() == ["application-logs-not-shipped"], "there is no sink")
    found = server.get(path)
    assert found["data"] == {"a": "Yg=="}
    assert "ownerReferences" not in found["metadata"]


def test_where_the_operator_may_write_no_secret_a_policy_that_needs_one_claims_nothing(cluster):
    server = cluster.control_plane
    server.create_namespace("elsewhere")
    document = logs(namespace="elsewhere")
    document["spec"]["redaction"] = {"pseudonymize": ["Username"]}
    start(cluster)
    server.apply(PLANE, thing("AuditSink", "logs", SINK, "elsewhere"), document)
    cluster.until("Shipping", ("False", "SidecarsMissing"), "auditpolicies", "pci", "elsewhere")
    eventually(lambda: is_injecting(server, "elsewhere", "pci"), "injection")
    cluster.create(pod(), "web", "elsewhere")
    cluster.until_counted("its sidecar waits for ever", 1, 0, 0, 1, namespace="elsewhere")
    assert [each["id"] for each in cluster.sidecars("pci", "elsewhere")["findings"]] == ["sidecar-not-configured"]
    assert cluster.config_map(namespace="elsewhere") is None


def test_a_second_operator_finds_everything_as_it_is_and_writes_nothing(cluster):
    server = cluster.control_plane
    first = start(cluster)
    server.apply(thing("AuditSink", "logs", SINK, "payments"), logs())
    eventually(cluster.config_map, "the ConfigMap")
    cluster.until_counted("no pods", 0, 0, 0, 0)
    version = cluster.config_map()["metadata"]["resourceVersion"]
    first.terminate()
    first.wait(60)
    # What was left behind by a policy that has gone meanwhile is removed.
    left = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "audit-shipper-gone",
            "namespace": "payments",
            "labels": {COMPONENT_LABEL: "audit-shipper-sidecar"},
            "ownerReferences": [
                {
                    "apiVersion": "audit-operator.dev/v1alpha1",
                    "kind": "AuditPolicy",
                    "name": "gone",
                    "uid": "00000000-0000-0000-0000-000000000000",
                    "controller": True,
                }
            ],
        },
    }
    metadata = {**left["metadata"], "name": "audit-shipper-theirs"}
    server.apply(left, {**left, "metadata": metadata})
    start(cluster)
    eventually(lambda: cluster.config_map("audit-shipper-gone") is None, "what nobody wants goes")
    assert cluster.config_map("audit-shipper-theirs")
    assert cluster.config_map()["metadata"]["resourceVersion"] == version


def test_names_that_do_not_fit_and_broken_policies_keep_no_pod_from_being_made(cluster):
    server = cluster.control_plane
    start(cluster)
    server.apply(thing("AuditSink", "logs", SINK, "payments"), logs(name="a" * 43), logs(name="b.c"))
    cluster.create(pod(), "web")
    for name in ("a" * 43, "b.c"):
        cluster.until_counted("the name does not fit", 1, 0, 0, 1, name=name)
        assert cluster.sidecars(name)["reasons"][0]["reason"] == "NameDoesNotFit"
