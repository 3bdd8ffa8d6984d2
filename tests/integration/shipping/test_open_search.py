"""What the real collector writes to a real OpenSearch, and what is found there again."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from audit_operator.api.observations import ExporterFigures, Flow
from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.flow import Way
from audit_operator.integrity.interval import EPOCH, Interval
from audit_operator.shipping.search_index import NEW_INDEX
from audit_operator.sinks import Accepted, Access, Failure, Health, Reachable, Reason, Record, open_store
from audit_operator.sinks.open_search_scanner import OpenSearchScanner
from audit_operator.sinks.scanning import Stream
from audit_operator.sinks.selection import Attribute, Scope, Selection
from audit_operator.sinks.trial import try_store
from tests.integration.shipping.door import Door
from tests.integration.shipping.lines_shipper import Shipper, made, until
from tests.integration.shipping.open_search import open_search
from tests.integration.shipping.test_sealing import ALL, SINCE, found, victoria_logs_sink
from tests.ports import free_ports
from tests.sinks.fake_store import serving

NOW = datetime.now(UTC).replace(microsecond=123456)
EARLIER = NOW - timedelta(minutes=10)
ODD = "ä😀\u2028\x7f<&>'\"\\\n\t\0"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with open_search(tmp_path_factory.mktemp("open-search")) as running:
        yield running


@pytest.fixture
def index():
    """A name that no other test uses."""
    return f"audit-{uuid.uuid4()}"


@pytest.fixture
def shippers():
    started = []
    yield started
    for each in started:
        each.stop()


def spec(url, index, **more):
    return {"type": "OpenSearch", "openSearch": {"url": url, "index": index}, **more}


def store(url, index):
    return open_store(ClusterAuditSinkSpec.model_validate_json(json.dumps(spec(url, index))), Access())


def ids(node, index):
    return Counter(each["auditID"] for each in node.documents(index))


async def all_of(node, index, count):
    async def there():
        try:
            return len(await asyncio.to_thread(ids, node, index)) == count
        except urllib.error.HTTPError as refused:  # an index that has been made a moment ago
            if refused.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return False

    await until(there, f"{count} events")


async def whole(node, index, *pages):
    """How often each audit ID comes where everything is read, page by page of these sizes."""
    node.ask("POST", f"/{index}/_refresh")
    scanner = OpenSearchScanner(store(node.url, index), *[pages] * bool(pages))
    batches = [each async for each in scanner.scan(Interval(EPOCH, EPOCH + timedelta(days=50_000)), Stream())]
    assert [each for each in batches if isinstance(each, Failure) or each.unreadable] == []
    return Counter(record.attributes["auditID"] for each in batches for record in each.records)


async def test_every_document_is_read_once_however_many_there_are_of_one_moment(node, index):
    """In several parts, of which each counts for itself: there is no order in which all of them could be told apart."""
    node.ask("PUT", f"/{index}", {"settings": {"number_of_shards": 3}, **json.loads(NEW_INDEX)})
    for number in range(60):
        moment = f"2026-11-28T10:00:00.{number % 2:09d}Z"
        document = {"@timestamp": moment, "event": f"{number}", "auditID": f"{number}", "stage": "Panic"}
        node.ask("PUT", f"/{index}/_doc/{number}", document)
    for size in (1000, 60, 7, 1):
        assert await whole(node, index, size) == Counter(f"{number}" for number in range(60))
    [stats] = node.ask("GET", "/_nodes/stats/indices/search")["nodes"].values()
    assert stats["indices"]["search"]["open_contexts"] == 0


def test_what_an_administrator_of_open_search_deletes_changes_and_adds_is_named(node, index, commands):
    commands.of({**victoria_logs_sink(""), "spec": spec(node.url, index)})
    asyncio.run(written(node, index, ALL[::4]))
    sealed = commands.seal("--new-chain", *SINCE)
    assert (sealed.status, [each["records"] for each in sealed.seals]) == (0, [15, 15, 15, 15])
    assert (commands.verify().status, found(commands.verify())) == (0, Counter())

    hits = node.ask("POST", f"/{index}/_search", {"size": 100})["hits"]["hits"]
    by_id = {each["_source"]["auditID"]: each for each in hits}
    node.ask("DELETE", f"/{index}/_doc/{by_id['id-12']['_id']}")
    for audit_id, change in (("id-72", {"code": "403"}), ("id-76", {"@timestamp": ALL[77].time.isoformat()})):
        node.ask("PUT", f"/{index}/_doc/{by_id[audit_id]['_id']}", {**by_id[audit_id]["_source"], **change})
    asyncio.run(written(node, index, [replace(ALL[200], audit_id="forged")]))
    node.ask("PUT", f"/{index}/_doc/odd", {"@timestamp": ALL[100].time.isoformat(), "event": ["no text"]})
    node.ask("POST", f"/{index}/_refresh")
    verified = commands.verify()
    assert (verified.status, found(verified)) == (
        1,
        {
            ("record-removed", "id-12"): 1,
            ("record-changed", "id-72"): 1,
            ("record-moved", "id-76"): 1,
            ("record-unsealed", "forged"): 1,
            ("object-unreadable", None): 1,
        },
    )


async def written(node, index, records):
    asked = store(node.url, index)
    for each in records:
        assert await asked.write(each) == Accepted()
    await asyncio.to_thread(node.ask, "POST", f"/{index}/_refresh")


async def test_what_is_written_is_found_as_it_was_and_once_however_often(node, index):
    asked = store(node.url, index)
    text = '{"n": 9007199254740993, "x": "ä\\u0000<>\\"\\n"}'
    record = Record(str(uuid.uuid4()), "ResponseComplete", NOW, text, {"namespace": "ns", "cluster": "c"})
    other = replace(record, text="{}")
    for each in (record, record, other):
        assert await asked.write(each) == Accepted()
    node.ask("POST", f"/{index}/_refresh")
    found = await asked.find(record.audit_id, "ResponseComplete", since=EARLIER)
    assert {each.text: each for each in found.records} == {record.text: record, other.text: other}
    assert (found.copies, found.complete) == (0, True)
    assert not (await asked.find(record.audit_id, "Panic", since=EARLIER)).records
    assert not (await asked.find(record.audit_id.upper(), None, since=EARLIER)).records
    assert not (await asked.find(record.audit_id, None, since=NOW + timedelta(hours=1))).records
    assert (await asked.find(record.audit_id, None, since=NOW)).records


@pytest.mark.parametrize("made_by", ["template of a data stream", "first document"])
async def test_an_index_of_somebody_else_is_used_as_it_is(node, index, made_by):
    if made_by == "first document":
        node.ask(
            "POST", f"/{index}/_doc", {"auditID": "x", "stage": "Panic", "event": "{}", "@timestamp": NOW.isoformat()}
        )
    else:
        node.ask("PUT", f"/_index_template/{index}", {"index_patterns": [index], "data_stream": {}})
    asked = store(node.url, index)
    record = Record(str(uuid.uuid4()), "Panic", NOW, "{}", {"namespace": "ns"})
    assert await asked.write(record) == Accepted()
    node.ask("POST", f"/{index}/_refresh")
    assert (await asked.find(record.audit_id, "Panic", since=EARLIER)).records == (record,)
    assert await asked.health() == Health(writable=True, dropped=None)


async def test_a_closed_index_of_an_alias_passes_for_nothing_and_long_values_are_found(node, index):
    for name, mapping in ((f"{index}-1", json.loads(NEW_INDEX)), (f"{index}-2", {})):
        node.ask("PUT", f"/{name}", mapping)
        node.ask("POST", "/_aliases", {"actions": [{"add": {"index": name, "alias": index}}]})
    user = "u" * 300
    document = {"@timestamp": NOW.isoformat(), "event": "{}", "auditID": "a", "namespace": "ns", "username": user}
    node.ask("PUT", f"/{index}-2/_doc/1?refresh=true", document)
    asked = store(node.url, f"{index}-2")
    selection = Selection((Scope("ns"),), EARLIER, NOW + timedelta(hours=1), equal=((Attribute.USER, user),))
    assert [each.audit_id async for each in asked.search(selection)] == ["a"]
    asked, span = store(node.url, index), Interval(EPOCH, EPOCH + timedelta(days=50_000))
    assert len((await asked.find("a", None, since=EARLIER)).records) == 1
    node.ask("POST", f"/{index}-2/_close")
    [searched] = [each async for each in asked.search(replace(selection, equal=()))]
    [scanned] = [each async for each in OpenSearchScanner(asked).scan(span, Stream())]
    for each in (searched, scanned, await asked.find("a", None, since=EARLIER)):
        assert (each.reason, "closed" in each.message) == (Reason.REFUSED, True)


async def test_a_sink_is_tried_by_hand(node, index):
    steps = await try_store(store(node.url, index), "team", write=True, patience=60.0)
    assert [(each.name, each.trouble) for each in steps] == [("reached", None), ("written", None), ("read back", None)]
    properties = node.ask("GET", f"/{index}/_mapping")[index]["mappings"]["properties"]
    assert properties["auditID"]["type"] == "keyword"


async def test_the_store_is_checked_without_writing_and_says_when_it_is_read_only(node, index):
    asked = store(node.url, index)
    assert await asked.check() == Reachable()
    assert (await asked.health()).reason is Reason.NOT_FOUND
    assert (await asked.find("a", None, since=EARLIER)).records == ()
    node.ask("PUT", f"/{index}", {})
    assert await asked.health() == Health(writable=True, dropped=None)
    node.ask("PUT", f"/{index}/_settings", {"index.blocks.read_only_allow_delete": True})
    assert await asked.health() == Health(writable=False, dropped=None)
    written = await asked.write(Record("a", "Panic", NOW, "{}"))
    assert written.reason is Reason.TOO_MANY_REQUESTS


async def test_every_event_arrives_once_whatever_the_store_answers_and_though_the_shipper_is_killed(
    node, index, tmp_path, shippers
):
    door = Door(node.url)
    shipper = Shipper(tmp_path, made(spec(door.url, index), tmp_path))
    shippers.append(shipper)
    async with door.open():
        for number, status in enumerate([503, 500, 401, 403, 404, 429, 302, 200]):
            door.status, refused = status, door.refused
            shipper.append(number * 100, (number + 1) * 100)
            if number % 4 == 0:
                shipper.stop()
                await shipper.start()
            await until(lambda refused=refused: door.refused > refused, "a refusal")
        async with door.absent():
            shipper.append(800, 900)
            shipper.stop()
            await shipper.start()
        door.status = 0
        await all_of(node, index, 900)

        async def settled():
            return await shipper.count("otelcol_exporter_queue_size") == 0

        await until(settled, "an empty queue")
    assert ids(node, index).total() == 900
    assert await shipper.count("otelcol_exporter_send_failed_log_records") == 0
    assert await shipper.count("otelcol_exporter_refused_log_records") == 0
    properties = node.ask("GET", f"/{index}/_mapping")[index]["mappings"]["properties"]
    assert properties["auditID"]["type"] == "keyword"
    texts = {each["event"] for each in node.documents(index)}
    assert texts == set((tmp_path / "audit.log").read_text().splitlines())
    read = await whole(node, index)
    assert (len(read), read.keys()) == (900, ids(node, index).keys())


async def test_what_the_store_refuses_for_good_is_counted_shown_and_holds_up_nothing(node, index, tmp_path, shippers):
    of_documents = {"properties": {"auditID": {"type": "keyword"}, "odd": {"type": "integer"}}}
    node.ask("PUT", f"/{index}", {"mappings": of_documents})
    shipper = Shipper(tmp_path, made(spec(node.url, index), tmp_path))
    shippers.append(shipper)
    shipper.append(0, 300, odd="7")
    shipper.append(300, 307, odd="is not a number")
    shipper.append(307, 400)
    await shipper.start()
    await all_of(node, index, 393)
    assert {f"id-{number}" for number in range(300, 307)}.isdisjoint(ids(node, index))

    async def counted():
        return await shipper.count("otelcol_exporter_refused_log_records") == 7

    await until(counted, "7 documents that are counted")
    figures = telemetry.parse(await shipper.metrics_text()).exporters["search_bulk/central"]
    assert figures == ExporterFigures(sent=393, failed=7, capacity=figures.capacity)
    assert Way().see(0.0, "epoch", figures) is Flow.LOSSY
    assert "is not a number" not in shipper.log


async def test_a_namespace_that_reads_like_a_date_costs_the_others_nothing(node, index, tmp_path, shippers):
    shipper = Shipper(tmp_path, made(spec(node.url, index), tmp_path))
    shippers.append(shipper)
    shipper.append(0, 1, namespace="2015-01-01", odd=ODD)
    await shipper.start()
    await all_of(node, index, 1)
    shipper.append(1, 100, namespace="team-a")
    await all_of(node, index, 100)
    found = node.ask("POST", f"/{index}/_count", {"query": {"term": {"namespace": "team-a"}}})
    assert found["count"] == 99
    [document] = [each for each in node.documents(index) if each["auditID"] == "id-0"]
    assert (document["namespace"], document["odd"]) == ("2015-01-01", ODD)
    assert document["event"] == (tmp_path / "audit.log").read_text(encoding="utf-8").split("\n")[0]


async def test_what_the_operator_writes_and_what_the_shipper_writes_is_the_same_event(node, index, tmp_path, shippers):
    shipper = Shipper(tmp_path, made(spec(node.url, index), tmp_path))
    shippers.append(shipper)
    shipper.append(0, 1, odd=ODD)
    text = (tmp_path / "audit.log").read_text(encoding="utf-8").rstrip("\n")
    assert await store(node.url, index).write(Record("id-0", "ResponseComplete", NOW, text)) == Accepted()
    await shipper.start()

    async def counted():
        return await shipper.count("otelcol_exporter_indexed_log_records") == 1

    await until(counted, "an event that is there")
    [document] = node.documents(index)
    assert json.loads(document["event"])["odd"] == ODD


def block(node, index, *, on):
    node.ask("PUT", f"/{index}/_settings", {"index.blocks.read_only_allow_delete": True if on else None})


def close(node, index, *, on):
    node.ask("POST", f"/{index}/{'_close' if on else '_open'}")


@pytest.mark.parametrize("obstacle", [block, close])
async def test_documents_that_the_store_puts_off_wait_and_arrive_once(node, index, tmp_path, shippers, obstacle):
    shipper = Shipper(tmp_path, made(spec(node.url, index), tmp_path))
    shippers.append(shipper)
    shipper.append(0, 1)
    await shipper.start()
    await all_of(node, index, 1)
    obstacle(node, index, on=True)
    shipper.append(1, 100)
    await until(lambda: "put off" in shipper.log, "documents that are put off")
    obstacle(node, index, on=False)
    await all_of(node, index, 100)
    assert ids(node, index).total() == 100
    assert await shipper.count("otelcol_exporter_refused_log_records") == 0


async def test_a_store_without_room_for_an_index_is_waited_for(node, index, tmp_path, shippers):
    def limit(shards):
        node.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.max_shards_per_node": shards}})

    shipper = Shipper(tmp_path, made(spec(node.url, index), tmp_path))
    shippers.append(shipper)
    node.ask("PUT", f"/{index}-other", {})
    try:
        limit(1)
        shipper.append(0, 100)
        await shipper.start()
        await until(lambda: "status 400 when its index" in shipper.log, "an index that could not be made")
    finally:
        limit(None)
    await all_of(node, index, 100)
    assert await shipper.count("otelcol_exporter_refused_log_records") == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b'{"items":[]}',
        b'{"items":[{"create":{"status":201}}]}',
        b'{"items":' + b"[{}" + b",{}" * 4_000_000 + b"]}",
        b'{"items":[' + b'{"create":' * 1_000_000,
    ],
    ids=["none", "a page", "of no documents", "of some", "of too many", "without end"],
)
async def test_an_answer_that_does_not_speak_of_every_document_proves_nothing(index, tmp_path, shippers, answer):
    async with serving() as store:
        store.answers = {f"/{index}": (200, b"{}"), f"/{index}/_bulk": (200, answer)}
        shipper = Shipper(tmp_path, made(spec(store.url, index), tmp_path))
        shippers.append(shipper)
        shipper.append(0, 20)
        await shipper.start()
        await until(lambda: "Exporting failed. Will retry" in shipper.log, "a second try")
        assert await shipper.count("otelcol_exporter_indexed_log_records") == 0
        kept = {"items": [{"create": {"status": 201}}] * 20}
        store.answers[f"/{index}/_bulk"] = (200, json.dumps(kept).encode())

        async def counted():
            return await shipper.count("otelcol_exporter_indexed_log_records") == 20

        await until(counted, "events that are there")


@pytest.mark.parametrize("status", [400, 413])
async def test_a_request_that_would_be_refused_for_ever_is_given_up_and_counted(index, tmp_path, shippers, status):
    door = Door("")
    door.status = 400
    shipper = Shipper(tmp_path, made(spec(door.url, index), tmp_path))
    shippers.append(shipper)
    async with door.open():
        shipper.append(0, 50)
        await shipper.start()
        await until(lambda: door.refused > 0, "an index that is not made")
        door.status = status

        async def given_up():
            return await shipper.count("otelcol_exporter_send_failed_log_records") == 50

        await until(given_up, "all events to be given up")


async def test_best_effort_gives_up_what_is_too_much_and_counts_it(index, tmp_path, shippers):
    away = spec(f"http://127.0.0.1:{next(free_ports())}", index, delivery={"guarantee": "BestEffort"})
    shipper = Shipper(tmp_path, made(away, tmp_path, in_memory=200_000))
    shippers.append(shipper)
    shipper.append(0, 3000)
    await shipper.start()

    async def counted():
        return await shipper.count("otelcol_exporter_enqueue_failed_log_records") > 2000

    await until(counted, "losses that are counted")
