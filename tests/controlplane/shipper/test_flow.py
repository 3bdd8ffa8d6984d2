"""What is said of the way to a sink, from figures that come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.observations import ExporterFigures, Flow
from audit_operator.controlplane.shipper.flow import BEHIND_BYTES, LOSS_SHOWN, STALLED_AFTER, Sum, Way


def see(way, now, epoch="a", **figures):
    return way.see(float(now), epoch, ExporterFigures(**figures))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100))))
def test_a_sum_never_falls_and_misses_nothing_that_was_seen(runs):
    counter, expected, total = Sum(), 0, 0
    for number, (_, amount) in enumerate(runs):
        for value in range(0, amount, 7):
            before, total = total, counter.add(f"run {number}", value)
            assert total >= before
        expected += max(range(0, amount, 7), default=0)
    assert total == expected


def test_nothing_sent_is_nothing_yet():
    way = Way()
    assert see(way, 0) is Flow.NOTHING
    assert see(way, 1, queue=5) is Flow.NOTHING


def test_what_was_sent_flows_also_after_the_collector_was_started_anew():
    way = Way()
    assert see(way, 0, sent=5) is Flow.FLOWING
    assert see(way, 1, epoch="b") is Flow.FLOWING
    assert way.figures.sent == 5
    see(way, 2, epoch="b", sent=3)
    assert way.figures.sent == 8


def test_what_was_cut_is_added_up_and_is_no_loss():
    way = Way()
    see(way, 0, sent=5, cut=2)
    assert see(way, 1, epoch="b", sent=1, cut=1) is Flow.FLOWING
    assert way.figures.cut == 3


def test_what_had_been_sent_before_anybody_looked_proves_nothing_while_something_waits():
    way = Way()
    assert see(way, 0, sent=100, queue=10) is Flow.NOTHING
    assert see(way, 1, sent=101, queue=10) is Flow.FLOWING


def test_records_that_wait_while_none_is_sent_are_a_backlog_until_one_is():
    way = Way()
    see(way, 0, sent=5)
    assert see(way, 1, sent=5, queue=10) is Flow.FLOWING
    assert see(way, 1 + STALLED_AFTER, sent=5, queue=20) is Flow.BACKLOG
    assert see(way, 100, epoch="b", queue=20) is Flow.BACKLOG
    assert see(way, 101, epoch="b", sent=1, queue=10) is Flow.FLOWING


def test_a_queue_that_is_never_short_for_a_minute_is_a_backlog_although_records_are_sent():
    way = Way()
    flows = [see(way, now, sent=now, queue=BEHIND_BYTES) for now in range(65)]
    assert flows[10] is Flow.FLOWING
    assert flows[-1] is Flow.BACKLOG
    assert see(way, 65, sent=66, queue=0) is Flow.FLOWING


def test_a_queue_that_is_short_at_times_is_none():
    way = Way()
    flows = {see(way, now, sent=now + 1, queue=0 if now % 30 == 0 else BEHIND_BYTES) for now in range(200)}
    assert flows == {Flow.FLOWING}


def test_a_loss_is_shown_for_an_hour_whatever_else_is_sent():
    for lost in ({"failed": 1}, {"not_queued": 1}):
        way = Way()
        see(way, 0, sent=5)
        assert see(way, 1, sent=6, **lost) is Flow.LOSSY
        assert see(way, LOSS_SHOWN, sent=7, **lost) is Flow.LOSSY
        assert see(way, 1 + LOSS_SHOWN, sent=8, **lost) is Flow.FLOWING
