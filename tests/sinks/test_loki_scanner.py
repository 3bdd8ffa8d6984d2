"""Whole intervals out of a Loki, which gives some records at a time. The store is a fake: see fake_loki.py."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import Interval, to_nanoseconds
from audit_operator.integrity.record import StoredRecord
from audit_operator.sinks import Failure, Reason
from audit_operator.sinks.access import Answer, failure
from audit_operator.sinks.loki import LokiStore
from audit_operator.sinks.loki_scanner import LokiScanner
from audit_operator.sinks.otlp_endpoint import OtlpEndpoint
from audit_operator.sinks.scanning import Stream
from audit_operator.sinks.seal_opening import scanner_of
from audit_operator.sinks.sealing import Sealer
from audit_operator.sinks.verifying import Question, verify
from tests.integrity.sealed import HOUR, KEY, SCOPE, START, hour
from tests.sinks.conftest import opened
from tests.sinks.fake_loki import FakeLoki, Stored
from tests.sinks.stored import MemoryArchive


@dataclass
class Direct:
    """The way to a fake without a network; `most` is the longest answer that gets through, in records."""

    loki: FakeLoki
    most: int = 10**9
    answers: dict = None  # by path, in place of what it would say
    loses: int = 0  # records at the end of each answer

    async def ask(self, path, form, headers, *, at_most=0):  # noqa: ARG002 - the connection's
        if path in (self.answers or {}):
            return Answer(200, self.answers[path])
        if path.endswith("query_range"):
            if int(form["limit"]) > 5000:
                return failure(Reason.REFUSED, "max entries limit per query exceeded")
            data = self.loki._range(form)
            if len(data["result"]) > self.most:
                return failure(Reason.STORE_FAILED, "trying to send message larger than max")
            data["result"] = data["result"][: len(data["result"]) - self.loses]
        else:
            data = self.loki._query(form)
        return Answer(200, json.dumps({"status": "success", "data": data}).encode())


def stored(*seconds, labels=("cluster", "namespace", "unseen"), namespace="web", cluster="prod"):
    loki = FakeLoki(START + 24 * HOUR)
    loki.label(*labels)
    loki.add([0] * len(seconds), cluster=cluster, namespace=namespace)
    loki.records = [
        replace(each, time=START + timedelta(seconds=at), text=f"text {number}", metadata={**each.metadata, **MADE})
        for number, (each, at) in enumerate(zip(loki.records, seconds, strict=True))
    ]
    return loki


MADE = {"detected_level": "info", "observed_timestamp": "1"}


def scanner(loki, *, at_once=3, most_at_once=12, **way):
    return LokiScanner(LokiStore(OtlpEndpoint(Direct(loki, **way), "")), at_once, most_at_once, pauses=(0.0,))


async def scanned(scanner, span=hour(0), stream=Stream()):  # noqa: B008  # frozen
    return [each async for each in scanner.scan(span, stream)]


def records(parts):
    assert not any(isinstance(each, Failure) for each in parts), parts
    return {each.leaf() for part in parts for each in part.records}


times = st.lists(st.one_of(st.integers(0, 3), st.integers(-2, 7210)), max_size=40).map(
    # As many of one time as one answer can have are too many: there might be more.
    lambda each: [at for at, count in Counter(each).items() for _ in range(min(count, 11))]
)


@given(times, st.integers(1, 7), st.sampled_from([(), ("cluster", "namespace", "unseen")]))
def test_every_record_of_a_span_comes_however_many_have_one_time(seconds, at_once, labels):
    loki = stored(*seconds, labels=labels)
    span = Interval(START, START + 2 * HOUR)
    found = records(asyncio.run(scanned(scanner(loki, at_once=at_once), span)))
    assert len(found) == sum(0 <= each < 7200 for each in seconds)


async def test_a_record_is_all_that_it_has_but_what_the_store_made():
    [batch] = await scanned(scanner(stored(0)))
    attributes = {"auditID": "0-0", "cluster": "prod", "namespace": "web"}
    assert batch.records == (StoredRecord(to_nanoseconds(START), "text 0", attributes),)


async def test_it_is_asked_for_one_stream():
    loki = stored(1, 2)
    loki.records += [replace(each, stream={**each.stream, "namespace": "shop"}) for each in loki.records]
    loki.records += [replace(loki.records[0], stream={**loki.records[0].stream, "cluster": "other"})]
    assert len(records(await scanned(scanner(loki)))) == 5
    assert len(records(await scanned(scanner(loki), stream=Stream("prod")))) == 4
    assert len(records(await scanned(scanner(loki), stream=Stream("prod", "shop")))) == 2
    assert len(records(await scanned(scanner(loki), stream=Stream("prod", 'x" or "')))) == 0


async def test_more_records_of_one_time_than_an_answer_can_have_are_a_failure():
    last = (await scanned(scanner(stored(*[5] * 12))))[-1]
    assert last.reason is Reason.ANSWER_INCOMPLETE
    assert "12 records or more are of 2026-11-28T10:00:05" in last.message


async def test_fewer_records_than_were_counted_are_no_answer():
    last = (await scanned(scanner(stored(1, 2), loses=1)))[-1]
    assert last.reason is Reason.ANSWER_INCOMPLETE
    assert "counted 2 records" in last.message


async def test_an_answer_that_is_too_large_is_asked_for_in_parts():
    assert len(records(await scanned(scanner(stored(*range(40)), at_once=12, most=2)))) == 40
    assert (await scanned(scanner(stored(1), most=0)))[-1].reason is Reason.STORE_FAILED
    last = (await scanned(scanner(stored(*[5] * 4), most=2)))[-1]
    assert "2 records or more are of" in last.message


def answer(kind, *result):
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": [*result]}}).encode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("query", each) for each in (b"", b"{}", b"[]", answer("streams"), answer("vector", {"value": [1, "x"]}))),
        *(("query_range", each) for each in (b"nonsense", b"{}", answer("vector"), answer("streams", {"stream": {}}))),
        ("query_range", answer("streams", {"stream": {}, "values": [["1", "before it was asked for"]]})),
        ("query_range", answer("streams", {"stream": {"a": 1}, "values": [["1", ""]]})),
        ("query_range", answer("streams", {"stream": {}, "values": [[1, ""]]})),
        ("query_range", answer("streams", {"stream": {}, "values": []}).replace(b"{}", b'{"a": "1", "a": "2"}')),
    ],
)
async def test_what_loki_would_not_answer_is_a_failure(path, body):
    found = await scanned(scanner(stored(1), answers={f"/loki/api/v1/{path}": body}))
    assert found[-1].reason is Reason.ANSWER_MALFORMED


async def test_a_record_that_is_gone_changed_or_added_since_it_was_sealed_is_found():
    loki = stored(*range(0, 7200, 60))
    archive = MemoryArchive()
    sealer = Sealer(SCOPE, scanner(loki), archive, KEY)
    for interval in await sealer.due(START + 2 * HOUR, HOUR, START, new=True):
        assert not isinstance(await sealer.seal(interval, interval.until + HOUR), Failure)

    async def found():
        verification = await verify(Question(SCOPE, (KEY.public,), START + 3 * HOUR, 3 * HOUR), scanner(loki), archive)
        assert verification.failure is None
        return [(each.kind, each.identity.audit_id) for each in verification.discoveries]

    assert await found() == []
    first, second, third, *rest = loki.records
    loki.records = [second, replace(third, text="another"), *rest, Stored(third.time, third.stream, {"auditID": "new"})]
    assert set(await found()) == {
        (Kind.RECORD_REMOVED, first.metadata["auditID"]),
        (Kind.RECORD_CHANGED, third.metadata["auditID"]),
        (Kind.RECORD_UNSEALED, "new"),
    }


async def test_the_store_of_a_sink_of_this_type_is_read_so(server):
    assert isinstance(scanner_of(opened("Loki", server.url)), LokiScanner)
