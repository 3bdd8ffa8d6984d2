import asyncio
import copy
from contextlib import suppress

import pytest

from audit_operator.cluster.lease import LeadershipLostError, LeaseElector, LeaseTiming
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from tests.cluster.virtual_time import in_virtual_time, now


class Leases:
    """One Lease behind an API that can be made to fail."""

    def __init__(self):
        self.lease = None
        self.version = 0
        self.failure = None
        self.hangs = False
        self.loses_answers = False
        self.writes = []

    async def _pass(self):
        if self.hangs:
            await asyncio.sleep(3600)
        if self.failure:
            raise self.failure

    async def get(self, _resource, *, name, namespace):
        await self._pass()
        if self.lease is None:
            raise ApiError(404, "NotFound", f"{namespace}/{name}")
        return copy.deepcopy(self.lease)

    async def create(self, _resource, body):
        await self._pass()
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "")
        return await self._store(body)

    async def replace(self, _resource, body):
        await self._pass()
        if self.lease is None:
            raise ApiError(404, "NotFound", "")
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "")
        return await self._store(body)

    async def _store(self, body):
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        self.writes.append((now(), body["spec"]["holderIdentity"]))
        if self.loses_answers:
            raise ApiUnreachableError("the answer was lost")
        return copy.deepcopy(self.lease)

    @property
    def holder(self):
        return self.lease["spec"]["holderIdentity"]


def elector(leases, identity, clock=now):
    return LeaseElector(leases, "system", "operator", identity, clock=clock)


async def lead(candidate):
    await candidate.acquire()
    await candidate.hold()


async def started(candidate):
    """A task that leads, or tries to."""
    task = asyncio.create_task(lead(candidate))
    await asyncio.sleep(0.1)
    return task


async def stopped(*tasks):
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError, LeadershipLostError):
            await task


@in_virtual_time
async def test_of_two_candidates_one_leads_for_as_long_as_it_lives():
    leases = Leases()
    first, second = elector(leases, "first"), elector(leases, "second")
    tasks = [await started(first), await started(second)]
    for _ in range(600):
        await asyncio.sleep(1)
        assert first.leading
        assert not second.leading
    assert {holder for _, holder in leases.writes} == {"first"}
    await stopped(*tasks)


@in_virtual_time
async def test_the_other_takes_over_from_one_that_died_without_a_word():
    leases = Leases()
    first, second = elector(leases, "first"), elector(leases, "second")
    tasks = [await started(first), await started(second)]
    await asyncio.sleep(60)
    await stopped(tasks[0])
    died = now()
    await asyncio.sleep(20)
    assert second.leading
    assert leases.lease["spec"]["leaseTransitions"] == 1
    taken_over = next(at for at, holder in leases.writes if holder == "second")
    assert 12 < taken_over - died < 20
    await stopped(*tasks)


@in_virtual_time
async def test_a_lease_that_was_released_is_taken_over_at_the_next_attempt():
    leases = Leases()
    first, second = elector(leases, "first"), elector(leases, "second")
    tasks = [await started(first), await started(second)]
    await stopped(tasks[0])
    await first.release()
    assert not first.leading
    await asyncio.sleep(3)
    assert second.leading
    await stopped(*tasks)


@in_virtual_time
async def test_at_no_moment_do_two_lead_while_the_api_comes_and_goes():
    leases = Leases()
    candidates = [elector(leases, name) for name in ("a", "b", "c")]
    tasks = [await started(each) for each in candidates]
    leaders = 0
    for second in range(900):
        leases.failure = ApiError(500, "Injected", "") if second % 60 > 35 else None
        leases.hangs = 100 < second % 120 < 110
        for index, task in enumerate(tasks):
            if task.done():
                assert isinstance(task.exception(), LeadershipLostError)
                candidates[index] = elector(leases, f"{candidates[index].identity}'")
                tasks[index] = asyncio.create_task(lead(candidates[index]))
        await asyncio.sleep(1)
        assert sum(each.leading for each in candidates) <= 1
        leaders += any(each.leading for each in candidates)
    assert leaders > 450
    await stopped(*tasks)


@pytest.mark.parametrize("trouble", ["failure", "hangs"])
@in_virtual_time
async def test_a_leader_that_cannot_renew_gives_up_before_another_may_lead(trouble):
    leases = Leases()
    leader = elector(leases, "leader")
    task = await started(leader)
    await asyncio.sleep(30)
    last_renewal = leases.writes[-1][0]
    setattr(leases, trouble, ApiUnreachableError("refused"))
    with pytest.raises(LeadershipLostError):
        await task
    assert now() - last_renewal < LeaseTiming().duration
    assert not leader.leading


@in_virtual_time
async def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal():
    leases = Leases()
    task = await started(elector(leases, "leader"))
    leases.lease["spec"]["holderIdentity"] = "usurper"
    leases.lease["metadata"]["resourceVersion"] = "usurped"
    with pytest.raises(LeadershipLostError, match="usurper"):
        await task


@in_virtual_time
async def test_a_process_that_was_suspended_may_not_write_until_it_knows():
    leases, suspended = Leases(), [0.0]
    leader = elector(leases, "leader", clock=lambda: now() + suspended[0])
    task = await started(leader)
    leader.check()
    suspended[0] = 3600.0
    with pytest.raises(LeadershipLostError):
        leader.check()
    await stopped(task)


@in_virtual_time
async def test_a_process_that_was_suspended_goes_on_if_nobody_led_meanwhile():
    leases, suspended = Leases(), [0.0]
    leader = elector(leases, "leader", clock=lambda: now() + suspended[0])
    task = await started(leader)
    suspended[0] = 3600.0
    await asyncio.sleep(3)
    leader.check()
    await stopped(task)


@in_virtual_time
async def test_a_process_that_was_suspended_stops_if_another_led_meanwhile():
    leases, suspended = Leases(), [0.0]
    sleeper = elector(leases, "sleeper", clock=lambda: now() + suspended[0])
    task = await started(sleeper)
    leases.lease["spec"] |= {"holderIdentity": "other", "leaseDurationSeconds": 15}
    leases.lease["metadata"]["resourceVersion"] = "later"
    suspended[0] = 3600.0
    with pytest.raises(LeadershipLostError):
        await task
    assert leases.holder == "other"


@pytest.mark.parametrize("skew", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
@in_virtual_time
async def test_wall_clocks_need_not_agree(skew):
    leases = Leases()
    await leases.create(None, elector(leases, "other")._body({}, {}))
    leases.lease["spec"] |= {"renewTime": skew, "acquireTime": skew}
    candidate = elector(leases, "candidate")
    task = await started(candidate)
    await asyncio.sleep(14)
    assert leases.holder == "other"
    await asyncio.sleep(6)
    assert leases.holder == "candidate"
    await stopped(task)


@in_virtual_time
async def test_a_renewal_whose_answer_was_lost_is_a_renewal():
    leases = Leases()
    leader = elector(leases, "leader")
    task = await started(leader)
    leases.loses_answers = True
    await asyncio.sleep(7)
    leases.loses_answers = False
    await asyncio.sleep(60)
    assert leader.leading
    assert leases.lease["spec"]["leaseTransitions"] == 0
    await stopped(task)


@in_virtual_time
async def test_a_deleted_lease_is_made_again():
    leases = Leases()
    leader = elector(leases, "leader")
    task = await started(leader)
    leases.lease = None
    await asyncio.sleep(10)
    assert leases.holder == "leader"
    assert leader.leading
    await stopped(task)


@in_virtual_time
async def test_acquisition_is_recorded_once_and_renewals_keep_it():
    leases = Leases()
    task = await started(elector(leases, "leader"))
    acquired = leases.lease["spec"]["acquireTime"]
    await asyncio.sleep(10)
    assert leases.lease["spec"]["acquireTime"] == acquired
    assert leases.lease["spec"]["renewTime"] > acquired
    await stopped(task)


@in_virtual_time
async def test_a_release_that_fails_is_no_error():
    leases = Leases()
    leader = elector(leases, "leader")
    await leader.acquire()
    leases.failure = ApiError(500, "Injected", "")
    await leader.release()
    assert not leader.leading


@pytest.mark.parametrize("timing", [(10, 10.0, 2.0), (15, 2.0, 2.0), (15, 10.0, 0.0)])
def test_timings_that_allow_two_leaders_are_refused(timing):
    with pytest.raises(ValueError, match="duration > renew_deadline"):
        LeaseTiming(*timing)
