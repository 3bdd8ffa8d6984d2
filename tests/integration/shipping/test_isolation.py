"""Some thirty hostile tenants and a quiet one share a collector: the quiet one's stream is as if it were alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.plan import plan
from audit_operator.plan.collector_files import Places, collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Request, User
from audit_operator.shipping.collector.configuration import Endpoints
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import complaints, run_collector
from tests.ports import free_ports
from tests.shipping.tenant_attacks import ATTACKS, SURROGATES, TENANTS, policy, snapshot

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = (
    User("alice", ("dev", "system:authenticated")),
    User("|", ("", "true,true")),
    User(SURROGATES, ("a",)),
    User("namespace|quiet", tuple(f"g{index}" for index in range(60))),
)


def events():
    for namespace in ("quiet", *TENANTS):
        for person, user in enumerate(PEOPLE):
            for verb in ("get", "delete"):
                request = Request(user, verb, True, "", "v1", namespace, "pods", "", "a")
                audit_id = f"{namespace}/{person}/{verb}"
                yield event_of(request, Stage.RESPONSE_COMPLETE, Level.REQUEST_RESPONSE, audit_id)


def shipped(facts, folder):
    """Bodies by sink, as the real configuration sends them; each sink is a file."""
    planned = shipping(facts, plan(facts), "main")
    endpoints = Endpoints(f"127.0.0.1:{next(free_ports())}", detections="127.0.0.1:0")
    places = Places(config=str(folder), state=f"{folder}/state", endpoints=endpoints)
    files = collector_files(planned, facts, "test", places)
    (folder / "table.yaml").write_text(files.table)
    config = yaml.safe_load(files.config)
    config["exporters"] = {
        name: {} if name == "nop" else {"path": f"{folder}/{name.rpartition('/')[2]}", "format": "json"}
        for name in config["exporters"]
    }
    as_file = {name: name if name == "nop" else f"file/{name.rpartition('/')[2]}" for name in config["exporters"]}
    config["exporters"] = {as_file[name]: value for name, value in config["exporters"].items()}
    for pipeline in config["service"]["pipelines"].values():
        pipeline["exporters"] = [as_file.get(name, name) for name in pipeline["exporters"]]
    run = run_collector(config, map(line_of, events()), folder)
    return {ref.namespace: list(bodies(folder / name.rpartition("/")[2])) for ref, name in files.sinks.items()}, run


def bodies(path: Path):
    if path.exists():
        for line in path.read_text().splitlines():
            for resource in json.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    yield from (json.loads(record["body"]["stringValue"]) for record in scope["logRecords"])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return shipped(snapshot(TENANTS), tmp_path_factory.mktemp("together"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return shipped(snapshot({}), tmp_path_factory.mktemp("alone"))


def test_most_attacks_get_past_the_api_or_they_would_show_nothing():
    assert len(ATTACKS) >= 30
    assert sum(policy(namespace, attack) is not None for namespace, attack in TENANTS.items()) > 20


def test_the_quiet_tenants_stream_is_as_if_it_were_alone(together, alone):
    assert together[0]["quiet"] == alone[0]["quiet"]
    assert {each["auditID"] for each in together[0]["quiet"]} == {
        f"quiet/{person}/get" for person in range(len(PEOPLE))
    }
    assert {each["level"] for each in together[0]["quiet"]} == {"RequestResponse"}


@pytest.mark.parametrize(("namespace", "attack"), list(zip(TENANTS, ATTACKS, strict=True)), ids=list(ATTACKS))
def test_a_tenant_gets_events_of_its_own_and_hides_none_from_itself(together, namespace, attack):
    """What it writes changes at most what it sees of its own requests' bodies."""
    received = together[0].get(namespace, [])
    assert all(each["auditID"].startswith(f"{namespace}/") for each in received)
    assert all(each["verb"] in {"get", "delete"} and each["user"]["username"] for each in received)
    if policy(namespace, TENANTS[namespace]) is not None and "redaction" in TENANTS[namespace]:
        assert len(received) == 2 * len(PEOPLE), attack


def test_the_collector_complains_of_nothing(together):
    assert not complaints(together[1].log)


def test_what_tenants_write_makes_no_table_large():
    facts = snapshot(TENANTS)
    table = shipping(facts, plan(facts), "main").table
    assert len(table.entries) < 15_000


def test_a_sink_is_known_by_namespace_and_name_together():
    facts = snapshot(TENANTS)
    assert len(shipping(facts, plan(facts), "main").sinks) > 20
    assert ObjectRef("AuditSink", "own", "quiet") in shipping(facts, plan(facts), "main").sinks
