from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.detection import Detection, DetectionKey, Selection
from audit_operator.detections import history as module
from audit_operator.detections.history import History, named
from audit_operator.detections.own import resolve

START = datetime(2026, 11, 28, 12, tzinfo=UTC)


def event(second, *, user="a", name="x", number=0):
    return {
        "kind": "Event",
        "stage": "ResponseComplete",
        "stageTimestamp": (START + timedelta(seconds=second)).isoformat().replace("+00:00", ".000000Z"),
        "auditID": f"{second}-{number}",
        "verb": "get",
        "user": {"username": user},
        "sourceIPs": ["10.9.9.9", "192.0.2.7"],
        "objectRef": {"resource": "secrets", "namespace": "web", "name": name},
    }


def detection(**more):
    given_ = {"name": "it", "selection": Selection(verbs=("get",)), "window": "10s", "group_by": (DetectionKey.USER,)}
    return resolve(Detection(**{**given_, **more}))


def fired(own, events):
    history = History([own])
    for each in events:
        history.add(each)
    return history.episodes()


def test_it_fires_at_the_threshold_and_goes_on_until_the_window_is_empty():
    seconds = [0, 5, 9, 15, 40]
    [episode] = fired(detection(threshold=3), [event(each) for each in seconds])
    assert (episode.first, episode.last) == (START.timestamp(), START.timestamp() + 15)
    assert episode.count == 4
    assert episode.audit_ids == ["0-0", "5-0", "9-0"]
    assert dict(named(episode)) == {"User": "a"}


def test_the_same_events_over_a_longer_time_do_not_fire():
    assert fired(detection(threshold=3), [event(each) for each in (0, 6, 12, 18)]) == []


def test_groups_are_counted_separately():
    events = [event(second, user=user) for second in range(2) for user in ("a", "b")]
    assert fired(detection(threshold=3), events) == []
    assert len(fired(detection(threshold=2), events)) == 2
    keys = (DetectionKey.SOURCE, DetectionKey.OBJECT)
    [episode] = fired(detection(threshold=4, group_by=keys), events)
    assert episode.group == ("192.0.2.7", "web/secrets/x")


def test_different_values_count_and_repetitions_do_not():
    own = detection(threshold=3, distinct=DetectionKey.OBJECT)
    assert fired(own, [event(each, name="one") for each in range(9)]) == []
    [episode] = fired(own, [event(each, name=f"n{each % 3}") for each in range(5)])
    assert episode.count == 5


def test_events_slightly_out_of_order_count_all_the_same():
    assert len(fired(detection(threshold=3), [event(each) for each in (8, 1, 5)])) == 1


def test_an_event_without_a_time_is_refused():
    with pytest.raises(ValueError, match="isoformat"):
        History([detection()]).add({"verb": "get"})


def test_events_of_the_prober_do_not_count_and_those_of_who_impersonates_it_do():
    history = History([detection(threshold=3)], prober="prober")
    for second in range(4):
        history.add(event(second, user="prober"))
        history.add({**event(second, user="mallory"), "impersonatedUser": {"username": "prober"}})
    assert [each.group for each in history.episodes()] == [("mallory",)]
    assert (history.events, history.probes) == (8, 4)
    history = History([detection(threshold=3)])
    for second in range(4):
        history.add({**event(second), "user": {}})
    assert len(history.episodes()) == 1


def test_groups_without_room_are_counted_and_old_ones_make_room(monkeypatch):
    monkeypatch.setattr(module, "MAX_GROUPS", 2)
    history = History([detection(threshold=2)])
    for second, user in ((0, "a"), (1, "b"), (2, "c"), (30, "d"), (31, "d")):
        history.add(event(second, user=user))
    assert history.not_followed == 1
    assert [each.group for each in history.episodes()] == [("d",)]


@given(
    seconds=st.lists(st.integers(0, 60), max_size=30).map(sorted),
    threshold=st.integers(1, 4),
    names=st.lists(st.sampled_from("abc"), min_size=30, max_size=30),
    distinct=st.booleans(),
)
def test_it_fires_if_and_only_if_some_window_holds_as_many(seconds, threshold, names, distinct):
    own = detection(threshold=threshold, distinct=DetectionKey.OBJECT if distinct else None)
    events = [event(second, name=name) for second, name in zip(seconds, names, strict=False)]
    found = fired(own, events)
    windows = (
        [name for second, name in zip(seconds, names, strict=False) if start <= second <= start + 10]
        for start in seconds
    )
    expected = any((len(set(each)) if distinct else len(each)) >= threshold for each in windows)
    assert bool(found) is expected
