"""Each store gets as much of a large event as it takes: what one does not take costs no other its bodies."""

from __future__ import annotations

import json
import urllib.request

from audit_operator.api.audit import Level, Stage
from audit_operator.controlplane.shipper import telemetry
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Request, Rule, User
from audit_operator.shipping.enforcement.classes import classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.exporters import Exporter
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import records, ship
from tests.ports import free_ports

SHOP = Contribution(Reach(frozenset({"shop"})), Policy((Rule(Level.REQUEST_RESPONSE),)))


def made(audit_id, **more):
    request = Request(User("eve"), "get", True, "", "v1", "shop", "pods", "", "a")
    event = event_of(request, Stage.RESPONSE_COMPLETE, Level.REQUEST_RESPONSE, audit_id)
    return line_of({**event, **more})


def test_an_event_loses_its_bodies_only_where_they_are_too_large(tmp_path):
    lines = {
        "small": made("small"),
        "large": made("large", responseObject={"data": "x" * 3000}),
        "larger": made("larger", responseObject={"data": "y" * 6000}),
        "huge": made("huge", userAgent="z" * 6000),
        "broken": b"no event " * 400,
    }
    small = Exporter("file/small", {"path": f"{tmp_path}/small.jsonl"}, detached=True, largest=2000)
    exporters = (Exporter("file", {}, detached=False, largest=5000), small)
    everywhere = tuple(each.id for each in exporters)
    port, said = next(free_ports()), []

    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            said.append(telemetry.parse(answer.read().decode()))

    run = ship(
        build(classify([SHOP], ["shop"])),
        lines.values(),
        tmp_path,
        routes={"": everywhere},
        quarantine=everywhere,
        exporters=exporters,
        telemetry=port,
        then=ask,
    )
    found = {
        limit: {name: _of(name, theirs) for name in lines}
        for limit, theirs in ((5000, run.records), (2000, list(records(tmp_path / "small.jsonl"))))
    }
    whole = {name for name in ("small", "large") if json.loads(found[5000][name].body) == json.loads(lines[name])}
    assert whole == {"small", "large"}
    for limit, name in ((5000, "larger"), (2000, "larger"), (2000, "large")):
        assert {"requestObject", "responseObject"}.isdisjoint(json.loads(found[limit][name].body))
    assert {limit: len(found[limit]["huge"].body) for limit in found} == {5000: 5000, 2000: 2000}
    for limit, theirs in found.items():
        cut = {name: each.attributes.get("cut") for name, each in theirs.items() if name != "broken"}
        assert cut == {name: len(line) if len(line) > limit else None for name, line in lines.items() if name in cut}
        assert limit == 2000 or "cut" not in theirs["broken"].attributes
    counted = {each: figures.cut for each, figures in said[0].exporters.items()}
    assert counted == {"file": 2, "file/small": sum("cut" in each.attributes for each in found[2000].values())}


def _of(name, theirs):
    (found,) = (each for each in theirs if _name(each) == name)
    return found


def _name(record):
    return "broken" if "quarantine" in record.attributes else record.attributes["auditID"]
