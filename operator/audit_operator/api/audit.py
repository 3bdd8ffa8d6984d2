"""The two scales of the audit API: how much of a request is recorded, and at which moments.

They stand in the lowest layer because the custom resources, the policy language and coverage all speak them.
Source: `pkg/apis/audit/v1/types.go` of kubernetes/apiserver.
"""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """How much of a request is recorded; ordered None < Metadata < Request < RequestResponse.

    Comparison follows `Level.ordLevel` in upstream's `pkg/apis/audit/helpers.go`, not the alphabet.
    """

    NONE = "None"
    METADATA = "Metadata"
    REQUEST = "Request"
    REQUEST_RESPONSE = "RequestResponse"

    @property
    def rank(self) -> int:
        """Position on the scale, 0 for None to 3 for RequestResponse."""
        return _RANKS[self]

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, Level) else NotImplemented

    # All four are written out: str has its own, so whatever is left out would compare by the alphabet.
    def __le__(self, other: object) -> bool:
        return self.rank <= other.rank if isinstance(other, Level) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.rank > other.rank if isinstance(other, Level) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.rank >= other.rank if isinstance(other, Level) else NotImplemented


_RANKS = {level: rank for rank, level in enumerate(Level)}


class Stage(StrEnum):
    """A moment in the life of a request at which an event can be written."""

    REQUEST_RECEIVED = "RequestReceived"
    RESPONSE_STARTED = "ResponseStarted"
    RESPONSE_COMPLETE = "ResponseComplete"
    PANIC = "Panic"
