import asyncio
import itertools
from contextlib import asynccontextmanager, suppress

import pytest

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.facts import FactStore
from audit_operator.cluster.resources import AUDIT_POLICY, NAMESPACE
from audit_operator.cluster.resync import Resync
from tests.cluster.fake_api_server import Fault
from tests.cluster.virtual_time import in_virtual_time, now

KINDS = (AUDIT_POLICY, NAMESPACE)


def resync(client, interval=300.0):
    store = FactStore(KINDS, lambda *_: None)
    return Resync(client, store, KINDS, interval, page_size=2, backoff=Backoff(base=0.001, cap=0.01))


@asynccontextmanager
async def running(each):
    task = asyncio.create_task(each.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def names(each):
    return {fact.ref.name for fact in each.store.facts(NAMESPACE)}


async def test_all_kinds_are_listed_at_the_start(api, client):
    for number in range(5):
        api.put(NAMESPACE, f"n{number}")
    each = resync(client)
    async with running(each):
        await each.synced.wait()
        assert len(names(each)) == 5
        assert each.age(asyncio.get_running_loop().time()) < 5


@pytest.mark.parametrize("path", ["auditpolicies", "namespaces.*continue"])
@pytest.mark.parametrize("status", [403, 404, 410, 500])
async def test_there_is_no_view_before_the_last_page_of_the_last_kind(api, client, path, status):
    for number in range(5):
        api.put(NAMESPACE, f"n{number}")
    fault = Fault("GET", path, times=10_000, status=status)
    api.faults.append(fault)
    each = resync(client)
    async with running(each):
        await api.wait_for(lambda: each.failures > 2)
        assert not each.store.synced
        assert each.age(0.0) == float("inf")
        fault.times = 0
        await each.synced.wait()
        assert len(names(each)) == 5


async def test_a_ghost_is_healed_within_the_interval(api, client):
    api.put(NAMESPACE, "a")
    each = resync(client, interval=0.05)
    async with running(each):
        await each.synced.wait()
        api.remove(NAMESPACE, "a", silently=True)
        await api.wait_for(lambda: names(each) == set())


async def test_a_list_that_fails_halfway_leaves_the_view_as_it_was(api, client):
    for number in range(5):
        api.put(NAMESPACE, f"n{number}")
    each = resync(client, interval=0.05)
    async with running(each):
        await each.synced.wait()
        api.faults.append(Fault("GET", "namespaces.*continue", times=10_000, status=500))
        await api.wait_for(lambda: each.failures > 3)
        assert len(names(each)) == 5


@in_virtual_time
async def test_the_interval_counts_from_the_start_of_a_round():
    starts = []

    class SlowClient:
        async def list(self, resource, _convert, *, page_size):
            from audit_operator.cluster.rest import Listing  # noqa: PLC0415

            if resource is NAMESPACE:
                starts.append(now())
            assert page_size == 2
            await asyncio.sleep(40)
            return Listing((), "1")

    each = resync(SlowClient())
    async with running(each):
        await asyncio.sleep(1000)
    assert [round(b - a) for a, b in itertools.pairwise(starts)] == [300, 300, 300]
