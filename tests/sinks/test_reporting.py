"""What verifications report, and what the next one learns from that."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity import report as reports
from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import Interval, turn
from audit_operator.integrity.keys import SigningKey
from audit_operator.sinks.access import failure
from audit_operator.sinks.reporting import Reporter
from audit_operator.sinks.seal_archive import report_name, seal_name
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.verifying import Question, Turn, verify
from tests.integrity.reported import REPORT_KEY, report_of
from tests.integrity.sealed import HOUR, KEY, SCOPE, START, hour
from tests.sinks.test_verifying import END, HOURS, RECORDS, sealed


async def verified(store, archive, most=None, accepted=()):
    """One verification with a report, as the command does it."""
    reporter = Reporter(SCOPE, archive, REPORT_KEY)
    earlier = await reporter.earlier()
    at = None if most is None else Turn(most, earlier.compared)
    question = Question(
        SCOPE, (KEY.public,), END + HOUR, 3 * HOUR, turn=at, pinned=earlier.pinned, accepted=frozenset(accepted)
    )
    result = await verify(question, store, archive)
    return result, await reporter.keep(result, END + HOUR)


async def test_a_report_says_what_was_compared_and_found():
    store, archive, _ = await sealed()
    store.records.pop(40)
    result, report = await verified(store, archive)
    assert reports.decode(archive.objects[report_name(1)]) == report
    assert REPORT_KEY.public.signed(report)
    assert (report.sequence, report.span, report.intervals, report.seals) == (1, result.span, HOURS, HOURS)
    assert report.head.digest == seals.digest(archive.objects[seal_name(HOURS)])
    assert [(each.kind, each.interval, each.count) for each in report.findings] == [("record-removed", hour(1), 1)]


async def test_a_store_that_fails_is_reported_with_what_was_compared_before():
    store, archive, _ = await sealed()
    away = failure(Reason.UNREACHABLE, "no connection")
    _, report = await verified(replace(store, failure=away), archive)
    assert (report.failure, report.span, report.findings) == ("no connection", None, ())


async def test_an_interval_whose_records_could_not_be_named_does_not_count_as_compared():
    store, archive, _ = await sealed()
    store.records[40] = replace(store.records[40], text="another")
    scan, spans = store.scan, store.spans

    async def failing(span, stream):
        async for each in scan(span, stream):
            yield each
        if span.length < HOUR:
            yield failure(Reason.UNREACHABLE, "no connection")

    store.scan = failing
    result, report = await verified(store, archive)
    assert spans
    assert (result.failure.message, report.span) == ("no connection", hour(0))


async def test_each_turn_goes_on_where_the_last_ended_and_begins_anew_after_the_last_interval():
    store, archive, _ = await sealed()
    compared = [(await verified(store, archive, 90 * timedelta(minutes=1)))[1].span for _ in range(HOURS + 1)]
    assert compared == [*(hour(at) for at in range(HOURS)), hour(0)]
    whole = [(await verified(store, archive, timedelta(days=9)))[1].span for _ in range(2)]
    assert whole == [Interval(START, END)] * 2


async def test_a_turn_that_failed_is_gone_on_with():
    store, archive, _ = await sealed()
    archive.objects[report_name(1)] = report_of(1, hour(0), failure="the store was away").encode()
    _, next_one = await verified(store, archive, 3 * HOUR)
    assert next_one.span == Interval(START + HOUR, END)


@given(st.integers(1, 40), st.integers(1, 50), st.sets(st.integers(0, 39)))
def test_turns_leave_nothing_out(count, length, without):
    intervals = [hour(at) for at in range(count) if at not in without]
    last, seen = None, []
    while len(seen) < len(intervals):
        chosen = turn(intervals, last, length * HOUR)
        assert 1 <= len(chosen) <= length
        last = Interval(chosen[0].since, chosen[-1].until)
        assert last.length == len(chosen) * HOUR
        seen += chosen
    assert seen == intervals
    assert list(turn(intervals, last, length * HOUR))[:1] == intervals[:1]
    assert turn([], last, HOUR) == []


@given(st.integers(5, 30), st.integers(20, 60), st.integers(0, 30))
def test_turns_come_to_every_interval_again_though_there_are_new_ones_every_day(per_day, length, first):
    """Within the days that as many need as must be there, and as many more as there are new ones meanwhile."""
    kept, last, compared = 100, None, {}
    for day in range(60):
        there = [hour(at) for at in range(max(0, first + day * per_day - kept), first + day * per_day + 1)]
        for each in (chosen := turn(there, last, (length + per_day) * HOUR)):
            compared[each] = day
        last = Interval(chosen[0].since, chosen[-1].until)
        if day > 2 * (turns := -(-kept // length) + 2):
            assert all(day - compared[each] <= turns for each in there[: -per_day * (turns + 1)])


async def test_seals_that_were_deleted_and_made_anew_are_found_in_any_archive():
    store, archive, sealer = await sealed()
    _, first = await verified(store, archive)
    assert first.findings == ()
    del archive.objects[seal_name(HOURS)]
    result, _ = await verified(store, archive)
    assert [each.kind for each in result.discoveries] == [Kind.SEAL_MISSING]
    store.records = [each for each in store.records if each is not RECORDS[-1]]
    assert not isinstance(await sealer.seal(hour(HOURS - 1), END + HOUR + timedelta(minutes=1)), Failure)
    for _ in range(2):  # also when a report names the new one
        result, report = await verified(store, archive)
        assert [each.kind for each in result.discoveries] == [Kind.SEAL_REPLACED]
        assert [each.kind for each in report.findings] == ["seal-replaced"]
    now = seals.digest(archive.objects[seal_name(HOURS)])
    assert (await verified(store, archive, accepted=[now]))[0].discoveries == []


async def test_a_chain_may_begin_later_than_records_must_be_there_where_reports_remember_it():
    store, archive, _ = await sealed()
    question = Question(SCOPE, (KEY.public,), END + HOUR, 3 * HOUR, since=START - HOUR)
    assert [each.kind for each in (await verify(question, store, archive)).discoveries] == [Kind.SEAL_MISSING]
    remembering = replace(question, pinned=())
    assert (await verify(remembering, store, archive)).discoveries == []
    gone = replace(question, pinned=((HOURS + 1, "a" * 64),))
    assert [each.kind for each in (await verify(gone, store, archive)).discoveries] == [Kind.SEAL_MISSING]


async def test_reports_of_strangers_say_nothing():
    store, archive, _ = await sealed()
    archive.objects[report_name(9)] = report_of(9, hour(2), key=SigningKey.make()).encode()
    earlier = await Reporter(SCOPE, archive, REPORT_KEY).earlier()
    assert (earlier.compared, earlier.pinned) == (None, ())
    _, report = await verified(store, archive)
    assert report.sequence == 10


async def test_after_the_last_number_no_report_is_kept_that_nobody_would_find():
    store, archive, _ = await sealed()
    archive.objects[report_name(10**12 - 1)] = b"somebody's"
    _, failed = await verified(store, archive)
    assert failed.reason is Reason.CHAIN_UNUSABLE
    assert "999999999999" in failed.message
    assert len([each for each in archive.objects if each.startswith("report-")]) == 1


async def test_two_that_report_at_once_both_do():
    store, archive, _ = await sealed()
    add = archive.add

    async def hurried(name, content):
        archive.add = add
        await add(report_name(1), b"somebody else's")
        return await add(name, content)

    archive.add = hurried
    _, report = await verified(store, archive)
    assert report.sequence == 2
    archive.add = lambda *_: _false()
    assert (await Reporter(SCOPE, archive, REPORT_KEY).keep((await verified(store, archive))[0], END)).reason is (
        Reason.CHAIN_UNUSABLE
    )


async def _false():
    return False
