from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention.change import GRACE, Announcement, change
from audit_operator.retention.demand import Combined, Demand

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PERIODS = st.none() | st.integers(1, 10_000)


def wanted(after, *, confirmed=False, hold=False):
    return Combined(Demand(maximum=after, legal_hold=hold), confirmed=confirmed)


def is_shorter(after, before):
    return after is not None and (before is None or after < before)


@given(PERIODS, PERIODS, st.booleans(), st.none() | st.integers(1, 10_000), st.integers(0, 20))
def test_nothing_is_shortened_without_a_word_or_its_time(effective, target, confirmed, said, days):
    announced = None if said is None else Announcement(said, NOW - timedelta(days=days))
    made = change(effective, wanted(target, confirmed=confirmed), announced, NOW)
    if is_shorter(made.delete_after, effective):
        assert made.delete_after == target
        assert confirmed or (said == target and timedelta(days=days) >= GRACE)


@given(PERIODS, PERIODS)
def test_to_keep_longer_is_done_at_once(effective, target):
    if not is_shorter(target, effective):
        assert change(effective, wanted(target), None, NOW).delete_after == target


@given(PERIODS, PERIODS, st.booleans())
def test_nothing_is_deleted_under_legal_hold(effective, target, confirmed):
    made = change(effective, wanted(target, confirmed=confirmed, hold=True), None, NOW)
    assert made.delete_after is None
    assert made.announced is None


def test_what_will_be_deleted_is_announced_and_comes_in_force_when_its_time_is_over():
    first = change(2400, wanted(240), None, NOW)
    assert (first.delete_after, first.announced) == (2400, Announcement(240, NOW))
    meanwhile = change(2400, wanted(240), first.announced, NOW + GRACE - timedelta(seconds=1))
    assert meanwhile == first
    assert change(2400, wanted(240), first.announced, NOW + GRACE).delete_after == 240


def test_another_period_is_announced_anew():
    first = change(2400, wanted(240), None, NOW)
    later = NOW + GRACE
    assert change(2400, wanted(120), first.announced, later).announced == Announcement(120, later)


def test_a_store_that_deletes_nothing_is_not_told_to_begin_without_its_time():
    assert change(None, wanted(240), None, NOW).delete_after is None
