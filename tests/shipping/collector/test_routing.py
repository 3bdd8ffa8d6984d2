"""Many routes are a tree: each still leads where it is to lead, and none asks every record about all others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.collector.routing import ROUTING, Destination, connector, pipelines, spread, way_out
from audit_operator.shipping.exporters import Exporter
from tests.shipping.collector.walk import walk


def exporter(name):
    return Exporter(f"otlp_http/{name}", {}, detached=False)


def tree(routes):
    destinations = [
        *(Destination.of_route(each, (exporter(each),)) for each in routes),
        Destination("quarantine", 'log.attributes["quarantine"] != nil', (exporter("quarantine"),)),
        Destination("unseen", "", (exporter("unseen"),)),
    ]
    ways_out = spread(ROUTING, [way_out(each) for each in destinations])
    connectors = {name: connector(ways) for name, ways in ways_out.items()}
    return {"connectors": connectors, "service": {"pipelines": pipelines(ways_out)}}


def end(config, **record):
    (sent,) = walk(config, size=1, **record)
    return sent.exporter.removeprefix("otlp_http/")


@given(st.sets(st.text("0123456789abcdef", min_size=1, max_size=4), max_size=200), st.text("0123456789abcdef"))
def test_each_route_leads_to_its_own_end_and_no_other_does(routes, other):
    config = tree(sorted(routes))
    assert {route: end(config, route=route) for route in routes} == {route: route for route in routes}
    if other not in routes:
        assert end(config, route=other) == "unseen"
    assert end(config, route=other if other not in routes else "", quarantined=True) == "quarantine"


def test_what_a_connector_asks_for_stays_little_however_many_routes_there_are():
    config = tree([f"{number:04}" for number in range(4000)])
    assert max(len(each["table"]) for each in config["connectors"].values()) < 10


def test_a_few_routes_are_asked_for_in_a_row():
    assert list(tree("abcdefgh")["connectors"]) == [ROUTING]
