"""The cluster, as far as operator and agents need it to speak with each other. Implemented by `controller.board`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from audit_operator.controlplane.static_pod.instructions import Instructions
    from audit_operator.controlplane.static_pod.report import NodeReport


TURN_SECONDS = 30
"""For how long a turn is good; a whole number, since it stands in a Lease."""


class TurnLost(Exception):  # noqa: N818  # an answer
    """Somebody else has written the turn since it was read."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is.

    Attributes:
        holder: name of the node; empty if it is nobody's.
        version: changes with every write.
        document: as it was read, to be written on condition that nobody else has.
    """

    holder: str = ""
    version: str = ""
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """A node's report.

    Attributes:
        report: what its agent says.
        version: changes whenever the agent renews it.
        age: seconds since it was renewed, if the clocks of the agent's machine and of this one agree.
    """

    report: NodeReport
    version: str
    age: float = field(default=0.0, compare=False)


class Board(Protocol):
    """What is said where; docs/design/static-pod.md has the names. All raise BoardUnavailable."""

    async def instructions(self) -> tuple[Instructions, ...]:
        """Of all control planes; those in a format that is not known here are left out."""
        ...

    async def instruct(self, instructions: Instructions) -> None:
        """Make these the instructions of a control plane."""
        ...

    async def policy(self, digest: str) -> str:
        """A policy's text; empty if it is not there, or is not what the digest says."""
        ...

    async def publish_policy(self, digest: str, text: str) -> None:
        """Make a policy known, for good: nobody can change it afterwards."""
        ...

    async def forget_policies_except(self, digests: Collection[str]) -> None:
        """Remove policies that nobody needs; the latest few stay, for a way back."""
        ...

    async def reports(self) -> Mapping[str, Posted]:
        """What the agents say, by node."""
        ...

    async def report(self, node: str, report: NodeReport) -> None:
        """Say how a node is, and that its agent is alive."""
        ...

    async def turn(self, plane: str) -> Turn:
        """Whose turn it is."""
        ...

    async def write_turn(self, plane: str, turn: Turn, holder: str) -> Turn:
        """Give the turn to a node, or to nobody. Raises TurnLost."""
        ...

    async def nodes(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The nodes that have all of these labels: the version of each one's kubelet by its name, in order."""
        ...
