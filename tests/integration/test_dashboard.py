"""Every panel of the chart's dashboard, and every alert, asked of a Prometheus that scrapes the real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.proof.selecting import PROBER
from audit_operator.sinks import Access, Record, open_store
from tests.gateway.lists import event, list_of
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.world import post
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.integration.prometheus import prometheus
from tests.integration.reading.world import READ_RECORDS, ROLE, binding, cluster_role, service_account, token
from tests.integration.seals.test_operator import Chain
from tests.integration.shipping.collector import binary
from tests.integration.shipping.seaweedfs import seaweedfs
from tests.integration.shipping.test_live_probes import FAST
from tests.integration.shipping.test_sealing import HOUR, SEALS, START, s3_sink
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

FILES = Path(__file__).parents[2] / "charts" / "audit-operator" / "files"
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())
PROCESSES = ("operator", "agent", "gateway", "reader")
VARIABLES = {"$__rate_interval": "1m", "$__range": "6h", "$control_plane": ".*", "$sink": ".*"}
NOT_HERE = {
    # No pod runs in this world: tests/integration/injection has sidecars, and tests/controller their metrics.
    "audit_operator_sidecar_pods",
    "audit_operator_sidecars_answering",
    "audit_operator_sidecar_queue_bytes",
    "audit_operator_application_log_lines_total",
    "audit_operator_application_log_lines_quarantined_total",
    "audit_operator_application_log_records_total",
    # A deletion is announced a week before it is ordered.
    "audit_operator_retention_deleted_records_total",
}
LATE = {
    # Measured once a minute, after a quiet while: tests/integration/shipping/test_live_probes.py waits for it.
    "audit_operator_detection_seconds",
}


class World:
    """Operator with a shipper, agent, gateway and reader, each a process; API server, store and archive."""

    def __init__(self, control_plane, folder, stack):
        self.control_plane, self.folder = control_plane, folder
        self.ports = dict(zip((*PROCESSES, "api"), free_ports(), strict=False))
        self.authority = Authority(folder / "pki")
        self.store = stack.enter_context(victoria_logs(folder, "-retentionPeriod=30d"))
        self.archive = stack.enter_context(seaweedfs(folder / "weed"))
        self.operator = OperatorProcess(control_plane)
        self.client = self.authority.issue("api-server", "DNS:api-server")
        stack.callback(self.operator.stop_all)
        self.stack = stack

    def run(self, name, *command, **settings):
        """A process of ours beside the operator."""
        given = {
            "kubeconfig": self.control_plane.kubeconfig(USER),
            "listen_host": "127.0.0.1",
            "listen_port": self.ports[name],
            "namespace": NAMESPACE,
            "control_plane": "main",
            "node": "node-1",
            **settings,
        }
        environment = {f"AUDIT_OPERATOR_{key.upper()}": str(value) for key, value in given.items()}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", "audit_operator", *command], env={**os.environ, **environment}, stderr=log
            )
        self.stack.callback(process.wait, 60)
        self.stack.callback(process.terminate)

    def start(self):
        self.apply()
        self.operator.start(
            collector=str(binary()), listen_port=str(self.ports["operator"]), retention_seconds="2", seal_seconds="2",
            sink_check_seconds="2", permission_seconds="2", alert_objects="true", **FAST,
        )  # fmt: skip
        folders = {f"agent_{name}": self.folder / "agent" / name for name in ("folder", "manifests", "logs")}
        for each in folders.values():
            each.mkdir(parents=True)
        self.run("agent", "agent", **folders)
        certificate, key = self.authority.issue("gateway")
        self.run(
            "gateway", "gateway", "run", shipper_folder=self.folder / "gateway", collector=binary(),
            gateway_host="127.0.0.1", gateway_port=self.ports["api"], gateway_certificate=certificate, gateway_key=key,
            gateway_client_ca=self.authority.certificate, gateway_clients="api-server",
        )  # fmt: skip
        certificate, key = self.authority.issue("reader")
        (self.folder / "sink.json").write_text(json.dumps(self.sink()))
        self.reader_port = next(free_ports())
        self.run(
            "reader", "reader", "run", reader_host="127.0.0.1", reader_port=self.reader_port, reader_key=key,
            reader_certificate=certificate, reader_sink=self.folder / "sink.json", reader_secrets=self.folder,
        )  # fmt: skip

    def sink(self, **more):
        return thing(
            "ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": self.store}, **more}
        )

    def apply(self):
        """Everything that an audit-log lead could ask for."""
        self.archive.client.make_bucket(SEALS)
        worm = s3_sink("worm", self.archive.url, SEALS)
        worm["spec"]["credentials"]["secretRef"]["namespace"] = NAMESPACE
        self.chain = Chain(self.folder, self.sink(), worm)
        seals = {"sinkRef": {"name": "worm"}, "publicKeys": [self.chain.public("seal")], "within": "1d"}
        seals["verification"] = {"publicKeys": [self.chain.public("verify")]}
        to_central = {"sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}]}
        detections = [{"name": "secrets-listed", "selection": {"verbs": ["list"], "namespaces": ["payments"]}}]
        cis, kept = {"compliance": {"frameworks": ["CIS"]}}, {"retention": {"minimum": "10d", "maximum": "20d"}}
        self.control_plane.apply(
            self.chain.secret,
            worm,
            thing("AuditControlPlane", "main", {"default": True, "driver": "Process", "probes": {"enabled": True}}),
            self.sink(seals=seals),
            thing("ClusterAuditPolicy", "baseline", {"preset": "Baseline", **cis, **to_central}),
            self.policy(**kept, **to_central, detections=detections),
        )  # fmt: skip

    def policy(self, **spec):
        """And the rules of its detections, as the command line makes them for Prometheus."""
        made = thing("AuditPolicy", "pci", {"rules": [{"level": "Metadata"}], **spec}, "payments")
        (self.folder / "policy.json").write_text(json.dumps(made))
        command = [sys.executable, "-m", "audit_operator", "detections", "rules", "-f", self.folder / "policy.json"]
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - ourselves
        (self.folder / "detections.yaml").write_bytes(done.stdout)
        return made

    def use(self):
        """Let each do something that it counts."""
        self.chain.seal(START + 4 * HOUR, "--new-chain", "--since", START.isoformat())
        assert self.chain.verify() == 0
        asyncio.run(self._write_too_old())
        self.control_plane.apply(
            cluster_role(ROLE, [READ_RECORDS]), service_account("payments", "jane"),
            binding(ROLE, ("payments", "jane"), "payments"),
        )  # fmt: skip
        eventually(self._is_read, "the reader to answer")
        url = f"https://127.0.0.1:{self.ports['api']}/audit"
        whose = {"authority": self.authority, "client": self.client}
        # Nobody has told it where to ship to.
        eventually(lambda: post(url, list_of(event()), **whose)[0] == 503, "the gateway to refuse")

    async def _write_too_old(self):
        """Which VictoriaLogs throws away, and counts."""
        then, audit_id = datetime.now(UTC) - timedelta(days=60), str(uuid.uuid4())
        sink = ClusterAuditSinkSpec.model_validate(self.sink()["spec"], strict=False)
        await open_store(sink, Access()).write(Record(audit_id, "ResponseComplete", then, "{}"))

    def _is_read(self):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        url = f"https://127.0.0.1:{self.reader_port}/v1/records?namespace=payments&since=1h"
        jane = {"Authorization": f"Bearer {token(self.control_plane, 'payments', 'jane')}"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=jane), context=context, timeout=60) as answer:
            return "end" in answer.read().decode().splitlines()[-1]


@pytest.fixture
def world(private_control_plane, tmp_path):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane, "payments")
    control_plane.kubectl("create", "serviceaccount", PROBER, "-n", NAMESPACE)
    with ExitStack() as stack:
        made = World(control_plane, tmp_path, stack)
        made.start()
        made.use()
        yield made


def panels():
    """All of them, also those of folded rows."""
    for each in DASHBOARD["panels"]:
        yield from each["panels"] if each["type"] == "row" else [each]


def queries():
    """Title and expression of each, with the variables at their first values, and its legend."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            assert "$" not in expression, f"{panel['title']}: a variable that there is not"
            yield panel["title"], expression, target["legendFormat"]


def metrics_in(expression):
    return {re.sub("_bucket$", "", each) for each in re.findall(r"audit_operator_\w+", expression)}


def rules(found):
    return [each for group in found.get("rules", {})["groups"] for each in group["rules"]]


def until_none(wrong):
    """Ask again for as long as something is wrong; what still is in the end is shown."""
    seen = [["nobody could be asked"]]

    def gone():
        seen[0] = wrong()
        return not seen[0]

    try:
        eventually(gone, "nothing to be wrong")
    except AssertionError:
        assert not seen[0]
        raise


def test_every_panel_shows_something_and_every_alert_can_be_evaluated_where_all_of_us_run(world):
    scrapes = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{world.ports[name]}"]}]} for name in PROCESSES
    ]
    configuration = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(FILES / "rules.yaml"), str(world.folder / "detections.yaml")],
        "scrape_configs": scrapes,
    }
    with prometheus(world.folder / "prometheus", configuration) as found:

        def scraped():
            return {re.sub("_bucket$", "", each) for each in found.get("label/__name__/values", {})}

        def lacking():
            return (
                set().union(*(metrics_in(expression) for _, expression, _ in queries())) - scraped() - NOT_HERE - LATE
            )

        def empty():
            there = [each for each in queries() if not metrics_in(each[1]) & (NOT_HERE | LATE)]
            return [(title, expression) for title, expression, _ in there if not found.query(expression)]

        def still(wrong):
            """An alert is gone after its window: there is a reason for it for as long as all else is waited for."""
            world.control_plane.request("GET", "/api/v1/namespaces/payments/secrets")
            return wrong()

        until_none(lambda: still(lacking))
        until_none(lambda: still(empty))
        assert not scraped() & NOT_HERE
        for title, expression, legend in queries():
            for series in found.query(expression):
                assert set(re.findall(r"{{(\w+)}}", legend)) == set(series["metric"]), title
        for variable in ("control_plane", "sink"):
            [query] = [each["query"] for each in DASHBOARD["templating"]["list"] if each["name"] == variable]
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
            assert found.get(f"label/{label}/values", {"match[]": metric}), variable

        until_none(lambda: [each for each in rules(found) if each["health"] != "ok"])
        assert len(rules(found)) > 20
        assert set().union(*(metrics_in(each["query"]) for each in rules(found))) - scraped() <= NOT_HERE | LATE
