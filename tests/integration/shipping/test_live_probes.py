"""Coverage proved live: every verdict of a mixed policy, by records read back; and what breaks is seen."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import pytest

from audit_operator.cli import main
from audit_operator.proof.selecting import PROBER
from tests.integration.conftest import prepare_for_operator
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
    "detections": [
        {"name": "refusals", "preset": "ForbiddenBurst"},
        {"name": "binding", "preset": "ClusterAdminBinding"},
    ],
}
PCI = {
    "rules": [
        {"level": "Metadata", "resources": [SECRETS]},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete"]},
    ],
    "sinkRefs": TO_CENTRAL,
    "compliance": {"frameworks": ["PCI-DSS-4"]},
}
OF_ADMINISTRATORS = "10.2.1.2"
PCI_POLICY = ("auditpolicies", "pci", "payments")
FAST = {
    "probe_seconds": "8",
    "probes_per_second": "100",
    "probes_without_name": "10000",
    "probe_patience_seconds": "15",
    "probe_settle_seconds": "3",
}


@pytest.fixture
def cluster(private_control_plane, tmp_path):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane, "payments")
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


def error_rate(operator):
    return operator.status(*PCI_POLICY).get("metrics", {}).get("loggingErrorRate")


def time_to_detect(operator):
    said = operator.status("clusterauditpolicies", "baseline").get("metrics", {})
    return said if "meanTimeToDetect" in said else None


def latency(operator):
    return operator.status(*PCI_POLICY)["shipping"][0].get("latency", {})


def everything_is_proved(operator):
    """All that can be: this API server takes no anonymous requests."""
    said = coverage(operator)
    outcomes = {(each["action"], each["outcome"]) for each in said.get("proof", {}).get("findings", [])}
    unproved = {action for action, _ in outcomes}
    return said.get("verified", 0) > 30 and said["verified"] + len(unproved) == said["total"] and outcomes


def failing(operator):
    """Ids of controls that fail, as status has it; that of this spec alone."""
    [pci] = operator.status(*PCI_POLICY)["compliance"]
    return pci.get("failing", [])


def judged(operator, control):
    """A control as the command line judges it in this cluster."""
    kubeconfig = str(operator.control_plane.kubeconfig())
    with redirect_stdout(StringIO()) as printed:
        assert main(["compliance", "--kubeconfig", kubeconfig, "-n", "payments", "-o", "json"]) == 0
    [pci] = json.loads(printed.getvalue())["frameworks"]
    return next(each for each in pci["controls"] if each["id"] == control)


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
    # A store that is slow to answer once leaves an action unknown until the next round.
    outcomes = {("anonymous-access", "Unknown")}
    eventually(lambda: everything_is_proved(world) == outcomes, "all verdicts to be proved")
    assert world.condition("Shipping", *PCI_POLICY) == ("True", "Shipping")
    eventually(lambda: error_rate(world) == "0%" and latency(world), "the figures of the way")
    assert set(latency(world)) == {"p50", "p95", "p99"}
    eventually(lambda: OF_ADMINISTRATORS not in failing(world), "the control not to fail")
    proved = judged(world, OF_ADMINISTRATORS)
    assert (proved["verdict"], proved["proof"]) == ("Pass", "Verified")
    assert proved["provedOn"] == coverage(world)["proof"]["oldest"]
    whole = eventually(
        lambda: world.status("clusterauditpolicies", "baseline")["coverage"]["proof"], "all that is proved"
    )
    assert whole["contradicted"] == whole["missing"] == 0

    # A detection that refused requests are about is measured, and the other one is said not to be.
    measured = eventually(lambda: time_to_detect(world), "a detection to be measured")
    assert measured["meanTimeToDetect"] in {"1s", "2s", "5s", "10s", "20s", "30s"}
    assert measured["unmeasuredDetections"] == ["binding"]

    # The sink answers 503 to whoever writes.
    door.closed = ("/insert",)
    missed = eventually(lambda: found(world, "Missing").get("cronjob-job-change"), "records to be missed")
    assert missed["sink"] == "ClusterAuditSink central"
    eventually(lambda: world.condition("Shipping", *PCI_POLICY)[0] == "False", "the condition to say so")
    assert error_rate(world) != "0%"
    eventually(lambda: latency(world)["p99"] == "missing", "what is missing to count as late")
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
    # Exec is what this control is about, and the policy would pass it.
    eventually(lambda: OF_ADMINISTRATORS in failing(world), "the control to fail")
    control = judged(world, OF_ADMINISTRATORS)
    assert (control["verdict"], control["proof"]) == ("Fail", "Contradicted")
    [line] = [each for each in control["evidence"] if each["source"] == "coverage/pod-exec"]
    assert "pod-exec is Covered" in line["said"]
    assert "predicted Request at" in line["said"]
    world.until("Shipping", ("False", "ProbeContradicted"), *PCI_POLICY)
    world.control_plane.apply({**MAIN, "spec": {**MAIN["spec"], "rollout": {"paused": False}}})
    eventually(lambda: everything_is_proved(world) == outcomes, "all verdicts of the new policy to be proved")
    world.until("Shipping", ("True", "Shipping"), *PCI_POLICY)

    # The next operator knows all of it, and sends nothing for it.
    world.stop_all()
    here = world.control_plane.plane.audit_log.stat().st_size
    world.start(collector=str(binary()), **{**FAST, "probe_settle_seconds": "3600"})
    world.control_plane.apply(
        thing("ClusterAuditSink", "late", {"type": "VictoriaLogs", "victoriaLogs": {"url": door.url}})
    )
    eventually(lambda: world.status("clusterauditsinks", "late"), "the next operator to say something")
    assert everything_is_proved(world) == outcomes
    said = [
        each.get("requestObject", {}).get("status", {}).get("coverage", {})
        for each in world.writes(here)
        if each["objectRef"].get("name") == "pci"
    ]
    assert all(each.get("verified", 99) > 30 for each in said)
    assert set(latency(world)) == {"p50", "p95", "p99"}
