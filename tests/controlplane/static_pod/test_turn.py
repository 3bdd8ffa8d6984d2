"""Whose turn it is, and when a turn that was not given back passes on."""

from __future__ import annotations

import pytest

from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.board import Posted
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState
from audit_operator.controlplane.static_pod.turn import Turns, failure_elsewhere, unready_elsewhere
from tests.controlplane.static_pod.memory_board import MemoryBoard

NODES = ("cp-1", "cp-2", "cp-3")
NOT_CHANGING = [state for state in NodeState if state is not NodeState.CHANGING]


class World:
    def __init__(self):
        self.now = 1000.0
        self.board = MemoryBoard()
        self.turns = {node: Turns(self.board, node, clock=lambda: self.now) for node in NODES}

    async def take(self, node, nodes=NODES):
        return await self.turns[node].take("main", nodes, self.board.posted)

    def says(self, node, state, **more):
        self.board.post(node, NodeReport(plane="main", state=state, **more))

    async def wait_for_turn_of_cp1(self, seconds=60.0):
        """cp-1 has taken a turn, and cp-2 looks at it for so long."""
        assert await self.take("cp-1")
        assert not await self.take("cp-2")
        self.now += seconds


@pytest.fixture
def world():
    return World()


async def test_a_free_turn_is_taken_and_nobody_else_gets_it(world):
    assert await world.take("cp-1")
    assert not await world.take("cp-2")
    assert world.board.turns["main"].holder == "cp-1"


async def test_of_two_that_want_it_at_once_one_gets_it(world):
    seen = await world.board.turn("main")
    assert await world.take("cp-1")

    async def as_before(_plane):
        return seen

    world.board.turn = as_before
    assert not await world.take("cp-2")
    assert world.board.turns["main"].holder == "cp-1"
    assert not world.turns["cp-2"].may_begin()


async def test_a_turn_that_was_given_back_is_free(world):
    await world.take("cp-1")
    await world.turns["cp-1"].give_back("main")
    assert await world.take("cp-2")


async def test_nobody_gives_back_the_turn_of_another(world):
    await world.take("cp-1")
    await world.turns["cp-2"].give_back("main")
    assert world.board.turns["main"].holder == "cp-1"


async def test_its_holder_may_take_it_anew(world):
    await world.take("cp-1")
    assert await world.take("cp-1")


@pytest.mark.parametrize("state", NOT_CHANGING)
async def test_an_expired_turn_passes_on_if_its_holder_is_in_no_change(world, state):
    world.says("cp-1", state)
    await world.wait_for_turn_of_cp1()
    assert await world.take("cp-2")


async def test_an_expired_turn_stays_with_a_holder_that_is_in_a_change(world):
    world.says("cp-1", NodeState.CHANGING)
    await world.wait_for_turn_of_cp1(seconds=1e6)
    assert not await world.take("cp-2")


async def test_an_expired_turn_stays_with_a_holder_of_whom_nothing_is_known(world):
    await world.wait_for_turn_of_cp1(seconds=1e6)
    assert not await world.take("cp-2")


async def test_an_expired_turn_of_a_node_that_is_gone_passes_on(world):
    world.says("cp-1", NodeState.CHANGING)
    await world.wait_for_turn_of_cp1()
    assert await world.take("cp-2", nodes=("cp-2", "cp-3"))


async def test_a_turn_passes_on_only_after_it_was_watched_for_its_whole_time(world):
    world.says("cp-1", NodeState.WAITING)
    await world.wait_for_turn_of_cp1(seconds=29.9)
    assert not await world.take("cp-2")
    assert not await world.take("cp-3")  # looks at it for the first time
    world.now += 0.1
    assert await world.take("cp-2")


async def test_a_turn_that_was_taken_anew_counts_from_then(world):
    world.says("cp-1", NodeState.WAITING)
    await world.wait_for_turn_of_cp1()
    assert await world.take("cp-1")
    assert not await world.take("cp-2")


async def test_a_change_must_begin_long_before_others_may_take_over(world):
    turns = world.turns["cp-1"]
    assert not turns.may_begin()
    await world.take("cp-1")
    world.now += turns.duration / 2 - 0.1
    assert turns.may_begin()
    world.now += 0.1
    assert not turns.may_begin()


async def test_the_time_to_begin_counts_from_before_the_turn_was_written(world):
    written = world.board.write_turn

    async def slow(*arguments):
        world.now += 20.0
        return await written(*arguments)

    world.board.write_turn = slow
    assert await world.take("cp-1")
    assert not world.turns["cp-1"].may_begin()


@pytest.mark.parametrize("call", ["turn", "write_turn"])
async def test_that_the_cluster_is_away_is_said(world, call):
    world.board.unavailable = {call}
    with pytest.raises(BoardUnavailable):
        await world.take("cp-1")
    assert not world.turns["cp-1"].may_begin()


def reports(**by_node):
    return {name.replace("_", "-"): Posted(report, "1") for name, report in by_node.items()}


def test_a_failure_on_another_node_counts_and_its_reason_is_said():
    others = reports(cp_1=NodeReport(failures={"bad": "it crashes"}), cp_2=NodeReport())
    assert failure_elsewhere("bad", "cp-2", others) == "it has failed on node cp-1: it crashes"


def test_other_failures_and_those_of_ones_own_do_not_count():
    others = reports(cp_1=NodeReport(failures={"worse": ""}), cp_2=NodeReport(failures={"bad": ""}))
    assert failure_elsewhere("bad", "cp-2", others) == ""


def test_a_failure_without_a_reason_counts():
    assert failure_elsewhere("bad", "cp-2", reports(cp_1=NodeReport(failures={"bad": ""})))


@pytest.mark.parametrize(
    ("state", "ready", "down"),
    [
        (NodeState.CHANGING, True, True),
        (NodeState.CHANGING, False, True),
        (NodeState.FAILED, False, True),
        (NodeState.ROLLED_BACK, False, True),
        (NodeState.FAILED, True, False),
        (NodeState.ROLLED_BACK, True, False),
        (NodeState.IDLE, False, False),
        (NodeState.BLOCKED, False, False),
        (NodeState.WAITING, True, False),
        (NodeState.RUNNING, True, False),
    ],
)
def test_no_change_begins_while_another_api_server_is_down(state, ready, down):
    others = reports(cp_1=NodeReport(state=state, ready=ready))
    assert bool(unready_elsewhere("cp-2", NODES, others)) is down
    assert not unready_elsewhere("cp-1", NODES, others)
    assert not unready_elsewhere("cp-2", ("cp-2", "cp-3"), others), "a node that is gone does not count"
