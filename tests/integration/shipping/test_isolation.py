"""Some thirty hostile tenants and a quiet one share a collector: the quiet one's stream is as if it were alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import parse_object
from audit_operator.controlplane.ports import free_ports
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.collector_files import Places, collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Request, User
from audit_operator.shipping.collector.configuration import Endpoints
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import complaints, run_collector
from tests.plan.objects import control_plane, parsed

if TYPE_CHECKING:
    from pathlib import Path

SURROGATES, SEPARATOR, MARK = "\U0001f600", "\u2028", "\ufeff"


def rules(**fields):
    return {"rules": [{"level": "RequestResponse", **fields}]}


def pattern(regex, replacement="x", name="p"):
    return {
        "rules": [{"level": "RequestResponse"}],
        "redaction": {"profiles": [], "patterns": [{"name": name, "regex": regex, "replacement": replacement}]},
    }


ATTACKS = {
    "a pattern that matches everything": pattern(".*"),
    "a pattern that takes quotes": pattern('"'),
    "a pattern that takes braces": pattern("[{}]"),
    "a pattern that breaks escapes": pattern("n", "\\"),
    "a pattern that matches nothing at all": pattern(""),
    "a pattern that repeats without end": pattern("(a*)*b"),
    "a pattern that backtracks in other engines": pattern("(x+x+)+y"),
    "a pattern of a thousand copies": pattern("((a{100}){100}){100}"),
    "a pattern that is no expression": pattern("(["),
    "a pattern with a statement in it": pattern('") set(log.body["level"], "None") ('),
    "a replacement with a group": pattern("(a)", "$1$1$1$1"),
    "a replacement that expands": pattern("a", "${file:/etc/passwd}"),
    "a replacement from the environment": pattern("a", "${env:PATH}"),
    "a replacement that ends the text": pattern("a", '"}, "level": "None'),
    "a replacement with a new line": pattern("a", "\n{}\n"),
    "a name with a statement in it": pattern("a", name='") where true'),
    "a user with a statement in it": rules(users=['" or true or "']),
    "a user with the table's separator": rules(users=["|", "c0|", "namespace|quiet", "url|"]),
    "a user beyond the basic plane": rules(users=[SURROGATES]),
    "users whose names fill a key": rules(users=['"' * 512, SURROGATES * 200, "\\" * 512]),
    "a pattern of many alternatives": pattern(
        "(?:" + "|".join(f"[^{letter}]" for letter in "abcdefghijklmnop") + ")*%"
    ),
    "a user with YAML's layout": rules(users=[SEPARATOR, MARK, "\x85", "\x7f", "a\nb: c", "- *x", "!!binary x"]),
    "a user that expands": rules(users=["${file:/etc/passwd}", "$$", "$"]),
    "a group with an empty name": rules(userGroups=["", "a"]),
    "a group with a comma": rules(userGroups=["true,true", "false"]),
    "more groups than can be told apart": rules(userGroups=[f"g{index}" for index in range(60)]),
    "every combination of groups and resources": {
        "rules": [
            {"level": "Metadata", "userGroups": [f"g{index}"], "resources": [{"group": "", "resources": [f"r{index}"]}]}
            for index in range(30)
        ]
    },
    "many users": {
        "rules": [{"level": "Request", "users": [f"u{index}-{n}" for n in range(60)]} for index in range(30)]
    },
    "resources with slashes and stars": rules(resources=[{"group": "", "resources": ["*/*", "a/b/c", "/", "*/"]}]),
    "resource names with separators": rules(
        resources=[{"group": "", "resources": ["pods"], "resourceNames": ["|", "/", "", SURROGATES]}]
    ),
    "a verb with a separator": rules(verbs=["get|", "|", "*"]),
    "nothing to be recorded": {"rules": [{"level": "None"}]},
}
TENANTS = {f"evil-{number}": attack for number, attack in enumerate(ATTACKS.values())}
PEOPLE = (
    User("alice", ("dev", "system:authenticated")),
    User("|", ("", "true,true")),
    User(SURROGATES, ("a",)),
    User("namespace|quiet", tuple(f"g{index}" for index in range(60))),
)


def policy(namespace, spec):
    document = {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "own", "namespace": namespace, "generation": 1},
        "spec": {**spec, "sinkRefs": [{"kind": "AuditSink", "name": "own"}]},
    }
    made = parse_object(document)
    return None if isinstance(made, tuple) else made  # refused by the API server as well


def sink(namespace):
    store = {"type": "VictoriaLogs", "victoriaLogs": {"url": f"http://{namespace}.example:9428"}}
    return parsed("AuditSink", "own", store, namespace)


def snapshot(tenants):
    specs = {"quiet": rules(verbs=["get"]), **tenants}
    made = {namespace: policy(namespace, spec) for namespace, spec in specs.items()}
    return Snapshot(
        audit_policies=tuple(filter(None, made.values())),
        audit_sinks=tuple(sink(namespace) for namespace in specs),
        control_planes=(control_plane(),),
        namespaces=tuple(NamespaceFact(namespace) for namespace in specs),
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
    places = Places(config=str(folder), state=f"{folder}/state", endpoints=Endpoints(f"127.0.0.1:{next(free_ports())}"))
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
