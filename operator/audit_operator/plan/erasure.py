"""What forbids to erase records of a namespace: who asked to keep them, and for how long.

A legal hold beats erasure, and so does a minimum: the right to erasure ends where a duty to keep begins (GDPR, article
17(3)(b) and (e)). What cannot be read forbids it, too: it may ask for either.

Records outlive what asked to keep them: a namespace is deleted, a policy names another sink. So a hold counts in every
store, for every namespace that its policy may ever have reached, and what the status of a sink remembers counts there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.sink import AuditSink
from audit_operator.api.text import hours
from audit_operator.plan.contributions import contribution_of
from audit_operator.plan.retention import store_of
from audit_operator.plan.selection import known_namespaces, may_have_reached
from audit_operator.plan.sinks import Sinks, named
from audit_operator.retention.demand import Wish, period

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
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
        remembered: whether it is the status of a sink that says so, whatever policies say now.
    """

    why: Why
    object: ObjectRef
    hours: int | None = None
    behind: tuple[str, ...] = ()
    remembered: bool = False

    def __str__(self) -> str:
        of = f"that the status of {self.object} remembers" if self.remembered else f"of {self.object}"
        match self.why:
            case Why.LEGAL_HOLD:
                return f"legal hold {of}"
            case Why.UNREADABLE:
                return f"{self.object} cannot be read, and may ask to keep them"
        source = f" ({', '.join(self.behind)})" if self.behind else ""
        return f"minimum of {period(self.hours or 0)} {of}{source}"


@dataclass(frozen=True, slots=True)
class _Keeper:
    """A policy that keeps records, or says that it need not: what it wishes, whose records, and in which stores."""

    policy: AuditPolicy | ClusterAuditPolicy
    wish: Wish
    reach: Reach
    stores: frozenset[str]
    waives: bool

    def reaches(self, namespace: str, existing: frozenset[str]) -> bool:
        """Whether it is about a namespace. Of one that is gone, nobody knows the labels that it had."""
        if not namespace:
            return self.reach.cluster or self.reach.non_resource
        if namespace in existing or not isinstance(self.policy, ClusterAuditPolicy):
            return namespace in self.reach.namespaces
        return may_have_reached(self.policy.spec, namespace)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the status of a sink says of a class of namespaces; `hours` is their minimum."""

    sink: ObjectRef
    store: str
    namespaces: frozenset[str]
    hold: bool
    hours: int


@dataclass(frozen=True, slots=True)
class Obstacles:
    """All that forbid to erase anything."""

    keepers: tuple[_Keeper, ...]
    remembered: tuple[_Remembered, ...]
    unreadable: tuple[ObjectRef, ...]
    existing: frozenset[str]

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
            waives = said is not None and said.erasable and not said.immutable
            if said is not None and waives:
                said = said.model_copy(update={"minimum": None})
            wish = Wish.of(policy.ref, said, frameworks)
            if wish.legal_hold or wish.minimum or waives:
                # Also of a sink that admits it no more: what it has shipped there before is what it holds.
                stores = frozenset(store_of(sinks.existing[ref]) for ref in named(policy) if ref in sinks.existing)
                keepers.append(_Keeper(policy, wish, contribution_of(policy, known).reach, stores, waives))
        broken = tuple(sorted({*unreadable, *(each.ref for each in snapshot.invalid)}, key=str))
        remembered = tuple(each for sink in snapshot.sinks() for each in _remembered(sink))
        return cls(tuple(keepers), remembered, broken, frozenset(each.name for each in snapshot.namespaces))

    def to(self, namespace: str, sink: Sink | None = None) -> tuple[Obstacle, ...]:
        """Those to erase a namespace's records (``""``: records of none) in the store of a sink; None: anywhere."""
        store = store_of(sink) if sink is not None else None
        keepers = [each for each in self.keepers if each.reaches(namespace, self.existing)]
        return (
            *(
                Obstacle(Why.UNREADABLE, each)
                for each in self.unreadable
                if not each.namespace or each.namespace == namespace
            ),
            *_of_policies(keepers, store),
            *self._of_statuses(namespace, store, keepers),
        )

    @property
    def any(self) -> tuple[Obstacle, ...]:
        """Those to erase anything anywhere."""
        return (
            *(Obstacle(Why.UNREADABLE, each) for each in self.unreadable),
            *_of_policies(self.keepers, None),
            *(Obstacle(Why.LEGAL_HOLD, each.sink, remembered=True) for each in self.remembered if each.hold),
            *(Obstacle(Why.MINIMUM, each.sink, each.hours, remembered=True) for each in self.remembered if each.hours),
        )

    def _of_statuses(self, namespace: str, store: str | None, keepers: Iterable[_Keeper]) -> Iterator[Obstacle]:
        # The status has one minimum, whoever asked for it, and does not know who says that it is no duty.
        waived = any(each.waives and (store is None or store in each.stores) for each in keepers)
        for each in self.remembered:
            if namespace in each.namespaces and store in (None, each.store):
                if each.hold:
                    yield Obstacle(Why.LEGAL_HOLD, each.sink, remembered=True)
                if each.hours and not waived:
                    yield Obstacle(Why.MINIMUM, each.sink, each.hours, remembered=True)


def _of_policies(keepers: Iterable[_Keeper], store: str | None) -> Iterator[Obstacle]:
    for keeper in keepers:
        wish = keeper.wish
        if wish.legal_hold:
            # Wherever they are: the policy may have named another sink when it shipped them.
            yield Obstacle(Why.LEGAL_HOLD, wish.policy)
        if wish.minimum and (store is None or store in keeper.stores):
            behind = tuple(str(each) for each in wish.sources if each.minimum == wish.minimum)
            yield Obstacle(Why.MINIMUM, wish.policy, wish.minimum, behind)


def _remembered(sink: Sink) -> Iterator[_Remembered]:
    said, store = sink.status.retention if sink.status else None, store_of(sink)
    for each in said.classes if said is not None and said.store == store else ():
        hold, minimum = each.legal_hold, 0
        try:
            minimum = hours(each.minimum) if each.minimum else 0
        except (ValueError, KeyError):
            hold = True  # nobody knows how long
        if hold or minimum:
            namespaces = frozenset(name for group in each.told for name in group.namespaces)
            if isinstance(sink, AuditSink):
                # Its address may be that of a store that is everybody's.
                namespaces &= {sink.metadata.namespace}
            yield _Remembered(sink.ref, store, namespaces, hold, minimum)


def keep_hours(obstacles: tuple[Obstacle, ...]) -> int | None:
    """Age in hours from which records may be erased; None: none may."""
    hours = [each.hours for each in obstacles]
    return None if None in hours else max((each for each in hours if each is not None), default=0)
