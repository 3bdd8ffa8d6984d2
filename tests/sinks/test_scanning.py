"""Whole intervals out of stores that answer too little, or what nobody could seal."""

import json
from dataclasses import dataclass, field

import pytest

from audit_operator.integrity.interval import Interval, to_nanoseconds
from audit_operator.integrity.record import StoredRecord
from audit_operator.sinks import Failure, Reason
from audit_operator.sinks.access import failure
from audit_operator.sinks.s3_scanner import S3Scanner
from audit_operator.sinks.scanning import Batch, Stream, persistent
from audit_operator.sinks.victoria_logs_scanner import VictoriaLogsScanner
from tests.integrity.sealed import START, hour
from tests.sinks.conftest import opened

NANOSECONDS = to_nanoseconds(START)
ROW = {"_time": "2026-11-28T10:00:00.00000001Z", "_msg": "text", "_stream": "{}", "_stream_id": "0", "auditID": "a"}


def scanner(server):
    return VictoriaLogsScanner(opened("VictoriaLogs", server.url), pauses=(0.0,))


async def scanned(scanner, span=hour(0), stream=Stream()):  # noqa: B008  # frozen
    return [each async for each in scanner.scan(span, stream)]


def lines(*rows):
    """An answer to both questions: how many there are, and which."""
    return b"".join(json.dumps({"records": str(len(rows)), **each}).encode() + b"\n" for each in rows)


async def test_a_record_of_victoria_logs_is_all_that_it_has_but_what_the_store_made(server):
    server.body = lines(ROW)
    [batch] = await scanned(scanner(server))
    assert batch.records == (StoredRecord(NANOSECONDS + 10, "text", {"auditID": "a", "records": "1"}),)


async def test_it_is_asked_for_one_stream_and_exact_times(server):
    await scanned(scanner(server), stream=Stream("prod", 'x" or *'))
    [asked] = server.asked
    span = "_time:[2026-11-28T10:00:00.000000000Z, 2026-11-28T11:00:00.000000000Z)"
    names = r'cluster:="prod" namespace:="x\u0022 or \u002a"'
    assert asked.form["query"] == f"{span} {names} | stats by (_time:1m) count() as records"
    assert asked.form["allow_partial_response"] == "0"
    assert asked.headers["AccountID"] == "3"


async def test_fewer_records_than_were_counted_are_no_answer(server):
    server.body = json.dumps({**ROW, "records": "2"}).encode() + b"\n"
    last = (await scanned(scanner(server)))[-1]
    assert last.reason is Reason.ANSWER_INCOMPLETE
    assert "counted 2 records" in last.message


async def test_an_answer_that_ends_too_early_is_a_failure(server):
    server.body, server.cut_after = lines(ROW, ROW), 200
    assert (await scanned(scanner(server)))[-1].reason is Reason.CUT_OFF


@pytest.mark.parametrize("status", [401, 500])
async def test_a_store_that_refuses_is_a_failure(server, status):
    server.status = status
    [failed] = await scanned(scanner(server))
    assert failed.mend


@pytest.mark.parametrize(
    "body",
    [
        b"x\n",
        b"[]\n",
        b'{"records":"1"}\n',
        b'{"_time":"today","records":"1"}\n',
        b'{"_time":"2026-11-28T10:00:00+01:00","records":"1"}\n',
        b'{"_time":"2026-11-28T10:00:00Z","records":"many"}\n',
        b'{"_time":"2026-11-28T10:00:00Z","records":"1","code":200}\n',
        b'{"_time":"2026-11-28T10:00:00Z","records":"1","a":"1","a":"2"}\n',
        b'{"_time":"2026-11-28T10:00:00.1234567891Z","records":"1"}\n',
    ],
)
async def test_what_victoria_logs_would_not_answer_is_a_failure(server, body):
    server.body = body
    assert (await scanned(scanner(server)))[-1].reason is Reason.ANSWER_MALFORMED


async def test_bytes_that_are_no_unicode_are_told_apart(server):
    texts = []
    for byte in (b"\xff", b"\xfe", "\ufffd".encode()):
        server.body = lines(ROW).replace(b"text", byte)
        [batch] = await scanned(scanner(server))
        texts.append(batch.records[0].leaf())
    assert len(set(texts)) == 3


@pytest.mark.parametrize(("pauses", "asked", "failed"), [((0.0, 0.0), 3, False), ((0.0,), 2, True), ((), 1, True)])
async def test_what_falters_for_a_moment_is_asked_for_again(pauses, asked, failed):
    times = []

    async def ask():
        times.append(len(times) + 1)
        yield Batch(unreadable=("first",))
        yield Batch(unreadable=("second",)) if len(times) == 3 else failure(Reason.CUT_OFF, "it was cut off")

    parts = [each async for each in persistent(ask, pauses)]
    assert len(times) == asked
    assert isinstance(parts[-1], Failure) is failed
    assert [each for each in parts[:-1] if isinstance(each, Failure)] == []


async def test_a_store_that_does_not_take_the_credentials_is_not_asked_again(server):
    server.status = 401
    await scanned(scanner(server))
    assert len(server.asked) == 1


# S3


@dataclass
class Bucket:
    """As much of `s3.S3Store` as a scanner needs."""

    objects: dict = field(default_factory=dict)

    def keys(self, since):
        assert since == hour(0).since
        return iter(self.objects)

    def read(self, key, at_most):
        text = self.objects[key]
        return text if text is None or len(text) <= at_most else None

    async def call(self, work):
        return work()


def entry(**more):
    named = [{"key": "auditID", "value": {"stringValue": "a"}}]
    return {"timeUnixNano": str(NANOSECONDS), "body": {"stringValue": "text"}, "attributes": named, **more}


def document(*entries, scope=(), resource=()):
    scopes = [{"scope": dict(scope), "logRecords": list(entries)}]
    return json.dumps({"resourceLogs": [{"resource": dict(resource), "scopeLogs": scopes}]}).encode()


async def read(text):
    return await scanned(S3Scanner(Bucket({"key": text})))


async def leaf_of(text):
    [batch] = await read(text)
    [record] = batch.records
    return record.leaf()


async def test_when_a_collector_read_a_line_is_no_part_of_the_record():
    assert await leaf_of(document(entry())) == await leaf_of(document(entry(observedTimeUnixNano="77")))


@pytest.mark.parametrize(
    "other",
    [
        document(entry(timeUnixNano=str(NANOSECONDS + 1))),
        document(entry(body={"intValue": "1"})),
        document(entry(body={})),
        document(entry(attributes=[])),
        document(entry(attributes=[{"key": "auditID", "value": {"intValue": "1"}}])),
        document(entry(severityText="INFO")),
        document(entry(), scope=[("name", "x")]),
        document(entry(), resource=[("attributes", [])]),
    ],
)
async def test_everything_else_of_an_object_is_a_part_of_its_records(other):
    assert await leaf_of(other) != await leaf_of(document(entry()))


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b"{" * 100_000,
        document({}),
        document(entry(timeUnixNano="1" * 5000)),
        document(entry(timeUnixNano="x")),
        document(entry(attributes=[{"key": "a", "value": {}}, {"key": "a", "value": {}}])),
        document(entry(attributes=[{"key": "a"}])),
        document(entry(body="text")),
        b"x" * (2**20 + 1),
    ],
)
async def test_an_object_that_holds_what_no_collector_writes_is_named(text):
    good = document(entry())
    batches = await scanned(S3Scanner(Bucket({"bad": text, "good": good}), most_bytes=2**20))
    assert batches[0] == Batch(unreadable=("bad",))
    assert len(batches[1].records) == 1


async def test_a_line_that_is_no_event_has_no_time_and_hides_nothing_of_its_object():
    line = {"body": {"stringValue": "[REDACTED]"}}
    line["attributes"] = [{"key": "quarantine", "value": {"stringValue": "no JSON object"}}]
    [batch] = await scanned(S3Scanner(Bucket({"key": document(line, entry())})))
    assert (len(batch.records), batch.unreadable) == (1, ())


async def test_only_records_of_the_span_and_stream_are_given():
    outside = entry(timeUnixNano=str(to_nanoseconds(hour(1).since)))
    other = entry(attributes=[{"key": "namespace", "value": {"stringValue": "other"}}])
    [batch] = await scanned(S3Scanner(Bucket({"key": document(entry(), outside, other)})), stream=Stream())
    assert len(batch.records) == 2
    bucket = Bucket({"key": document(entry(), outside, other)})
    [batch] = await scanned(S3Scanner(bucket), Interval(hour(0).since, hour(1).until), Stream(namespace="other"))
    assert [each.attributes for each in batch.records] == [{"namespace": "other"}]
