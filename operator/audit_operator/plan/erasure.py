"""What forbids to erase records of a namespace: who asked to keep them, and for how long.

A legal hold beats erasure, and so does a minimum: the right to erasure ends where a duty to keep begins (GDPR, article
17(3)(b) and (e)). What cannot be read forbids it, too: it may ask for either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.plan.contributions import contribution_of
from audit_operator.plan.retention import store_of
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.sinks import Sinks, named
from audit_operator.retention.demand import Wish, period

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.sinks import Sink
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.contribution import Reach


class Why(StrEnum):
    """Kind of an obstacle."""

    LEGAL_HOLD = "LegalHold"
    MINIMUM = "Minimum"
    UNREADABLE = "Unreadable"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What an object forbids.

    Attributes:
        why: kind of it.
        object: that forbids it.
        hours: age from which records may be erased all the same; None: none may.
        behind: requirements that stand behind a minimum.
    """

    why: Why
    object: ObjectRef
    hours: int | None = None
    behind: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.why:
            case Why.LEGAL_HOLD:
                return f"legal hold of {self.object}"
            case Why.UNREADABLE:
                return f"{self.object} cannot be read, and may ask to keep them"
        source = f" ({', '.join(self.behind)})" if self.behind else ""
        return f"minimum of {period(self.hours or 0)} of {self.object}{source}"


@dataclass(frozen=True, slots=True)
class _Keeper:
    """A policy that keeps records: what it wishes, whose records, and in which stores."""

    wish: Wish
    reach: Reach
    stores: frozenset[str]


@dataclass(frozen=True, slots=True)
class Obstacles:
    """All that forbid to erase anything."""

    keepers: tuple[_Keeper, ...]
    unreadable: tuple[ObjectRef, ...]
    known: frozenset[str]

    @classmethod
    def of(cls, snapshot: Snapshot, unreadable: Iterable[ObjectRef] = ()) -> Obstacles:
        """Of a moment; whether a policy belongs to a control plane makes no difference, since it may have.

        `unreadable` names objects that could not even be taken into the snapshot.
        """
        sinks, known = Sinks.of(snapshot), known_namespaces(snapshot)
        keepers = []
        for policy in sorted(snapshot.policies(), key=lambda each: each.ref):
            frameworks = policy.spec.compliance.frameworks if policy.spec.compliance else ()
            said = policy.spec.retention
            if said is not None and said.erasable and not said.immutable:
                said = said.model_copy(update={"minimum": None})
            wish = Wish.of(policy.ref, said, frameworks)
            if wish.legal_hold or wish.minimum:
                # Also of a sink that admits it no more: what it has shipped there before is what it holds.
                stores = frozenset(store_of(sinks.existing[ref]) for ref in named(policy) if ref in sinks.existing)
                keepers.append(_Keeper(wish, contribution_of(policy, known).reach, stores))
        broken = tuple(sorted({*unreadable, *(each.ref for each in snapshot.invalid)}, key=str))
        return cls(tuple(keepers), broken, frozenset(each.name for each in known))

    def to(self, namespace: str, sink: Sink | None = None) -> tuple[Obstacle, ...]:
        """Those to erase a namespace's records (``""``: records of none) in the store of a sink; None: anywhere."""
        store = store_of(sink) if sink is not None else None
        found = [
            Obstacle(Why.UNREADABLE, each)
            for each in self.unreadable
            if not each.namespace or each.namespace == namespace
        ]
        for keeper in self.keepers:
            if self._reaches(keeper.reach, namespace) and (store is None or store in keeper.stores):
                wish = keeper.wish
                if wish.legal_hold:
                    found.append(Obstacle(Why.LEGAL_HOLD, wish.policy))
                if wish.minimum:
                    behind = tuple(str(each) for each in wish.sources if each.minimum == wish.minimum)
                    found.append(Obstacle(Why.MINIMUM, wish.policy, wish.minimum, behind))
        return tuple(found)

    def _reaches(self, reach: Reach, namespace: str) -> bool:
        if not namespace:
            return reach.cluster or reach.non_resource
        return namespace in reach.namespaces if namespace in self.known else reach.unseen_namespaces


def keep_hours(obstacles: tuple[Obstacle, ...]) -> int | None:
    """Age in hours from which records may be erased; None: none may."""
    hours = [each.hours for each in obstacles]
    return None if None in hours else max((each for each in hours if each is not None), default=0)
