"""Which files are deleted, and what is claimed of those that are there."""

from __future__ import annotations

import asyncio
import fcntl
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import judge
from audit_operator.sinks import Failure
from audit_operator.sinks.retention.file import FileRetention
from audit_operator.sinks.retention.protocol import Done, Order
from tests.integration.shipping.lines_shipper import until

DAY = 24
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def add(root, namespace, *ages):
    """One record for each age in days, as the collector writes them."""
    for age in ages:
        time = NOW - timedelta(days=age)
        folder = root / (namespace or "_cluster")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{time:%Y-%m-%d}.jsonl").open("a") as file:
            file.write(json.dumps({"@timestamp": f"{time:%Y-%m-%dT%H:%M:%S}.123456789Z"}, separators=(",", ":")) + "\n")


def left(root, namespace):
    return sorted((NOW.date() - datetime.fromisoformat(each.stem).date()).days for each in (root / namespace).iterdir())


def kept(*namespaces, **demand):
    return RetentionClass(Demand(**demand), namespaces)


async def judged(root, wanted, now=NOW):
    store = FileRetention(root)
    seen = await store.observe([wanted], now)
    return judge(wanted, seen.facts[wanted.name], store.mends)


async def enforced(root, *orders):
    done = await FileRetention(root).enforce(orders, NOW)
    assert isinstance(done, Done), done
    return done.deleted


PAYMENTS = kept("payments", maximum=30 * DAY)
ORDER = Order(PAYMENTS, ("payments",), 30 * DAY)


async def test_files_beyond_their_time_go_and_younger_and_foreign_ones_stay(tmp_path):
    web = kept("web", "", minimum=95 * DAY, maximum=95 * DAY)
    add(tmp_path, "payments", 100, 100, 32, 20, 0)
    add(tmp_path, "web", 100, 90)
    add(tmp_path, "", 100, 1)
    add(tmp_path, "payments-old", 100)
    [first, *_] = sorted((tmp_path / "payments").iterdir())
    (tmp_path / "payments" / f".{first.name}.new").write_text("of one that was killed at it")
    (tmp_path / "payments" / "notes.txt").write_text("mine")
    (tmp_path / "payments" / "2020-13-01.jsonl").write_text("no day\n")
    assert (await judged(tmp_path, PAYMENTS)).reason == "3 records are older than 30d"
    assert await enforced(tmp_path, ORDER, Order(web, ("web", ""), 95 * DAY)) == {PAYMENTS.name: 3, web.name: 2}
    assert (await judged(tmp_path, PAYMENTS)).state is RetentionState.ENFORCED
    (tmp_path / "payments" / "notes.txt").unlink()
    (tmp_path / "payments" / "2020-13-01.jsonl").unlink()
    assert left(tmp_path, "payments") == [0, 20]
    assert left(tmp_path, "web") == [90]
    assert left(tmp_path, "_cluster") == [1]
    assert left(tmp_path, "payments-old") == [100]


async def test_of_the_day_in_which_the_limit_lies_only_what_is_too_old_goes(tmp_path):
    add(tmp_path, "payments", 30.1, 29.9, 30.2, 29.8)  # noon is the limit, of the same day
    [file] = (tmp_path / "payments").iterdir()
    before = file.read_text().splitlines()
    with file.open("a") as half:
        half.write('{"@timestamp":"2026-1')
    (tmp_path / "payments" / f".{file.name}.new").write_text("of one that was killed at it")
    assert (await judged(tmp_path, PAYMENTS)).reason == "2 records are older than 30d"
    assert await enforced(tmp_path, ORDER) == {PAYMENTS.name: 2}
    assert file.read_text().splitlines() == [before[1], before[3], '{"@timestamp":"2026-1']
    assert (await judged(tmp_path, PAYMENTS)).state is RetentionState.ENFORCED
    assert [each.name for each in (tmp_path / "payments").iterdir()] == [file.name]
    assert await enforced(tmp_path, ORDER) == {PAYMENTS.name: 0}


async def test_what_may_not_be_deleted_is_not(tmp_path):
    held = kept("payments", maximum=30 * DAY, legal_hold=True)
    add(tmp_path, "payments", 100)
    assert (await judged(tmp_path, held)).state is RetentionState.ENFORCED
    assert await enforced(tmp_path, Order(held, ("payments",), None)) == {}
    assert await enforced(tmp_path) == {}
    assert left(tmp_path, "payments") == [100]


async def test_what_is_called_off_ends_with_the_file_that_it_is_at(tmp_path):
    """As a legal hold does, or another leader. The lock keeps the deletion at the third file."""
    add(tmp_path, "payments", *range(100, 110))
    files = sorted((tmp_path / "payments").iterdir())
    with files[2].open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        deletion = asyncio.create_task(FileRetention(tmp_path).enforce([ORDER], NOW))
        await until(lambda: not files[1].exists(), "the second file to go")
        deletion.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deletion
    await asyncio.get_running_loop().shutdown_default_executor()
    assert sorted((tmp_path / "payments").iterdir()) == files[3:]


async def test_the_oldest_record_is_found_and_half_a_line_is_none(tmp_path):
    add(tmp_path, "payments", 20.2, 20.3, 20.1)
    with next((tmp_path / "payments").iterdir()).open("a") as file:
        file.write('{"@timestamp":"2026-1')
    seen = await FileRetention(tmp_path).observe([PAYMENTS, kept("web", maximum=DAY)], NOW)
    assert seen.facts[PAYMENTS.name].oldest.date() == (NOW - timedelta(days=20.3)).date()
    assert seen.facts[f"max{1}d"].oldest is None


async def test_no_link_is_followed_and_what_cannot_be_deleted_keeps_nothing_of_others(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    add(elsewhere, "payments", 100)
    add(root, "web", 100)
    (root / "payments").symlink_to(elsewhere / "payments")
    wanted = kept("payments", "web", maximum=30 * DAY)
    done = await FileRetention(root).enforce([Order(wanted, ("payments", "web"), 30 * DAY)], NOW)
    assert (done.deleted, list(done.uncounted)) == ({wanted.name: 1}, [wanted.name])
    other = kept("web", maximum=29 * DAY)
    seen = await FileRetention(root).observe([wanted, other], NOW)
    assert (list(seen.facts), list(seen.uncounted)) == ([wanted.name, other.name], [])
    (root / "payments").unlink()
    (root / "payments").mkdir()
    [file] = (elsewhere / "payments").iterdir()
    (root / "payments" / file.name).symlink_to(file)
    assert await enforced(root, ORDER) == {}
    assert left(elsewhere, "payments") == [100]


async def test_a_folder_that_is_not_there_yet_has_nothing_and_one_that_is_none_is_said(tmp_path):
    assert (await judged(tmp_path / "later", PAYMENTS)).state is RetentionState.ENFORCED
    (tmp_path / "payments").write_text("")
    failed = await FileRetention(tmp_path).observe([PAYMENTS], NOW)
    assert isinstance(failed, Failure)
    assert "payments" not in failed.message


async def test_files_of_a_former_release_are_said_and_not_touched(tmp_path):
    for name in ("audit.jsonl", "audit-2025-01-01T00-00-00.000.jsonl"):
        (tmp_path / name).write_text("{}\n")
    judgement = await judged(tmp_path, PAYMENTS)
    assert judgement.state is RetentionState.PARTIAL
    assert "audit.jsonl" in judgement.reason
    await enforced(tmp_path, ORDER)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("mark", ["unseen", "quarantine"])
async def test_what_may_be_of_any_namespace_is_not_deleted_with_the_records_of_none(tmp_path, mark):
    """As collectors wrote it before it had a folder of its own."""
    none = kept("", maximum=30 * DAY)
    add(tmp_path, "", 100, 100, 30.1, 29.9)
    theirs = []
    for file in sorted((tmp_path / "_cluster").iterdir()):
        [first, *_] = file.read_text().splitlines(keepends=True)
        theirs.append(first.replace("}", f',"event":"\\",\\"{mark}\\":\\"","{mark}":"payments"}}'))
        with file.open("a") as more:
            more.write(theirs[-1])
    assert (await judged(tmp_path, none)).reason == "3 records are older than 30d"
    assert await enforced(tmp_path, Order(none, ("",), 30 * DAY)) == {none.name: 3}
    first, second = sorted((tmp_path / "_cluster").iterdir())
    assert first.read_text() == theirs[0]
    assert second.read_text().count(mark) == 2
    assert len(second.read_text().splitlines()) == 2
    assert (await judged(tmp_path, none)).state is RetentionState.ENFORCED
    assert await enforced(tmp_path, Order(none, ("",), 30 * DAY)) == {none.name: 0}


async def test_what_may_be_of_any_namespace_is_said_and_not_touched(tmp_path):
    add(tmp_path, "_other", 29)
    assert (await judged(tmp_path, PAYMENTS)).state is RetentionState.ENFORCED
    add(tmp_path, "_other", 40)
    judgement = await judged(tmp_path, PAYMENTS)
    assert judgement.state is RetentionState.PARTIAL
    assert "files in _other, which may be of any namespace, are older than 30d" in judgement.reason
    await enforced(tmp_path, ORDER)
    assert left(tmp_path, "_other") == [29, 40]


async def test_nobody_claims_that_files_cannot_be_deleted(tmp_path):
    judgement = await judged(tmp_path, kept("payments", minimum=DAY, immutable=True))
    assert judgement.state is RetentionState.UNSUPPORTED


@given(ages=st.lists(st.floats(0, 50), max_size=20), limit=st.integers(1, 40 * DAY))
async def test_no_record_goes_before_its_time(tmp_path_factory, ages, limit):
    root = tmp_path_factory.mktemp("files")
    add(root, "payments", *ages)
    done = await enforced(root, Order(PAYMENTS, ("payments",), limit))
    files = (root / "payments").glob("*.jsonl")
    lines = [json.loads(line)["@timestamp"][:19] for each in files for line in each.read_text().splitlines()]
    times = [datetime.fromisoformat(f"{each}Z") for each in lines]
    assert sum(done.values()) == len(ages) - len(times)
    young = [each for each in ages if each * DAY < limit]
    assert len(times) >= len(young)
    assert all(NOW - each < timedelta(hours=limit, seconds=1) for each in times)


async def test_what_the_collector_has_written_elsewhere_is_said_and_not_touched(tmp_path):
    add(tmp_path, "payments", 1)
    add(tmp_path, "_refused", 400)
    judgement = await judged(tmp_path, PAYMENTS)
    assert judgement.state is RetentionState.PARTIAL
    assert "_refused" in judgement.reason
    assert await enforced(tmp_path, ORDER) == {}
    assert left(tmp_path, "_refused") == [400]


async def test_a_folder_that_cannot_be_read_is_said_and_the_others_of_its_class_are_counted(tmp_path, caplog):
    both = kept("moved", "payments", maximum=30 * DAY)
    add(tmp_path, "payments", 1, 40)
    (tmp_path / "moved").symlink_to(tmp_path / "payments")
    seen = await FileRetention(tmp_path).observe([both], NOW)
    assert seen.facts[both.name].overdue == 1
    judgement = await judged(tmp_path, both)
    assert judgement.state in {RetentionState.PARTIAL, RetentionState.PENDING}
    assert "1 folders" in seen.facts[both.name].gaps[0].message
    assert caplog.records[0].object == str(tmp_path / "moved")
    assert (await enforced(tmp_path, Order(both, ("payments",), 30 * DAY))) == {both.name: 1}
    assert (await judged(tmp_path, both)).state is RetentionState.PARTIAL


async def test_a_file_that_somebody_keeps_locked_is_left_and_the_others_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.retention.file._LOCK_TRIES", 3)
    both = kept("locked", "payments", maximum=30 * DAY)
    add(tmp_path, "locked", 40)
    add(tmp_path, "payments", 40)
    [path] = (tmp_path / "locked").iterdir()
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        done = await FileRetention(tmp_path).enforce([Order(both, ("locked", "payments"), 30 * DAY)], NOW)
    assert (done.deleted, list(done.uncounted)) == ({both.name: 1}, [both.name])
    assert left(tmp_path, "locked") == [40]
