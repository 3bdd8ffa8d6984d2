"""Each store gets every record of its routes once, and no more of it than it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.collector.configuration import render
from audit_operator.shipping.collector.cutting import cut_counter
from audit_operator.shipping.enforcement.classes import classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.exporters import Exporter
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline
from tests.shipping.collector.walk import walk

SHAPE = build(classify([], [])).shape
LIMITS = (100, 200, 300)
EXPORTERS = tuple(
    Exporter(f"otlp_http/{limit}-{detached}", {}, detached=detached, largest=limit)
    for limit in LIMITS
    for detached in (False, True)
)
SOME = st.lists(st.sampled_from(EXPORTERS), unique_by=lambda each: each.id, max_size=4)
ROUTES = st.dictionaries(st.sampled_from("abcdef"), SOME, max_size=4)


def rendered(routes, otherwise=(), quarantine=()):
    named = {name: tuple(each.id for each in exporters) for name, exporters in {"": otherwise, **routes}.items()}
    return render(
        AuditPipeline(
            cluster="test",
            source=AuditFiles(("/in.log",)),
            shape=SHAPE,
            table="/table.yaml",
            state="/state",
            routes=named,
            quarantine=tuple(each.id for each in quarantine),
            exporters=EXPORTERS,
            redactions={},
        )
    )


def arrived(config, **record):
    return {each.exporter: each.processors for each in walk(config, **record)}


@given(ROUTES, SOME, SOME, st.integers(1, 400))
def test_a_record_comes_once_to_each_exporter_of_its_way_and_is_cut_only_for_those_that_would_not_take_it(
    routes, otherwise, quarantine, size
):
    config = rendered(routes, otherwise, quarantine)
    records = [
        *(({"route": route}, exporters) for route, exporters in routes.items()),
        ({"quarantined": True}, quarantine),
        ({}, otherwise),
    ]
    for record, exporters in records:
        found = [each for each in walk(config, size=size, **record) if each.exporter != "nop"]
        assert sorted(each.exporter for each in found) == sorted(each.id for each in exporters)
        known = {each.id: each for each in exporters}
        for sent in found:
            exporter = known[sent.exporter]
            cuts = [f"transform/cut-{exporter.largest}", cut_counter(exporter.id)] if size > exporter.largest else []
            assert list(sent.processors) == cuts + ["detach"] * exporter.detached


def test_what_every_store_takes_meets_one_comparison_more_however_many_limits_there_are():
    table = rendered({"a": EXPORTERS})["connectors"]["routing"]["table"]
    assert [each["condition"] for each in table if "Len" in each["condition"]] == [f"Len(log.body) > {LIMITS[0]}"]


def test_what_no_route_leads_to_is_cut_by_nothing():
    cutting = {name for name in rendered({}, EXPORTERS[:1])["processors"] if "cut" in name}
    assert cutting == {f"transform/cut-{LIMITS[0]}", cut_counter(EXPORTERS[0].id)}
