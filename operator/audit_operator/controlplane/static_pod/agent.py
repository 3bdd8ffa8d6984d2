"""The agent of one node: learns what is wanted, waits for its turn, lets `rollout` act, and tells.

The cluster may be away for minutes, first of all while this node's own API server is being changed. What was learned
last goes on to count then, and a change under way is finished without it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.change import Halted
from audit_operator.controlplane.static_pod.journal import UNENROLLED
from audit_operator.controlplane.static_pod.report import NodeState
from audit_operator.controlplane.static_pod.rollout import NodeRollout, Todo
from audit_operator.controlplane.static_pod.turn import Turns, failure_elsewhere, unready_elsewhere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.controlplane.static_pod.board import Board, Posted
    from audit_operator.controlplane.static_pod.instructions import Instructions
    from audit_operator.controlplane.static_pod.report import NodeReport

_LOG = logging.getLogger(__name__)
_TROUBLE = frozenset({NodeState.BLOCKED, NodeState.FAILED, NodeState.ROLLED_BACK})


@dataclass(slots=True)
class Agent:
    """Runs until it is cancelled; a change under way is then left to the next agent.

    From before a change may begin until it is seen to be over, its reports say nothing but `Changing`: the turn rests
    on that. So nothing is said either before the first look: an agent before this one may have died in a change.

    Attributes:
        node: name of the node.
        board: where instructions come from, and reports go to.
        rollout: of this node.
        turns: of this node.
        poll: seconds between two looks.
        heartbeat: seconds after which a report is renewed although nothing has changed.
    """

    node: str
    board: Board
    rollout: NodeRollout
    turns: Turns
    poll: float = 3.0
    heartbeat: float = 10.0
    _instructions: Instructions | None = None
    _policy: tuple[str, str] = ("", "")
    _learned: bool = False
    _holding: str | None = None
    _changing: bool = False
    _working: asyncio.Lock = field(default_factory=asyncio.Lock)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _logged: tuple[str, ...] = ()

    async def run(self) -> None:
        """Work and tell, until cancelled."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(self._news.set)

        self.rollout.on_report = tell
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_for_ever(), name="report")
            tasks.create_task(self._work_for_ever(), name="work")

    async def _work_for_ever(self) -> None:
        while True:
            await self._learn()
            try:
                async with self._working:
                    await self._step()
            except BoardUnavailable as error:
                _LOG.warning("The cluster is away: %s", error, extra={"reason": "BoardUnavailable"})
            except Halted:
                return
            await asyncio.sleep(self.poll)

    async def stopped(self) -> None:
        """Wait until no thread is at work. It ends soon if the rollout's `halted` says so."""
        await self._working.acquire()

    async def _step(self) -> None:
        todo, instructions = await self._look(), self._instructions
        if todo is Todo.FINISH:
            await asyncio.to_thread(self.rollout.finish)
            if await self._look() is Todo.FINISH:
                return  # this node's disk fails; the turn lasts until the change is over
        if self._holding is None and instructions is not None:
            self._holding = instructions.plane  # an agent before us may have taken a turn
        if self._holding:
            await self._give_back(self._holding)
        if todo is Todo.CHANGE and instructions is not None and await self._take_turn(instructions):
            await asyncio.to_thread(self.rollout.change, instructions, self._policy[1], self.turns.may_begin)
            if await self._look() is not Todo.FINISH:
                await self._give_back(instructions.plane)

    async def _look(self) -> Todo:
        todo = await asyncio.to_thread(self.rollout.look, self._instructions, self._policy[1])
        # A turn that was taken and not used, because the cluster went away, is over, too.
        self._changing = todo is Todo.FINISH
        if self._changing or self._learned:
            self._looked.set()
        return todo

    async def _learn(self) -> None:
        """Read instructions and policy; where that fails, what is known already stays."""
        try:
            mine = [each for each in await self.board.instructions() if self.node in each.nodes]
            self._learned = True
            # Two control planes that claim one node would undo each other's changes: the first by name counts.
            self._instructions = min(mine, key=lambda each: each.plane, default=None)
            wanted = self._instructions.configuration if self._instructions else None
            if wanted is not None and wanted.digest != self._policy[0]:
                self._policy = ("", "")
                if text := await self.board.policy(wanted.digest):
                    self._policy = (wanted.digest, text)
        except BoardUnavailable as error:
            _LOG.info("Cannot read instructions: %s", error, extra={"reason": "BoardUnavailable"})

    async def _take_turn(self, instructions: Instructions) -> bool:
        """Whether it is our turn, everybody can know, and nobody has failed with what is wanted, or is down."""
        plane, reports = instructions.plane, await self.board.reports()
        if why := self._obstacle_elsewhere(instructions, reports):
            self._wait(why)
            return False
        self._holding = plane
        if not await self.turns.take(plane, instructions.nodes, reports):
            self._wait("another node's turn")
            return False
        self._changing = True
        await self._tell()
        if why := self._obstacle_elsewhere(instructions, await self.board.reports()):
            self._changing = False
            self._wait(why)
            await self._give_back(plane)
            return False
        return True

    def _obstacle_elsewhere(self, instructions: Instructions, reports: Mapping[str, Posted]) -> str:
        wanted = self.rollout.report.wanted or UNENROLLED
        return failure_elsewhere(wanted, self.node, reports) or unready_elsewhere(
            self.node, instructions.nodes, reports
        )

    async def _give_back(self, plane: str) -> None:
        """End our turn, after everybody could read what came of it."""
        self._holding = plane  # until it has worked
        await self._tell()
        await self.turns.give_back(plane)
        self._holding = ""

    async def _tell(self) -> None:
        """Say how the node is. One after the other, so that nothing older arrives after something newer."""
        async with self._telling:
            await self.board.report(self.node, self._report())

    def _report(self) -> NodeReport:
        said = self.rollout.report
        if not self._changing:
            return said
        error = said.error if said.blocked else ""  # why it cannot be finished; not what it has waited for before
        return said.model_copy(update={"state": NodeState.CHANGING, "blocked": "", "error": error})

    def _wait(self, why: str) -> None:
        self.rollout.report = self.rollout.report.model_copy(update={"state": NodeState.WAITING, "error": why})
        self._news.set()

    async def _tell_for_ever(self) -> None:
        await self._looked.wait()
        while True:
            self._news.clear()
            self._log(self._report())
            try:
                await self._tell()
            except BoardUnavailable as error:
                _LOG.info("Cannot report: %s", error, extra={"reason": "BoardUnavailable"})
            try:
                async with asyncio.timeout(self.heartbeat):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _log(self, report: NodeReport) -> None:
        said = (report.state.value, report.blocked, report.error, report.desired_digest, report.running_digest)
        if said != self._logged:
            self._logged = said
            extra = {
                "reason": report.blocked or report.state.value,
                "digest": report.running_digest or report.desired_digest,
            }
            level = logging.ERROR if report.state in _TROUBLE else logging.INFO
            _LOG.log(level, "Node %s: %s", self.node, report.error or report.state.value, extra=extra)
