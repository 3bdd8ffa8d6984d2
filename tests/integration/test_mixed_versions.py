"""A control plane in the middle of an upgrade: real API servers of two minors, of which one knows less."""

from __future__ import annotations

import json
import ssl
import urllib.request
import uuid

import pytest

from audit_operator.controlplane.local_control_plane import ClusterUser
from audit_operator.controlplane.preflight import Verdict, preflight
from tests.integration.conftest import install_crds
from tests.integration.operator_process import BASELINE, NAMESPACE, OperatorProcess, eventually, thing
from tests.integration.simulated_nodes import SimulatedNodes

OPERATOR = ClusterUser("operator", ("system:masters",))
AGENT = ClusterUser("agent", ("system:masters",))
PLANE = thing("AuditControlPlane", "main", {"default": True, "driver": "StaticPod", "log": {"maxSize": 100}})
TENANT = "payments"
ANYWHERE = {"level": "RequestResponse", "resources": [{"group": "*", "resources": ["deployments"]}]}
WILD = thing("AuditPolicy", "deployments", {"rules": [ANYWHERE, {"level": "Metadata"}]}, TENANT)
WILDER = thing("AuditPolicy", "deployments", {"rules": [ANYWHERE, {"level": "Request"}]}, TENANT)

SECRET = ("/api/v1/namespaces/payments/secrets", {"stringData": {"password": "hunter2"}})
LABELS = {"app": "one"}
POD = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "one", "image": "one"}]}}
DEPLOYMENT = (
    "/apis/apps/v1/namespaces/payments/deployments",
    {"spec": {"selector": {"matchLabels": LABELS}, "template": POD}},
)
GADGET = ("/apis/example.com/v1/namespaces/payments/gadgets", {"apiVersion": "example.com/v1", "kind": "Gadget"})


@pytest.fixture
def nodes(private_control_plane, older_api_server, tmp_path):
    """Nodes cp-0, of the newest minor, and cp-1, which is still to be upgraded."""
    control_plane = private_control_plane(users=(OPERATOR, AGENT))
    install_crds(control_plane)
    control_plane.create_namespace(NAMESPACE)
    control_plane.create_namespace(TENANT)
    binaries = [control_plane.assets.kube_apiserver, older_api_server]
    with SimulatedNodes(control_plane, 2, tmp_path, binaries) as nodes:
        for node, version in zip(nodes.nodes, ("v1.37.2", "v1.35.4"), strict=True):
            kubelet = json.dumps({"status": {"nodeInfo": {"kubeletVersion": version}}})
            control_plane.kubectl("patch", "node", node.name, "--subresource=status", "--type=merge", "-p", kubelet)
        eventually(lambda: all(nodes.ready(node) for node in nodes.nodes), "two ready API servers")
        yield nodes


@pytest.fixture
def operator(nodes):
    running = OperatorProcess(nodes.control_plane)
    start(running, nodes)
    yield running
    running.stop_all()


def start(operator, nodes):
    operator.start(kubeconfig=str(nodes.kubeconfig("operator")), lease_seconds="15")


def start_agents(nodes):
    for node in nodes.nodes:
        node.start_agent(nodes.kubeconfig("agent"), NAMESPACE)


def upgrade(nodes):
    """What kubeadm does: another image in the manifest."""
    older = nodes.nodes[1]
    older.kubelet.binary = nodes.control_plane.assets.kube_apiserver
    manifest = older.manifest.read_text()
    whole = older.manifest.with_name(".upgraded")
    whole.write_text(manifest.replace("image: localhost/kube-apiserver", "image: localhost/upgraded"))
    whole.replace(older.manifest)  # or the kubelet reads half of it


def status(operator):
    return operator.status("auditcontrolplanes", "main")


def servers(operator):
    return {each["name"]: each for each in status(operator)["apiServers"]}


def until_programmed(operator):
    operator.until("Programmed", ("True", "Programmed"), "auditcontrolplanes", "main")


def findings(operator):
    """Ids of the findings on the control plane, and on the tenant's policy."""
    own = operator.status("auditpolicies", "deployments", TENANT).get("composition", {}).get("findings", [])
    return {each["id"] for each in status(operator).get("findings", [])}, {each["id"] for each in own}


def published(nodes):
    """Every policy that any node was ever told to run."""
    found = nodes.control_plane.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps")["items"]
    return [each["data"]["policy.yaml"] for each in found if "policy.yaml" in each.get("data", {})]


def recorded(nodes, node, what):
    """The event for a create that one API server is asked for; nothing is stored."""
    path, body = what
    audit_id = str(uuid.uuid4())
    plane = nodes.control_plane.plane
    request = urllib.request.Request(
        f"https://127.0.0.1:{node.port}{path}?dryRun=All",
        data=json.dumps({**body, "metadata": {"name": "one"}}).encode(),
        headers={"Authorization": f"Bearer {plane.token()}", "Content-Type": "application/json", "Audit-ID": audit_id},
    )
    context = ssl.create_default_context(cafile=plane.ca_file)
    urllib.request.urlopen(request, timeout=10, context=context).close()  # noqa: S310  # https, loopback

    def events():
        lines = map(json.loads, node.audit_log.read_text().splitlines())
        return [each for each in lines if each["auditID"] == audit_id and each["stage"] == "ResponseComplete"]

    [event] = eventually(events, f"an event about {path} on {node.name}")
    return event


def levels(nodes, what):
    return [recorded(nodes, node, what)["level"] for node in nodes.nodes]


def test_until_the_last_upgrade_all_run_what_the_oldest_reads_and_nothing_is_recorded_less(
    nodes, operator, older_api_server
):
    gadgets = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    nodes.control_plane.apply(gadgets, BASELINE, WILD, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    assert {each["runningDigest"] for each in servers(operator).values()} == {status(operator)["digest"]}
    assert [servers(operator)[name]["version"] for name in ("cp-0", "cp-1")] == ["v1.37.2", "v1.35.4"]
    on_plane, on_policy = findings(operator)
    assert on_plane == {"mixed-versions", "recorded-above-asked-until-upgrade"}
    assert on_policy == {"newer-than-api-servers", "recorded-above-asked-until-upgrade"}
    assert levels(nodes, DEPLOYMENT) == ["RequestResponse", "RequestResponse"]
    assert levels(nodes, GADGET) == ["RequestResponse", "RequestResponse"]
    assert levels(nodes, SECRET) == ["Metadata", "Metadata"]

    operator.stop_all()
    before = status(operator)["digest"]
    start(operator, nodes)  # another one that has seen nobody yet
    nodes.control_plane.apply(WILDER)
    eventually(lambda: status(operator)["digest"] != before, "another policy")
    until_programmed(operator)
    assert all(preflight(older_api_server, text).flawless for text in published(nodes))

    mixed = status(operator)["digest"]
    upgrade(nodes)
    eventually(lambda: status(operator)["digest"] != mixed, "the policy to follow the upgrade")
    until_programmed(operator)
    assert servers(operator)["cp-1"]["version"] == "v1.37.2"
    assert findings(operator) == (set(), set())
    exact = (nodes.nodes[1].agent_folder / "policies" / f"policy-{status(operator)['digest']}.yaml").read_text()
    assert 'group: "*"' in exact
    assert preflight(older_api_server, exact).verdict is Verdict.REFUSED
    assert levels(nodes, DEPLOYMENT) == ["RequestResponse", "RequestResponse"]
    assert levels(nodes, GADGET) == ["Request", "Request"]


def test_where_a_newer_version_is_declared_falsely_the_older_api_server_keeps_what_it_has(nodes, operator):
    nodes.control_plane.apply(BASELINE, PLANE)
    start_agents(nodes)
    until_programmed(operator)
    good = status(operator)["digest"]
    newer, older = nodes.nodes
    restarts = older.kubelet.restarts
    nodes.control_plane.apply(WILD, {**PLANE, "spec": {**PLANE["spec"], "kubernetesVersion": "1.37"}})
    operator.until("Programmed", ("False", "PolicyRefused"), "auditcontrolplanes", "main")
    assert "RFC 1123" in servers(operator)["cp-1"]["lastError"]
    assert findings(operator)[0] == {"declared-version-too-new"}
    eventually(lambda: all(nodes.ready(node) for node in nodes.nodes), "both to be ready")
    assert servers(operator)["cp-1"]["runningDigest"] == good
    assert older.kubelet.restarts == restarts

    upgrade(nodes)  # which makes the declaration true
    until_programmed(operator)
    assert {each["runningDigest"] for each in servers(operator).values()} == {status(operator)["digest"]}
    assert newer.audit_log.stat().st_size > 0
