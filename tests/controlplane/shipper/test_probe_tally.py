"""What was counted of probes only rises, and nobody else's events are taken for theirs."""

from __future__ import annotations

from audit_operator.controlplane.shipper.counts import Counts
from audit_operator.controlplane.shipper.probe_tally import ProbeTally
from audit_operator.detections.series import EVENTS


def sample(detection, value, probe="true", user="prober", start=1):
    labels = f'detection="{detection}",probe="{probe}"' if probe else f'detection="{detection}"'
    return f'{EVENTS}{{{labels},start="{start}",user="{user}"}} {value}'


def see(tally, *lines):
    return tally.see(Counts(lines, 100.0))


def test_events_of_probes_are_added_up_by_condition():
    tally = ProbeTally()
    lines = [sample("a", 3), sample("a", 4, user="other"), sample("b", 1), sample("a", 90, probe="")]
    assert see(tally, *lines) == (("a", 7), ("b", 1))
    assert see(tally, *lines) == (("a", 7), ("b", 1))


def test_a_sum_never_falls():
    tally = ProbeTally()
    see(tally, sample("a", 3))
    assert see(tally, sample("a", 1, start=2)) == (("a", 4),)
    assert see(tally) == (("a", 4),)
    assert see(tally, sample("a", 2, start=2)) == (("a", 6),)


def test_a_user_who_is_called_like_a_label_is_no_prober():
    assert see(ProbeTally(), sample("a", 3, probe="", user='x,probe=\\"true\\",')) == ()


def test_where_nothing_is_counted_nothing_is_said():
    assert ProbeTally().see(None) is None
    assert see(ProbeTally()) == ()
