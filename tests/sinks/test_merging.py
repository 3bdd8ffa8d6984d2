"""Several stores asked at once: the same records, in the same order, as an incident is collected in."""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.incident.timeline import Timeline
from audit_operator.sinks import Failure, Reason, Record
from audit_operator.sinks.merging import search_all
from audit_operator.sinks.search import End
from audit_operator.sinks.selection import Order, Scope, Selection
from audit_operator.sinks.unsupported import UnsupportedStore

NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)


@dataclass
class Stored:
    """A store with these records, which may fail after some."""

    records: list
    fails_after: int | None = None

    async def search(self, selection):
        for number, each in enumerate(selection.first(filter(selection.matches, self.records))):
            if number == self.fails_after:
                yield Failure(Reason.CUT_OFF, "the connection ended", "try again")
                return
            yield each


def asked(**more):
    return Selection((Scope("shop"), Scope("")), NOW, NOW + timedelta(hours=1), **more)


def record(second=0, audit_id="a", stage="ResponseComplete", text="{}", **attributes):
    return Record(audit_id, stage, NOW + timedelta(seconds=second), text, {"namespace": "shop", **attributes})


async def found(stores, selection):
    async with aclosing(search_all(stores, selection)) as answers:
        return [each async for each in answers]


records = st.builds(
    # Attributes are made of the text, so that no two records differ in them alone; `_stream` is what a store adds.
    lambda text, second, audit_id, stage, stream: record(
        second, audit_id, stage, text, username=text.strip(), _stream=stream
    ),
    st.sampled_from(["jane", "joe", "joe "]),
    st.integers(0, 4),
    st.sampled_from("ab"),
    st.sampled_from(["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic", ""]),
    st.sampled_from("xy"),
)
several = st.lists(st.lists(records, max_size=12), min_size=1, max_size=4)


def collected(lists):
    """As `incident` has them."""
    timeline = Timeline()
    for number, each in enumerate(lists):
        for one in each:
            timeline.add(one, str(number), "")
    return [_shown(each) for each in timeline.records]


def _shown(each):
    return each.time, each.audit_id, each.stage, each.text, each.attributes["username"]


@given(several, st.integers(1, 20), st.sampled_from(Order))
async def test_the_same_records_in_the_same_order_as_an_incident_has_as_far_as_all_stores_say(lists, limit, order):
    selection = asked(limit=limit, order=order)
    *shown, end = await found({str(number): Stored(each) for number, each in enumerate(lists)}, selection)
    meant = collected(lists)
    if order is Order.NEWEST:
        meant.reverse()
    if all(len(each) <= limit for each in lists):
        assert [_shown(each) for each in shown] == meant[:limit]
        assert end.complete is (len(meant) <= limit)
        return
    # A store may end early, at its own limit of records and copies: up to there it is as it should be.
    times = [each.time for each in shown]
    assert times == sorted(times, reverse=order is Order.NEWEST)
    assert len(shown) <= limit
    assert {_shown(each) for each in shown} <= set(meant)
    if end.complete:
        assert [_shown(each) for each in shown] == meant
    else:
        whole = [_shown(each) for each in shown if each.time != times[-1]]
        assert whole == meant[: len(whole)]


async def test_a_store_that_fails_ends_no_other_and_is_named_at_the_end():
    stores = {
        "central": Stored([record(each) for each in range(5)]),
        "worm": Stored([record(each) for each in range(9)], fails_after=2),
        "files": UnsupportedStore("they are not mounted"),
    }
    *shown, failed = await found(stores, asked(order=Order.OLDEST))
    assert [each.time for each in shown] == [NOW + timedelta(seconds=each) for each in range(5)]
    assert failed.message == ("worm: the connection ended (try again); files: it cannot be asked: they are not mounted")


@pytest.mark.parametrize("order", Order)
async def test_nothing_is_shown_from_where_on_a_store_had_more_than_it_may_give(order):
    many = [record(each, audit_id=f"id-{each:02}") for each in range(10) for _ in range(2)]
    stores = {"copies": Stored(many), "one": Stored([record(each, audit_id="x") for each in range(10)])}
    *shown, end = await found(stores, asked(limit=6, order=order))
    assert end == End(end.copies, complete=False)
    seconds = sorted({(each.time - NOW).seconds for each in shown if each.audit_id == "x"})
    assert seconds == ([0, 1, 2] if order is Order.OLDEST else [7, 8, 9])
