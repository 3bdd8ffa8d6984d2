"""What a store may be told now, from what is demanded, and from what it was told and what status announced before.

Kept apart from whoever tells stores: what is deleted, and when, is decided here alone, and for every store alike.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.retention.change import Announcement, change
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
        lifted: whether this is announced because a minimum or a hold is gone: no confirmation hastens it.
    """

    delete_after: int | None = None
    announced: Announcement | None = None
    lifted: bool = False


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

    A confirmation is one of a shorter maximum. It says nothing of a minimum or a hold that is gone: then, the records
    were protected a moment ago, perhaps by a policy that somebody has deleted by mistake, and there is time to see it.
    """
    result = []
    for each in classes:
        groups: defaultdict[tuple[int | None, Told], list[str]] = defaultdict(list)
        for namespace in each.namespaces:
            before = known.get(namespace, Remembered(Told()))
            if each.name not in deletes:
                groups[None, Told()].append(namespace)
            elif namespace in each.unclear:
                groups[None, before.told].append(namespace)
            else:
                told = _next(each, namespace, before, now)
                groups[told.delete_after, told].append(namespace)
        result += [Step(each, tuple(names), after, told) for (after, told), names in groups.items()]
    return tuple(result)


def _next(wanted: RetentionClass, namespace: str, before: Remembered, now: datetime) -> Told:
    target = wanted.demand.delete_after
    was_protected = target is not None and (before.legal_hold or before.minimum > target)
    lifted = was_protected or (before.told.lifted and before.told.announced is not None)
    confirmed = namespace in wanted.confirmed and not lifted
    combined = Combined(wanted.demand, confirmed=confirmed)
    effective = before.told.delete_after
    if before.legal_hold or (effective is not None and before.minimum > effective):
        effective = None  # it was in force before that, and not since
    made = change(effective, combined, before.told.announced, now)
    return Told(made.delete_after, made.announced, lifted and made.announced is not None)
