"""One agent over a simulated node: what it says and when, and that it gets through whatever the cluster does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from audit_operator.api.observations import policy_digest
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.agent import Agent
from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.instructions import Instructions
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState
from audit_operator.controlplane.static_pod.rollout import NodeRollout
from audit_operator.controlplane.static_pod.turn import Turns
from tests.controlplane.static_pod.memory_board import MemoryBoard
from tests.controlplane.static_pod.simulated_node import Behaviour, Death, SimulatedNode

MANIFEST = (Path(__file__).parent / "manifests" / "kubeadm-1.37.yaml").read_text()
OLD, NEW = "old policy", "new policy"


def asking_for(policy, **more):
    configuration = AuditConfiguration(policy_digest(policy), LogSettings())
    return Instructions(plane="main", nodes=("cp-1", "cp-2"), configuration=configuration, **more)


class World:
    def __init__(self, **behaviours):
        self.board = MemoryBoard()
        self.board.policies = {policy_digest(each): each for each in (OLD, NEW)}
        self.board.told = {"main": asking_for(NEW)}
        self.node = SimulatedNode(MANIFEST, {policy_digest(each): how for each, how in behaviours.items()})
        self.agent = self.another_agent()

    def another_agent(self):
        rollout = NodeRollout(self.node, clock=self.node.clock, sleep=self.node.sleep)
        turns = Turns(self.board, "cp-1")
        return Agent("cp-1", self.board, rollout, turns, poll=0.001, heartbeat=0.05)

    @property
    def said(self):
        return [report for node, report in self.board.history if node == "cp-1"]

    @property
    def states(self):
        """What was said, without repetitions."""
        states = [each.state for each in self.said]
        return [state for state, before in zip(states, [None, *states], strict=False) if state is not before]

    @property
    def holder(self):
        return self.board.turns["main"].holder if "main" in self.board.turns else ""

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.agent.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # conditions of tests have no event
                await asyncio.sleep(0.001)

    async def run_until(self, state):
        """Until that is said, and the turn is nobody's."""
        async with self.running():
            await self.until(lambda: self.said and self.said[-1].state is state and not self.holder)


@pytest.fixture
def world():
    return World()


async def test_it_takes_its_turn_changes_the_node_and_gives_the_turn_back(world):
    await world.run_until(NodeState.RUNNING)
    assert world.said[-1].running_digest == policy_digest(NEW)
    assert world.node.is_ready()


async def test_it_says_that_it_changes_before_it_begins(world):
    at_report = []

    async def arrive(call):
        if call == "report":
            at_report.append(world.node.manifest)

    world.board.arrive = arrive
    await world.run_until(NodeState.RUNNING)
    manifests = dict(zip([each.state for each in reversed(world.said)], reversed(at_report), strict=True))
    assert manifests[NodeState.CHANGING] == MANIFEST, "the first of those reports was made before"
    assert manifests[NodeState.RUNNING] != MANIFEST


@pytest.mark.parametrize(
    ("behaviour", "outcome"), [(Behaviour.GOOD, NodeState.RUNNING), (Behaviour.REFUSED, NodeState.ROLLED_BACK)]
)
async def test_it_gives_its_turn_back_only_after_everybody_can_read_what_came_of_it(behaviour, outcome):
    world = World(**{NEW: behaviour})
    written = world.board.write_turn
    at_return = []

    async def write_turn(plane, turn, holder):
        if not holder:
            at_return.append(world.board.posted["cp-1"].report)
        return await written(plane, turn, holder)

    world.board.write_turn = write_turn
    await world.run_until(outcome)
    [report] = at_return
    assert report.state is outcome
    assert list(report.failures) == ([] if behaviour is Behaviour.GOOD else [asking_for(NEW).configuration.id])


async def count_calls():
    world = World()
    await world.run_until(NodeState.RUNNING)
    return len(world.board.calls)


@pytest.mark.parametrize("happened", [False, True])
async def test_it_gets_through_whichever_call_fails(happened):
    for number in range(min(25, await count_calls())):
        world = World()
        await fail_once(world.board, number, happened)
        await world.run_until(NodeState.RUNNING)
        assert world.said[-1].attempts == 1
        assert world.node.effects.count("swap in .next") == 1


async def fail_once(board, number, happened):
    """The call with this number fails, before or after it has had its effect."""

    async def arrive(call):
        board.calls.append(call)
        if not happened and len(board.calls) == number + 1:
            raise BoardUnavailable(call)

    async def leave(call):
        if happened and len(board.calls) >= number + 1 and not board.unavailable:
            board.unavailable = {"nothing more"}
            raise BoardUnavailable(call)

    board.arrive, board.leave = arrive, leave


async def test_while_the_cluster_is_away_what_was_learned_last_goes_on_to_count(world):
    await world.run_until(NodeState.RUNNING)
    async with world.running():
        world.board.unavailable = {"all"}
        await world.until(lambda: world.board.calls.count("instructions") > 20)
        assert world.agent.rollout.report.state is NodeState.RUNNING
        assert world.node.effects.count("swap in .next") == 1


async def test_nothing_begins_while_others_cannot_be_asked(world):
    world.board.unavailable = {"reports"}
    async with world.running():
        await world.until(lambda: world.board.calls.count("reports") > 10)
    assert world.node.manifest == MANIFEST
    assert world.holder == ""


async def test_nothing_begins_that_cannot_be_announced(world):
    world.board.unavailable = {"report"}
    async with world.running():
        await world.until(lambda: world.board.calls.count("report") > 10)
    assert world.node.manifest == MANIFEST


async def test_it_waits_while_it_is_the_turn_of_another(world):
    world.board.post("cp-2", NodeReport())
    await world.board.write_turn("main", await world.board.turn("main"), "cp-2")
    async with world.running():
        await world.until(lambda: world.said and world.said[-1].error == "another node's turn")
    assert world.node.manifest == MANIFEST
    assert world.holder == "cp-2"


@pytest.mark.parametrize("state", [NodeState.CHANGING, NodeState.FAILED, NodeState.ROLLED_BACK])
async def test_it_waits_while_another_api_server_is_down(world, state):
    world.board.post("cp-2", NodeReport(state=state))
    async with world.running():
        await world.until(lambda: world.said and world.said[-1].error == "the API server of node cp-2 is not ready")
        assert world.node.manifest == MANIFEST
        world.board.post("cp-2", NodeReport(state=NodeState.RUNNING, ready=True))
        await world.until(lambda: world.said[-1].state is NodeState.RUNNING)


async def test_what_has_failed_elsewhere_is_not_tried(world):
    world.board.post("cp-2", NodeReport(failures={asking_for(NEW).configuration.id: "it crashes"}))
    async with world.running():
        await world.until(lambda: world.said and "it has failed on node cp-2: it crashes" in world.said[-1].error)
    assert world.node.manifest == MANIFEST
    assert world.holder == ""


async def test_a_failure_that_is_told_while_the_turn_is_taken_stops_it(world):
    written = world.board.write_turn

    async def write_turn(plane, turn, holder):
        if holder and "cp-2" not in world.board.posted:
            world.board.post("cp-2", NodeReport(failures={asking_for(NEW).configuration.id: "it crashes"}))
        return await written(plane, turn, holder)

    world.board.write_turn = write_turn
    await world.run_until(NodeState.WAITING)
    assert world.node.manifest == MANIFEST


async def test_an_unenrolment_that_has_failed_elsewhere_is_not_tried(world):
    await world.run_until(NodeState.RUNNING)
    enrolled = world.node.manifest
    world.board.told = {"main": asking_for(NEW, enrolled=False)}
    world.board.post("cp-2", NodeReport(failures={"unenrolled": "it does not come up"}))
    async with world.running():
        await world.until(lambda: "it does not come up" in world.said[-1].error)
    assert world.node.manifest == enrolled


async def test_an_agent_that_comes_after_one_that_died_in_a_change_says_nothing_else_before_it_is_over(world):
    world.node.die_before = next_effect_after("swap in .next", await effects_of_a_change())
    with pytest.raises(BaseExceptionGroup) as ended:
        await world.agent.run()
    assert ended.value.subgroup(Death)
    world.node.die_before = None
    world.board.history.clear()
    world.agent = world.another_agent()
    await world.run_until(NodeState.RUNNING)
    assert world.states == [NodeState.CHANGING, NodeState.RUNNING]


async def effects_of_a_change():
    world = World()
    await world.run_until(NodeState.RUNNING)
    return world.node.effects


def next_effect_after(effect, effects):
    return effects.index(effect) + 1


async def test_a_change_that_the_disk_does_not_let_finish_keeps_its_turn(world):
    world.node.after(1.0, lambda: setattr(world.node, "disk_full", True))
    async with world.running():
        await world.until(lambda: world.said and "is not finished yet" in world.said[-1].error)
        looks = world.board.calls.count("instructions")
        await world.until(lambda: world.board.calls.count("instructions") > looks + 10)
        assert world.holder == "cp-1"
        assert world.states[-1] is NodeState.CHANGING
        assert NodeState.BLOCKED not in world.states
        world.node.disk_full = False
        await world.until(lambda: world.said[-1].state is NodeState.RUNNING and world.holder == "")


async def test_a_turn_that_an_agent_before_it_has_left_is_given_back(world):
    await world.run_until(NodeState.RUNNING)
    await world.board.write_turn("main", await world.board.turn("main"), "cp-1")
    world.agent = world.another_agent()
    await world.run_until(NodeState.RUNNING)
    assert world.holder == ""


async def test_of_two_control_planes_that_claim_it_the_first_by_name_counts(world):
    world.board.told = {"other": asking_for(OLD).model_copy(update={"plane": "other"}), "main": asking_for(NEW)}
    await world.run_until(NodeState.RUNNING)
    assert world.said[-1].plane == "main"


async def test_a_node_that_is_not_meant_is_left_alone(world):
    world.board.told = {"main": asking_for(NEW).model_copy(update={"nodes": ("cp-2",)})}
    await world.run_until(NodeState.IDLE)
    assert world.node.effects == []


async def test_a_policy_that_is_not_there_is_waited_for(world):
    text = world.board.policies.pop(policy_digest(NEW))
    async with world.running():
        await world.until(lambda: world.said and world.said[-1].error == "the policy has not been read yet")
        world.board.policies[policy_digest(NEW)] = text
        await world.until(lambda: world.said[-1].state is NodeState.RUNNING)


async def test_reports_are_renewed_although_nothing_changes(world):
    await world.run_until(NodeState.RUNNING)
    before = len(world.said)
    async with world.running():
        await world.until(lambda: len(world.said) > before + 3)


@pytest.mark.parametrize("where", ["look", "change"])
async def test_a_bug_in_the_rollout_ends_the_agent(world, where):
    def fail(*_):
        raise KeyError("a bug")

    world.agent.rollout = Broken(world.agent.rollout, **{where: fail})
    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(world.agent.run(), 20)
    assert ended.value.subgroup(KeyError)


async def test_a_bug_in_telling_ends_the_agent(world):
    async def report(*_):
        raise KeyError("a bug")

    world.board.report = report
    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(world.agent.run(), 20)
    assert ended.value.subgroup(KeyError)


class Broken:
    """A rollout of which some methods fail."""

    def __init__(self, rollout, **methods):
        self.__dict__.update(rollout=rollout, methods=methods)

    def __getattr__(self, name):
        return self.methods.get(name) or getattr(self.rollout, name)

    def __setattr__(self, name, value):
        setattr(self.rollout, name, value)
