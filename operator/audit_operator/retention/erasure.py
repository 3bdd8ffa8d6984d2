"""What is kept of an erasure for ever: that it was done, where, and what was left; and not whose records they were.

Two of them are made: one before anything is deleted, and one when it is over. So an erasure that was cut short has no
second one, and none is without a trace.
"""

from __future__ import annotations

import hmac
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

PREFIX = "s-"
UNSEEN = "(unseen)"
"""No namespace has this name."""
_DIGITS = 32


class Phase(StrEnum):
    """Which of the two."""

    BEGUN = "Begun"
    ENDED = "Ended"


class Keys(StrEnum):
    """What becomes of the keys of pseudonyms of the namespaces."""

    NONE = "None"
    """There are none."""
    KEPT = "Kept"
    RENEWED = "Renewed"
    DESTROYED = "Destroyed"


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Share(_Part):
    """The records of one namespace in one sink.

    Attributes:
        sink: as ``ClusterAuditSink central``.
        namespace: of the records; empty for those of none, `UNSEEN` for all that no shipper knew.
        found: how many there were.
        erasable: how many of them nothing forbids to erase.
        left: how many of those are still there; None: not known.
        obstacles: what forbids to erase the others.
        mentioned: how many records of other users hold a name of the subject somewhere. They are not erased.
    """

    sink: str
    namespace: str
    found: int
    erasable: int
    left: int | None = None
    obstacles: tuple[str, ...] = ()
    mentioned: int = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left that was found."""
        return not self.found or (self.left == 0 and self.erasable == self.found)


class ErasureRecord(_Part):
    """What is kept of it.

    Attributes:
        id: of the erasure, the same in both.
        time: of this record, RFC 3339.
        subject: see `subject_name`.
        reason: in the words of whoever erased.
        control_plane: whose records they were.
        namespaces: that were asked for; empty: all.
        shares: what was found, and what became of it.
        untouched: sinks of which nothing was erased, and why.
        keys: what became of the keys of pseudonyms.
        keys_of: namespaces whose keys were changed; empty where they were destroyed: of all.
    """

    kind: Literal["ErasureRecord"] = "ErasureRecord"
    id: str
    phase: Phase
    time: str
    subject: str
    reason: str = ""
    control_plane: str
    namespaces: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()
    untouched: dict[str, str] = {}
    keys: Keys = Keys.NONE
    keys_of: tuple[str, ...] = ()

    def text(self) -> str:
        """As JSON."""
        return self.model_dump_json(by_alias=True)


def subject_name(register_key: bytes, subject: str) -> str:
    """What a subject is called in records of erasures: whoever has the key can tell whether it was somebody's."""
    return PREFIX + hmac.digest(register_key, subject.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]
