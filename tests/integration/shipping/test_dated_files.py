"""The real collector writes a file for each namespace and day, and nothing outside of its folder."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.sinks import selection
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.retention.file import FileRetention
from audit_operator.sinks.retention.protocol import Done, Order
from audit_operator.sinks.search import search
from tests.integration.shipping import small_disk
from tests.integration.shipping.lines_shipper import Shipper, made, until

FILE = {"type": "File", "file": {"claimName": "audit"}}
HOSTILE = ["../../out", "..", "a/b", "/etc", "A", "x" * 64, "-a", "a.b", "_cluster", "a\x00b", "ä"]


@pytest.fixture
def shippers():
    started = []
    yield started
    for each in started:
        each.stop()


def documents(folder):
    """By file, what its lines are; half a line is none."""
    found = {}
    for path in sorted(folder.glob("*/*.jsonl")):
        found[str(path.relative_to(folder))] = [_document(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return found


def _document(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}


def ids(folder):
    return Counter(each.get("auditID") for lines in documents(folder).values() for each in lines)


async def read_back(folder, namespace):
    """The audit IDs that a search finds, oldest first; it must be whole."""
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
    oldest = selection.Order.OLDEST
    asked = selection.Selection((selection.Scope(namespace),), since, until, order=oldest)
    *records, end = [each async for each in search(FileStore(folder), asked)]
    assert end.complete
    return [each.audit_id for each in records]


async def test_each_namespace_has_a_file_for_each_day_and_no_name_leads_out_of_the_folder(tmp_path, shippers):
    shipper = Shipper(tmp_path, made(FILE, tmp_path))
    shippers.append(shipper)
    shipper.append(0, 2, namespace="payments", time="2026-03-01T23:59")
    shipper.append(2, 4, namespace="payments", time="2026-03-02T00:00")
    shipper.append(4, 5, namespace="shop", time="2026-03-01T12:00")
    shipper.append(5, 6, time="2026-03-01T12:00")
    # Of a namespace that nobody had seen, and no event at all: whoever deletes what is of none must not delete these.
    shipper.append(100, 101, unseen="payments", time="2026-03-02T12:00")
    shipper.append(101, 102, quarantine="no JSON object", time="2026-03-02T12:00")
    shipper.append(102, 103, namespace="shop", quarantine="no JSON object", time="2026-03-01T13:00")
    for number, name in enumerate(HOSTILE, start=6):
        shipper.append(number, number + 1, namespace=name, time="2026-03-01T12:00")
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "files"
    folder.mkdir()
    await shipper.start()
    await until(lambda: len(ids(folder)) == 9 + len(HOSTILE), "all events")
    found = documents(folder)
    assert set(found) == {
        "payments/2026-03-01.jsonl",
        "payments/2026-03-02.jsonl",
        "shop/2026-03-01.jsonl",
        "_cluster/2026-03-01.jsonl",
        "_other/2026-03-01.jsonl",
        "_other/2026-03-02.jsonl",
    }
    assert [each["auditID"] for each in found["_other/2026-03-02.jsonl"]] == ["id-100", "id-101"]
    assert [each["auditID"] for each in found["payments/2026-03-01.jsonl"]] == ["id-0", "id-1"]
    assert {each["namespace"] for each in found["_other/2026-03-01.jsonl"]} == set(HOSTILE)
    texts = {each["event"] for lines in found.values() for each in lines}
    assert texts == set((tmp_path / "audit.log").read_text(encoding="utf-8").splitlines())
    [document, _] = found["shop/2026-03-01.jsonl"]
    assert document["@timestamp"] == "2026-03-01T12:00:00Z"
    assert await read_back(folder, "payments") == ["id-0", "id-1", "id-2", "id-3"]
    assert await read_back(folder, "shop") == ["id-4", "id-102"]
    assert await read_back(folder, "") == ["id-5", "id-100", "id-101"]
    assert await read_back(folder, "a.b") == [f"id-{6 + HOSTILE.index('a.b')}"]
    # A link that somebody has put there is not followed out of the folder; what is for it waits.
    (folder / "linked").symlink_to(outside)
    shipper.append(90, 91, namespace="linked")
    shipper.append(91, 92, namespace="shop")
    await until(lambda: "Exporting failed. Will retry" in shipper.log, "a file that cannot be written")
    await until(lambda: ids(folder)["id-91"] == 1, "what can be written beside it")
    assert list(outside.iterdir()) == []
    (folder / "linked").unlink()
    await until(lambda: ids(folder)["id-90"] == 1, "what waited")
    assert set(ids(folder).values()) == {1}


async def test_half_a_line_that_a_kill_has_left_costs_no_other_and_kills_lose_nothing(tmp_path, shippers):
    folder, today = tmp_path / "files", datetime.now(UTC).date()
    (folder / "payments").mkdir(parents=True)
    (folder / "payments" / f"{today}.jsonl").write_text('{"auditID":"half')
    shipper = Shipper(tmp_path, made(FILE, tmp_path))
    shippers.append(shipper)
    for number in range(3):
        shipper.append(number * 500, (number + 1) * 500, namespace="payments")
        await shipper.start()
        await until(lambda number=number: len(ids(folder)) > number * 500, "some events")
        shipper.stop()
    await shipper.start()
    await until(lambda: len(ids(folder)) == 1501, "all events, and the half line")
    assert ids(folder)[None] == 1


async def test_a_full_disk_is_waited_for_and_leaves_no_half_lines(tmp_path, shippers):
    if reason := small_disk.unavailable():
        pytest.skip(reason)
    with small_disk.mounted(tmp_path / "files", 300_000) as disk:
        shipper = Shipper(tmp_path, made(FILE, tmp_path))
        shippers.append(shipper)
        shipper.append(0, 2000, namespace="payments")
        await shipper.start()
        await until(lambda: "no space left" in shipper.log, "a full disk")
        assert {} not in (each for lines in documents(disk.folder).values() for each in lines)
        disk.relieve()
        await until(lambda: len(ids(disk.folder)) == 2000, "all events")
        assert await shipper.count("otelcol_exporter_send_failed_log_records") == 0
        assert set(ids(disk.folder).values()) == {1}
        shipper.stop()


async def test_a_folder_that_cannot_be_written_does_not_stop_the_others(tmp_path, shippers):
    """In every batch there is something for it, so that every consumer of the queue comes to wait for it."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "broken").write_text("no folder")
    shipper = Shipper(tmp_path, made(FILE, tmp_path))
    shippers.append(shipper)
    await shipper.start()
    for number in range(0, 40, 10):
        tries = shipper.log.count("Will retry")
        shipper.append(number, number + 1, namespace="broken", time="2026-03-01T12:00")
        shipper.append(number + 1, number + 10, namespace="shop")
        if number < 20:
            await until(lambda tries=tries: shipper.log.count("Will retry") > tries, "a try")
    await until(lambda: len(ids(folder)) == 40, "all events, those of the other in a folder for them")
    assert {each["namespace"] for each in documents(folder)["_refused/2026-03-01.jsonl"]} == {"broken"}
    assert set(ids(folder).values()) == {1}
    assert await shipper.count("otelcol_exporter_diverted_log_records") == 4
    assert "cannot be written" in shipper.log
    (folder / "broken").unlink()
    shipper.append(40, 41, namespace="broken", time="2026-03-01T12:00")
    await until(lambda: "id-40" in str(documents(folder).get("broken/2026-03-01.jsonl")), "its own folder again")


async def test_whoever_locks_a_file_stops_no_other(tmp_path, shippers):
    folder = tmp_path / "files"
    shipper = Shipper(tmp_path, made(FILE, tmp_path))
    shippers.append(shipper)
    await shipper.start()
    shipper.append(0, 1, namespace="locked", time="2026-03-01T12:00")
    await until(lambda: ids(folder)["id-0"] == 1, "a file")
    with (folder / "locked" / "2026-03-01.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        shipper.append(1, 2, namespace="locked", time="2026-03-01T12:00")
        await until(lambda: "holds the lock" in shipper.log, "a lock that is not waited for")
        shipper.append(2, 20, namespace="shop")
        await until(lambda: len(ids(folder)) == 19, "what is for others")
    await until(lambda: len(ids(folder)) == 20, "what waited")
    assert set(ids(folder).values()) == {1}


async def test_what_arrives_while_the_operator_deletes_is_not_lost(tmp_path, shippers):
    """The operator is at the file most of the time: without its lock some would be added to one that is gone."""
    folder, limit = tmp_path / "files", datetime(2026, 3, 2, 12, tzinfo=UTC)
    store, wanted = FileRetention(folder), RetentionClass(Demand(maximum=24), ("payments",))
    order, now = Order(wanted, ("payments",), 24), limit + timedelta(hours=24)
    (folder / "payments").mkdir(parents=True)
    former = [f"former-{number}" for number in range(20_000)]
    lines = (f'{{"@timestamp":"2026-03-02T12:30:00Z","event":"","auditID":"{each}"}}\n' for each in former)
    (folder / "payments" / "2026-03-02.jsonl").write_text("".join(lines))
    shipper = Shipper(tmp_path, made(FILE, tmp_path))
    shippers.append(shipper)
    await shipper.start()
    deleted = 0
    for number in range(0, 1500, 30):
        shipper.append(number, number + 20, namespace="payments", time="2026-03-02T13:00")
        shipper.append(number + 20, number + 25, namespace="payments", time="2026-03-02T11:00")
        shipper.append(number + 25, number + 30, namespace="payments", time="2026-03-01T23:00")
        done = await store.enforce([order], now)
        assert isinstance(done, Done), done
        deleted += done.deleted.get(wanted.name, 0)

    async def all_there():
        nonlocal deleted
        done = await store.enforce([order], now)
        deleted += done.deleted.get(wanted.name, 0)
        return deleted == 500 and await shipper.count("otelcol_exporter_sent_log_records") == 1500

    await until(all_there, "all events to have come, and those that are too old to be deleted")
    young = [f"id-{number}" for number in range(1500) if number % 30 < 20]
    assert ids(folder) == Counter([*former, *young])
