"""What shippers have counted, and how long probes took, as figures of each way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ExporterFigures, ExporterObservation, ShipperFigures, ShipperObservation
from audit_operator.api.way_figures import Latency, WayFigures
from audit_operator.controller.metrics import Metrics
from audit_operator.controller.way_figures import WayMeasures
from audit_operator.plan.collector_files import CollectorFiles
from audit_operator.plan.shipping_status import ShippingFacts
from audit_operator.proof.memory import RememberedPlane, RememberedWay, decode, encode

CENTRAL = ObjectRef("ClusterAuditSink", "central")
FILES = CollectorFiles("", "", "", "table.yaml", {CENTRAL: "otlp/central"}, {}, {})
NOW = 1_800_000_000.0
HOUR = 3600.0
LONG_AGO = NOW - 100 * HOUR


def facts(sent=0, lost=0, since=NOW - HOUR, capacity=1000):
    figures = ExporterFigures(sent, lost, capacity=capacity)
    began = datetime.fromtimestamp(since, UTC) if since else None
    shipper = ShipperObservation(
        "n1", exporters=(ExporterObservation("otlp/central", "Flowing", figures),), figures=ShipperFigures(since=began)
    )
    return {"main": ShippingFacts(FILES, shippers=(shipper,))}


class World:
    def __init__(self):
        self.now, self.metrics = NOW, Metrics()
        self.measures = WayMeasures(self.metrics.probe_counts(), clock=lambda: self.now)

    def lost(self, seen):
        self.measures.look(seen)
        return self.measures.said.get("main", {}).get(CENTRAL, WayFigures()).lost


@pytest.fixture
def world():
    return World()


def test_what_a_young_shipper_has_counted_is_of_the_last_day(world):
    assert world.lost(facts(99, 1)) == 1000


def test_of_what_an_old_one_has_counted_before_nobody_knows_when_it_was(world):
    assert world.lost(facts(99, 1, LONG_AGO)) is None
    assert world.lost(facts(109, 1, LONG_AGO)) == 0
    assert world.lost(facts(199, 2, LONG_AGO)) == 1000


def test_one_that_does_not_say_since_when_it_counts_is_taken_for_old(world):
    assert world.lost(facts(99, 1, None)) is None
    assert world.lost(facts(109, 1, None)) == 0


def test_a_shipper_that_begins_anew_is_counted_from_nothing(world):
    world.lost(facts(1000, 0, LONG_AGO))
    assert world.lost(facts(99, 1, NOW)) == 1000


def test_a_report_without_room_for_figures_says_nothing_and_counts_nothing_twice(world):
    world.lost(facts(1000, 500, LONG_AGO))
    assert world.lost(facts(capacity=0, since=LONG_AGO)) is None
    assert world.lost(facts(1100, 500, LONG_AGO)) == 0


def test_a_control_plane_that_is_gone_is_forgotten_and_one_without_answer_is_not(world):
    world.lost(facts(1000, 0, LONG_AGO))
    silent = {"main": replace(facts()["main"], shippers=())}
    world.measures.look(silent)
    assert world.lost(facts(1099, 1, LONG_AGO)) == 1000
    world.measures.look({})
    world.now += 24 * HOUR
    assert world.lost(facts(5000, 1, LONG_AGO)) is None


def test_the_next_operator_goes_on_and_counts_what_was_lost_meanwhile(world):
    world.lost(facts(1000, 0, LONG_AGO))
    assert world.lost(facts(1100, 0, LONG_AGO)) == 0
    world.measures.count("main", CENTRAL, "Verified", 4.0)
    kept = decode(encode(world.measures.remembered("main"), 10_000), NOW)
    following = World()
    following.measures.waits = True
    assert not following.measures.look(facts(1100, 50, LONG_AGO))
    following.measures.recall({"main": kept})
    assert following.lost(facts(1100, 50, LONG_AGO)) == 50_000
    assert following.measures.said["main"][CENTRAL].latency == Latency(5.0, 5.0, 5.0)
    assert following.measures.remembered("other") == RememberedPlane()


def test_what_somebody_made_up_is_not_counted(world):
    hour = int(NOW) // 3600
    made_up = RememberedPlane(ways=(RememberedWay(CENTRAL, ((hour, 1, 0, ((99, 1),)),)),))
    world.measures.recall({"main": made_up})
    later = RememberedPlane(ways=(RememberedWay(CENTRAL, ((hour + 5, 1, 1, ()),)),))
    world.measures.recall({"main": later})
    world.measures.look({})
    assert world.measures.said == {}


def test_a_shipper_that_is_gone_is_forgotten_after_a_day_whoever_leads(world):
    world.lost(facts(1000, 0, LONG_AGO))
    gone = {"main": replace(facts()["main"], shippers=())}
    world.now += 20 * HOUR
    world.measures.look(gone)
    kept = world.measures.remembered("main")
    assert len(kept.counts) == 1
    following = World()
    following.now = world.now
    following.measures.recall({"main": kept})
    following.measures.look(gone)
    assert len(following.measures.remembered("main").counts) == 1
    following.now += 5 * HOUR
    following.measures.look(gone)
    assert following.measures.remembered("main").counts == ()


def test_a_loss_is_out_of_the_figure_after_a_day(world):
    assert world.lost(facts(0, 10)) == 100_000
    world.now += 23 * HOUR
    assert world.lost(facts(90, 10)) == 10_000
    world.now += HOUR
    assert world.lost(facts(100, 10)) == 0


def test_only_what_is_said_anew_is_news(world):
    assert world.measures.look(facts(100, 1))
    assert not world.measures.look(facts(200, 1))
    assert not world.measures.look(facts(1_000_000, 1))
    world.now += HOUR
    assert world.measures.look(facts(1_000_000, 1))


def test_probes_are_counted_exactly_in_metrics_and_in_steps_for_status(world):
    for seconds in (1.5, 1.7, 3.0):
        world.measures.count("main", CENTRAL, "Verified", seconds)
    world.measures.count("main", CENTRAL, "Contradicted", None)
    assert world.measures.look({})
    assert world.measures.said == {"main": {CENTRAL: WayFigures(latency=Latency(2.0, 5.0, 5.0))}}
    world.measures.count("main", CENTRAL, "Missing", None)
    world.measures.look({})
    assert world.measures.said["main"][CENTRAL].latency == Latency(2.0, float("inf"), float("inf"))
    shown = world.metrics.registry.get_sample_value
    assert shown("audit_operator_probe_delivery_seconds_count", {"sink": "clusterauditsink.central"}) == 3
