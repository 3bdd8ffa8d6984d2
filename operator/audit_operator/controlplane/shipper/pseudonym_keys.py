"""The keyring of a control plane, kept in the cluster: made once, rotated by age, and never written from memory.

Somebody may destroy keys at any time (`audit-operator erase`). So a keyring is written only on condition that it is
still the one that was read, and what was read before is not used once there is another one: a key that was destroyed
never comes back.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring, KeyringUnusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.controlplane.shipper.board import ShipperBoard

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyAges:
    """None: never.

    Attributes:
        rotated: age of an epoch at which the next one begins.
        forgotten: how long after its end an epoch's keys are kept.
    """

    rotated: timedelta | None = None
    forgotten: timedelta | None = None

    @classmethod
    def of_days(cls, rotated: int, forgotten: int) -> KeyAges:
        """From days, of which 0 stands for never."""
        return cls(*(timedelta(days=each) if each else None for each in (rotated, forgotten)))


@dataclass(slots=True)
class PseudonymKeys:
    """The keys of one control plane.

    Attributes:
        plane: name of the AuditControlPlane.
        board: where its keyring is kept.
        ages: when keys are rotated and forgotten.
        now: the time.
    """

    plane: str
    board: ShipperBoard
    ages: KeyAges = KeyAges()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _revision: str = ""
    _keyring: Keyring | None = field(default=None, repr=False)
    _present: str = field(default="", repr=False)

    async def present(self) -> str:
        """What shippers are to be told (`Epoch.encoded`); made the first time, rotated when due.

        Raises:
            BoardUnavailable: nobody knows.
            KeyringUnusable: what is kept there is none. Nothing is written in its place: keys may be in it.
        """
        revision = await self.board.keyring_revision(self.plane)
        if not revision:
            random = secrets.token_bytes(RANDOM_BYTES + REGISTER_BYTES)
            await self._keep(Keyring.begun(self.now(), random), "")
        elif revision != self._revision:
            await self._read()
        keyring = self._keyring
        if keyring is None:
            raise KeyringUnusable
        due = self._due(keyring)
        if due is not keyring:
            await self._keep(due, self._revision)
        return self._present

    async def _keep(self, keyring: Keyring, revision: str) -> None:
        await self.board.keep_keyring(self.plane, keyring.encoded(), revision)
        _LOG.info("Keys of pseudonyms made or rotated", extra={"object": self.plane, "reason": "KeysRotated"})
        await self._read()

    async def _read(self) -> None:
        self._revision, self._keyring, self._present = "", None, ""
        held = await self.board.keyring(self.plane)
        if held is not None:
            self._keyring = Keyring.decoded(held.content)
            self._present = self._keyring.present.encoded()
            self._revision = held.revision

    def _due(self, keyring: Keyring) -> Keyring:
        now, ages = self.now(), self.ages
        if ages.rotated is not None and now - keyring.present.since >= ages.rotated:
            keyring = keyring.rotated(now, secrets.token_bytes(RANDOM_BYTES))
        return keyring if ages.forgotten is None else keyring.without_ended_before(now - ages.forgotten)
