"""The logging error rate of a policy: nobody's errors are thinned by what is well, and silence is no zero."""

from __future__ import annotations

import pytest

from audit_operator.api.proof_observations import PlaceProof, Tally
from audit_operator.api.way_figures import Latency, WayFigures
from audit_operator.plan import plan
from audit_operator.plan.error_rate import error_rates, logging_error_rate
from audit_operator.plan.status import statuses
from tests.plan.test_proof_status import CENTRAL, OWN, PLATFORMS, SNAPSHOT, TENANTS

BAD_PROBES = PlaceProof(tallies=(Tally(OWN, 40, 1),))
GOOD_PROBES = PlaceProof(tallies=(Tally(OWN, 40, 0),))


@pytest.mark.parametrize(
    ("proof", "lost", "said"),
    [
        (None, None, ""),
        (PlaceProof(), None, ""),
        (None, 0, "0%"),
        (None, 20, "0.02%"),
        (GOOD_PROBES, None, "0%"),
        (GOOD_PROBES, 20, "0.02%"),
        (BAD_PROBES, None, "5%"),
        (BAD_PROBES, 0, "5%"),
        (PlaceProof(tallies=(Tally(OWN, 50, 1),)), 100, "5%"),
        (PlaceProof(tallies=(Tally(OWN, 3, 3),)), 50_000, "100%"),
        (PlaceProof(tallies=(Tally(CENTRAL, 40, 40),)), None, ""),
    ],
)
def test_probes_and_records_are_held_against_their_own_and_added(proof, lost, said):
    assert logging_error_rate(proof, [OWN], {OWN: WayFigures(lost=lost)}) == said


def test_the_sink_with_the_most_errors_counts():
    figures = {OWN: WayFigures(lost=5000), CENTRAL: WayFigures(lost=0)}
    assert logging_error_rate(None, [CENTRAL, OWN], figures) == "5%"
    assert logging_error_rate(None, [], figures) == ""


def status(policy, places, figures):
    found = statuses(SNAPSHOT, plan(SNAPSHOT), {}, proofs={"main": places}, figures={"main": figures})
    return found[policy.ref]


def test_status_has_the_rate_of_the_policys_own_sinks():
    figures = {OWN: WayFigures(lost=20), CENTRAL: WayFigures(lost=0)}
    assert status(TENANTS, {}, figures)["metrics"] == {"loggingErrorRate": "0.02%"}
    assert status(PLATFORMS, {}, figures)["metrics"] == {"loggingErrorRate": "0%"}
    assert "metrics" not in status(PLATFORMS, {}, {})


def test_a_cluster_wide_policys_rate_is_over_all_places():
    places = {
        "payments": PlaceProof(tallies=(Tally(CENTRAL, 10, 1),)),
        "web": PlaceProof(tallies=(Tally(CENTRAL, 90, 0),)),
    }
    assert status(PLATFORMS, places, {})["metrics"] == {"loggingErrorRate": "1%"}


def test_that_of_a_control_plane_is_the_one_of_a_cluster_wide_policy_that_ships_to_all_its_sinks():
    places = {
        "payments": PlaceProof(tallies=(Tally(CENTRAL, 10, 1), Tally(OWN, 10, 0))),
        "web": PlaceProof(tallies=(Tally(CENTRAL, 90, 0),)),
    }
    figures = {OWN: WayFigures(lost=20), CENTRAL: WayFigures(lost=1000)}
    assert error_rates({"main": places}, {"main": figures}) == {"main": 0.02}
    assert status(PLATFORMS, places, figures)["metrics"] == {"loggingErrorRate": "2%"}


def test_a_control_plane_has_a_rate_where_either_was_observed_and_else_none():
    assert error_rates({"main": {"payments": BAD_PROBES}}, {}) == {"main": 0.05}
    assert error_rates({}, {"main": {OWN: WayFigures(lost=20)}}) == {"main": 0.0002}
    assert error_rates({"main": {"payments": GOOD_PROBES}}, {"other": {OWN: WayFigures()}}) == {"main": 0.0}
    assert error_rates({"main": {"payments": PlaceProof()}}, {}) == {}


def test_status_says_how_long_records_take_to_each_sink():
    [way] = status(TENANTS, {}, {OWN: WayFigures(latency=Latency(2.0, 5.0, float("inf")))})["shipping"]
    assert way["latency"] == {"p50": "2s", "p95": "5s", "p99": "missing"}
    [other] = status(PLATFORMS, {}, {OWN: WayFigures(latency=Latency(2.0, 5.0, 5.0))})["shipping"]
    assert "latency" not in other
