"""What every store can be asked about retention, and told.

A store is told what it may delete now, not what policies say: legal holds, minimums, announcements and conflicts are
decided before, for all stores in the same way, and no implementation can get them wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Limit, Place
    from audit_operator.retention.judgement import Facts, Mends
    from audit_operator.sinks.store import Failure, Unsupported

NO_FOLDERS: Mapping[Place, Limit] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Order:
    """What a store may do with records of some namespaces of one class.

    Attributes:
        wanted: the class, with all of its namespaces.
        namespaces: those that this is about, in order; a class may be split, while a change is announced for some.
        delete_after: age in hours at which their records are deleted; None: none of them may be.
    """

    wanted: RetentionClass
    namespaces: tuple[str, ...]
    delete_after: int | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a store says about itself and what it has.

    Attributes:
        facts: for each class that it was asked about, by its name.
        settings: those settings of the store that matter, as text; another text where somebody changed them.
        uncounted: why nothing is known of those classes that are not among the facts, by name.
        folders: where the store deletes by folder: when the oldest object was uploaded in each that is not empty. None:
            it can tell namespaces apart.
        ordered: from which age on, in hours, it deletes from folders by what it was last told; None: by something that
            it was not told.
    """

    facts: Mapping[str, Facts]
    settings: str = ""
    uncounted: Mapping[str, Failure] = field(default_factory=dict)
    folders: Mapping[Place, datetime] | None = None
    ordered: Mapping[Place, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of telling a store.

    Attributes:
        deleted: records that are gone by it, by class; where a store deletes by itself, those are not counted.
        under_way: whether it is still at it, so that what is observed now may be over in a while.
        refused: how the store, or what stands before it, refused a deletion as such; what it keeps can still be asked.
        uncounted: classes of which nothing was deleted, or not counted, and why, by name.
    """

    deleted: Mapping[str, int]
    under_way: bool = False
    refused: Failure | None = None
    uncounted: Mapping[str, Failure] = field(default_factory=dict)


class RetentionStore(Protocol):
    """One store. No call raises for anything that the store, the network or a user does."""

    @property
    def mends(self) -> Mends:
        """How whoever runs the store gives it what it lacks."""

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Observed | Failure | Unsupported:
        """What the store says; changes nothing. `now` is what ages are counted from, in UTC."""

    async def enforce(
        self, orders: Sequence[Order], now: datetime, folders: Mapping[Place, Limit] = NO_FOLDERS
    ) -> Done | Failure | Unsupported:
        """Bring the store to it; again and again, to the same end. Nothing foreign is touched.

        `folders` has the same for a store that deletes by folder.

        Deletions of earlier orders that the store has not ended are stopped first: without orders, that is all.

        Whatever is told may be undone by others at any time, so that only `observe` says what is.
        """
