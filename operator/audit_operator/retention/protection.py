"""What protects records, and what is left of an older memory where something protected them that it does not know.

A legal hold may be set and lifted between two looks at a store. Whoever lifts it is given a week to see what that
deletes, so that it must not be missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.retention.orders import Remembered, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.demand import Demand


@dataclass(frozen=True, slots=True)
class Protection:
    """Of the records of one namespace.

    Attributes:
        minimum: hours for which they are kept at the least.
        endless: whether nothing is to be deleted, for a legal hold or because no maximum is set.
    """

    minimum: int = 0
    endless: bool = False

    @classmethod
    def by(cls, demand: Demand) -> Protection:
        """What a demand protects."""
        return cls(demand.minimum, demand.delete_after is None)

    def covers(self, other: Protection) -> bool:
        """Whether nothing is protected by the other that is not by this one."""
        return self.minimum >= other.minimum and (self.endless or not other.endless)

    def __or__(self, other: Protection) -> Protection:
        return Protection(max(self.minimum, other.minimum), self.endless or other.endless)


ENDLESS = Protection(endless=True)
"""Where nothing is demanded, nothing is deleted."""


def protections(classes: Iterable[RetentionClass]) -> dict[str, Protection]:
    """By namespace."""
    return {name: Protection.by(each.demand) for each in classes for name in each.namespaces}


def newly(before: Mapping[str, Protection], now: Mapping[str, Protection]) -> dict[str, Protection]:
    """What is protected that was not, by namespace."""
    found = {name: each for name, each in now.items() if not before.get(name, ENDLESS).covers(each)}
    return found | {name: ENDLESS for name, each in before.items() if name not in now and not each.endless}


def guarded(known: Remembered, seen: Protection) -> Remembered:
    """What may still be remembered where this was seen since: no deletion that it forbids, in force or announced.

    The minimum is added to the memory. What would be left of one that nothing may be deleted of is nothing, which is
    what is known of any other namespace: it has its week.
    """
    told = known.told
    if seen.endless:
        return Remembered(Told(), max(known.minimum, seen.minimum), known.legal_hold)
    if known.minimum >= seen.minimum:
        return known
    allowed = told.delete_after is not None and told.delete_after >= seen.minimum
    announced = told.announced
    if announced is not None and announced.delete_after < seen.minimum:
        announced = None
    return Remembered(
        Told(told.delete_after if allowed else None, announced, told.since, told.settled),
        seen.minimum,
        known.legal_hold,
    )
