"""What came of asking a store about retention: values between whoever asks, and `plan`, which says it in status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.sink_retention import RetentionOfSink


@dataclass(frozen=True, slots=True)
class RetentionFigures:
    """What may change at every look.

    Attributes:
        up: whether the store answered the last time.
        verified: when it last did, in seconds since the epoch; 0: never.
        overdue: records that are older than the maximum, by class.
        deleted: records deleted by order since the operator started, by class.
    """

    up: bool = False
    verified: float = 0.0
    overdue: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetentionObservation:
    """Of one sink. Figures do not count when two are compared.

    Attributes:
        status: what was last found; without classes where the store was never asked with success.
        trouble: why the store could not be asked now, and what mends it; empty where it could.
        unsupported: whether such a store can be asked about retention at all; `trouble` then says why not.
        asked: whether the store has answered since the operator started; until then, status says what was so once.
        uncounted: why nothing new is known of single classes, and what mends it, by name; `status` is of earlier.
    """

    status: RetentionOfSink
    trouble: str = ""
    unsupported: bool = False
    asked: bool = False
    uncounted: Mapping[str, str] = field(default_factory=dict)
    figures: RetentionFigures = field(default=RetentionFigures(), compare=False)

    def trouble_of(self, name: str) -> str:
        """Why nothing new is known of a class; empty where it is."""
        return self.trouble or self.uncounted.get(name, "")
