"""What the operator makes of the replicas of a gateway: each that has ever reported may hold events."""

from __future__ import annotations

import asyncio

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ShipperObservation
from audit_operator.controlplane.shipper.instructions import ShipperInstructions
from audit_operator.controlplane.shipper.nodes import NodeShippers
from audit_operator.controlplane.shipper.report import ShipperReport
from audit_operator.plan.collector_files import Places
from tests.controlplane.shipper.memory_board import MemoryBoard, files


class World:
    def __init__(self):
        self.board, self.now = MemoryBoard(), 1000.0
        self.shippers = NodeShippers(
            "main", "uid", self.board, Places(), None, lambda: None, look_every=0.001, clock=lambda: self.now
        )

    def post(self, pod, plane="main"):
        seen = ShipperObservation(pod, config="good", healthy=True)
        self.board.post(pod, ShipperReport(plane=plane, wanted="good", seen=seen))

    async def observed(self):
        wanted = self.board.calls.count("reports") + 3
        async with asyncio.timeout(20):
            while self.board.calls.count("reports") < wanted:  # noqa: ASYNC110  # what is waited for is the fake's
                await asyncio.sleep(0.001)
        return {each.node: each for each in await self.shippers.observe()}


@pytest.fixture
async def world():
    world = World()
    await world.shippers.deliver(files())
    yield world
    await world.shippers.aclose()


async def test_while_none_has_reported_nobody_ships(world):
    [(_, seen)] = (await world.observed()).items()
    assert not seen.healthy
    assert "no replica of a gateway has reported" in seen.last_error


async def test_those_that_report_are_those_that_are_expected(world):
    world.post("gateway-0")
    world.post("gateway-1")
    world.post("cp-1", plane="other")
    found = await world.observed()
    assert {name: each.healthy for name, each in found.items()} == {"gateway-0": True, "gateway-1": True}
    assert "nodes" not in world.board.calls


async def test_one_that_has_fallen_silent_stays_expected(world):
    world.post("gateway-0")
    world.post("gateway-1")
    await world.observed()
    world.now += 600.0
    world.post("gateway-0")
    found = await world.observed()
    assert found["gateway-0"].healthy
    assert not found["gateway-1"].healthy
    assert "no report since" in found["gateway-1"].last_error


async def test_a_gateway_is_not_told_to_answer_for_events_that_would_go_nowhere(world):
    await world.observed()
    withheld = files("worse", unkept=(ObjectRef("ClusterAuditSink", "central"),))
    await world.shippers.deliver(withheld)
    await world.observed()
    [finding] = await world.shippers.deliver(withheld)
    assert (finding.id, finding.message.split(":")[0]) == ("gateway-not-told", "ClusterAuditSink central")
    assert ShipperInstructions.decoded(world.board.secret.instructions).files.config == "good"
    await world.shippers.deliver(files("better"))
    await world.observed()
    assert await world.shippers.deliver(files("better")) == ()
    assert ShipperInstructions.decoded(world.board.secret.instructions).files.config == "better"


async def test_a_gateway_that_was_told_nothing_yet_is_told_nothing():
    world = World()
    await world.shippers.deliver(files(unkept=(ObjectRef("ClusterAuditSink", "central"),)))
    await world.observed()
    assert world.board.secret is None
    await world.shippers.aclose()
