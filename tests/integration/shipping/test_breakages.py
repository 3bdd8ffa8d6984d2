"""A mixed policy is proved with bodies, and live probes see what is broken by hand on a real plane.

All tests share one world, and leave it as they found it. What the system heals by itself before a probe comes by is
kept from healing as an accident or an attacker would do it, and each test says how. A sink that refuses, and an API
server that stays with another policy, are in `test_live_probes.py`.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
import yaml

from audit_operator.cluster.probing import USER_AGENT
from audit_operator.controlplane import os_process
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.collector import FOLDER, Collector
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.proof.selecting import PROBER
from audit_operator.shipping.redaction.places import LAST_APPLIED_LITERAL
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser, RunningControlPlane
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.integration.prober_rights import grant_bodies
from tests.integration.shipping.collector import binary
from tests.integration.shipping.victoria_logs import victoria_logs

MAIN = thing(
    "AuditControlPlane",
    "main",
    {"default": True, "driver": "Process", "probes": {"enabled": True, "bodies": True}},
)
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
RBAC = {"group": "rbac.authorization.k8s.io", "resources": ["roles", "rolebindings"]}
NETWORK = {"group": "networking.k8s.io", "resources": ["networkpolicies"]}
WRITES = ["create", "update", "patch"]
JOBS = {"group": "batch", "resources": ["cronjobs", "jobs"]}
BASELINE = {
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"], "resources": [{"group": "", "resources": ["configmaps"]}]},
        {"level": "Metadata", "omitStages": ["RequestReceived"]},
    ],
    "sinkRefs": TO_CENTRAL,
}
PCI = {
    "rules": [
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "serviceaccounts/token"]}]},
        {"level": "Request", "verbs": WRITES, "resources": [JOBS, NETWORK]},
        {"level": "RequestResponse", "verbs": [*WRITES, "delete"]},
    ],
    "sinkRefs": TO_CENTRAL,
}
WEB = {"rules": [{"level": "Request", "omitStages": ["RequestReceived"]}], "sinkRefs": TO_CENTRAL}
PCI_POLICY = ("auditpolicies", "pci", "payments")
WEB_POLICY = ("auditpolicies", "all", "web")
CENTRAL = "ClusterAuditSink central"
PATIENCE = 15
FAST = {
    "probe_seconds": "8",
    "probes_per_second": "200",
    "probes_without_name": "10000",
    "probe_patience_seconds": str(PATIENCE),
    "probe_settle_seconds": "3",
}
FEW = {"cronjob-job-change", "networkpolicy-change", "pod-exec", "rbac-roles-change", "secrets-write"}
"""Actions that are probed while things are broken: all of them at all times would keep two cores busy."""
ROUNDS = 2
"""Within as many whole rounds after something broke it must be found out; status says it as soon as it is written."""


@dataclass
class World:
    """An operator with a collector."""

    operator: OperatorProcess

    @property
    def control_plane(self):
        return self.operator.control_plane

    @property
    def collector(self):
        return Collector(self.control_plane.plane.folder / FOLDER)

    def coverage(self, policy=PCI_POLICY):
        return self.operator.status(*policy).get("coverage", {})

    def found(self, outcome, policy=PCI_POLICY):
        """What was found out that way, by action; of several findings about one the first, which is the worst."""
        findings = self.coverage(policy).get("proof", {}).get("findings", [])
        return {each["action"]: each for each in reversed(findings) if each["outcome"] == outcome}

    def shipping(self, policy=PCI_POLICY):
        """Status, reason and message of the condition."""
        conditions = self.operator.status(*policy).get("conditions", [])
        said = next((each for each in conditions if each["type"] == "Shipping"), {})
        return said.get("status", ""), said.get("reason", ""), said.get("message", "")

    def until_proved(self, actions=None):
        """So many actions are, or all but one: this API server takes no anonymous requests. And nothing is wrong."""
        for policy in (PCI_POLICY, WEB_POLICY):
            eventually(lambda policy=policy: self._is_proved(policy, actions), f"all verdicts of {policy} to be proved")
            self.operator.until("Shipping", ("True", "Shipping"), *policy)

    def _is_proved(self, policy, actions):
        said = self.coverage(policy)
        if "proof" not in said:
            return False
        wrong = said["proof"]["contradicted"] or said["proof"]["missing"]
        return not wrong and said["verified"] == (len(actions) if actions else said["total"] - 1)

    def seen_in_time(self, condition, what):
        """The first true result of a condition; fails if it was found out after more rounds than it may take.

        When it was, the operator's log says: until status shows it, the next round may have begun.
        """
        since, began = self.control_plane.audit_position(), datetime.now(UTC)
        result = eventually(condition, what)
        assert self.rounds(since, self.found_out(began)) <= ROUNDS
        return result

    def found_out(self, began):
        """When the operator last found something new to say against that namespace."""
        log = self.control_plane.plane.folder / f"operator-{len(self.operator.processes) - 1}.log"
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        said = [
            datetime.fromisoformat(line["time"])
            for line in lines
            if line.get("object") == "main payments" and line["message"].startswith("Probe of ")
        ]
        return max(each for each in said if each >= began)

    def rounds(self, since, until):
        """Whole rounds since: how often each request was sent at the least, in the API server's own log."""
        asked = defaultdict(set)
        for event in self.control_plane.audit_events(since=since):
            path = re.sub("/probe-[a-z]+", "/probe", urlsplit(event["requestURI"]).path)
            sent = datetime.fromisoformat(event["requestReceivedTimestamp"])
            if event.get("userAgent") == USER_AGENT and "/namespaces/payments/" in path and sent <= until:
                who = event["user"].get("username"), event.get("impersonatedUser", {}).get("username")
                asked[event["verb"], path, who].add(event["auditID"])
        return min(map(len, asked.values()), default=0)

    @contextmanager
    def frozen(self):
        """Without an operator that could see, or mend, what is being done."""
        process = self.operator.processes[-1]
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def world(assets, tmp_path_factory):
    control_plane = RunningControlPlane(assets, users=(ClusterUser(USER),))
    control_plane.plane.start()
    try:
        yield from served(control_plane, tmp_path_factory.mktemp("store"))
    finally:
        control_plane.plane.stop()


def served(control_plane, folder):
    prepare_for_operator(control_plane, "payments", "web")
    control_plane.kubectl("create", "serviceaccount", PROBER, "-n", NAMESPACE)
    grant_bodies(control_plane, NAMESPACE)
    operator = OperatorProcess(control_plane)
    with victoria_logs(folder) as url:
        store = {"type": "VictoriaLogs", "victoriaLogs": {"url": url}}
        control_plane.apply(
            MAIN,
            thing("ClusterAuditSink", "central", store),
            thing("ClusterAuditPolicy", "baseline", BASELINE),
            thing("AuditPolicy", "pci", PCI, "payments"),
            thing("AuditPolicy", "all", WEB, "web"),
        )
        operator.start(collector=str(binary()), **FAST)
        yield World(operator)
        operator.stop_all()


@pytest.fixture
def few(world):
    """Few actions are probed, and before and after each test all of them are proved."""
    others = sorted({each.id for each in builtin_catalogue().actions} - FEW)
    main = {**MAIN, "spec": {**MAIN["spec"], "probes": {**MAIN["spec"]["probes"], "exclude": others}}}
    world.control_plane.apply(main)
    world.until_proved(FEW)
    yield
    world.until_proved(FEW)


def test_every_verdict_of_a_mixed_policy_is_proved_and_so_are_bodies(world):
    world.until_proved()
    findings = {(each["action"], each["outcome"]) for each in world.coverage()["proof"]["findings"]}
    assert findings == {("anonymous-access", "Unknown")}
    whole = world.coverage(("clusterauditpolicies", "baseline"))
    assert whole["proof"]["contradicted"] == whole["proof"]["missing"] == 0
    assert whole["verified"] > 40
    probes = [each for each in world.control_plane.audit_events() if each.get("userAgent") == USER_AGENT]
    in_payments = [each for each in probes if each.get("objectRef", {}).get("namespace") == "payments"]
    assert {each["level"] for each in in_payments} == {"Metadata", "Request", "RequestResponse"}
    assert {"RequestReceived" in each["stage"] for each in probes} == {True, False}
    assert {each["verb"] for each in in_payments if "requestObject" in each} == {"update", "patch"}


@pytest.mark.usefixtures("few")
def test_a_policy_file_that_was_changed_by_hand_is_seen_though_its_digest_is_right(world):
    """By somebody with the node, who also forges what the digest is taken from: else the operator mends it at once."""
    in_payments = {"namespaces": ["payments"]}
    changed = [
        {"level": "Metadata", **in_payments, "resources": [RBAC]},
        {
            "level": "Request",
            **in_payments,
            "verbs": WRITES,
            "resources": [NETWORK],
            "omitStages": ["ResponseComplete"],
        },
        {"level": "None", **in_payments, "resources": [JOBS]},
    ]
    server = world.control_plane.plane.api_server
    with world.frozen():
        run_with_other_rules(server, changed)
    try:
        wanted = {"rbac-roles-change", "networkpolicy-change", "cronjob-job-change"}
        seen = world.seen_in_time(
            lambda: (both := world.found("Missing") | world.found("Contradicted")).keys() >= wanted and both,
            "every rule that was changed to be seen",
        )
        assert {each["sink"] for each in seen.values()} == {CENTRAL}
        assert "level: predicted RequestResponse at" in seen["rbac-roles-change"]["message"]
        assert "found Metadata at" in seen["rbac-roles-change"]["message"]
        both = "predicted records at RequestReceived, ResponseComplete"
        assert f"{both}, found RequestReceived within {PATIENCE} s" in seen["networkpolicy-change"]["message"]
        assert f"{both}, found none within {PATIENCE} s" in seen["cronjob-job-change"]["message"]
        world.operator.until("Shipping", ("False", "ProbeContradicted"), *PCI_POLICY)
        assert f"{CENTRAL}: probe of rbac-" in world.shipping()[2]
        # Nothing else sees it, and nobody else is concerned.
        assert world.operator.condition("Programmed", "auditcontrolplanes", "main")[0] == "True"
        assert world.found("Missing", WEB_POLICY) == world.found("Contradicted", WEB_POLICY) == {}
        assert world.shipping(WEB_POLICY)[:2] == ("True", "Shipping")
    finally:
        os_process.end(server.process(), 10)  # it is started again, with the file that is there


def run_with_other_rules(server, rules):
    """Start an API server with more rules in its file, and have it look as if it ran with the file that is there."""
    path, launch = server.policy_path(server.last_started_digest()), server.launch()
    text = path.read_text()
    policy = yaml.safe_load(text)
    path.write_text(yaml.safe_dump({**policy, "rules": [*rules, *policy["rules"]]}))
    os_process.end(server.process(), 10)
    process = os_process.spawn([launch.binary, *launch.arguments, f"--audit-policy-file={path}"], server.log)
    server.wait_ready(process)
    path.write_text(text)
    started, stat = server.folder / "process.json", path.stat()
    said = json.loads(started.read_text())
    file = {"path": str(path), "inode": stat.st_ino, "changed_ns": stat.st_ctime_ns}
    started.write_text(json.dumps({**said, "process": asdict(process), "policy": file}))


@pytest.mark.usefixtures("few")
def test_a_collector_that_hangs_is_seen(world):
    """Stopped, and not killed: one that has ended is started again at once, and goes on where it was."""
    process = world.collector.process()
    os.kill(process.pid, signal.SIGSTOP)
    try:
        missed = world.seen_in_time(lambda: world.found("Missing").get("pod-exec"), "records to be missed")
        assert missed["sink"] == CENTRAL
        assert "predicted records at" in missed["message"]
        assert f"found none within {PATIENCE} s" in missed["message"]
        eventually(lambda: world.shipping()[0] == "False", "the condition to say so")
        eventually(lambda: world.found("Missing", WEB_POLICY), "the same to be said of the other namespace")
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.usefixtures("few")
def test_a_redaction_rule_that_was_removed_by_hand_is_seen(world):
    """With the operator frozen until the collector has read its file, and that is back: else it would be put right."""
    collector = world.collector
    before = collector.configured()
    assert LAST_APPLIED_LITERAL in before
    with world.frozen():
        read_anew(collector, before.replace(LAST_APPLIED_LITERAL, "no-such-annotation"))
        collector.configure(before)
    try:
        seen = world.seen_in_time(lambda: world.found("Contradicted").get("rbac-roles-change"), "a secret to be seen")
        assert seen["sink"] == CENTRAL
        assert "with a body: redaction: predicted taken out, found in clear" in seen["message"]
        world.operator.until("Shipping", ("False", "ProbeContradicted"), *PCI_POLICY)
        # Where no bodies are recorded, none can lack anything.
        assert "secrets-write" not in world.found("Contradicted")
    finally:
        read_anew(collector, before)


def read_anew(collector, configuration):
    """Have a running collector take a configuration, and wait until it has."""
    epoch = telemetry.read(collector.endpoints).epoch
    collector.configure(configuration)
    os.kill(collector.process().pid, signal.SIGHUP)

    def is_read():
        try:
            return telemetry.read(collector.endpoints).epoch != epoch
        except telemetry.NoAnswer:
            return False

    eventually(is_read, "the collector to read its configuration")
