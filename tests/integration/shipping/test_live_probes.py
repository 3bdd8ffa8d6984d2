"""Coverage proved live: every verdict of a mixed policy, by records read back; and what breaks is seen."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

from audit_operator.proof.selecting import PROBER
from tests.integration.conftest import install_crds
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.integration.shipping.collector import binary
from tests.integration.shipping.door import Door
from tests.integration.shipping.victoria_logs import victoria_logs

MAIN = thing("AuditControlPlane", "main", {"default": True, "driver": "Process", "probes": {"enabled": True}})
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
SECRETS = {"group": "", "resources": ["secrets", "serviceaccounts/token"]}
BASELINE = {
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"], "resources": [{"group": "", "resources": ["configmaps"]}]},
        {"level": "Metadata", "omitStages": ["RequestReceived"]},
    ],
    "sinkRefs": TO_CENTRAL,
}
PCI = {
    "rules": [
        {"level": "Metadata", "resources": [SECRETS]},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete"]},
    ],
    "sinkRefs": TO_CENTRAL,
}
PCI_POLICY = ("auditpolicies", "pci", "payments")
FAST = {
    "probe_seconds": "8",
    "probes_per_second": "100",
    "probe_patience_seconds": "15",
    "probe_settle_seconds": "3",
}


@pytest.fixture
def cluster(private_control_plane, tmp_path):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    install_crds(control_plane)
    for namespace in (NAMESPACE, "payments"):
        control_plane.create_namespace(namespace)
    control_plane.kubectl("create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", f"--user={USER}")
    control_plane.kubectl("create", "serviceaccount", PROBER, "-n", NAMESPACE)
    operator = OperatorProcess(control_plane)
    with victoria_logs(tmp_path) as url, door_to(url) as door:
        store = {"type": "VictoriaLogs", "victoriaLogs": {"url": door.url}}
        control_plane.apply(
            MAIN,
            thing("ClusterAuditSink", "central", store),
            thing("ClusterAuditPolicy", "baseline", BASELINE),
            thing("AuditPolicy", "pci", PCI, "payments"),
        )
        operator.start(collector=str(binary()), **FAST)
        yield operator, door
        operator.stop_all()


def coverage(operator):
    return operator.status(*PCI_POLICY).get("coverage", {})


def everything_is_proved(operator):
    """All that can be: this API server takes no anonymous requests."""
    said = coverage(operator)
    outcomes = {(each["action"], each["outcome"]) for each in said.get("proof", {}).get("findings", [])}
    unproved = {action for action, _ in outcomes}
    return said.get("verified", 0) > 30 and said["verified"] + len(unproved) == said["total"] and outcomes


@contextmanager
def door_to(url):
    """A way to the store that can be shut, in a thread of its own."""
    door, up, down = Door(url), threading.Event(), threading.Event()
    door.closed_with = 503

    async def serve():
        async with door.open():
            up.set()
            await asyncio.to_thread(down.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert up.wait(60)
        yield door
    finally:
        down.set()
        thread.join(60)


def found(operator, outcome):
    """What was found out that way, by action."""
    findings = coverage(operator).get("proof", {}).get("findings", [])
    return {each["action"]: each for each in findings if each["outcome"] == outcome}


def test_every_verdict_is_proved_and_what_breaks_is_seen_and_gone_after_the_mend(cluster):
    world, door = cluster
    outcomes = eventually(lambda: everything_is_proved(world), "all verdicts to be proved")
    assert outcomes == {("anonymous-access", "Unknown")}
    assert world.condition("Shipping", *PCI_POLICY) == ("True", "Shipping")
    whole = world.status("clusterauditpolicies", "baseline")["coverage"]
    assert whole["proof"]["contradicted"] == whole["proof"]["missing"] == 0

    # The sink answers 503 to whoever writes.
    door.closed = ("/insert",)
    missed = eventually(lambda: found(world, "Missing").get("cronjob-job-change"), "records to be missed")
    assert missed["sink"] == "ClusterAuditSink central"
    eventually(lambda: world.condition("Shipping", *PCI_POLICY)[0] == "False", "the condition to say so")
    door.closed = ()
    eventually(lambda: everything_is_proved(world) == outcomes, "all verdicts to be proved again")
    world.until("Shipping", ("True", "Shipping"), *PCI_POLICY)

    # The API server stays with a policy that is not the one that is asked for, and that status speaks of.
    paused = {**MAIN, "spec": {**MAIN["spec"], "rollout": {"paused": True}}}
    world.control_plane.apply(paused)
    world.control_plane.apply(thing("AuditPolicy", "pci", {**PCI, "rules": [{"level": "Request"}]}, "payments"))
    other = eventually(lambda: found(world, "Contradicted").get("pod-exec"), "the level to be contradicted")
    assert "level: predicted Request at" in other["message"]
    assert "found Metadata at" in other["message"]
    world.until("Shipping", ("False", "ProbeContradicted"), *PCI_POLICY)
    world.control_plane.apply({**MAIN, "spec": {**MAIN["spec"], "rollout": {"paused": False}}})
    eventually(lambda: everything_is_proved(world) == outcomes, "all verdicts of the new policy to be proved")
    world.until("Shipping", ("True", "Shipping"), *PCI_POLICY)
