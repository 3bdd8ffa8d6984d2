"""The status of a sink as what the operator remembers of its store, and what it has just learned as that status.

Announcements must outlive the operator, so that they stand where everybody can read them, and count only once they do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink_retention import (
    MAX_CLASSES,
    MAX_GROUPS,
    MAX_NAMESPACES,
    AnnouncedDeletion,
    ClassRetention,
    RetentionOfSink,
    ToldNamespaces,
)
from audit_operator.api.text import hours
from audit_operator.controller.retention_folders import folders_in, moment, ordered_in
from audit_operator.retention.change import Announcement
from audit_operator.retention.classes import first
from audit_operator.retention.demand import Demand, period
from audit_operator.retention.orders import Remembered, Told
from audit_operator.retention.searchable import FOR_EVER, searchable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Folder, Place
    from audit_operator.retention.judgement import Facts, Judgement
    from audit_operator.retention.orders import Step

_LONGEST = 1024
_FRESH = timedelta(days=1)
"""For how long a time in status may stay while nothing else changes: a status is no heartbeat."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the status of a sink said.

    Attributes:
        status: all of it.
        namespaces: what was known of each namespace.
        folders: what was known of each folder, where the store has some.
        ordered: from which age on, in hours, each folder was to be deleted from; None: not at all.
    """

    status: RetentionOfSink
    namespaces: Mapping[str, Remembered] = field(default_factory=dict)
    folders: Mapping[Place, Folder] = field(default_factory=dict)
    ordered: Mapping[Place, int | None] = field(default_factory=dict)

    @classmethod
    def read(cls, document: Mapping[str, Any], store: str) -> Memory:
        """From a sink as the API server has it. Of another store, or in another shape, nothing is remembered."""
        found = (document.get("status") or {}).get("retention")
        try:
            status = RetentionOfSink.model_validate_json(json.dumps(found), by_alias=True, by_name=False)
            if status.store != store:
                return cls(RetentionOfSink(store=store))
            return cls.of_status(status)
        except (ValidationError, ValueError, KeyError):
            return cls(RetentionOfSink(store=store))

    @classmethod
    def of_status(cls, status: RetentionOfSink) -> Memory:
        """From a status. Raises ValueError, KeyError where it has no periods, or no times."""
        return cls(status, dict(_namespaces(status)), folders_in(status), ordered_in(status))

    def of(self, name: str) -> ClassRetention | None:
        """What was said of a class."""
        return next((each for each in self.status.classes if each.name == name), None)

    def carried(self, classes: Iterable[RetentionClass]) -> tuple[ClassRetention, ...]:
        """What was said of these, as far as it is still about them: nothing new is known.

        Whatever is no longer so, or unclear, is forgotten. That costs time, and no records.
        """
        demanded = {each.name: frozenset(each.namespaces) - each.unclear for each in classes}
        said = (each for each in self.status.classes if each.name in demanded)
        return tuple(_only(each, demanded[each.name]) for each in said)


def _only(said: ClassRetention, namespaces: frozenset[str]) -> ClassRetention:
    groups = (
        group.model_copy(update={"namespaces": tuple(each for each in group.namespaces if each in namespaces)})
        for group in said.told
    )
    return said.model_copy(update={"told": tuple(each for each in groups if each.namespaces)})


def _namespaces(status: RetentionOfSink) -> Iterable[tuple[str, Remembered]]:
    for each in status.classes:
        for group in each.told:
            known = remembered(each, group)
            for name in group.namespaces:
                yield name, known


def remembered(said: ClassRetention, group: ToldNamespaces) -> Remembered:
    """What a status knows of the namespaces of one group. Raises ValueError, KeyError as `Memory.of_status`."""
    told = Told(
        hours(group.delete_after) if group.delete_after else None,
        _announcement(group.announced) if group.announced else None,
        datetime.fromisoformat(group.since) if group.since else None,
        group.settled,
    )
    return Remembered(told, hours(said.minimum) if said.minimum else 0, said.legal_hold)


def _announcement(said: AnnouncedDeletion) -> Announcement:
    return Announcement(hours(said.delete_after), datetime.fromisoformat(said.since))


def remembering(
    before: Memory,
    settings: str,
    made: Iterable[tuple[tuple[Step, ...], Facts, Judgement]],
    now: datetime,
    carried: tuple[ClassRetention, ...] = (),
) -> RetentionOfSink:
    """The status that says what was just found: of each class its steps, the store's facts, and how it was judged.

    Of classes of which nothing was found, what was said before is `carried` on.
    """
    found = list(made)
    kept = first((steps[0].wanted for steps, _, _ in found), MAX_CLASSES - len(carried))
    classes = [_class(before, *each, now) for each in found if each[0][0].wanted.name in kept]
    every = tuple(sorted((*classes, *carried), key=lambda each: each.name))
    return RetentionOfSink(store=before.status.store, settings=settings[:_LONGEST], classes=every)


def _class(before: Memory, steps: tuple[Step, ...], facts: Facts, judged: Judgement, now: datetime) -> ClassRetention:
    demand = steps[0].wanted.demand
    fresh = ClassRetention(
        name=demand.name,
        desired=desired(demand),
        effective=_effective(demand, facts),
        searchable=searchable(demand, facts) if demand.hot else "",
        state=judged.state,
        oldest=moment(facts.oldest) if facts.oldest is not None else None,
        last_verified=moment(now),
        reason=judged.reason[:_LONGEST],
        minimum=period(demand.minimum) if demand.minimum else "",
        legal_hold=demand.legal_hold,
        told=tuple(told_of(each.namespaces, each.told) for each in steps[:MAX_GROUPS]),
    )
    said = before.of(demand.name)
    if said is None or said.last_verified is None or now - datetime.fromisoformat(said.last_verified) >= _FRESH:
        return fresh
    quiet = fresh.model_copy(update={"oldest": said.oldest, "last_verified": said.last_verified})
    return quiet if quiet == said else fresh


def _effective(demand: Demand, facts: Facts) -> str:
    if not demand.hot:
        return facts.effective
    length = searchable(demand, facts)
    return f"{facts.effective}, searchable {_spoken(length) if length else 'for no known time'}"


def _spoken(length: str) -> str:
    return length if length == FOR_EVER else f"for {length}"


def told_of(namespaces: tuple[str, ...], told: Told) -> ToldNamespaces:
    """As status has it."""
    announced = None
    if told.announced is not None:
        announced = AnnouncedDeletion(
            delete_after=period(told.announced.delete_after),
            since=moment(told.announced.since),
            due=moment(told.announced.due),
        )
    return ToldNamespaces(
        namespaces=namespaces[:MAX_NAMESPACES],
        delete_after=period(told.delete_after) if told.delete_after is not None else "",
        announced=announced,
        since=moment(told.since) if told.since is not None else None,
        settled=told.settled,
    )


def desired(demand: Demand) -> str:
    """A demand as people say it."""
    parts = ["legal hold"] if demand.legal_hold else []
    parts += [f"at least {period(demand.minimum)}"] if demand.minimum else []
    parts += [f"at most {period(demand.maximum)}"] if demand.maximum is not None else []
    parts += [f"{period(demand.hot)} at once"] if demand.hot else []
    parts += ["immutable"] if demand.immutable else []
    return ", ".join(parts)


def drifted(before: Memory, name: str, judged: Judgement, settings: str) -> bool:
    """Whether somebody changed the store's settings: they were good enough for this class, and are so no longer."""
    said = before.of(name)
    if said is None or judged.state not in (RetentionState.PARTIAL, RetentionState.UNSUPPORTED):
        return False
    good = said.state in (RetentionState.ENFORCED, RetentionState.PENDING, RetentionState.CONFLICT)
    return said.state is RetentionState.DRIFTED or (good and before.status.settings != settings[:_LONGEST])
