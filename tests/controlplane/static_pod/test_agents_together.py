"""Three agents on one board, in any order of events: never two nodes in a change, and no failure is repeated.

Every call to the board, and every step of a change, waits until the schedule lets it go on. Calls may fail, before
or after they have had their effect; time passes; agents die at any point and come back, with what lies on their disk.
Schedules are random, and each is the same every time: the number in a failure's name repeats it.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from audit_operator.api.observations import policy_digest
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod import agent as agent_module
from audit_operator.controlplane.static_pod.agent import Agent
from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.instructions import Instructions
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState
from audit_operator.controlplane.static_pod.rollout import Todo
from audit_operator.controlplane.static_pod.turn import Turns
from tests.controlplane.static_pod.memory_board import MemoryBoard

NAMES = ("cp-1", "cp-2", "cp-3")
POLICIES = ("first", "second", "third")
CONFIGURATIONS = [AuditConfiguration(policy_digest(each), LogSettings()) for each in POLICIES]
KINDS = (
    *("instructions", "policy", "reports", "report", "turn", "write_turn"),
    *("look", "prepare", "restart", "come up"),
)
FIRST, SECOND, THIRD = (each.id for each in CONFIGURATIONS)


@dataclass
class Node:
    """What survives an agent."""

    name: str
    bad: frozenset = frozenset()
    runs: str = ""
    journal: str = ""
    failures: dict = field(default_factory=dict)


@dataclass
class StepwiseRollout:
    """Decides as `NodeRollout` does, over a node that is as simple as can be; each `yield` lets others act."""

    node: Node
    world: World
    report: NodeReport = field(default_factory=NodeReport)
    on_report: object = None

    def say(self, **news):
        self.report = self.report.model_copy(update=news)
        self.on_report()

    def look(self, instructions, policy):
        yield "look"
        if self.node.journal:
            self.say(state=NodeState.CHANGING)
            return Todo.FINISH
        if instructions is None:
            self.say(state=NodeState.IDLE)
            return Todo.NOTHING
        wanted = instructions.configuration.id
        self.say(plane=instructions.plane, wanted=wanted, failures=dict(self.node.failures), ready=True, error="")
        if self.node.runs == wanted:
            self.say(state=NodeState.RUNNING)
        elif wanted in self.node.failures:
            self.say(state=NodeState.ROLLED_BACK)
        else:
            self.say(state=NodeState.WAITING)
            return Todo.CHANGE if policy else Todo.NOTHING
        return Todo.NOTHING

    def change(self, instructions, policy, may_begin):
        todo = yield from self.look(instructions, policy)
        if todo is Todo.CHANGE:
            self.say(state=NodeState.CHANGING)
            yield "prepare"
            if may_begin():
                self.world.changes += 1
                self.world.begins(self.node, instructions.configuration.id)
                yield from self.finish()

    def finish(self):
        self.say(state=NodeState.CHANGING, ready=False)
        yield "restart"
        yield "come up"
        wanted, self.node.journal = self.node.journal, ""
        if wanted in self.node.bad:
            self.node.failures[wanted] = "it crashes"
            self.world.failed[wanted] = self.node.name
        else:
            self.node.runs = wanted


class SharedBoard(MemoryBoard):
    """One agent's way to the board that all share."""

    def __init__(self, world, name):
        self.__dict__.update(world.board.__dict__)
        self.next_version = world.board.next_version
        self.world = world
        self.name = name
        self.answer_lost = False

    async def arrive(self, call):
        fate = await self.world.gate(self.name, call)
        if fate == "fail":
            raise BoardUnavailable(call)
        self.answer_lost = fate == "lose"

    async def leave(self, call):
        if self.answer_lost:
            raise BoardUnavailable(call)


class World:
    def __init__(self, bad):
        self.now = 0.0
        self.board = MemoryBoard()
        self.nodes = {name: Node(name, bad.get(name, frozenset())) for name in NAMES}
        self.failed = {}
        self.changes = 0
        self.violations = []
        self.waiting = []  # (name, what, future)
        self.tasks = {}
        self.board.policies = {policy_digest(each): each for each in POLICIES}
        self.instruct(0)

    def instruct(self, number):
        self.board.told["main"] = Instructions(
            plane="main", nodes=NAMES, configuration=CONFIGURATIONS[number % len(CONFIGURATIONS)]
        )

    def begins(self, node, wanted):
        others = [each.name for each in self.nodes.values() if each.journal and each is not node]
        if others:
            self.violations.append(f"{node.name} begins while {others} are in a change")
        if self.failed.get(wanted, node.name) != node.name:
            self.violations.append(f"{node.name} begins what has failed on {self.failed[wanted]}")
        node.journal = wanted

    async def gate(self, name, what):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((name, what, future))
        return await future

    async def in_thread(self, function, *arguments):
        """Instead of `asyncio.to_thread`: the steps of a function, one by one."""
        steps, name = function(*arguments), function.__self__.node.name
        while True:
            try:
                what = next(steps)
            except StopIteration as end:
                return end.value
            await self.gate(name, what)

    def start(self, name):
        board = SharedBoard(self, name)
        rollout = StepwiseRollout(self.nodes[name], self)
        agent = Agent(name, board, rollout, Turns(board, name, clock=lambda: self.now), poll=0, heartbeat=3600)
        self.tasks[name] = asyncio.create_task(agent.run())

    async def kill(self, name):
        self.waiting = [each for each in self.waiting if each[0] != name]
        self.tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[name]

    async def settle(self):
        """Until everybody waits for the schedule."""
        quiet, before = 0, -1
        while quiet < 4:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self.waiting) == before else 0
            before = len(self.waiting)
        assert self.violations == []
        for task in self.tasks.values():
            if task.done():
                task.result()

    async def act(self, action, chosen):
        """`chosen` is an agent to kill, or which of those that wait goes on."""
        match action:
            case "pass" | "fail" | "lose" if self.waiting:
                self.waiting.remove(chosen)
                chosen[2].set_result(action)
            case "kill":
                await self.kill(chosen)
                self.start(chosen)
        await self.settle()

    async def run(self, schedule, steps):
        for name in self.nodes:
            self.start(name)
        await self.settle()
        for step in range(steps):
            if step % 40 == 0:  # for a while, some things take very long
                slow = {(name, what): schedule.choice((1, 1, 0.01)) for name in NAMES for what in KINDS}
            self.now += schedule.choice((0.0, 0.1, 0.5)) if schedule.random() < 0.99 else 60.0
            if schedule.random() < 0.01:
                self.instruct(schedule.randrange(len(CONFIGURATIONS)))
            [chosen] = schedule.choices(self.waiting, [slow[each[:2]] for each in self.waiting])
            [action] = schedule.choices(("pass", "fail", "lose", "kill"), (100, 2, 2, 1))
            await self.act(action, chosen[0] if action == "kill" else chosen)

    async def run_fairly(self, steps):
        """From now on everything works, and everybody gets to act."""
        for _ in range(steps):
            self.now += 0.2
            await self.act("pass", self.waiting[0])
            if all(self.is_settled(name) for name in NAMES):
                return

    def is_settled(self, name):
        node, posted = self.nodes[name], self.board.posted.get(name)
        wanted = self.board.told["main"].configuration.id
        return node.runs == wanted and posted is not None and posted.report.state is NodeState.RUNNING

    async def end(self):
        for name in NAMES:
            await self.kill(name)


def run(schedule, bad, steps, fair_steps=0):
    async def all_of_it():
        world = World(bad)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(agent_module.asyncio, "to_thread", world.in_thread)
            try:
                await world.run(schedule, steps)
                await world.run_fairly(fair_steps)
            finally:
                await world.end()
        return world

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("number", range(30))
def test_never_two_nodes_are_in_a_change_and_no_failure_is_repeated(number):
    schedule = random.Random(number)
    everywhere = frozenset({SECOND, THIRD})
    bad = schedule.choice(({}, dict.fromkeys(NAMES, everywhere), {schedule.choice(NAMES): frozenset({FIRST, SECOND})}))
    run(schedule, bad, steps=500)


@pytest.mark.parametrize("number", range(5))
def test_whatever_has_happened_a_good_configuration_reaches_every_node_in_the_end(number):
    world = run(random.Random(number), {}, steps=300, fair_steps=3000)
    assert all(map(world.is_settled, NAMES))
