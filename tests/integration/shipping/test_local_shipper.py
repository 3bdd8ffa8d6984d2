"""From an object to records in a store: the operator, its shipper and VictoriaLogs, all of them real.

Nothing is asserted about time; what was measured is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.controlplane.shipper.collector import FOLDER, Collector
from audit_operator.sinks import Access, Found, open_store
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import USER, OperatorProcess, eventually, thing
from tests.integration.shipping.collector import binary
from tests.integration.shipping.counted import scraped
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
CREATED = {
    "name": "created",
    "selection": {
        "verbs": ["create"],
        "resources": [{"group": "", "resources": ["configmaps"]}],
        "namespaces": ["payments", "web"],
        "exceptUsers": ["system:*"],
    },
    "groupBy": ["Namespace"],
}
MAIN = thing("AuditControlPlane", "main", {"default": True, "driver": "Process"})


class World:
    """An operator with a collector, and the address of a store that may or may not be there."""

    def __init__(self, control_plane, folder):
        self.control_plane, self.folder = control_plane, folder
        self.operator = OperatorProcess(control_plane)
        self.port, self.metrics = islice(free_ports(), 2)
        self.collector = Collector(control_plane.plane.folder / FOLDER)
        spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": f"http://127.0.0.1:{self.port}"}}
        self.sink = thing("ClusterAuditSink", "central", spec)
        self.store = open_store(ClusterAuditSinkSpec.model_validate_json(json.dumps(spec)), Access())
        self.began = datetime.now(UTC) - timedelta(minutes=1)

    def start_operator(self, **settings):
        return self.operator.start(collector=str(binary()), **settings)

    @contextmanager
    def victoria_logs(self, *arguments):
        with victoria_logs(self.folder, *arguments, port=self.port):
            yield

    def found(self, audit_id, stage="ResponseComplete"):
        answer = asyncio.run(self.store.find(audit_id, stage, since=self.began))
        return answer.records if isinstance(answer, Found) else ()

    def levels(self, audit_id):
        return {json.loads(each.text)["level"] for each in self.found(audit_id)}

    def arrived(self, audit_ids):
        """Those that the store has."""
        query = urllib.parse.urlencode({"query": "stage:=ResponseComplete | fields auditID", "limit": "1000000"})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/select/logsql/query?{query}") as answer:
            return {json.loads(line)["auditID"] for line in answer} & set(audit_ids)

    def until_all_have_arrived(self, audit_ids):
        try:
            eventually(lambda: self.arrived(audit_ids) == set(audit_ids), "all events to arrive")
        except AssertionError:
            missing = set(audit_ids) - self.arrived(audit_ids)
            raise AssertionError(f"{len(missing)} of {len(audit_ids)} are missing: {sorted(missing)[:5]}") from None

    def read_services(self, namespace="payments"):
        return self.control_plane.request("GET", f"/api/v1/namespaces/{namespace}/services").audit_id

    def create_config_map(self, namespace="payments"):
        body = {"metadata": {"generateName": "x"}, "data": {"key": "value"}}
        return self.control_plane.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body).audit_id

    def until_shipping(self, expected=("True", "Shipping")):
        self.operator.until("Shipping", expected, "auditpolicies", "pci", "payments")

    def counted(self):
        """What the operator shows for the one detection that there is, by namespace."""
        return {dict(each)["object_namespace"]: count for each, count in scraped(f"127.0.0.1:{self.metrics}").items()}

    def collectors(self):
        """All processes that run with this folder's configuration."""
        argument = f"--config={self.collector.config}".encode()
        commands = {int(each.name): each / "cmdline" for each in Path("/proc").iterdir() if each.name.isdigit()}
        found = []
        for pid, path in commands.items():
            try:
                if argument in path.read_bytes().split(b"\0"):
                    found.append(pid)
            except OSError:
                continue
        return found


@pytest.fixture
def world(private_control_plane, tmp_path):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane, "payments", "web")
    world = World(control_plane, tmp_path)
    yield world
    world.operator.stop_all()


def report(text):
    """What was measured: for whoever reads the output of the tests."""
    sys.stdout.write(f"{text}\n")


def pci(level, **spec):
    return thing("AuditPolicy", "pci", {"rules": [{"level": level}], "sinkRefs": TO_CENTRAL, **spec}, "payments")


def baseline(level="RequestResponse", **spec):
    return thing("ClusterAuditPolicy", "baseline", {"rules": [{"level": level}], "sinkRefs": TO_CENTRAL, **spec})


def keep_sending(send, stop, sent):
    while not stop.is_set():
        with suppress(OSError):  # the API server may be away
            sent.append(send())
        time.sleep(0.02)


@contextmanager
def sending(send):
    """Send requests all the time; gives their audit IDs."""
    stop, sent = threading.Event(), []
    thread = threading.Thread(target=keep_sending, args=(send, stop, sent))
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def test_events_get_to_the_store_and_status_says_so(world):
    with world.victoria_logs():
        world.start_operator(listen_port=str(world.metrics))
        world.control_plane.apply(MAIN, world.sink, baseline("Metadata", detections=[CREATED]), pci("Request"))
        world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
        world.until_shipping()
        one, other = world.create_config_map(), world.create_config_map("web")
        sent = time.monotonic()
        eventually(lambda: world.found(one), "the event to be in the store")
        report(f"an event was found {time.monotonic() - sent:.1f} s after its request")
        eventually(lambda: world.found(other), "the other event to be in the store")
        assert (world.levels(one), world.levels(other)) == ({"Request"}, {"Metadata"})
        read = world.read_services()
        eventually(lambda: world.found(read), "an event without a body to be in the store")
        [event] = [each for each in world.control_plane.audit_events(read) if each["stage"] == "ResponseComplete"]
        assert json.loads(world.found(read)[0].text) == event
        world.operator.until("Shipping", ("True", "Shipping"), "clusterauditsinks", "central")
        eventually(lambda: world.counted() == {"payments": 1, "web": 1}, "what was created to be counted")
        # With every configuration, the collector begins to count anew; what it has counted must not be gone with that.
        world.control_plane.apply(baseline("Metadata", detections=[{**CREATED, "window": "1440m"}]))
        eventually(
            lambda: '"max_stale": "86400s"' in world.collector.configured(), "the configuration to be another one"
        )
        world.create_config_map("web")
        eventually(lambda: world.counted() == {"payments": 1, "web": 2}, "what came later to be counted, too")
        assert world.operator.status("clusterauditsinks", "central")["policies"] == 2
        # Figures change all the time, and no status with them.
        time.sleep(5)
        since = world.control_plane.audit_position()
        time.sleep(20)
        assert list(world.operator.writes(since)) == []


def test_a_change_reaches_the_shipper_without_a_restart_and_without_loss(world):
    """The API server records all namespaces alike; what payments wants, the shipper enforces."""
    with world.victoria_logs():
        world.start_operator()
        web = thing("AuditPolicy", "web", {"rules": [{"level": "Request"}]}, "web")
        main = thing("AuditControlPlane", "main", {"default": True, "driver": "Process", "precision": "Envelope"})
        world.control_plane.apply(main, world.sink, baseline("Metadata"), pci("Metadata"), web)
        world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
        world.until_shipping()
        eventually(lambda: recorded_and_found(world, "Metadata"), "the level to be in force")
        api_server, collectors = world.control_plane.plane.api_server.process(), world.collectors()
        with sending(world.create_config_map) as sent:
            time.sleep(2)
            applied = time.monotonic()
            world.control_plane.apply(pci("Request"))
            eventually(lambda: recorded_and_found(world, "Request"), "the new level to be in force")
            report(f"a level was in force {time.monotonic() - applied:.1f} s after it was applied")
            time.sleep(1)
        world.until_all_have_arrived(sent)
        report(f"{len(sent)} events, none lost")
        assert world.control_plane.plane.api_server.process() == api_server
        assert world.collectors() == collectors


def recorded_and_found(world, level):
    audit_id = world.create_config_map()
    eventually(lambda: world.found(audit_id), "an event to arrive")
    return world.levels(audit_id) == {level}


def test_a_new_sink_reaches_the_collector_without_a_restart_and_without_loss(world):
    with world.victoria_logs():
        world.start_operator()
        world.control_plane.apply(MAIN, world.sink, baseline("Metadata"), pci("Metadata"))
        world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
        world.until_shipping()
        collectors = world.collectors()
        assert len(collectors) == 1
        own = thing("AuditSink", "own", world.sink["spec"], "payments")
        own["spec"] = {**own["spec"], "victoriaLogs": {**own["spec"]["victoriaLogs"], "accountID": 7}}
        with sending(world.read_services) as sent:
            time.sleep(1)
            applied = time.monotonic()
            refs = [*TO_CENTRAL, {"kind": "AuditSink", "name": "own"}]
            world.control_plane.apply(own, pci("Metadata", sinkRefs=refs))
            world.operator.until("Shipping", ("True", "Shipping"), "auditsinks", "own", "payments")
            report(f"a new sink was shipped to {time.monotonic() - applied:.1f} s after it was applied")
            world.until_shipping()
        world.until_all_have_arrived(sent)
        report(f"{len(sent)} events, none lost")
        assert world.collectors() == collectors


def test_a_collector_that_is_killed_comes_back(world):
    """What is lost by kills, `test_loss_matrix` shows: nothing."""
    with world.victoria_logs():
        world.start_operator()
        world.control_plane.apply(MAIN, world.sink, baseline("Metadata"), pci("Metadata"))
        world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
        world.until_shipping()
        before = world.collectors()
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: world.collectors() not in ([], before), "another collector")
        sent = world.read_services()
        eventually(lambda: world.found(sent), "events to arrive through it")
        assert len(world.collectors()) == 1
        world.until_shipping()


def test_a_store_that_is_away_is_said_and_nothing_is_lost(world):
    world.start_operator()
    with world.victoria_logs():
        world.control_plane.apply(MAIN, world.sink, baseline("Metadata"), pci("Metadata"))
        world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
        world.until_shipping()
    with sending(world.read_services) as sent:
        world.until_shipping(("False", "Backlog"))
        assert world.operator.condition("Shipping", "clusterauditsinks", "central") == ("False", "Backlog")
        assert world.operator.condition("Programmed", "auditpolicies", "pci", "payments") == ("True", "Programmed")
    with world.victoria_logs():
        world.until_shipping()
        world.until_all_have_arrived(sent)
        report(f"{len(sent)} events, none lost")


def test_there_is_one_collector_whoever_runs_the_operator(world):
    with world.victoria_logs():
        first = world.start_operator()
        world.control_plane.apply(MAIN, world.sink, baseline("Metadata"), pci("Metadata"))
        world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
        world.until_shipping()
        collectors = world.collectors()
        for end in (signal.SIGTERM, signal.SIGKILL):
            first.send_signal(end)
            first.wait(60)
            assert world.collectors() == collectors
            unwatched = world.read_services()
            eventually(lambda audit_id=unwatched: world.found(audit_id), "events to arrive without an operator")
            first = world.start_operator()
            since = world.control_plane.audit_position()
            eventually(lambda since=since: list(world.control_plane.audit_events(since=since)), "the API server")
            world.until_shipping()
            assert world.collectors() == collectors
    world.operator.stop_all()
    assert world.collectors() == collectors
    world.control_plane.plane.stop()
    assert world.collectors() == []


def test_a_sink_that_asks_who_one_is_gets_what_its_secret_holds(world):
    values = {"username": "audit", "password": "correct horse"}
    metadata = {"name": "central", "namespace": "audit-operator"}
    world.control_plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})
    reference = {"namespace": "audit-operator", "name": "central"}
    world.sink["spec"]["credentials"] = {"type": "Basic", "secretRef": reference}
    with world.victoria_logs("-httpAuth.username=audit", "-httpAuth.password=correct horse"):
        world.start_operator()
        world.control_plane.apply(MAIN, world.sink, baseline("Metadata"), pci("Request"))
        world.until_shipping()


def test_without_a_usable_collector_auditing_goes_on(world):
    world.operator.start(collector="/nowhere/otelcol")
    world.control_plane.apply(MAIN, world.sink, pci("Request"))
    world.operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
    world.until_shipping(("False", "ShipperDown"))
