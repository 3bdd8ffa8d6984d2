"""What came of looking at seals: values between whoever looks, and `plan`, which says it in status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.sink_seals import SealsOfSink, SealState


@dataclass(frozen=True, slots=True)
class SealFigures:
    """What may change at every look.

    Attributes:
        up: whether the archive answered the last time.
        sealed: up to when everything is sealed, in seconds since the epoch; 0: not known.
        verified: when the last verification was made, in the same way.
        findings: how many there are, by id.
    """

    up: bool = False
    sealed: float = 0.0
    verified: float = 0.0
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealObservation:
    """Of one sink. Figures do not count when two are compared.

    Attributes:
        status: what was last seen.
        state: what that comes to; None where nothing was seen since the operator started.
        message: why, in a sentence.
        trouble: why the archive could not be looked at now, and what mends it; empty where it could.
        unsupported: whether no such archive can be looked at; `trouble` then says why.
    """

    status: SealsOfSink
    state: SealState | None = None
    message: str = ""
    trouble: str = ""
    unsupported: bool = False
    figures: SealFigures = field(default=SealFigures(), compare=False)
