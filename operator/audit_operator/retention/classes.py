"""Namespaces whose records a store must keep alike: what a store is told of policies, and all that it needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.retention.demand import Demand


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """Namespaces of equal demands in one sink.

    Attributes:
        demand: what is demanded of their records; it asks for something.
        namespaces: in order; ``""`` stands for records of no namespace.
        confirmed: those of them where whoever sets the maximum has confirmed that it deletes at once.
        unclear: those of them of which nothing may be deleted for now: what may be demanded of them cannot be read.
        conflicting: whether it is not what all of their policies wish.
    """

    demand: Demand
    namespaces: tuple[str, ...]
    confirmed: frozenset[str] = frozenset()
    unclear: frozenset[str] = frozenset()
    conflicting: bool = False

    @property
    def name(self) -> str:
        """The same for equal demands, in every sink and at any time."""
        return self.demand.name

    @property
    def protects(self) -> bool:
        """Whether anything may not be deleted by it."""
        return bool(self.demand.minimum or self.demand.legal_hold)


def first(classes: Iterable[RetentionClass], number: int) -> frozenset[str]:
    """Names of so many classes, those first that protect records: many maximums must not push a hold out."""
    return frozenset(each.name for each in sorted(classes, key=lambda each: (not each.protects, each.name))[:number])
