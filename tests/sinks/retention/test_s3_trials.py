"""Trials of buckets block: never two at once, and no other work waits for one."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from minio.error import InvalidResponseError

from audit_operator.api.sink import S3, ObjectLockMode
from audit_operator.sinks.retention import s3_trials
from audit_operator.sinks.retention.s3_trials import Trials
from audit_operator.sinks.s3 import S3Store
from audit_operator.sinks.store import Failure

NOW, MOMENT = datetime(2026, 11, 28, tzinfo=UTC), timedelta(seconds=15)
PATIENCE = 60.0


class Bench:
    """Trials that end when they are told to."""

    def __init__(self):
        self.go_on, self.running, self.most, self.tried = threading.Event(), 0, 0, []
        self.begun = threading.Semaphore(0)
        self.error = None

    def try_to_delete(self, _client, bucket, _mode, _now, _locked):
        self.running += 1
        self.most = max(self.most, self.running)
        self.tried.append(bucket.bucket)
        self.begun.release()
        assert self.go_on.wait(PATIENCE)
        self.running -= 1
        if self.error is not None:
            raise self.error
        return ""


@pytest.fixture
def bench(monkeypatch):
    made = Bench()
    monkeypatch.setattr(s3_trials, "try_to_delete", made.try_to_delete)
    yield made
    made.go_on.set()


def held(trials, name="audit"):
    store = S3Store(S3(bucket=name), client=None)
    return asyncio.create_task(trials.hold(store, ObjectLockMode.COMPLIANCE, NOW, MOMENT))


def begun(bench):
    return asyncio.to_thread(bench.begun.acquire, timeout=PATIENCE)


async def test_never_two_at_once_and_other_work_goes_on(bench):
    trials = Trials()
    tasks = [held(trials, name) for name in ("one", "two", "three")]
    assert await begun(bench)
    busy = S3Store(S3(bucket="one"), client=None)
    assert [await busy.call(lambda: "answered") for _ in range(20)] == ["answered"] * 20
    bench.go_on.set()
    assert await asyncio.gather(*tasks) == ["", "", ""]
    assert (bench.most, sorted(bench.tried)) == (1, ["one", "three", "two"])


async def test_one_that_nobody_waits_for_ends_before_the_next_begins(bench):
    trials = Trials()
    left = held(trials)
    assert await begun(bench)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    after = held(trials, "another")
    await asyncio.sleep(0.01)
    assert bench.tried == ["audit"]
    bench.go_on.set()
    assert await after == ""
    assert (bench.most, bench.tried) == (1, ["audit", "another"])


async def test_what_came_of_one_is_good_for_a_moment_and_not_longer(bench, monkeypatch):
    bench.go_on.set()
    trials = Trials()
    assert [await held(trials), await held(trials)] == ["", ""]
    assert bench.tried == ["audit"]
    monkeypatch.setattr(s3_trials, "_FRESH", 0.0)
    assert await held(trials) == ""
    assert bench.tried == ["audit", "audit"]


async def test_a_store_that_fails_is_tried_again(bench):
    bench.go_on.set()
    bench.error = InvalidResponseError(500, "text/plain", "")
    trials = Trials()
    assert isinstance(await held(trials), Failure)
    bench.error = None
    assert await held(trials) == ""
