"""Reading all records of dated files: what is no record, and may have been one, is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audit_operator.integrity.interval import Interval
from audit_operator.sinks.file_scanner import FileScanner
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.scanning import Stream
from tests.sinks.test_files import DAY, NOON, line, put


async def scanned(scanner, since):
    span = Interval(since, since + timedelta(days=1))
    batches = [each async for each in scanner.scan(span, Stream("", "payments"))]
    return [record.text for each in batches for record in each.records], [*batches[-1].unreadable]


async def test_a_last_line_without_end_is_named_once_its_day_is_over_and_noted_before(tmp_path):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "a"), end=line(NOON, "lost")[:60])
    scanner = FileScanner(FileStore(tmp_path))
    records, unreadable = await scanned(scanner, DAY)
    assert (len(records), len(scanner.unended)) == (1, 0)
    assert unreadable == ["payments/2026-03-01.jsonl: its last line has no end, though its day is over"]
    now = datetime.now(UTC)
    path = put(tmp_path, f"payments/{now:%Y-%m-%d}.jsonl", end=line(now, "being written")[:60])
    assert await scanned(scanner, now) == ([], [])
    assert scanner.unended == {f"payments/{path.name}"}


async def test_once_a_day_is_read_in_all_its_folders_its_records_may_be_forgotten(tmp_path):
    for folder in ("payments", "_other"):
        for day in range(3):
            put(tmp_path, f"{folder}/2026-03-0{day + 1}.jsonl", line(NOON + timedelta(days=day), "a"))
    span = Interval(DAY, DAY + timedelta(days=3))
    batches = [each async for each in FileScanner(FileStore(tmp_path)).scan(span, Stream("", "payments"))]
    assert [(len(each.records), each.settled) for each in batches] == [(2, True)] * 3 + [(0, False)]
