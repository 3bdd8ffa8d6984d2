"""Searching OpenSearch: what is asked, page by page, and what comes of answers that are wrong."""

import json
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.sinks import Failure, Reason, Record
from audit_operator.sinks.open_search_pages import CROWDED, Pages
from audit_operator.sinks.query_dsl import asked_about, exact_fields, question
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from tests.sinks.conftest import opened

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SELECTION = Selection((Scope("payments"),), NOW - timedelta(hours=1), NOW, ("cluster",), limit=3)
KEYWORD = {"keyword": {"type": "keyword"}}
BY_WORDS = {"text": {"type": "text"}}
FIELDS = {"cluster": "cluster", "namespace": "namespace"}
WORDS = {
    "bool",
    "filter",
    "should",
    "minimum_should_match",
    "must_not",
    "exists",
    "field",
    "term",
    "terms",
    "range",
} | {
    *("gte", "lt", "format", "size", "sort", "order", "numeric_type", "unmapped_type", "track_total_hits", "query"),
    *("@timestamp", "cluster", "namespace", "username"),
}


def hit(number=1, *, age=1.0, **more):
    time = NOW - timedelta(minutes=age)
    source = {"@timestamp": time.isoformat(), "event": f'{{"n": {number}}}', "cluster": "cluster", **more}
    return {"sort": [int(time.timestamp() * 1000)], "_source": {"namespace": "payments", **source}}


async def searched(server, hits, selection=SELECTION, types=None):
    body = hits if isinstance(hits, bytes) else json.dumps({"hits": {"hits": hits}}).encode()
    caps = json.dumps({"fields": types if types is not None else dict.fromkeys(FIELDS, KEYWORD)}).encode()
    server.answers = {"/audit/_field_caps": (200, caps), "/audit/_search": (200, body)} | server.answers
    async with aclosing(search(opened("OpenSearch", server.url), selection)) as found:
        return [each async for each in found]


def names(value):
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from names(each)
    if isinstance(value, list):
        for each in value:
            yield from names(each)


async def test_records_come_as_the_store_gives_them_and_then_the_end(server):
    first, second, end = await searched(server, [hit(1), hit(2, age=2, auditID="x", stage="Panic")])
    assert (first.audit_id, second.audit_id, second.text) == ("", "x", '{"n": 2}')
    assert end == End(copies=0, complete=True)
    assert [each.path for each in server.asked] == ["/audit/_field_caps", "/audit/_search"]


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30), st.sampled_from(Order))
def test_no_value_becomes_anything_but_a_value(hostile, cluster, order):
    scopes = (Scope(hostile), Scope("", NOW), Scope("shop", NOW))
    selection = replace(
        SELECTION, scopes=scopes, clusters=(cluster,), equal=((Attribute.USER, hostile),), text=hostile, order=order
    )
    asked = json.loads(json.dumps(question(selection, {**FIELDS, "username": "username"}, size=7, edge=5)))
    assert set(names(asked)) <= WORDS
    assert asked["size"] == 7


def test_a_field_for_words_is_asked_by_the_one_beside_it_that_has_the_whole():
    types = {"fields": {"namespace": BY_WORDS, "namespace.keyword": KEYWORD}}
    assert exact_fields(types, SELECTION) == {"cluster": "cluster", "namespace": "namespace.keyword"}
    assert asked_about(SELECTION) == "cluster,cluster.keyword,namespace,namespace.keyword"


@pytest.mark.parametrize(
    "own",
    [
        {"namespace": BY_WORDS},
        {"namespace": BY_WORDS, "namespace.keyword": BY_WORDS},
        {"namespace": BY_WORDS | KEYWORD, "namespace.keyword": KEYWORD},
        {"namespace": {"long": {}}},
    ],
    ids=["words", "words beside", "words in one index", "numbers"],
)
async def test_where_a_whole_namespace_cannot_be_asked_for_nothing_is(server, own):
    [failed] = await searched(server, [hit()], types={"cluster": KEYWORD, **own})
    assert isinstance(failed, Failure)
    assert "namespace" in failed.message
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"hits": {}}',
        json.dumps({"hits": {"hits": [{**hit(), "sort": []}]}}).encode(),
        json.dumps({"hits": {"hits": [hit()]}}).encode().replace(b'"event"', b'"namespace": "payments", "event"'),
        json.dumps({"hits": {"hits": [hit(namespace="shop")]}}).encode(),
        json.dumps({"hits": {"hits": [hit(cluster="other")]}}).encode(),
        json.dumps({"hits": {"hits": [hit(age=100)]}}).encode(),
    ],
)
async def test_what_is_no_answer_to_the_question_shows_nothing(server, answer):
    [failed] = await searched(server, answer)
    assert failed.reason is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize("foreign", [{"sort": [1]}, hit(event=["x"]), hit(**{"@timestamp": "2026-03-01T11:59:00"})])
async def test_a_document_that_no_shipper_wrote_is_told_and_hides_no_record(server, foreign):
    first, second, failed = await searched(server, [hit(1), foreign, hit(2, age=2)])
    assert (first.text, second.text) == ('{"n": 1}', '{"n": 2}')
    assert failed.reason is Reason.ANSWER_INCOMPLETE


async def test_such_a_document_is_told_also_where_there_are_more_records_than_were_asked_for(server):
    *records, failed = await searched(server, [hit(1), {"sort": [1]}, *(hit(each, age=each) for each in (2, 3, 4))])
    assert len(records) == SELECTION.limit
    assert failed.reason is Reason.ANSWER_INCOMPLETE
    assert "more such records" in failed.message
    assert failed.message.startswith("1 of the documents")


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (404, "index_not_found_exception", None),
        (400, "index_closed_exception", Reason.REFUSED),
        (400, "parsing_exception", Reason.REFUSED),
        (404, "", Reason.NOT_FOUND),
    ],
)
async def test_an_index_that_is_not_there_has_no_records_and_of_a_closed_one_nobody_knows(
    server, status, kind, expected
):
    server.answers = {"/audit/_search": (status, json.dumps({"error": {"type": kind}}).encode())}
    [end] = await searched(server, [])
    assert (end.reason if isinstance(end, Failure) else None) is expected
    found = await opened("OpenSearch", server.url).find("x", None, since=NOW)
    assert (found.reason if isinstance(found, Failure) else None) is expected


async def test_what_only_words_are_known_of_is_asked_for_as_well_and_compared(server):
    types = {"cluster": KEYWORD, "namespace": BY_WORDS, "namespace.keyword": KEYWORD}
    found = await searched(server, [hit(1), hit(2, namespace="payments too")], types=types)
    assert [each.text for each in found if isinstance(each, Record)] == ['{"n": 1}']
    assert isinstance(found[-1], End)
    [whose] = [each for each in names(json.loads(server.asked[-1].body)) if each == "must_not"]
    assert whose


async def test_what_the_store_says_of_its_fields_must_be_an_answer(server):
    [failed] = await searched(server, [hit()], types=[])
    assert failed.reason is Reason.ANSWER_MALFORMED


async def test_a_store_that_fails_half_way_ends_the_answer(server):
    server.answers = {"/audit/_search": (503, b"")}
    [failed] = await searched(server, [])
    assert failed.reason is Reason.STORE_FAILED


async def test_a_moment_that_only_rounding_lets_in_is_left_out_without_a_word(server):
    until = NOW - timedelta(minutes=1, microseconds=-500)
    found = await searched(server, [hit(1, age=1 - 0.0009 / 60), hit(2)], replace(SELECTION, until=until))
    assert [each.text for each in found[:-1]] == ['{"n": 2}']
    assert isinstance(found[-1], End)


async def test_what_an_event_must_contain_is_looked_for_in_its_text(server):
    found = await searched(server, [hit(1), hit(2)], replace(SELECTION, text="2"))
    assert [each.text for each in found if isinstance(each, Record)] == ['{"n": 2}']


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(2, 40), st.integers(2, 60), st.sampled_from(Order))
def test_pages_give_every_document_once_in_order_or_say_that_a_moment_has_too_many(moments, size, largest, order):
    newest = order is Order.NEWEST
    documents = sorted(((each, number) for number, each in enumerate(moments)), reverse=newest)
    pages, found = Pages(min(size, largest), _largest=largest), []
    while not pages.done:
        begin = pages.edge
        rest = [each for each in documents if begin is None or (each[0] <= begin if newest else each[0] >= begin)]
        page = pages.take(rest[: pages.size])
        if isinstance(page, Failure):
            assert page is CROWDED
            assert max(map(moments.count, moments)) >= largest
            return
        found += page
    assert found == documents


def test_pages_become_smaller_until_one_fits():
    pages = Pages.of(10_000)
    sizes = [pages.size]
    while pages.shrink():
        sizes.append(pages.size)
    assert sizes == [500, 250, 125, 62, 31, 15, 7, 3, 1]
