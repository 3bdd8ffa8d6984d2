"""Searching a bucket, of which every object must be read: what is read is bounded, and waited for apart."""

import asyncio
import gzip
import io
import json
import threading
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from audit_operator.sinks import Failure, Reason, s3
from audit_operator.sinks.s3 import S3Store
from audit_operator.sinks.search import search
from audit_operator.sinks.selection import Scope, Selection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SELECTION = Selection((Scope("payments"),), NOW - timedelta(hours=1), NOW)
NANOSECONDS = str(int((NOW - timedelta(minutes=1)).timestamp()) * 10**9)


class Body(io.BytesIO):
    def read(self, number, *, decode_content):
        assert not decode_content
        return super().read(number)

    def release_conn(self):
        pass


@dataclass
class Bucket:
    """What of the library's client is used."""

    objects: list = field(default_factory=list)
    released: threading.Event | None = None

    def list_objects(self, _bucket, *, recursive, **_options):
        for number in range(len(self.objects)) if recursive else ():
            yield SimpleNamespace(object_name=f"2026/03/01/12/{number}", last_modified=NOW)

    def get_object(self, _bucket, key):
        if self.released is not None:
            self.released.wait(60)
        return Body(self.objects[int(key.rpartition("/")[2])])

    def bucket_exists(self, _bucket):
        return True


def entry(text="{}", time=NANOSECONDS, **attributes):
    own = {"namespace": "payments", "auditID": "id", **attributes}
    listed = [{"key": key, "value": {"stringValue": value}} for key, value in own.items()]
    return {"timeUnixNano": time, "body": {"stringValue": text}, "attributes": listed}


def packed(*entries):
    return gzip.compress(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": entries}]}]}).encode())


def store(*objects, **more):
    return S3Store(SimpleNamespace(bucket="b", prefix=""), Bucket(list(objects), **more))


async def found(store, selection=SELECTION):
    async with aclosing(search(store, selection)) as answers:
        return [each async for each in answers]


async def test_records_of_the_namespace_are_found():
    record, end = await found(store(packed(entry("mine"), entry("theirs", namespace="shop"))))
    assert (record.text, end.complete) == ("mine", True)


@pytest.mark.parametrize("time", ["9" * 30, "-" + "9" * 30, "now"])
async def test_a_time_that_no_record_has_is_told_apart_from_a_defect(time):
    [failed] = await found(store(packed(entry(time=time))))
    assert failed.reason is Reason.ANSWER_MALFORMED


async def test_a_record_that_says_twice_whose_it_is_is_none():
    twice = entry()
    twice["attributes"].append({"key": "namespace", "value": {"stringValue": "shop"}})
    [failed] = await found(store(packed(twice)))
    assert failed.reason is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize(
    ("limit", "value"),
    [("_LARGEST_TO_SEARCH", 1000), ("_MOST_TO_SEARCH", 2000), ("_MOST_OBJECTS", 1), ("MOST_HELD", 1000)],
)
async def test_more_than_can_be_held_is_said(monkeypatch, limit, value):
    objects = [packed(entry("x" * 900, auditID=f"id-{number}")) for number in range(2)]
    assert len(await found(store(*objects))) == 3
    monkeypatch.setattr(s3, limit, value)
    [failed] = await found(store(*objects))
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.ANSWER_TOO_LARGE


async def test_searches_that_take_long_keep_nothing_else_waiting():
    released = threading.Event()
    slow = store(packed(entry()), released=released)
    searches = [asyncio.create_task(found(slow)) for _ in range(40)]
    try:
        async with asyncio.timeout(60):
            await slow.check()
            await asyncio.to_thread(lambda: None)
        assert not any(each.done() for each in searches)
    finally:
        released.set()
    assert [len(each) for each in await asyncio.gather(*searches)] == [2] * 40


class Folders:
    """A listing of objects in two folders of classes and beside them, one in each hour."""

    folders = ("", "sink=a/cluster=c/class=max30d/", "sink=a/cluster=c/class=max90d/")
    keys = sorted(f"{folder}2026/03/01/{hour:02}/logs.json.gz" for folder in folders for hour in range(9, 13))

    def list_objects(self, _bucket, *, prefix, recursive, start_after=""):
        below = [each for each in self.keys if each.startswith(prefix) and each > start_after]
        if recursive:
            return [SimpleNamespace(object_name=each, last_modified=NOW, is_dir=False) for each in below]
        folders = {f"{prefix}{each.removeprefix(prefix).partition('/')[0]}/" for each in below}
        return [SimpleNamespace(object_name=each, is_dir=True) for each in sorted(folders)]


def test_objects_of_all_folders_come_in_the_order_of_their_hours():
    store = S3Store(SimpleNamespace(bucket="b", prefix=""), Folders())
    expected = [f"{each}2026/03/01/{hour}/logs.json.gz" for hour in (10, 11, 12) for each in Folders.folders]
    assert list(store.keys(NOW - timedelta(minutes=90))) == expected


async def test_of_more_objects_than_are_read_those_are_that_came_last(monkeypatch):
    monkeypatch.setattr(s3, "_MOST_OBJECTS", 2)
    busy = store(*(packed(entry(auditID=f"id-{number}", stage="ResponseComplete")) for number in range(5)))
    newest, oldest = [await busy.find(each, None, since=NOW - timedelta(hours=1)) for each in ("id-4", "id-0")]
    assert [each.audit_id for each in newest.records] == ["id-4"]
    assert (oldest.records, oldest.complete) == ((), False)
