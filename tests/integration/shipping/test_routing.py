"""Many namespaces with a sink each: the real connectors compare names of routes as the configuration means it."""

from __future__ import annotations

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Request, Rule, User
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.exporters import Exporter
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import complaints, records, ship

NAMESPACES = tuple(f"team-{number}" for number in range(30))


def made(namespace):
    request = Request(User("eve"), "get", True, "", "v1", namespace, "pods", "", "a")
    return line_of(event_of(request, Stage.RESPONSE_COMPLETE, Level.METADATA, f"of {namespace}"))


def test_each_of_many_routes_leads_to_its_own_sink(tmp_path):
    everywhere = Contribution(Reach(frozenset(NAMESPACES)), Policy((Rule(Level.METADATA),)))
    treatments = {each: Treatment(route=f"route-{hash_of(each)}") for each in NAMESPACES}
    files = {
        each: Exporter(f"file/{each}", {"path": f"{tmp_path}/{each}.jsonl"}, detached=False) for each in NAMESPACES
    }
    run = ship(
        build(classify([everywhere], NAMESPACES, treatments)),
        [*map(made, NAMESPACES), made("new"), b"no event", *map(made, NAMESPACES)],
        tmp_path,
        routes={"": ("file",), **{treatments[each].route: (files[each].id,) for each in NAMESPACES}},
        exporters=(Exporter("file", {}, detached=False), *files.values()),
    )
    assert complaints(run.log) == []
    for namespace in NAMESPACES:
        found = [each.attributes["auditID"] for each in records(tmp_path / f"{namespace}.jsonl")]
        assert found == [f"of {namespace}"] * 2
    assert sorted(each.attributes.get("auditID", "") for each in run.records) == ["", "of new"]


def hash_of(namespace):
    """Another order than that of the namespaces, as names of routes have."""
    return f"{int(namespace.partition('-')[2]) * 7919 % 1000:03x}"
