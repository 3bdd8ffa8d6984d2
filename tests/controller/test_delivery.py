"""The drivers of the control planes that there are: made, told, held, observed and closed."""

from __future__ import annotations

import asyncio

import pytest

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import ApiServerObservation, DesiredPolicy
from audit_operator.controller.delivery import Delivery
from tests.plan.objects import control_plane

POLICY = DesiredPolicy("kind: Policy")
REFUSED = Finding(id="refused", severity=Severity.ERROR, message="no")


class RecordingDriver:
    def __init__(self, plane):
        self.name = plane.metadata.name
        self.calls = []
        self.refusal = ()
        self.running = ""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def deliver(self, desired):
        self.calls.append(f"deliver {desired.digest[:4]}")
        return self.refusal

    async def hold(self):
        self.calls.append("hold")

    async def observe(self):
        await self.may_answer.wait()
        return (ApiServerObservation(self.name, running_digest=self.running),)

    async def aclose(self):
        self.calls.append("close")


class World:
    def __init__(self):
        self.made = []
        self.delivery = Delivery(self.make)

    async def deliver(self, planes, wanted):
        """As the reconciler does it."""
        await self.delivery.follow(planes)
        return await self.delivery.deliver(planes, wanted)

    def make(self, plane):
        if plane.spec.driver == "Observe":
            return None
        self.made.append(RecordingDriver(plane))
        return self.made[-1]

    @property
    def driver(self):
        return self.made[-1]


@pytest.fixture
def world():
    return World()


MAIN = control_plane()


async def test_what_is_wanted_is_delivered_and_the_rest_is_held(world):
    other = control_plane("other", default=False)
    assert await world.deliver([MAIN, other], {"main": POLICY}) == {}
    assert [each.calls for each in world.made] == [[f"deliver {POLICY.digest[:4]}"], ["hold"]]
    assert set(world.delivery.observations) == {"main", "other"}


async def test_what_was_delivered_is_held_once_nothing_is_wanted_any_more(world):
    await world.deliver([MAIN], {"main": POLICY})
    await world.deliver([MAIN], {})
    assert world.driver.calls[1:] == ["hold"]
    assert len(world.made) == 1


async def test_a_driver_that_only_follows_is_told_nothing(world):
    await world.delivery.follow([MAIN])
    assert world.driver.calls == []
    assert "main" in world.delivery.observations


async def test_why_a_policy_is_refused_is_returned(world):
    await world.delivery.follow([MAIN])
    world.driver.refusal = (REFUSED,)
    assert await world.deliver([MAIN], {"main": POLICY}) == {"main": (REFUSED,)}


async def test_a_control_plane_without_a_driver_is_passed_over(world):
    observed = control_plane(driver="Observe", observe={"provider": "EKS"})
    assert await world.deliver([observed], {"main": POLICY}) == {}
    assert world.delivery.observations == {}


@pytest.mark.parametrize(
    "change", [{"rollout": {"paused": True}}, {"adopt": True}, {"log": {"maxAge": 60}}, {"staticPod": {}}]
)
async def test_node_agents_hear_of_any_change_of_the_spec_from_a_new_driver(world, change):
    await world.deliver([control_plane(driver="StaticPod")], {"main": POLICY})
    await world.deliver([control_plane(driver="StaticPod", **change)], {})
    assert [each.calls[-1] for each in world.made] == ["close", "hold"]


async def test_a_control_plane_that_was_made_anew_gets_a_new_driver_although_its_spec_is_the_same(world):
    for uid in ("first", "second"):
        plane = control_plane(driver="StaticPod")
        plane = plane.model_copy(update={"metadata": plane.metadata.model_copy(update={"uid": uid})})
        await world.deliver([plane], {"main": POLICY})
    assert [each.calls[-1] for each in world.made] == ["close", f"deliver {POLICY.digest[:4]}"]


async def test_an_equal_spec_keeps_its_driver(world):
    for _ in range(2):
        await world.deliver([control_plane(driver="StaticPod")], {"main": POLICY})
    assert len(world.made) == 1


async def test_a_control_plane_that_is_gone_takes_its_driver_and_what_was_seen_with_it(world):
    await world.deliver([MAIN], {"main": POLICY})
    await world.deliver([], {})
    assert world.driver.calls[-1] == "close"
    assert world.delivery.observations == {}


async def test_observing_says_whether_anything_is_different(world):
    await world.deliver([MAIN], {"main": POLICY})
    assert not await world.delivery.observe()
    world.driver.running = POLICY.digest
    assert await world.delivery.observe()
    assert not await world.delivery.observe()


async def test_control_planes_may_come_and_go_while_one_is_being_observed(world):
    await world.deliver([MAIN], {})
    world.driver.may_answer.clear()
    observing = asyncio.create_task(world.delivery.observe())
    await asyncio.sleep(0)
    world.made[0].may_answer.set()
    await world.delivery.follow([control_plane("other")])
    await observing
    await world.delivery.observe()
    assert set(world.delivery.observations) == {"other"}
