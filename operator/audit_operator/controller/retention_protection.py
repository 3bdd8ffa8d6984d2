"""What protected records, from the moment it is seen until it stands in the status of the sink.

Between two rounds may lie an hour, or a day in which the store is away; a hold may be set and lifted in it. So whatever
is seen is put into the status at once, without the store, and counts here until the API server has it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink_retention import MAX_CLASSES, MAX_GROUPS, ClassRetention
from audit_operator.controller.retention_memory import Memory, desired, remembered, told_of
from audit_operator.retention.demand import Demand, period
from audit_operator.retention.orders import Told
from audit_operator.retention.protection import ENDLESS, Protection, guarded, newly, protections

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.sink_retention import RetentionOfSink, ToldNamespaces
    from audit_operator.retention.classes import RetentionClass


@dataclass(slots=True)
class Protections:
    """Of the namespaces of one sink. `turn` counts how often something was seen that was not protected before."""

    turn: int = 0
    _seen: dict[str, tuple[Protection, int]] = field(default_factory=dict)
    _first: frozenset[str] | None = None

    def begin(self, classes: Iterable[RetentionClass]) -> None:
        """What is demanded when a sink is looked after: what its status says may be older."""
        demanded = protections(classes)
        if self._first is None:
            self._first = frozenset(demanded)
        self._add({name: each for name, each in demanded.items() if each != Protection()})

    def see(self, before: Iterable[RetentionClass], now: Iterable[RetentionClass]) -> bool:
        """What is demanded, and what was until now; whether something is protected that was not."""
        found = newly(protections(before), protections(now))
        if found:
            self._add(found)
        return bool(found)

    def _add(self, found: Mapping[str, Protection]) -> None:
        self.turn += 1
        for name, each in found.items():
            earlier = self._seen.get(name)
            self._seen[name] = (each if earlier is None else each | earlier[0], self.turn)

    def end(self, classes: Iterable[RetentionClass]) -> None:
        """Nothing is demanded of the sink any more. What its status remembers is a time in which something was."""
        self._add(dict.fromkeys(protections(classes), ENDLESS))
        self._first = frozenset()

    def read(self, memory: Memory, said: RetentionOfSink | None) -> Memory:
        """The API server's `memory` with all that was seen. Where it is what was `said` last, it has that already."""
        if self._first is not None:
            # Nothing was demanded of them when the operator began, whatever may be by now.
            for name in memory.namespaces.keys() - self._first:
                self._seen[name] = (ENDLESS, self.turn)
            self._first = None
        if self._seen and said is not None:
            last = Memory.of_status(said).namespaces
            self._seen = {
                name: each for name, each in self._seen.items() if memory.namespaces.get(name) != last.get(name)
            }
        return Memory.of_status(self.applied(memory.status))

    def applied(self, status: RetentionOfSink, since: int = 0) -> RetentionOfSink:
        """The status with what was seen after that turn."""
        seen = {name: each for name, (each, turn) in self._seen.items() if turn > since}
        return protecting(status, seen) if seen else status


def protecting(status: RetentionOfSink, seen: Mapping[str, Protection]) -> RetentionOfSink:
    """A status without deletions that this forbids. Where a minimum was seen, a class of its own remembers it."""
    moved: defaultdict[int, defaultdict[Told, list[str]]] = defaultdict(lambda: defaultdict(list))
    classes: list[ClassRetention] = []
    for each in status.classes:
        groups: list[ToldNamespaces] = []
        for group in each.told:
            known = remembered(each, group)
            left: list[str] = []
            for name in group.namespaces:
                kept = guarded(known, seen[name]) if name in seen else known
                if kept == known:
                    left.append(name)
                elif kept.told != Told():
                    moved[kept.minimum][kept.told].append(name)
            groups += [group.model_copy(update={"namespaces": tuple(left)})] if left else []
        classes.append(each.model_copy(update={"told": tuple(groups)}))
    known_as = {each.name: each for each in classes}
    for minimum, told in moved.items():
        fresh = _waiting(Demand(minimum), told)
        before = known_as.get(fresh.name)
        # What there is no room for is forgotten, which costs time, and no records.
        if before is None and len(known_as) < MAX_CLASSES:
            known_as[fresh.name] = fresh
        elif before is not None:
            both = (*before.told, *fresh.told)[:MAX_GROUPS]
            known_as[fresh.name] = before.model_copy(update={"told": both})
    return status.model_copy(update={"classes": tuple(sorted(known_as.values(), key=lambda each: each.name))})


def _waiting(demand: Demand, told: Mapping[Told, list[str]]) -> ClassRetention:
    return ClassRetention(
        name=demand.name,
        desired=desired(demand),
        state=RetentionState.PENDING,
        reason="not asked yet",
        minimum=period(demand.minimum),
        told=tuple(told_of(tuple(sorted(names)), each) for each, names in told.items())[:MAX_GROUPS],
    )
