"""What a store may be told now, from what is demanded, and from what it was told and what status announced before.

Kept apart from whoever tells stores: what is deleted, and when, is decided here alone, and for every store alike.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit_operator.retention.change import GRACE, Announcement, change
from audit_operator.retention.demand import Combined

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from datetime import datetime

    from audit_operator.retention.classes import RetentionClass


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one namespace in one store.

    Attributes:
        delete_after: age in hours at which its records are deleted by order; None: they are not.
        announced: what status says is going to be asked.
        since: from when on a maximum is known of it, without a break and with no minimum lowered nor hold lifted; None:
            no maximum is known, or it has stood for long enough.
        settled: whether that has stood for `GRACE`, so that a confirmation hastens.
    """

    delete_after: int | None = None
    announced: Announcement | None = None
    since: datetime | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """The same as it was the last time, and what protected the records then.

    Attributes:
        told: what was known.
        minimum: hours for which records were to be kept at the least.
        legal_hold: whether nothing was to be deleted.
    """

    told: Told
    minimum: int = 0
    legal_hold: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done for namespaces of one class.

    Attributes:
        wanted: the class.
        namespaces: of it, those that this is about, in order.
        delete_after: age in hours at which records are deleted now; None: nothing is deleted.
        told: what is to be remembered of them.
    """

    wanted: RetentionClass
    namespaces: tuple[str, ...]
    delete_after: int | None
    told: Told


def steps(
    classes: Iterable[RetentionClass], known: Mapping[str, Remembered], deletes: Container[str], now: datetime
) -> tuple[Step, ...]:
    """One step or more for each class; `deletes` has the names of those classes of which the store deletes by order.

    A confirmation is one of a shorter maximum. It says nothing of what protected the records a moment ago, perhaps in a
    policy that somebody has deleted by mistake. So it hastens only where a maximum was known, and nothing lifted, for
    as long as an announcement takes. What is not remembered was not known: to forget costs time, and no records.
    """
    result = []
    for each in classes:
        groups: defaultdict[tuple[int | None, Told], list[str]] = defaultdict(list)
        for namespace in each.namespaces:
            before = known.get(namespace, Remembered(Told()))
            if each.name not in deletes:
                groups[None, Told()].append(namespace)
            elif namespace in each.unclear:
                # What cannot be read may have been lifted once it can.
                groups[None, replace(before.told, since=None, settled=False)].append(namespace)
            else:
                told = _next(each, namespace, before, now)
                groups[told.delete_after, told].append(namespace)
        result += [Step(each, tuple(names), after, told) for (after, told), names in groups.items()]
    return tuple(result)


def withdrawn(planned: Iterable[Step], classes: Iterable[RetentionClass]) -> bool:
    """Whether a step deletes what may not be deleted by what is demanded now."""
    allowed = {
        name: None if name in each.unclear else each.demand.delete_after for each in classes for name in each.namespaces
    }
    return any(
        (limit := allowed.get(name)) is None or each.delete_after < limit
        for each in planned
        if each.delete_after is not None
        for name in each.namespaces
    )


def _next(wanted: RetentionClass, namespace: str, before: Remembered, now: datetime) -> Told:
    target, effective, announced = wanted.demand.delete_after, before.told.delete_after, before.told.announced
    since, settled = _standing(wanted, before, now)
    if before.legal_hold or (target is not None and before.minimum > target):
        announced = None  # it was protected a moment ago: whatever was said before that is out of date
    if before.legal_hold or (effective is not None and before.minimum > effective):
        effective = None  # it was in force before that, and not since
    combined = Combined(wanted.demand, confirmed=settled and namespace in wanted.confirmed)
    made = change(effective, combined, announced, now)
    return Told(made.delete_after, made.announced, since, settled)


def _standing(wanted: RetentionClass, before: Remembered, now: datetime) -> tuple[datetime | None, bool]:
    """From when on a maximum is known without a break, and whether that is long enough for a confirmation."""
    if wanted.demand.delete_after is None:
        return None, False
    if before.legal_hold or before.minimum > wanted.demand.minimum:
        return now, False
    since = before.told.since or now
    return (None, True) if before.told.settled or now >= since + GRACE else (since, False)
