"""Lines that shippers could not read are said to those whose they are, and to nobody else."""

from __future__ import annotations

from dataclasses import replace

from audit_operator.api.observations import Flow, ShipperFigures, ShipperObservation, UnreadableLines
from audit_operator.plan import plan
from audit_operator.plan.shipping_status import ShippingFacts, remarks_for_owner
from audit_operator.plan.status import statuses
from audit_operator.plan.unreadable_lines import UNREADABLE, Unreadable, in_words
from tests.plan.test_shipping import CENTRAL, OWN, SNAPSHOT
from tests.plan.test_shipping_status import BASELINE, PCI
from tests.plan.test_sink_shipping import THREE, shipping_of

COUNTED = (
    UnreadableLines("", "no JSON object", 3),
    UnreadableLines("another", "unreadable rest", 100),
    UnreadableLines("payments", "no user", 1),
    UnreadableLines("payments", "unreadable bodies", 47),
)
FIGURES = ShipperFigures(quarantined=151, unreadable=COUNTED)


def findings(policy):
    seen = (ShipperObservation("n1", figures=FIGURES), ShipperObservation("n2", figures=FIGURES))
    found = statuses(SNAPSHOT, plan(SNAPSHOT), {}, {"main": ShippingFacts(shippers=seen)})[policy]
    return [each for each in found.get("composition", {}).get("findings", []) if each["id"] == UNREADABLE]


def test_the_owners_of_a_namespace_hear_of_its_own_ones_with_the_reasons_in_steps():
    [finding] = findings(PCI)
    assert finding["severity"] == "Warning"
    assert "50 lines or more" in finding["message"]  # 2 * 48
    assert "(unreadable bodies: 50, no user: 2)" in finding["message"]
    assert "rest" not in finding["message"]
    assert not findings(BASELINE)


def test_each_sink_of_a_policy_says_how_many_there_are():
    flowing = (Flow.FLOWING,)
    said = shipping_of(THREE, by_sink={OWN: flowing, CENTRAL: flowing}, figures=FIGURES)
    assert [each.get("quarantined") for each in said] == [None, 20, 20]


def test_the_owner_of_the_control_plane_hears_the_reasons_by_shipper():
    seen = ShipperObservation("n1", figures=FIGURES)
    [finding] = [each for each in remarks_for_owner(ShippingFacts(shippers=(seen,))) if each.id == "lines-quarantined"]
    assert "shipper n1: 100 lines or more" in finding.message
    assert "(unreadable rest: 100, unreadable bodies: 20, no JSON object: 2, ...)" in finding.message


def test_it_is_news_when_a_count_reaches_another_step():
    def steps(lines):
        figures = replace(FIGURES, unreadable=(UnreadableLines("payments", "no user", lines),))
        return Unreadable.of([ShipperObservation("n1", figures=figures)]).steps()

    assert steps(10) == steps(19) != steps(20)


def test_nothing_is_said_of_none():
    assert in_words({}) == ""
    assert Unreadable().lines(SNAPSHOT.audit_policies[0]) == 0
