"""The folders of a store that deletes by folder: what the status of a sink remembers of them, and what follows from it.

Shippers are told of a folder only once the status that remembers it can be read: so nobody ever has records in a folder
that the operator knows nothing of.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink_retention import (
    ClassFolder,
    FormerNamespaces,
    NamespacesOfFolder,
    NewNamespaces,
)
from audit_operator.api.text import hours
from audit_operator.retention.demand import period
from audit_operator.retention.folders import Folder, Former, Found, Limit, Place, held, limits, remembered
from audit_operator.retention.judgement import Gap
from audit_operator.retention.protection import protections

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

    from audit_operator.api.sink_retention import RetentionOfSink
    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.orders import Step
    from audit_operator.sinks.retention.protocol import Observed

_T = TypeVar("_T")


def folders_in(status: RetentionOfSink) -> dict[Place, Folder]:
    """What a status remembers of folders. Raises ValueError where it has no periods, or no times."""
    return {place: _folder(each) for each in status.folders if (place := Place.parse(each.name)) is not None}


def ordered_in(status: RetentionOfSink) -> dict[Place, int | None]:
    """From which age on, in hours, folders were to be deleted from."""
    return {place: _age(each.delete_after) for each in status.folders if (place := Place.parse(each.name)) is not None}


def _folder(said: ClassFolder) -> Folder:
    return Folder(
        {name: _age(group.delete_after) for group in said.members for name in group.namespaces},
        {
            name: Former(_time(group.since), _age(group.delete_after))
            for group in said.formerly
            for name in group.namespaces
        },
        {name: _time(group.since) for group in said.arrived for name in group.namespaces},
        _time(said.unknown) if said.unknown else None,
    )


def holding(status: RetentionOfSink, classes: Iterable[RetentionClass]) -> RetentionOfSink:
    """A status with what is demanded to be kept, of a store that cannot be asked."""
    if not status.folders:
        return status
    before = folders_in(status)
    kept = held(before, protections(classes))
    if kept == before:
        return status
    folders = tuple(_said(place, each, ordered_in(status)[place]) for place, each in sorted(kept.items()))
    return status.model_copy(update={"folders": folders})


def former_clusters(folders: Iterable[Place], clusters: Iterable[str]) -> frozenset[str]:
    """Those that ship there no more, and of which folders are remembered."""
    return frozenset(each.cluster for each in folders).difference(clusters)


def found_in(seen: Observed, clusters: Iterable[str], former: Iterable[str], now: datetime) -> Found | None:
    """What is in the folders of a store; None where it has none."""
    if seen.folders is None:
        return None
    return Found(seen.folders, frozenset(clusters), now, frozenset(former))


@dataclass(frozen=True, slots=True)
class Folders:
    """What is remembered of the folders of a store from now on, and what may be deleted from each."""

    remembered: Mapping[Place, Folder] = field(default_factory=dict)
    limits: Mapping[Place, Limit] = field(default_factory=dict)

    @classmethod
    def of(
        cls, before: Mapping[Place, Folder], planned: Collection[Step], found: Found | None, existing: Container[str]
    ) -> Folders:
        """From what was remembered, and what is there; `existing` are the namespaces that exist."""
        if found is None:
            return cls()
        kept = remembered(before, planned, found)
        return cls(kept, limits(kept, planned, existing))

    def gaps(self, wanted: RetentionClass) -> tuple[Gap, ...]:
        """Why records of a class are deleted later than it asks for. Names of others are not for everybody to read."""
        latest = wanted.demand.delete_after
        theirs = [each for place, each in self.limits.items() if place.name == wanted.name]
        return tuple(dict.fromkeys(gap for each in theirs for gap in _gaps(each, latest))) if latest is not None else ()

    def changed(self, ordered: Mapping[Place, int | None], seen: Observed) -> frozenset[str]:
        """Classes whose rules are neither what was ordered nor what is to be: somebody else has changed them."""
        return frozenset(
            place.name
            for place in self.limits.keys() & ordered.keys()
            if not _same(seen.ordered.get(place, _NOTHING), ordered[place])
            and not _same(seen.ordered.get(place, _NOTHING), self.limits[place].delete_after)
        )

    def status(self, *, enforced: bool) -> tuple[ClassFolder, ...]:
        """The same as status has it; `enforced`: whether the store was told."""
        return tuple(
            _said(place, each, self.limits[place].delete_after if enforced else None)
            for place, each in sorted(self.remembered.items())
        )


_NOTHING = 0
"""In place of an age: there is no rule."""
_DAY = 24


def _same(found: int | None, ordered: int | None) -> bool:
    """Whether a rule says what was ordered; rules count in days."""
    return found == (_NOTHING if ordered is None else -(-ordered // _DAY) * _DAY)


def _gaps(limit: Limit, latest: int) -> Iterable[Gap]:
    if limit.delete_after is None and not limit.because:
        said = "nothing is deleted from its folder: whose records lie there is not known, and may be anybody's"
        yield Gap(RetentionState.PARTIAL, said, "remove by hand what may go; see docs/retention.md")
    elif limit.delete_after is None:
        said = f"nothing is deleted from its folder for now: {limit.because} namespaces with records there forbid it"
        yield Gap(RetentionState.PENDING, said, "")
    elif limit.delete_after > latest:
        said = f"namespaces with records in its folder keep it up to {period(limit.delete_after)}"
        yield Gap(RetentionState.PENDING, said, "")


def _said(place: Place, folder: Folder, after: int | None) -> ClassFolder:
    return ClassFolder(
        name=str(place),
        delete_after=_written(after),
        members=tuple(
            NamespacesOfFolder(namespaces=names, delete_after=_written(last))
            for last, names in _together(folder.members).items()
        ),
        formerly=tuple(
            FormerNamespaces(namespaces=names, since=moment(each.since), delete_after=_written(each.delete_after))
            for each, names in _together(folder.formerly).items()
        ),
        arrived=tuple(
            NewNamespaces(namespaces=names, since=moment(since)) for since, names in _together(folder.arrived).items()
        ),
        unknown=moment(folder.unknown) if folder.unknown is not None else None,
    )


def _together(known: Mapping[str, _T]) -> dict[_T, tuple[str, ...]]:
    """Names of whom the same is known, in order."""
    found: defaultdict[_T, list[str]] = defaultdict(list)
    for name, each in sorted(known.items(), key=lambda item: item[0]):
        found[each].append(name)
    return {each: tuple(names) for each, names in found.items()}


def _written(after: int | None) -> str:
    return period(after) if after is not None else ""


def _age(said: str) -> int | None:
    return hours(said) if said else None


def moment(time: datetime) -> str:
    """As status has it."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _time(said: str) -> datetime:
    return datetime.fromisoformat(said)
