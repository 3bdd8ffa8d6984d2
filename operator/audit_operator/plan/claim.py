"""One condition as a plan states it: without the time since when it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionStatus

if TYPE_CHECKING:
    from audit_operator.api.conditions import ConditionType, Reason

_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Claim:
    """One condition, without the time since when it holds."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str = ""

    @property
    def holds(self) -> bool:
        """Whether the condition is true."""
        return self.status is ConditionStatus.TRUE

    def to_json(self, generation: int) -> dict[str, Any]:
        """The condition as it stands in status."""
        return {
            "type": self.type.value,
            "status": self.status.value,
            "reason": self.reason.value,
            "message": self.message[:_LONGEST],
            "observedGeneration": generation,
        }


def true(type_: ConditionType, reason: Reason, message: str = "") -> Claim:
    """It holds."""
    return Claim(type_, ConditionStatus.TRUE, reason, message)


def false(type_: ConditionType, reason: Reason, message: str) -> Claim:
    """It does not hold."""
    return Claim(type_, ConditionStatus.FALSE, reason, message)


def unknown(type_: ConditionType, reason: Reason, message: str) -> Claim:
    """Nobody has seen whether it holds."""
    return Claim(type_, ConditionStatus.UNKNOWN, reason, message)
