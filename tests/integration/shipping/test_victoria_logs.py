"""What the real VictoriaLogs keeps, finds, and throws away with success for an answer."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.shipping.exporters import largest_event
from audit_operator.sinks import Accepted, Access, Health, Reachable, Reason, Record, open_store
from tests.integration.shipping.victoria_logs import victoria_logs

NOW = datetime.now(UTC).replace(microsecond=123456)
LONG_AGO = NOW - timedelta(days=300)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with victoria_logs(tmp_path_factory.mktemp("victoria-logs"), "-retentionPeriod=30d") as address:
        yield address


def spec(url, account=0, project=0):
    section = {"url": url, "accountID": account, "projectID": project}
    return AuditSinkSpec.model_validate_json(json.dumps({"type": "VictoriaLogs", "victoriaLogs": section}))


@pytest.fixture
def store(url):
    return open_store(spec(url), Access())


def event(audit_id=None, stage="ResponseComplete", time=NOW, size=0, **more):
    audit_id = audit_id or str(uuid.uuid4())
    text = json.dumps({"auditID": audit_id, "stage": stage, **more})
    return Record(audit_id, stage, time, text + " " * max(0, size - len(text)), {"cluster": "c", "namespace": "ns"})


async def found(store, record, stage=None, *, since=LONG_AGO, at_least=1):
    """What is found once there are so many; what is written shows after a second."""
    for _ in range(300):
        result = await store.find(record.audit_id, stage, since=since)
        if len(result.records) + result.copies >= at_least:
            return result
        await asyncio.sleep(0.1)
    raise AssertionError(f"{result}, and not {at_least}")


async def not_found(store, record):
    """Nothing is found, although something that was written later is."""
    later = event()
    assert await store.write(later) == Accepted()
    await found(store, later)
    assert not (await store.find(record.audit_id, None, since=LONG_AGO)).records


async def test_a_store_that_runs_takes_an_empty_write_and_keeps_nothing_of_it(store):
    assert await store.check() == Reachable()
    health = await store.health()
    assert isinstance(health, Health)
    assert health.writable
    assert "too_small_timestamp" in health.dropped


async def test_what_is_written_is_found_as_it_was(store):
    record = event(user={"username": 'ü"\\\n\t\u2028 😀'})
    assert await store.write(record) == Accepted()
    [read] = (await found(store, record)).records
    assert (read.audit_id, read.stage, read.time, read.text) == (record.audit_id, record.stage, NOW, record.text)
    assert read.attributes["namespace"] == "ns"
    assert read.attributes["_stream"] == '{cluster="c",namespace="ns"}'


async def test_stages_are_told_apart_and_copies_counted(store):
    first, last = event(stage="RequestReceived"), event()
    last = replace(last, audit_id=first.audit_id)
    for record in (first, last, last, last):
        await store.write(record)
    both = await found(store, first, at_least=4)
    assert [each.stage for each in both.records] == ["RequestReceived", "ResponseComplete"]
    assert both.copies == 2
    assert len((await found(store, first, "RequestReceived")).records) == 1
    assert not (await store.find(first.audit_id, "Panic", since=LONG_AGO)).records


async def test_what_happened_before_is_not_found(store):
    record = event()
    await store.write(record)
    await found(store, record, since=NOW)
    assert not (await store.find(record.audit_id, None, since=NOW + timedelta(microseconds=1))).records


async def test_tenants_do_not_see_each_other(url):
    tenants = [(0, 0), (0, 1), (1, 0), (4294967295, 4294967295)]
    stores = [open_store(spec(url, *each), Access()) for each in tenants]
    records = [event() for _ in tenants]
    for store, record in zip(stores, records, strict=True):
        await store.write(record)
    for store, record in zip(stores, records, strict=True):
        await found(store, record)
    for store, own in zip(stores, records, strict=True):
        for record in records:
            seen = (await store.find(record.audit_id, None, since=LONG_AGO)).records
            assert bool(seen) == (record is own)


async def test_an_event_outside_of_the_retention_is_taken_and_thrown_away_and_counted(store):
    before = (await store.health()).dropped
    old, ahead = event(time=NOW - timedelta(days=60)), event(time=NOW + timedelta(days=60))
    assert await store.write(old) == await store.write(ahead) == Accepted()
    await not_found(store, old)
    await not_found(store, ahead)
    after = (await store.health()).dropped
    assert after["too_small_timestamp"] - before["too_small_timestamp"] == 1
    assert after["too_big_timestamp"] - before["too_big_timestamp"] == 1


async def test_the_largest_event_is_kept_and_a_larger_one_thrown_away_and_not_counted(store, url):
    largest = event(size=largest_event(spec(url)))
    await store.write(largest)
    [read] = (await found(store, largest)).records
    assert len(read.text) == largest_event(spec(url))
    before = (await store.health()).dropped
    larger = event(size=2 * 2**20)
    assert await store.write(larger) == Accepted()
    await not_found(store, larger)
    assert (await store.health()).dropped == before


async def test_the_limit_for_lines_is_another_way_in(url):
    """-insert.maxLineSizeBytes, 256 KiB: why records are not written as JSON lines."""
    record = event(size=300 * 1024)
    row = {"_time": NOW.isoformat(), "_msg": record.text, "auditID": record.audit_id, "stage": record.stage}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/insert/jsonline", data=json.dumps(row) + "\n") as response,
    ):
        assert response.status == 200
    await not_found(open_store(spec(url), Access()), record)


ATTACKS = [
    "*",
    '" or *',
    '"*',
    '\\" or auditID:*',
    'a" | delete',
    "x` or `",
    "' or *",
    'a" or auditID:~".*',
    "a\nor *",
    "a # comment",
    'a" stage:="RequestReceived" or "',
    "re(.*)",
    "in(*)",
    '{cluster="c"}',
    "\\",
    '\\"',
    "\\u0022 or *",
    "\0",
    "a\x7f\x80\x9f",
    "\u2028\u2029\ufeff",
    "😀",
    "%22 or *",
    "_time:5m",
    "a) or (auditID:*",
    "x" * 4000,
]


async def test_no_value_changes_the_query(store):
    record = event()
    await store.write(record)
    await found(store, record)
    for attack in ATTACKS:
        for audit_id, stage in ((attack, None), (record.audit_id, attack), (attack, "ResponseComplete")):
            result = await store.find(audit_id, stage, since=LONG_AGO)
            assert result.records == (), (attack, result)


async def test_each_such_value_is_found_where_it_is_the_audit_id(url):
    store = open_store(spec(url, 77), Access())
    records = [event(attack) for attack in ATTACKS]
    for record in records:
        await store.write(record)
    for record in records:
        [read] = (await found(store, record)).records
        assert (read.audit_id, read.text) == (record.audit_id, record.text)


async def test_an_empty_audit_id_is_not_asked_for(store):
    assert (await store.find("", None, since=LONG_AGO)).reason is Reason.QUESTION_INVALID


async def test_an_address_with_a_wrong_path_is_not_taken_for_a_store(url):
    assert (await open_store(spec(f"{url}/nowhere"), Access()).check()).reason in (Reason.REFUSED, Reason.NOT_FOUND)
