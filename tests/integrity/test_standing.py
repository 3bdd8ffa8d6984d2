"""What still holds of several verifications."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.interval import Interval
from audit_operator.integrity.report import noted
from audit_operator.integrity.standing import Cover, standing
from tests.integrity.reported import report_of
from tests.integrity.sealed import HOUR, START, hour

NOW = START + 48 * HOUR


def hours(since, until):
    return Interval(START + since * HOUR, START + until * HOUR)


def gone(at):
    return noted([Discovery(Kind.RECORD_REMOVED, f"gone in {at}", "", hour(at), at + 1)])[0]


def judged(*newest_first, every=24, kept_for=100, begins=START):
    return standing(newest_first, NOW, every * HOUR, kept_for * HOUR, begins)


def places(found):
    return [each.interval for each in found.findings]


def test_a_finding_stands_until_the_same_time_was_compared_again():
    first = report_of(1, hours(0, 10), findings=gone(3))
    assert places(judged(first)) == [hour(3)]
    assert places(judged(report_of(2, hours(10, 20)), first)) == [hour(3)]
    assert places(judged(report_of(2, hours(0, 3)), first)) == [hour(3)]
    assert places(judged(report_of(2, hours(2, 5)), first)) == []
    assert places(judged(report_of(2, hours(2, 5), findings=gone(3)), first)) == [hour(3)]


def test_a_verification_that_failed_before_it_compared_anything_refutes_nothing():
    first = report_of(1, hours(0, 10), findings=gone(3))
    assert places(judged(report_of(2, failure="the store is away"), first)) == [hour(3)]


def test_what_is_about_seals_is_said_by_the_newest_that_has_checked_them():
    missing = noted([Discovery(Kind.SEAL_MISSING, "seal 3 is missing", "", None, 3)])[0]
    first = report_of(1, hours(0, 10), findings=missing)
    assert [each.kind for each in judged(first).findings] == ["seal-missing"]
    assert judged(report_of(2, hours(10, 20)), first).findings == ()
    failed = report_of(2, failure="the archive is away", seals=0)
    assert [each.kind for each in judged(failed, first).findings] == ["seal-missing"]


def test_what_has_no_interval_stands_until_all_that_was_compared_is_compared_again():
    unreadable = noted([Discovery(Kind.OBJECT_UNREADABLE, "the object x")])[0]
    first = report_of(1, hours(0, 10), findings=unreadable)
    assert judged(report_of(2, hours(0, 9)), first).findings
    assert judged(report_of(3, hours(9, 20)), report_of(2, hours(0, 9)), first).findings == ()


def test_what_has_no_interval_stands_no_longer_than_records_must_be_there():
    """Nobody compares again what is older, and so nobody could refute it."""
    unreadable = noted([Discovery(Kind.OBJECT_UNREADABLE, "the object x")])[0]
    first = report_of(1, hours(0, 10), findings=unreadable, more=1)
    assert len(judged(report_of(2, hours(9, 20)), first, kept_for=40).findings) == 2
    assert judged(report_of(2, hours(8, 20)), first, kept_for=40).findings == ()
    assert judged(first, kept_for=38).findings == ()


def test_findings_that_a_report_does_not_name_stand_as_well():
    first = report_of(1, hours(0, 10), findings=gone(3), more=5)
    assert [(each.kind, each.count) for each in judged(report_of(2, hours(3, 4)), first).findings] == [("more", 5)]
    assert judged(report_of(2, hours(0, 10)), first).findings == ()


def test_records_that_need_not_be_there_any_more_are_no_finding():
    first = report_of(1, hours(0, 10), findings=(*gone(3), *gone(8)))
    assert places(judged(first, kept_for=42)) == [hour(8)]


def test_everything_must_have_been_compared_lately():
    """All that was sealed a day ago, and that only if somebody has done so within a day."""
    assert judged().uncovered == hours(0, 24)
    assert judged(begins=START + 24 * HOUR).uncovered is None
    assert judged(kept_for=30).uncovered == hours(18, 24)
    lately = START + 40 * HOUR
    assert judged(report_of(1, hours(0, 40), lately)).uncovered is None
    assert judged(report_of(1, hours(0, 40), START + 20 * HOUR)).uncovered == hours(0, 24)
    parts = report_of(2, hours(0, 20), lately), report_of(1, hours(21, 40), lately)
    assert judged(*parts).uncovered == hours(20, 21)


def test_that_nobody_compares_anything_is_told_also_where_records_need_not_be_there_for_so_long():
    assert judged(kept_for=24).uncovered == hours(24, 48)
    assert judged(kept_for=12).uncovered == hours(36, 48)
    assert judged(report_of(1, hours(20, 30), START + 20 * HOUR), kept_for=12).uncovered == hours(36, 48)
    assert judged(report_of(1, hours(20, 30), START + 40 * HOUR), kept_for=12).uncovered is None
    assert judged(kept_for=12, begins=START + 30 * HOUR).uncovered is None


def test_a_report_of_the_future_does_not_last_longer():
    assert judged(report_of(1, hours(0, 48), NOW + 30 * HOUR)).uncovered == hours(0, 24)


SPANS = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda each: (each[0], each[0] + each[1]))


@given(st.lists(SPANS, max_size=8), SPANS)
def test_what_spans_lack_is_what_no_one_of_them_covers(spans, asked):
    cover = Cover()
    for each in spans:
        cover.add(hours(*each))
    missing = [at for at in range(*asked) if not any(since <= at < until for since, until in spans)]
    lacks = cover.lacks(hours(*asked))
    assert (lacks is None) == (not missing)
    if lacks is not None:
        assert lacks.since == START + missing[0] * HOUR
        assert all(START + at * HOUR >= lacks.until or at in missing for at in range(missing[0], asked[1]))
    assert all(one.until < two.since for one, two in zip(cover.spans, cover.spans[1:], strict=False))
    assert timedelta() not in {each.length for each in cover.spans}
