"""One API server at a time: the rule by which nodes take turns.

A turn that has expired does not simply pass on. Its holder may have fallen silent *because of* the change, and the next
one would fall just like it. It passes on if the holder has said that it is in no change; since it says that it begins
one before it does, and must begin before its turn can expire, this is true whatever has happened to it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.controlplane.static_pod.board import TURN_SECONDS, TurnLost
from audit_operator.controlplane.static_pod.report import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from audit_operator.controlplane.static_pod.board import Board, Posted, Turn

_DOWN = frozenset({NodeState.FAILED, NodeState.ROLLED_BACK})
"""States in which an API server that is not ready is down. A node that is Blocked may have none."""


@dataclass(slots=True)
class Turns:
    """One node's turns in the roll-out of one control plane. Methods raise BoardUnavailable.

    Attributes:
        board: where turns are written.
        node: which node this is.
        duration: seconds for which a turn is good: a change must have begun by then, and others wait for as long.
        clock: seconds, monotonic.
    """

    board: Board
    node: str
    duration: float = TURN_SECONDS
    clock: Callable[[], float] = time.monotonic
    _taken_at: float = float("-inf")
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def may_begin(self) -> bool:
        """Whether a change may still begin in the turn that was taken last."""
        return self.clock() < self._taken_at + self.duration / 2

    async def take(self, plane: str, nodes: Collection[str], reports: Mapping[str, Posted]) -> bool:
        """Try once to get the turn."""
        turn = await self.board.turn(plane)
        if turn.holder not in {"", self.node} and not self._may_pass_on(plane, turn, nodes, reports):
            return False
        before = self.clock()
        try:
            await self.board.write_turn(plane, turn, self.node)
        except TurnLost:
            return False
        self._taken_at = before
        return True

    async def give_back(self, plane: str) -> None:
        """End this node's turn, if it is its turn."""
        turn = await self.board.turn(plane)
        if turn.holder == self.node:
            try:
                await self.board.write_turn(plane, turn, "")
            except TurnLost:
                return

    def _may_pass_on(self, plane: str, turn: Turn, nodes: Collection[str], reports: Mapping[str, Posted]) -> bool:
        """Whether somebody else's turn is over although it was not given back."""
        version, since = self._seen.get(plane, ("", 0.0))
        if version != turn.version:
            self._seen[plane] = (turn.version, self.clock())
            return False
        if self.clock() - since < self.duration:
            return False
        if turn.holder not in nodes:
            return True
        posted = reports.get(turn.holder)
        return posted is not None and posted.report.state is not NodeState.CHANGING


def failure_elsewhere(wanted: str, node: str, reports: Mapping[str, Posted]) -> str:
    """Why a configuration must not be tried on this node: it has failed on another. Empty if it has not."""
    for other, posted in sorted(reports.items()):
        if other != node and (why := posted.report.failures.get(wanted)) is not None:
            return f"it has failed on node {other}: {why}"
    return ""


def unready_elsewhere(node: str, nodes: Collection[str], reports: Mapping[str, Posted]) -> str:
    """Why no change may begin on this node: another API server is down, or in a change. Empty if none is."""
    for other, posted in sorted(reports.items()):
        state, ready = posted.report.state, posted.report.ready
        if other in nodes and other != node and (state is NodeState.CHANGING or (state in _DOWN and not ready)):
            return f"the API server of node {other} is not ready"
    return ""
