"""The end: what the product was allowed to do it has done, and nothing else was asked; then it goes, without a trace.

Runs after all that need what is taken away here.
"""

from __future__ import annotations

import pytest

from tests.e2e.node.waiting import wait_for
from tests.e2e.product import AGENTS, FOLDER, NAMESPACE, PLANE
from tests.e2e.readme import ROOT

VALUES = "--set nodeAgent.enabled=true --wait --timeout 5m"
CREATED = 201
SERVICE_ACCOUNTS = {
    f"system:serviceaccount:{NAMESPACE}:audit-operator",
    f"system:serviceaccount:{AGENTS}:audit-operator-agent",
    f"system:serviceaccount:{AGENTS}:audit-operator-shipper",
}


def rules(product):
    """Everything that the chart has granted: (service account, verb, group, resource)."""
    selector = ("-A", "-l", "app.kubernetes.io/instance=audit-operator")
    roles = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each.get("rules") or []
        for each in product.get("clusterroles,roles", *selector)["items"]
    }
    for binding in product.get("clusterrolebindings,rolebindings", *selector)["items"]:
        ref, namespace = binding["roleRef"], binding["metadata"].get("namespace", "")
        granted = roles[ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"]]
        for subject in binding["subjects"]:
            user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
            for rule in granted:
                for verb in rule["verbs"]:
                    for group in rule.get("apiGroups", []):
                        for resource in rule.get("resources", []):
                            yield user, verb, group, resource


def asked(product):
    """Everything that was asked for, with how the answers began; an apply that made an object is a create, too."""
    for event in product.events():
        user, ref = event["user"].get("username", ""), event.get("objectRef")
        if user in SERVICE_ACCOUNTS and ref is not None and event["stage"] in {"ResponseStarted", "ResponseComplete"}:
            resource = ref["resource"] + (f"/{ref['subresource']}" if ref.get("subresource") else "")
            yield (user, event["verb"], ref.get("apiGroup", ""), resource), event
            if event["verb"] == "patch" and event["responseStatus"]["code"] == CREATED:
                yield (user, "create", ref.get("apiGroup", ""), resource), event


def is_after_a_conflict(right):
    """One that is needed only when an object is made anew while its status is being written."""
    _, verb, group, resource = right
    return verb == "get" and group == "audit-operator.dev" and "/" not in resource


def test_every_right_is_used_and_nothing_was_refused(product):
    """Counted from the audit log that the product itself has set up, over all the tests before this one."""
    product.kubectl("-n", NAMESPACE, "delete", "lease", "--all")  # so that their creation is recorded, too
    product.kubectl("-n", NAMESPACE, "delete", "pods", "--all", "--wait")
    product.kubectl("-n", AGENTS, "delete", "pods", "--all", "--wait")
    if "payments" not in product.kubectl("get", "namespaces"):
        product.kubectl("create", "namespace", "payments")
    for sample in ("payments-pci.yaml", "sinks.yaml"):
        product.kubectl("apply", "-f", str(ROOT / "manifests" / "samples" / sample))
    product.change_policy("rights")
    product.until("True", "Programmed")
    granted = set(rules(product))
    used, refused = set(), set()
    for right, event in asked(product):
        # Just after it has come up, an API server may not know all roles yet, and refuses what it allows soon after.
        if event["responseStatus"]["code"] in {401, 403} and right not in granted:
            refused.add((right, event["responseStatus"].get("message", "")))
        used.add(right)
    assert refused == set()
    assert {right for right in granted - used if not is_after_a_conflict(right)} == set()


def test_by_default_uninstalling_keeps_recording(product):
    manifest, started = product.manifest(), product.api_server_started()
    product.shell(f"helm uninstall audit-operator -n {NAMESPACE} --wait --timeout 5m")
    assert product.manifest() == manifest
    assert product.api_server_started() == started
    assert product.get("auditcontrolplane", PLANE)
    # Helm waits for what it has made; pods are ended after that, by the garbage collector.
    wait_for("the end of the operator's pods", lambda: product.running_pods(NAMESPACE) == [])


def test_installed_anew_it_takes_over_what_it_finds(product):
    started = product.api_server_started()
    product.shell(f"helm install audit-operator charts/audit-operator -n {NAMESPACE} {VALUES}")
    product.until("True", "Programmed")
    assert product.api_server_started() == started


def test_uninstalling_can_give_back_what_was_there(product):
    original = product.on_node("cat", f"{FOLDER}/original.yaml")
    product.shell(
        f"helm upgrade audit-operator charts/audit-operator -n {NAMESPACE} {VALUES} --set nodeAgent.onUninstall=Restore"
    )
    with product.availability() as availability:
        product.shell(f"helm uninstall audit-operator -n {NAMESPACE} --wait=legacy --timeout 9m")
    product.report(f"unenrolment: {availability.gap:.1f} s without a ready API server")
    assert "--audit-" not in product.manifest()
    assert product.manifest().replace("    - --v=1\n", "") == original


@pytest.mark.parametrize("namespace", [NAMESPACE, AGENTS])
def test_nothing_is_stuck_in_deletion(product, namespace):
    product.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=80s")
    assert f"namespace/{namespace}" not in product.kubectl("get", "namespaces", "--output=name").split()
    product.kubectl("delete", "auditcontrolplane", "--all", "--timeout=60s")
