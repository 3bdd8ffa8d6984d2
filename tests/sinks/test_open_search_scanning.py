"""Whole intervals out of an OpenSearch that answers too little, or what nobody could seal."""

import json

import pytest

from audit_operator.integrity.interval import to_nanoseconds
from audit_operator.integrity.record import StoredRecord
from audit_operator.sinks import Failure, Reason
from audit_operator.sinks.open_search_scanner import OpenSearchScanner
from audit_operator.sinks.scanning import Stream
from tests.integrity.sealed import START, hour
from tests.sinks.conftest import opened

NANOSECONDS = to_nanoseconds(START)
SEARCH, SCROLL = "/audit/_search", "/_search/scroll"
SOURCE = {"@timestamp": "2026-11-28T10:00:00.00000001Z", "event": "text", "auditID": "a", "namespace": "ns"}


def page(*sources, total=None, **more):
    hits = [{"_index": "audit", "_id": str(at), "_source": each} for at, each in enumerate(sources)]
    found = {"total": {"value": len(sources) if total is None else total, "relation": "eq"}, "hits": hits}
    said = {"_scroll_id": "next", "timed_out": False, "_shards": {"failed": 0}, "hits": found}
    return 200, json.dumps({**said, **more}).encode()


def answers(server, first, *following):
    """The first page, and then those that follow, the last of which is empty."""
    server.answers[SEARCH] = first
    rest = [*following, page(total=0)]

    async def go_on(_form):
        return rest.pop(0) if len(rest) > 1 else rest[0]

    server.by_form[SCROLL] = go_on


def scanner(server, **more):
    return OpenSearchScanner(opened("OpenSearch", server.url), pauses=(), **more)


async def scanned(server, stream=Stream(), **more):  # noqa: B008  # frozen
    return [each async for each in scanner(server, **more).scan(hour(0), stream)]


async def test_a_record_is_all_that_the_document_has_with_its_time_to_the_nanosecond(server):
    answers(server, page(SOURCE))
    [batch] = await scanned(server)
    assert batch.records == (StoredRecord(NANOSECONDS + 10, "text", {"auditID": "a", "namespace": "ns"}),)
    question = json.loads(server.asked[0].body)
    assert (question["track_total_hits"], question["sort"]) == (True, ["_doc"])
    assert question["query"]["bool"]["filter"] == [
        {"range": {"@timestamp": {"gte": "2026-11-28T09:59:59.999+00:00", "lte": "2026-11-28T11:00:00.001+00:00"}}}
    ]


async def test_a_scroll_is_gone_through_and_closed(server):
    answers(server, page(SOURCE, total=3), page(SOURCE), page(SOURCE, _scroll_id="another"))
    assert [len(each.records) for each in await scanned(server)] == [1, 1, 1]
    assert [(each.method, each.path) for each in server.asked] == [
        ("POST", SEARCH),
        *[("POST", SCROLL)] * 3,
        ("DELETE", SCROLL),
    ]
    assert json.loads(server.asked[-1].body) == {"scroll_id": ["another", "next"]}


async def test_what_lies_beside_the_span_or_belongs_to_others_is_left_out(server):
    beside = {**SOURCE, "@timestamp": "2026-11-28T11:00:00Z"}
    answers(server, page(SOURCE, beside, {**SOURCE, "namespace": "other"}))
    [batch] = await scanned(server, Stream(namespace="ns"))
    assert len(batch.records) == 1


@pytest.mark.parametrize(
    "source",
    [
        {**SOURCE, "@timestamp": 1795860000000},
        {**SOURCE, "@timestamp": ["2026-11-28T10:00:00Z"]},
        {**SOURCE, "@timestamp": "2026-11-28T10:00:00+01:00"},
        {**SOURCE, "@timestamp": "2026-11-28T10:00:00.1234567891Z"},
        {**SOURCE, "event": {"auditID": "a"}},
        {"@timestamp": SOURCE["@timestamp"]},
        [],
    ],
)
async def test_a_document_that_no_shipper_wrote_is_named_and_the_others_are_read(server, source):
    answers(server, page(SOURCE, source))
    [batch] = await scanned(server)
    assert (len(batch.records), batch.unreadable) == (1, ("audit/1",))


async def test_a_field_that_is_no_text_is_told_apart_from_one_that_is(server):
    leaves = set()
    for value in (1, "1", True, None, ["1"], {"a": "1"}):
        answers(server, page({**SOURCE, "code": value}))
        [batch] = await scanned(server)
        leaves.add(batch.records[0].leaf())
    assert len(leaves) == 6


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, b""), Reason.STORE_FAILED),
        ((404, b""), Reason.NOT_FOUND),
        ((200, b"{}"), Reason.ANSWER_MALFORMED),
        ((200, b'{"a":1,"a":2}'), Reason.ANSWER_MALFORMED),
        (page(timed_out=True), Reason.ANSWER_INCOMPLETE),
        (page(_shards={"failed": 1}), Reason.ANSWER_INCOMPLETE),
        (page(hits={"total": {"value": 10000, "relation": "gte"}, "hits": []}), Reason.ANSWER_INCOMPLETE),
    ],
)
@pytest.mark.parametrize("which", ["first", "second"])
async def test_a_page_that_is_not_whole_is_a_failure(server, which, answer, reason):
    if which == "first":
        answers(server, answer)
    else:
        answers(server, page(SOURCE, total=2), answer)
    last = (await scanned(server))[-1]
    assert isinstance(last, Failure)
    # A page in the middle that is empty is the end, with fewer than there were.
    assert last.reason is reason


async def test_fewer_documents_than_were_counted_are_no_answer(server):
    answers(server, page(SOURCE, total=3), page(SOURCE))
    last = (await scanned(server))[-1]
    assert (last.reason, "counted 3 records" in last.message) == (Reason.ANSWER_INCOMPLETE, True)


async def test_pages_that_are_too_large_are_asked_for_again_with_fewer_documents(server, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.access._MOST_BYTES", 2000)
    large = {**SOURCE, "event": "x" * 900}
    by_size = {1000: page(*[large] * 3), 100: page(*[large] * 3), 10: page(large, total=3), 1: page(large, total=3)}
    asked = []

    async def search(_form):
        size = json.loads(server.asked[-1].body)["size"]
        asked.append(size)
        return by_size[size]

    answers(server, page(), page(large), page(large))
    server.by_form[SEARCH] = search
    assert [len(each.records) for each in await scanned(server)] == [1, 1, 1]
    assert asked == [1000, 100, 10]
    assert (await scanned(server, pages=(1000,)))[-1].reason is Reason.ANSWER_TOO_LARGE
