"""How long records are kept, and what may shorten that."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import Constraint
from audit_operator.api.model import ApiModel
from audit_operator.api.text import Period, cel_hours, hours

_PERIOD = "A number with h, d, w or y (365 days), for example 90d or 6y; at most 100 years."
_LONGEST = 100 * 365 * 24

Lifetime = Annotated[
    Period,
    Constraint(
        rule=f"{cel_hours('self')} <= {_LONGEST}",
        message="must not be longer than 100 years: stores count times in numbers that do not reach much further",
        holds=lambda self: hours(self) <= _LONGEST,
    ),
]
"""A `Period` that stores can count."""


def _not_longer(shorter: str, longer: str, message: str) -> Constraint:
    def holds(self: Retention) -> bool:
        one, other = getattr(self, shorter), getattr(self, longer)
        return one is None or other is None or hours(one) <= hours(other)

    return Constraint(
        rule=f"!has(self.{shorter}) || !has(self.{longer}) || "
        f"{cel_hours(f'self.{shorter}')} <= {cel_hours(f'self.{longer}')}",
        message=message,
        holds=holds,
        field=shorter,
    )


class Retention(ApiModel):
    """How long records are kept in every sink of the policy.

    Where policies meet on the same records, the longest minimum and the shortest maximum count.
    """

    minimum: Lifetime | None = Field(default=None, description=f"Records are kept at least this long. {_PERIOD}")
    maximum: Lifetime | None = Field(
        default=None,
        description=f"Records are deleted when they are older than this. Absent: no duty to delete. {_PERIOD}",
    )
    hot: Lifetime | None = Field(
        default=None, description=f"How long records can be searched at once, without restoring an archive. {_PERIOD}"
    )
    legal_hold: bool = Field(
        default=False, description="Whether nothing is deleted, whatever maximum says, for as long as this is true."
    )
    immutable: bool = Field(
        default=False,
        description="Whether records must be stored so that nobody can change or delete them before the minimum is "
        "over (WORM, such as S3 Object Lock). Sinks that cannot do this are reported.",
    )
    erasable: bool = Field(
        default=False,
        description="Whether records of one subject may be erased (audit-operator erase) before the minimum of this "
        "policy is over, where it is no legal duty. Minimums of frameworks, legalHold and immutable forbid it "
        "all the same, and so do other policies.",
    )
    confirm_deletion: Period | None = Field(
        default=None,
        description="Confirms that a maximum that is shorter than it was for at least a week deletes records at once; "
        "must repeat that maximum. Without it, and in all other cases, status announces what will be deleted and when, "
        "and a grace period runs first.",
    )

    constraints = (
        _not_longer("minimum", "maximum", "must not be longer than maximum"),
        _not_longer("hot", "maximum", "must not be longer than maximum"),
        _not_longer("hot", "minimum", "must not be longer than minimum: what is searchable is kept"),
        Constraint(
            rule="!has(self.confirmDeletion) || (has(self.maximum) && self.confirmDeletion == self.maximum)",
            message="must repeat maximum, so that it confirms this deletion and no later one",
            holds=lambda self: self.confirm_deletion is None or self.confirm_deletion == self.maximum,
            field="confirmDeletion",
        ),
    )
