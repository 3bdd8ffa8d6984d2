"""The real collector writes a file for each namespace and day, and nothing outside of its folder."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

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


async def test_each_namespace_has_a_file_for_each_day_and_no_name_leads_out_of_the_folder(tmp_path, shippers):
    shipper = Shipper(tmp_path, made(FILE, tmp_path))
    shippers.append(shipper)
    shipper.append(0, 2, namespace="payments", time="2026-03-01T23:59")
    shipper.append(2, 4, namespace="payments", time="2026-03-02T00:00")
    shipper.append(4, 5, namespace="shop", time="2026-03-01T12:00")
    shipper.append(5, 6, time="2026-03-01T12:00")
    for number, name in enumerate(HOSTILE, start=6):
        shipper.append(number, number + 1, namespace=name, time="2026-03-01T12:00")
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "files"
    folder.mkdir()
    await shipper.start()
    await until(lambda: len(ids(folder)) == 6 + len(HOSTILE), "all events")
    found = documents(folder)
    assert set(found) == {
        "payments/2026-03-01.jsonl",
        "payments/2026-03-02.jsonl",
        "shop/2026-03-01.jsonl",
        "_cluster/2026-03-01.jsonl",
        "_other/2026-03-01.jsonl",
    }
    assert [each["auditID"] for each in found["payments/2026-03-01.jsonl"]] == ["id-0", "id-1"]
    assert {each["namespace"] for each in found["_other/2026-03-01.jsonl"]} == set(HOSTILE)
    texts = {each["event"] for lines in found.values() for each in lines}
    assert texts == set((tmp_path / "audit.log").read_text(encoding="utf-8").splitlines())
    [document] = found["shop/2026-03-01.jsonl"]
    assert document["@timestamp"] == "2026-03-01T12:00:00Z"
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
