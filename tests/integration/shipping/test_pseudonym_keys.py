"""A shipper as it is kept running: pseudonyms with the keys of now, others without a new start, and never a name."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime

from audit_operator.controlplane.shipper.collector import KEYRING_FILE, Collector, places_of
from audit_operator.controlplane.shipper.keeper import Keeper, ShipperTimes
from audit_operator.plan import plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.shipping.redaction.keyring import Keyring
from audit_operator.shipping.redaction.pseudonyms import pseudonym
from tests.integration.shipping.collector import binary
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.plan.objects import cluster_policy, parsed
from tests.plan.test_shipping import SNAPSHOT
from tests.shipping.redaction.corpus import event, line_of

NAME = "dora@example.com"
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]


class Shipper:
    def __init__(self, folder, url):
        self.url, self.log = url, folder / "audit.log"
        sink = parsed("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": url}})
        policy = cluster_policy(
            "all", rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, redaction={"pseudonymize": ["Username"]}
        )
        snapshot = replace(
            SNAPSHOT, audit_policies=(), audit_sinks=(), cluster_audit_policies=(policy,), cluster_audit_sinks=(sink,)
        )
        self.files = collector_files(
            shipping(snapshot, plan(snapshot), "main"), snapshot, "main", places_of(str(self.log))
        )
        self.collector = Collector(folder / "shipper")
        self.keeper = Keeper(self.collector, binary(), "n1", ShipperTimes(look_every=0.5))

    def step_until(self, condition, what):
        for _ in range(600):
            time.sleep(min(self.keeper.step(self.files), 0.5))
            if condition():
                return
        raise AssertionError(f"{what}: {self.keeper.seen}, {self.records()}")

    def is_running(self):
        return self.keeper.seen.healthy and self.keeper.seen.config == self.files.digest

    def record(self, namespace):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        uri = f"/api/v1/namespaces/{namespace}/pods"
        line = event("pods", user={"username": NAME, "groups": ["dev"]}, requestURI=uri, stageTimestamp=now)
        with self.log.open("a") as file:
            file.write(line_of(line) + "\n")

    def records(self):
        query = urllib.parse.urlencode({"query": "*", "limit": "100000"})
        with urllib.request.urlopen(f"{self.url}/select/logsql/query?{query}") as answer:  # noqa: S310  # loopback
            return [json.loads(line) for line in answer]

    def has(self, namespace, name):
        """Whether a record of a namespace has this user by now; another one is written each time."""
        self.record(namespace)
        return any((each.get("namespace"), each["username"]) == (namespace, name) for each in self.records())


def test_a_key_is_in_use_until_it_is_destroyed_and_another_one_then(tmp_path):
    with victoria_logs(tmp_path) as url:
        shipper = Shipper(tmp_path, url)
        try:
            shipper.step_until(shipper.is_running, "the collector runs")
            process, path = shipper.collector.process(), shipper.collector.folder / KEYRING_FILE
            before = Keyring.decoded(path.read_bytes())
            names = {each: pseudonym(before.present.present(each), each, NAME) for each in ("payments", "web")}
            for each, name in names.items():
                shipper.step_until(lambda each=each, name=name: shipper.has(each, name), each)

            after = before.without(["payments"], datetime.now(UTC), bytes(32))
            path.write_bytes(after.encoded())
            new = pseudonym(after.present.present("payments"), "payments", NAME)
            shipper.step_until(lambda: shipper.has("payments", new), "payments, with another key")
            shipper.step_until(lambda: shipper.has("web", names["web"]), "web, as before")

            assert shipper.collector.process() == process
            assert {each["username"] for each in shipper.records()} == {*names.values(), new}
            assert NAME not in json.dumps(shipper.records())
            keys = [key.secret for ring in (before, after) for each in names for key in ring.kept(each)]
            said = json.dumps(shipper.records()) + shipper.collector.log.read_text()
            assert not any(each in said for each in keys)
        finally:
            shipper.collector.retire()
