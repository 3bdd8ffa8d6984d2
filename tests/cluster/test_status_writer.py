import asyncio
from contextlib import suppress

import aiohttp
import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.facts import FactStore
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.cluster.resources import AUDIT_POLICY
from audit_operator.cluster.rest import Listing
from audit_operator.cluster.status_writer import EncodedStatus, StatusWriter
from tests.cluster.fake_api_server import Fault
from tests.cluster.virtual_time import in_virtual_time, now


def ready(status="True", **more):
    return {"conditions": [{"type": "Ready", "status": status, "reason": "R"}], **more}


class Cluster:
    """A fake API server, a store that is kept true by hand, and a writer under test."""

    def __init__(self, api, client):
        self.api, self.client = api, client
        self.store = FactStore([AUDIT_POLICY], lambda _resource, raw, _known: raw.get("spec"))
        self.clock = 0
        self.drifts = 0
        self.written = []
        self.writer = StatusWriter(
            client,
            self.store,
            RateLimit(10_000, 10_000),
            "audit-operator",
            now=self._now,
            on_written=lambda fact, status: self.written.append((fact.ref.name, status)),
            on_drift=self._drift,
            backoff=Backoff(base=0.001, cap=0.01),
        )
        self.store.on_status = self.writer.observed

    def _now(self):
        self.clock += 1
        return f"t{self.clock}"

    def _drift(self):
        self.drifts += 1

    def put(self, name, **content):
        return self.api.put(AUDIT_POLICY, name, "ns", **content)

    def listed(self):
        documents = [each for key, each in self.api.objects.items() if key[0] == AUDIT_POLICY.plural]
        facts = tuple(self.store.fact_of(AUDIT_POLICY, each) for each in documents)
        self.store.replace(AUDIT_POLICY, self.store.begin_list(), Listing(facts, str(self.api.version)))

    def submit(self, **statuses):
        """Statuses by name, computed from what the store holds now."""
        self._hand(self.writer.submit, statuses)

    def amend(self, **statuses):
        self._hand(self.writer.amend, statuses)

    def _hand(self, take, statuses):
        encoded = {ObjectRef("AuditPolicy", name, "ns"): EncodedStatus.of(each) for name, each in statuses.items()}
        take(encoded, {fact.ref: fact for fact in self.store.facts(AUDIT_POLICY)})

    async def settled(self):
        await self.api.wait_for(lambda: self.writer.pending == 0)

    def status(self, name):
        return self.api.get(AUDIT_POLICY, name, "ns").get("status")


@pytest.fixture
async def cluster(api, client):
    cluster = Cluster(api, client)
    cluster.writer.workers = 1
    task = asyncio.create_task(cluster.writer.run())
    yield cluster
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_status_is_written_once_and_an_equal_one_never_again(cluster):
    cluster.put("a")
    cluster.listed()
    for _ in range(5):
        cluster.submit(a=ready())
        await cluster.settled()
        cluster.listed()
    assert len(cluster.api.writes()) == 1
    assert cluster.drifts == 0


async def test_a_new_writer_does_not_write_what_the_old_one_has_written(cluster, api, client):
    cluster.put("a")
    cluster.listed()
    cluster.submit(a=ready())
    await cluster.settled()
    successor = Cluster(api, client)
    successor.listed()
    successor.submit(a=ready())
    assert successor.writer.pending == 0


async def test_an_amended_status_replaces_its_own_and_leaves_those_of_others_to_be_written(cluster):
    cluster.put("a")
    cluster.put("b")
    cluster.listed()
    cluster.submit(a=ready(), b=ready())
    cluster.amend(a=ready("False"))
    await cluster.settled()
    assert [cluster.status(each)["conditions"][0]["status"] for each in "ab"] == ["False", "True"]
    assert len(cluster.api.writes()) == 2


async def test_the_time_of_a_condition_moves_only_with_its_status(cluster):
    cluster.put("a")
    cluster.listed()
    for status, time in [(ready(x=1), "t1"), (ready(x=2), "t1"), (ready("False"), "t3"), (ready(), "t4")]:
        cluster.submit(a=status)
        await cluster.settled()
        assert cluster.status("a")["conditions"][0]["lastTransitionTime"] == time


async def test_a_status_that_the_server_rewrites_is_written_once(cluster):
    """As when the schema gives a default to a field of status, or knows a field not at all."""
    store = cluster.api._store

    def defaulting(key, document):
        if "status" in document:
            document["status"]["defaulted"] = 0
        return store(key, document)

    cluster.api._store = defaulting
    cluster.put("a")
    cluster.listed()
    for _ in range(3):
        cluster.submit(a=ready())
        await cluster.settled()
        cluster.listed()
    assert len(cluster.api.writes()) == 1
    assert cluster.drifts == 0


@pytest.mark.parametrize("status", [409, 422, 429, 500, 403])
async def test_a_write_that_fails_is_repeated_until_it_succeeds(cluster, status):
    cluster.put("a")
    cluster.listed()
    cluster.api.faults.append(Fault("PATCH", "/status", times=9, status=status))
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.status("a")["conditions"][0]["status"] == "True"


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_lost_answer_leaves_the_right_status(cluster, drop):
    cluster.put("a")
    cluster.listed()
    cluster.api.faults.append(Fault("PATCH", "/status", times=6, drop=drop))
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.status("a")["conditions"][0]["status"] == "True"


async def test_an_object_whose_labels_changed_unseen_gets_its_status_all_the_same(cluster):
    cluster.put("a")
    cluster.listed()
    cluster.put("a", metadata={"labels": {"x": "y"}})
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.status("a") is not None
    assert cluster.writer.stats.conflicts == 1


async def test_nothing_is_said_about_a_spec_that_has_changed_unseen(cluster):
    cluster.put("a", spec=1)
    cluster.listed()
    cluster.put("a", spec=2)
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.status("a") is None
    assert cluster.writer.stats.dropped == 1


async def test_an_object_that_was_deleted_unseen_is_let_go(cluster):
    cluster.put("a")
    cluster.listed()
    cluster.api.remove(AUDIT_POLICY, "a", "ns")
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.writer.stats.dropped == 1


async def test_an_object_that_was_recreated_unseen_keeps_no_status_of_its_predecessor(cluster):
    cluster.put("a")
    cluster.listed()
    cluster.api.remove(AUDIT_POLICY, "a", "ns")
    cluster.put("a")
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.status("a") is None


async def test_one_refused_status_does_not_hold_up_the_others(cluster):
    for name in "abcdef":
        cluster.put(name)
    cluster.listed()
    cluster.api.faults.append(Fault("PATCH", "/a/status", times=10_000, status=422))
    cluster.submit(**dict.fromkeys("abcdef", ready()))
    await cluster.api.wait_for(lambda: all(cluster.status(name) for name in "bcdef"))
    assert cluster.status("a") is None


async def test_a_newer_status_replaces_one_that_is_still_failing(cluster):
    cluster.put("a")
    cluster.listed()
    fault = Fault("PATCH", "/status", times=10_000, status=500)
    cluster.api.faults.append(fault)
    cluster.submit(a=ready("False"))
    await cluster.api.wait_for(lambda: cluster.writer.stats.retries > 1)
    cluster.submit(a=ready("True"))
    # What is under way cannot be called back: wait until the newer one is being tried.
    await cluster.api.wait_for(lambda: cluster.api.writes()[-1].body["status"]["conditions"][0]["status"] == "True")
    fault.times = 0
    await cluster.settled()
    assert cluster.status("a")["conditions"][0]["status"] == "True"
    assert [status["conditions"][0]["status"] for _, status in cluster.written] == ["True"]


async def test_a_status_submitted_while_another_is_being_written_wins(cluster):
    cluster.put("a")
    cluster.listed()
    cluster.api.faults.append(Fault("PATCH", "/status", delay=0.2))
    cluster.submit(a=ready("False"))
    await cluster.api.wait_for(cluster.api.writes)
    cluster.submit(a=ready("True"))
    await cluster.settled()
    assert cluster.status("a")["conditions"][0]["status"] == "True"
    assert cluster.writer.stats.conflicts == 0


async def test_whoever_waits_for_an_answer_is_served_before_what_merely_follows(cluster):
    for name in "abcde":
        cluster.put(name, spec=1, status=ready(observedGeneration=1))
    cluster.put("e", spec=2)
    cluster.listed()
    cluster.submit(**{name: ready(observedGeneration=2, x=1) for name in "abcde"})
    await cluster.settled()
    assert [name for name, _ in cluster.written] == ["e", "a", "b", "c", "d"]


async def test_what_somebody_else_writes_into_our_status_is_noticed(cluster):
    cluster.put("a")
    cluster.listed()
    cluster.submit(a=ready())
    await cluster.settled()
    cluster.put("a", status={"tampered": True})
    cluster.listed()
    assert cluster.drifts == 1
    cluster.submit(a=ready())
    await cluster.settled()
    assert cluster.status("a")["conditions"][0]["status"] == "True"


async def test_a_fence_stops_the_writer(api, client):
    class NotLeadingError(Exception):
        pass

    def fence():
        raise NotLeadingError

    async with aiohttp.ClientSession(api.url) as session:
        fenced = type(client)(session, fence=fence)
        cluster = Cluster(api, fenced)
        cluster.put("a")
        cluster.listed()
        cluster.submit(a=ready())
        with pytest.raises(ExceptionGroup) as caught:
            await cluster.writer.run()
    assert caught.group_contains(NotLeadingError)
    assert not api.writes()


@in_virtual_time
async def test_a_rate_limit_lets_a_burst_through_and_then_spaces_requests():
    limit, times = RateLimit(per_second=10, burst=5), []
    for _ in range(15):
        await limit.wait()
        times.append(round(now() - 1000, 2))
    assert times == [0.0] * 5 + [round(0.1 * n, 2) for n in range(1, 11)]
    await asyncio.sleep(60)
    start = now()
    for _ in range(5):
        await limit.wait()
    assert now() == start
