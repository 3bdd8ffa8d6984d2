"""Figures of the last day: no better than what was counted, and no more restless than once an hour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.way_figures import (
    BOUNDS,
    MISSING,
    PARTS,
    WHOLE,
    Latency,
    WayFigures,
    part,
    part_text,
    seconds_text,
)
from audit_operator.proof.hours import LastDay, Steady, WayWindow, quantile

COUNTS = st.integers(0, 10**9)


@given(COUNTS, COUNTS.filter(bool))
def test_a_part_never_looks_smaller_than_it_is_nor_much_larger(some, more):
    said = part(some, some + more)
    assert said in (0, *PARTS)
    assert said * (some + more) >= some * WHOLE
    smaller = max((each for each in PARTS if each < said), default=0)
    assert not said or smaller * (some + more) < some * WHOLE


def test_none_at_all_is_the_only_zero():
    assert [part_text(part(some, 10**9)) for some in (0, 1, 10**4 + 1, 10**9)] == ["0%", "0.001%", "0.002%", "100%"]
    with pytest.raises(ZeroDivisionError):
        part(0, 0)


def test_times_are_said_as_people_say_them():
    assert [seconds_text(each) for each in (1.0, 120.0, MISSING)] == ["1s", "120s", "missing"]


def test_what_is_older_than_a_day_is_forgotten_by_whole_hours():
    day = LastDay()
    day.add(100, {"sent": 1})
    day.add(123, {"sent": 10})
    assert [day.total(hour)["sent"] for hour in (123, 124, 146, 147)] == [11, 10, 10, 0]


def test_a_clock_that_goes_back_loses_nothing():
    day = LastDay()
    day.add(100, {"sent": 1})
    day.add(99, {"sent": 1})
    assert day.total(100)["sent"] == 2


def test_worse_is_said_at_once_and_better_with_the_next_hour():
    said = Steady()
    assert [said.say(1, each) for each in (None, 2, 5, 2, None)] == [None, 2, 5, 5, 5]
    assert [said.say(2, each) for each in (2, 1)] == [2, 2]
    assert said.say(3, None) is None


@given(st.dictionaries(st.sampled_from([*BOUNDS, MISSING]), st.integers(0, 50)), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_that_of_the_sorted_values(counts, share):
    values = sorted(value for value, count in counts.items() for _ in range(count))
    found = quantile(counts, share)
    if not values:
        assert found is None
    else:
        assert found in values
        assert sum(each <= found for each in values) >= share * len(values)
        assert sum(each < found for each in values) < share * len(values)


def test_a_way_of_which_nothing_was_seen_has_no_figures():
    way = WayWindow()
    assert way.figures(5) == WayFigures()
    way.add_records(5, 0, 0)
    assert way.figures(5) == WayFigures()
    way.add_records(5, 10, 0)
    assert way.figures(5) == WayFigures(lost=0)


def test_records_that_never_came_count_as_slower_than_all_that_did():
    way = WayWindow()
    for took in [0.3] * 90 + [7.0] * 8 + [MISSING] * 2:
        way.add_probe(7, took)
    assert way.figures(7).latency == Latency(1.0, 10.0, MISSING)
    assert way.figures(31) == WayFigures()


@given(st.lists(st.tuples(st.integers(0, 60), COUNTS, COUNTS), max_size=30), st.integers(0, 90))
def test_what_is_said_to_be_lost_is_never_less_than_what_was(counted, hour):
    way, recent = WayWindow(), [each for each in counted if hour - 24 < each[0] <= hour]
    for at, sent, lost in sorted(recent):
        way.add_records(at, sent, lost)
    sent, lost = sum(each[1] for each in recent), sum(each[2] for each in recent)
    said = way.figures(hour).lost
    assert (said is None) == (sent + lost == 0)
    assert said is None or said * (sent + lost) >= lost * WHOLE
