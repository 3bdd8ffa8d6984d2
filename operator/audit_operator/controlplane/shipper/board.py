"""The cluster, as far as operator and shippers need it to speak with each other. Implemented by `controller`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from audit_operator.controlplane.shipper.report import ShipperReport


@dataclass(frozen=True, slots=True)
class Told:
    """What shippers were told last.

    Attributes:
        revision: another one whenever somebody has written it.
        instructions: as `ShipperInstructions.encoded` made them.
        pseudonym_keys: what all shippers of the control plane make pseudonyms with (`Epoch.encoded`).
    """

    revision: str
    instructions: bytes = field(repr=False)
    pseudonym_keys: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeldKeyring:
    """All keys of pseudonyms of a control plane, as they are kept.

    Attributes:
        revision: another one whenever somebody has written it.
        content: as `Keyring.encoded` made it.
    """

    revision: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """A node's report.

    Attributes:
        report: what its shipper says.
        version: changes whenever the shipper renews it.
        renewed: when it did, by the clock of its own machine; None where that cannot be read.
        age: seconds since then, if that clock and this one agree.
    """

    report: ShipperReport
    version: str
    renewed: datetime | None = None
    age: float = field(default=0.0, compare=False)


class ShipperBoard(Protocol):
    """What is said where; docs/design/shipping.md has the names. All raise BoardUnavailable."""

    async def revision(self, plane: str) -> str:
        """That of what was told last, without its content; empty if nothing was told."""
        ...

    async def told(self, plane: str) -> Told | None:
        """What was told last; None if nothing was."""
        ...

    async def tell(self, plane: str, uid: str, instructions: bytes, pseudonym_keys: str) -> str:
        """Tell this to the shippers of a control plane, with which it goes; returns the revision."""
        ...

    async def keyring_revision(self, plane: str) -> str:
        """That of the keyring, without its content; empty if there is none."""
        ...

    async def keyring(self, plane: str) -> HeldKeyring | None:
        """The keyring; None if there is none."""
        ...

    async def keep_keyring(self, plane: str, content: bytes, revision: str) -> None:
        """Keep another keyring in place of the one of this revision, or of none; never of one that came meanwhile."""
        ...

    async def reports(self) -> Mapping[str, Posted]:
        """What the shippers say, by node."""
        ...

    async def report(self, node: str, report: ShipperReport) -> None:
        """Say how a node's shipper is, and that it is alive."""
        ...

    async def nodes(self, selector: str) -> tuple[str, ...]:
        """Names of the nodes that this label selector selects, in order."""
        ...
