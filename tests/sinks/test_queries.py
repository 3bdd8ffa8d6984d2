"""What is asked of the stores, and what is made of their answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.search_index import NEW_INDEX, document_id
from audit_operator.sinks import Found, Health, Reason, Record, otlp_record
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.store import MOST_RECORDS, without_copies
from tests.sinks.conftest import opened

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300)
SINCE = datetime(2026, 11, 1, 12, 0, 0, 5, tzinfo=UTC)


def row(audit_id="a", stage="Panic", text="{}", time="2026-11-02T00:00:00.123456789Z", **more):
    return json.dumps({"auditID": audit_id, "stage": stage, "_msg": text, "_time": time, **more}) + "\n"


async def test_victoria_logs_is_asked_of_one_tenant_for_one_event(server):
    server.body = (row(cluster="c") + row() + row(stage="RequestReceived")).encode()
    found = await opened("VictoriaLogs", server.url).find("a", "Panic", since=SINCE)
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/select/logsql/query")
    assert (asked.headers["AccountID"], asked.headers["ProjectID"]) == ("3", "4")
    assert asked.form == {
        "query": 'auditID:="a" stage:="Panic"',
        "start": "2026-11-01T12:00:00.000005+00:00",
        "limit": str(MOST_RECORDS + 1),
        "allow_partial_response": "0",
    }
    assert [each.stage for each in found.records] == ["Panic", "RequestReceived"]
    assert found.records[0].time == datetime(2026, 11, 2, 0, 0, 0, 123456, tzinfo=UTC)
    assert (found.copies, found.complete) == (1, True)


async def test_all_stages_are_asked_for_where_none_is_named(server):
    await opened("VictoriaLogs", server.url).find("a", None, since=SINCE)
    assert server.asked[0].form["query"] == 'auditID:="a"'


async def test_loki_is_asked_of_one_tenant_for_one_event(server):
    stream = {"stream": {"service_name": "unknown_service", "auditID": "a", "stage": "Panic", "cluster": "c"}}
    answer = {"resultType": "streams", "result": [{**stream, "values": [["1793534400123456789", '{"x":1}']]}]}
    server.body = json.dumps({"status": "success", "data": answer}).encode()
    found = await opened("Loki", server.url).find("a", "Panic", since=SINCE)
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/loki/api/v1/query_range")
    assert asked.headers["X-Scope-OrgID"] == "audit"
    assert asked.form == {
        "query": '{service_name=~".+"} | auditID="a" | stage="Panic"',
        "start": "1793534400000005000",
        "limit": str(MOST_RECORDS + 1),
    }
    time = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
    attributes = {"service_name": "unknown_service", "cluster": "c"}
    assert found == Found((Record("a", "Panic", time, '{"x":1}', attributes),), 0, complete=True)


async def test_an_index_is_asked_for_one_event_whatever_type_its_fields_are_of(server):
    hit = {"@timestamp": "2026-11-01T12:00:00.123456789Z", "auditID": "a", "stage": "Panic", "event": '{"x":1}'}
    others = [{**hit, "auditID": "A"}, {**hit, "stage": "panic"}, {**hit, "@timestamp": "2026-11-01T12:00:00.000004Z"}]
    hits = [{"_source": each} for each in ({**hit, "cluster": "c", "code": 200}, *others)]
    server.body = json.dumps({"hits": {"hits": hits}}).encode()
    found = await opened("Elasticsearch", server.url).find("a", "Panic", since=SINCE)
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/audit-2/_search")
    question = json.loads(asked.body)
    of_id, of_stage, of_time = question["query"]["bool"]["filter"]
    # All words of a text, since a value may be too long to be kept as a keyword; what it is, is compared here.
    for asked_for, name, value in ((of_id, "auditID", "a"), (of_stage, "stage", "Panic")):
        words = {"match": {name: {"query": value, "operator": "and"}}}
        assert asked_for["bool"]["should"] == [words, {"term": {f"{name}.keyword": value}}]
    assert of_time == {"range": {"@timestamp": {"gte": "2026-11-01T12:00:00.000+00:00"}}}
    assert question["size"] == MOST_RECORDS + 1
    time = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
    attributes = {"cluster": "c", "code": "200"}
    assert found == Found((Record("a", "Panic", time, '{"x":1}', attributes),), 0, complete=True)


async def test_an_index_with_more_than_is_read_says_so_even_if_not_all_of_it_was_meant(server):
    hit = {"@timestamp": "2026-11-01T12:00:00Z", "auditID": "A", "event": "{}"}
    server.body = json.dumps({"hits": {"hits": [{"_source": hit}] * (MOST_RECORDS + 1)}}).encode()
    found = await opened("OpenSearch", server.url).find("a", None, since=SINCE)
    assert found == Found((), 0, complete=False)


@pytest.mark.parametrize(
    ("blocks", "writable"),
    [
        ([{}], True),
        ([{"index.blocks.read_only_allow_delete": "true"}], False),
        ([{"index.blocks.write": "true"}, {}], True),
        ([{"index.blocks.write": "true"}, {"index.blocks.read_only": "true"}], False),
        ([{"index.blocks.read": "true"}], True),
        ([], True),
    ],
)
async def test_an_index_is_read_only_if_no_part_of_it_takes_writes(server, blocks, writable):
    settings = {f"audit-{number}": {"settings": each | {"index.uuid": "u"}} for number, each in enumerate(blocks)}
    server.body = json.dumps(settings).encode()
    assert await opened("OpenSearch", server.url).health() == Health(writable=writable, dropped=None)


async def test_what_is_written_to_an_index_has_the_id_of_its_event(server):
    store = opened("OpenSearch", server.url)
    record = Record("a", "Panic", SINCE, '{"x":1}', {"cluster": "c"})
    for each in (record, record, replace(record, text='{"x":2}'), replace(record, attributes={})):
        await store.write(each)
    made, written = server.asked[::2], server.asked[1::2]
    assert {(each.method, each.path, each.body.decode()) for each in made} == {("PUT", "/audit", NEW_INDEX)}
    assert len({each.path for each in written}) == 3
    assert (
        written[0].path
        == f"/audit/_create/{document_id({'cluster': 'c', 'auditID': 'a', 'stage': 'Panic'}, record.text)}"
    )
    assert json.loads(written[0].body) == {
        "@timestamp": "2026-11-01T12:00:00.000005+00:00",
        "event": '{"x":1}',
        "auditID": "a",
        "stage": "Panic",
        "cluster": "c",
    }


@pytest.mark.parametrize("kind", ["VictoriaLogs", "Loki"])
async def test_writes_say_tenant_and_streams(server, kind):
    await opened(kind, server.url).write(Record("a", "Panic", SINCE, "{}"))
    [asked] = server.asked
    assert asked.headers["Content-Type"] == "application/x-protobuf"
    if kind == "Loki":
        assert (asked.path, asked.headers["X-Scope-OrgID"]) == ("/otlp/v1/logs", "audit")
    else:
        assert asked.path == "/insert/opentelemetry/v1/logs"
        assert (asked.headers["AccountID"], asked.headers["VL-Stream-Fields"]) == ("3", "cluster,namespace")


@pytest.mark.parametrize("kind", ["VictoriaLogs", "Loki", "OpenSearch"])
@pytest.mark.parametrize(("audit_id", "stage"), [("", None), ("a", ""), ("a" * 5000, None), ("a", "\n" * 1000)])
async def test_neither_an_empty_value_nor_an_endless_one_is_asked_for(server, kind, audit_id, stage):
    result = await opened(kind, server.url).find(audit_id, stage, since=SINCE)
    assert result.reason is Reason.QUESTION_INVALID
    assert not server.asked


def unquoted(literal):
    """Reads a literal of Go as far as `quoted` writes them; fails on anything else."""
    assert literal[0] == literal[-1] == '"'
    inside, out = literal[1:-1], ""
    while inside:
        width = {"\\u": 4, "\\U": 8}.get(inside[:2])
        if width is None:
            assert inside[0] not in '"\\'
            out, inside = out + inside[0], inside[1:]
        else:
            out, inside = out + chr(int(inside[2 : 2 + width], 16)), inside[2 + width :]
    return out


@given(TEXTS)
def test_any_text_is_quoted_as_plain_ascii_and_means_itself(text):
    literal = quoted(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert unquoted(literal) == text


def test_a_surrogate_is_what_the_api_server_writes_for_it():
    assert quoted("\ud800") == r'"\ufffd"'


def test_two_events_of_one_audit_id_are_two():
    def record(text, microseconds=0):
        return Record("a", "Panic", SINCE + timedelta(microseconds=microseconds), text)

    found = without_copies([record("2", 2), record("1"), record("2", 2), record("2", 2)])
    assert [each.text for each in found.records] == ["1", "2"]
    assert (found.copies, found.complete) == (2, True)


def test_more_than_is_read_is_said():
    records = [Record("a", "Panic", SINCE, str(number)) for number in range(MOST_RECORDS + 1)]
    found = without_copies(records)
    assert (len(found.records), found.complete) == (MOST_RECORDS, False)
    assert without_copies(records[1:]).complete


METRICS = b"""vl_rows_dropped_total{reason="debug"} 0
vl_rows_dropped_total{reason="too_small_timestamp"} 7
vl_storage_is_read_only{path="/data"} %d
vl_rows_ingested_total{type="x"} 9
"""


@pytest.mark.parametrize("read_only", [0, 1])
async def test_victoria_logs_says_what_it_has_dropped_and_whether_it_takes_more(server, read_only):
    server.answers = {"/health": (200, b"OK"), "/metrics": (200, METRICS % read_only)}
    health = await opened("VictoriaLogs", server.url).health()
    assert health == Health(writable=not read_only, dropped={"debug": 0, "too_small_timestamp": 7})


@pytest.mark.parametrize("metrics", [(403, b""), (200, b"vl_other 1\n")])
async def test_a_store_that_does_not_say_what_it_dropped_has_not_dropped_nothing(server, metrics):
    server.answers = {"/health": (200, b"OK"), "/metrics": metrics}
    assert (await opened("VictoriaLogs", server.url).health()).dropped is None


async def test_loki_is_ready_or_not(server):
    assert await opened("Loki", server.url).health() == Health(writable=True, dropped=None)
    server.status = 503
    assert (await opened("Loki", server.url).health()).reason is Reason.STORE_FAILED


# OTLP


def fields(message):
    """Fields of a protobuf message, read by the rules of the wire format."""
    out = []
    while message:
        key, message = varint(message)
        if key & 7 == 1:
            value, message = message[:8], message[8:]
        else:
            assert key & 7 == 2
            length, message = varint(message)
            assert length <= len(message)
            value, message = message[:length], message[length:]
        out.append((key >> 3, value))
    return out


def only(number, message):
    """The content of the one field that there is."""
    [(found, value)] = fields(message)
    assert found == number
    return value


def varint(data):
    value = shift = 0
    for index, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, data[index + 1 :]
    raise AssertionError("a varint does not end")


@given(TEXTS, st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # strategies want it so
def test_a_record_is_one_otlp_record(text, time):
    record = Record("id", "Panic", time.replace(tzinfo=UTC), text, {"namespace": "ns"})
    parts = fields(only(2, only(2, only(1, otlp_record.encode(record)))))
    [nanoseconds] = [value for number, value in parts if number == 1]
    micro = timedelta(microseconds=int.from_bytes(nanoseconds, "little") // 1000)
    assert datetime(1970, 1, 1, tzinfo=UTC) + micro == record.time
    assert [fields(value) for number, value in parts if number == 5] == [[(1, text.encode())]]
    attributes = [dict(fields(value)) for number, value in parts if number == 6]
    pairs = {each[1].decode(): dict(fields(each[2]))[1].decode() for each in attributes}
    assert pairs == {"auditID": "id", "stage": "Panic", "namespace": "ns"}
