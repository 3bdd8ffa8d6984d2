"""It is counted how much had no room to be told apart; never more than that, whatever becomes of series."""

from __future__ import annotations

import time

import pytest

from audit_operator.api.observations import EVERYWHERE
from audit_operator.controlplane.shipper.crowding import Crowding, labels_of
from audit_operator.detections.series import ALL_EVENTS, CROWDED_EVENTS, EVENTS

BEGAN = time.time()


@pytest.fixture
def crowding(monkeypatch):
    """Of a collector that begins now, at 0 s."""
    monkeypatch.setattr(time, "time", lambda: BEGAN)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    made = Crowding()
    made.begin_anew()
    return made


def told(value, user="jane", namespace="shop", condition="c", start=0.0):
    where = f'object_namespace="{namespace}",' if namespace else ""
    labels = f'control_plane="main",detection="{condition}",{where}probe="",start="{(BEGAN + start) * 1000:.0f}"'
    return f'{EVENTS}{{{labels},user="{user}"}}', str(value)


def of_all(value, namespace="shop", condition="c", start=1.0, probe=""):
    where = f'object_namespace="{namespace}",' if namespace else ""
    labels = f'control_plane="main",detection="{condition}",{where}probe="{probe}",start="{(BEGAN + start) * 1000:.0f}"'
    return f"{ALL_EVENTS}{{{labels}}}", str(value)


def see(crowding, *samples, at=None):
    """What it makes of them within two looks, by condition and namespace."""
    first = (crowding._looked or 0.0) + 5.0 if at is None else at - 2.0
    crowding.see(dict(samples), first)
    shown = crowding.see(dict(samples), first + 2.0)
    assert all(each.startswith(f'{CROWDED_EVENTS}{{control_plane="main",detection="') for each in shown)
    labels = {series: labels_of(series) for series in shown}
    return {(labels[each]["detection"], labels[each].get("object_namespace", "")): int(shown[each]) for each in shown}


def test_what_is_added_to_no_other_series_had_no_room(crowding):
    assert see(crowding, told(3), told(2, "joe"), of_all(5)) == {}
    assert see(crowding, told(3), told(2, "joe"), of_all(6)) == {("c", "shop"): 1}
    assert see(crowding, told(4), told(2, "joe"), of_all(9)) == {("c", "shop"): 3}
    assert crowding.places(60.0) == (("c", "shop"),)


def test_each_namespace_and_each_condition_is_looked_at_alone(crowding):
    noise = [told(9, namespace="web"), of_all(9, "web"), told(1, condition="d", namespace=""), of_all(1, "", "d")]
    assert see(crowding, told(3), of_all(4), *noise) == {("c", "shop"): 1}
    assert see(crowding, told(3), of_all(4), *noise, of_all(2, "", "e")) == {("c", "shop"): 1, ("e", ""): 2}


def test_what_is_counted_by_namespace_a_little_later_is_not_missing_and_nothing_falls(crowding):
    assert see(crowding, told(9), of_all(2)) == {}
    assert see(crowding, told(30), of_all(31)) == {("c", "shop"): 1}
    assert see(crowding, told(300), of_all(31)) == {("c", "shop"): 1}
    assert see(crowding, told(300), of_all(303)) == {("c", "shop"): 3}


def test_a_series_that_is_forgotten_takes_nothing_with_it(crowding):
    see(crowding, told(9), told(4, "joe"), of_all(13), at=5.0)
    assert see(crowding, told(9), of_all(13), at=1000.0) == {}
    assert see(crowding, told(9), told(1, "joe", start=1500.0), of_all(14), at=1500.0) == {}


def test_what_came_just_before_a_reload_hides_nothing_that_comes_after_it(crowding):
    see(crowding, told(1000), of_all(900))
    crowding.begin_anew()
    # For a moment the former one still answers, or flushes what was late.
    assert see(crowding, told(1000), of_all(1000), of_all(3, "late", start=-0.5)) == {}
    assert see(crowding, told(2, start=1.0), of_all(2, start=2.0)) == {}
    assert see(crowding, told(2, start=1.0), of_all(4, start=2.0)) == {("c", "shop"): 2}


def test_what_had_no_room_before_a_reload_is_another_series_from_then_on(crowding, monkeypatch):
    see(crowding, of_all(7))
    before = crowding.see(dict([of_all(7)]), 10.0)
    monkeypatch.setattr(time, "time", lambda: BEGAN + 60)
    crowding.begin_anew()
    see(crowding, of_all(2, start=61.0), at=67.0)
    after = crowding.see(dict([of_all(2, start=61.0)]), 70.0)
    assert list(before.values()) == ["7"]
    assert list(after.values()) == ["2"]
    assert labels_of(next(iter(before)))["start"] != labels_of(next(iter(after)))["start"]
    assert crowding.places(71.0) == (("c", "shop"),)


def test_a_former_sum_that_comes_late_is_not_counted_though_it_goes_on(crowding):
    see(crowding, told(1, "shown", start=-0.5))
    crowding.begin_anew()
    # Until the collector heeds, which may take a while.
    assert see(crowding, told(2, "shown", start=-0.5), of_all(1, start=-0.1)) == {}
    assert see(crowding, told(9, "shown", start=-0.5), of_all(9, start=-0.1)) == {}


def test_a_clock_that_was_set_back_hides_nothing(crowding):
    assert see(crowding, of_all(3, start=-3600.0), at=100.0) == {("c", "shop"): 3}


def test_what_was_there_before_anybody_looked_says_nothing():
    """Nor does what was told apart then and is added up a little later."""
    crowding = Crowding()
    crowding.see(dict([told(3, start=-900), of_all(90, start=-900)]), 5.0)
    assert see(crowding, told(3, start=-900), of_all(99, start=-900), at=9.0) == {}
    assert see(crowding, told(3, start=-900), of_all(100, start=-900)) == {("c", "shop"): 1}


def test_after_long_without_an_answer_nothing_is_made_of_what_came_meanwhile(crowding):
    see(crowding, told(3), of_all(3))
    assert see(crowding, told(9, "new", start=2000.0), of_all(12), at=4000.0) == {}
    assert see(crowding, told(9, "new", start=2000.0), of_all(13), at=4005.0) == {("c", "shop"): 1}


def test_reads_that_fail_for_some_minutes_invent_nothing(crowding):
    see(crowding, told(1), of_all(1))
    assert see(crowding, told(1), told(200, "new", start=100.0), of_all(201), at=600.0) == {}


def test_places_are_named_for_an_hour(crowding):
    see(crowding, of_all(1), at=10.0)
    assert crowding.places(3600.0) == (("c", "shop"),)
    assert crowding.places(3611.0) == ()
    see(crowding, of_all(2), at=3621.0)
    see(crowding, of_all(3), at=3631.0)
    assert crowding.places(3640.0) == (("c", "shop"),)


def test_where_there_are_too_many_places_none_is_left_out(crowding):
    see(crowding, *(of_all(1, f"n{number:03}", "flooded") for number in range(300)), of_all(1, "shop"))
    assert crowding.places(60.0) == (("c", "shop"), ("flooded", EVERYWHERE))


def test_probes_of_the_operator_are_left_out(crowding):
    assert see(crowding, of_all(7, probe="true")) == {}


@pytest.mark.parametrize("agent", ["x,start=", "x,object_namespace=", 'x\\",detection=\\"d', "\\\\", "{}", " 7"])
def test_whatever_a_sender_calls_himself_stays_a_value(crowding, agent):
    where = 'control_plane="main",detection="c",object_namespace="shop",start="1"'
    series = f'{EVENTS}{{{where},user_agent="{agent}",verb="get"}}'
    assert labels_of(series)["object_namespace"] == "shop"
    assert (labels_of(series)["user_agent"], labels_of(series)["verb"]) == (agent, "get")
    assert see(crowding, (series, "3"), of_all(3)) == {}
    hidden = f'{EVENTS}{{control_plane="main",detection="c",resource="{agent}",start="1"}}'
    assert labels_of(hidden)["start"] == "1"


def test_a_sum_that_is_ahead_at_one_moment_is_not_taken_for_more(crowding):
    """What shows both is not asked at one moment, and the order in which both are counted is any."""
    assert crowding.see(dict([told(5), of_all(9)]), 5.0) == {}
    assert crowding.see(dict([told(9), of_all(30)]), 10.0) == {}
    assert crowding.see(dict([told(30), of_all(31)]), 15.0) == {}


def test_what_the_former_collector_begins_at_last_hides_nothing_of_the_next_one(crowding):
    see(crowding, told(1), of_all(1))
    crowding.begin_anew()
    assert see(crowding, told(1), told(350, "late", start=9.0), of_all(1)) == {}
    assert see(crowding, told(2, start=20.0), of_all(9, start=21.0)) == {("c", "shop"): 7}


def test_what_had_no_room_counts_though_the_collector_begins_anew_all_the_time(crowding):
    assert list(crowding.see(dict([told(5), of_all(25)]), 1.0, at_last=True).values()) == ["20"]
