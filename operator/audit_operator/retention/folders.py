"""Who may have records in which folder of a store, and when a folder as a whole may be deleted from.

A bucket deletes by folder, not by namespace. Each retention class has one, so that those who share it want the same.
But a namespace that moves to another class leaves its records behind, and shippers that have not heard of it yet go on
writing there for a while. So a folder is kept for as long as anybody wants who may have records in it: those who are in
its class, and those who were, until nothing lies there from their time any more. What is not known counts as somebody
who lets nothing be deleted: to forget costs deletions, and no records.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable
    from datetime import datetime

    from audit_operator.retention.orders import Step
    from audit_operator.retention.protection import Protection

LATE = timedelta(days=30)
"""For how long records may still come to a folder after their namespace has left it: shippers that the API server does
not reach go on with the table that they have."""
MOST_TEXT = 600_000
"""Characters of the names that are remembered in all folders of a store together: a status is about a megabyte at the
most. Whole folders are left out where there is more."""
MOST_FOLDERS = 128

SINK_FOLDER, CLUSTER_FOLDER, CLASS_FOLDER = "sink=", "cluster=", "class="
_PLACE = re.compile(rf"{CLUSTER_FOLDER}(?P<cluster>[a-z0-9][a-z0-9.-]*)/{CLASS_FOLDER}(?P<name>[a-z0-9-]+)/?")


def home_of(sink: str) -> str:
    """Where the folders of a sink lie, below its prefix.

    Others may lead to the same bucket, and of each other's holds they know nothing: they share no folder.
    """
    return f"{SINK_FOLDER}{sink}/"


class Place(NamedTuple):
    """A folder: of the records of one class from one cluster, below `home_of` a sink."""

    cluster: str
    name: str

    def __str__(self) -> str:
        return f"{CLUSTER_FOLDER}{self.cluster}/{CLASS_FOLDER}{self.name}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """The folder of that name, with or without a slash at its end; None where it is none of ours."""
        found = _PLACE.fullmatch(text)
        return cls(found["cluster"], found["name"]) if found else None


@dataclass(frozen=True, slots=True)
class Former:
    """A namespace that had records in a folder, and whose new records lie elsewhere.

    Attributes:
        since: when it was first seen to have left.
        delete_after: age in hours at which its records were last allowed to be deleted, while something was demanded of
            it; None: none were.
    """

    since: datetime
    delete_after: int | None


@dataclass(frozen=True, slots=True)
class Folder:
    """What is remembered of one folder.

    Attributes:
        members: those whose records come there, by name, with the age in hours at which these were last allowed to be
            deleted, while something was demanded; None: they were not.
        formerly: those who have left, by name.
        arrived: from when on those are there who came a while ago, and of whom a deletion is announced: nothing of
            theirs is older.
        unknown: until then, others may have written there, and nobody knows who; None: nobody else has.
    """

    members: Mapping[str, int | None] = field(default_factory=dict)
    formerly: Mapping[str, Former] = field(default_factory=dict)
    arrived: Mapping[str, datetime] = field(default_factory=dict)
    unknown: datetime | None = None

    @property
    def size(self) -> int:
        """Characters of the names that it remembers, with what is between them."""
        return sum(len(name) + 3 for each in (self.members, self.formerly, self.arrived) for name in each)


@dataclass(frozen=True, slots=True)
class Found:
    """What is there now.

    Attributes:
        oldest: the moment before which nothing was uploaded of what is in each folder that is not empty.
        clusters: those that are ours; folders of others are left alone.
        now: the time.
        former: those that were ours, and whose folders were looked at, too.
    """

    oldest: Mapping[Place, datetime]
    clusters: frozenset[str]
    now: datetime
    former: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limit:
    """From which age on a folder may be deleted from, in hours; None: nothing may be.

    Attributes:
        delete_after: that age.
        because: how many namespaces stand against it, where nothing may be deleted; 0: nobody is known to.
        keep: hours for which records there are to be kept at the least, whoever deletes them.
    """

    delete_after: int | None
    because: int = 0
    keep: int = 0


def remembered(before: Mapping[Place, Folder], planned: Collection[Step], found: Found) -> dict[Place, Folder]:
    """What is to be remembered now, from what was before."""
    present = _present(planned)
    wanted = {Place(cluster, name) for cluster in found.clusters for name in present}
    looked = found.clusters | found.former
    there = {each for each in found.oldest if each.cluster in looked}
    everywhere = _of_all(present)
    # Without any memory, nobody knows where shippers write by what they were told earlier.
    lost = bool(there) and not before
    made: dict[Place, Folder] = {}
    for place in sorted({*before, *there, *wanted}, key=lambda each: (each not in before, each)):
        folder = before.get(place) or Folder(unknown=found.now if lost or place in there else None)
        here = present.get(place.name, {}) if place in wanted else {}
        folder = _moved(folder, here, everywhere, found.now)
        if place.cluster in looked:
            folder = _without_what_is_gone(folder, found.oldest.get(place), found.now)
        if place in wanted or place in found.oldest or folder.formerly or folder.unknown is not None:
            made[place] = folder
    return _bounded(made, before, found.now)


def limits(folders: Mapping[Place, Folder], planned: Collection[Step], existing: Container[str]) -> dict[Place, Limit]:
    """What may be deleted of each folder, if of anything. `existing` are the namespaces that there are."""
    present = _present(planned)
    everywhere = _of_all(present)
    if everywhere and all(name in step.wanted.unclear for name, step in everywhere.items()):
        # A control plane or a sink cannot be read: who has gone may be demanded for there, too.
        return {place: Limit(None, len(everywhere)) for place in folders}
    return {
        place: _limit(folder, present.get(place.name, {}), everywhere, existing) for place, folder in folders.items()
    }


Present = Mapping[str, Mapping[str, "Step"]]
"""The step of each namespace, by class."""


def _present(planned: Iterable[Step]) -> Present:
    found: defaultdict[str, dict[str, Step]] = defaultdict(dict)
    for step in planned:
        found[step.wanted.name].update(dict.fromkeys(step.namespaces, step))
    return found


def _of_all(present: Present) -> dict[str, Step]:
    return {name: step for steps in present.values() for name, step in steps.items()}


def _moved(folder: Folder, here: Mapping[str, Step], everywhere: Mapping[str, Step], now: datetime) -> Folder:
    """Who left since, and who came; and what is demanded of those who had left before."""
    left = {name: Former(now, after) for name, after in folder.members.items() if name not in here}
    formerly = {
        name: replace(former, delete_after=everywhere[name].told.delete_after) if name in everywhere else former
        for name, former in {**folder.formerly, **left}.items()
    }
    arrived = {
        name: folder.arrived.get(name, now)
        for name, step in here.items()
        if (name not in folder.members or name in folder.arrived)
        and name not in formerly
        and step.told.announced is not None
    }
    members = {name: step.told.delete_after for name, step in here.items()}
    return replace(folder, members=members, formerly=formerly, arrived=arrived)


def _without_what_is_gone(folder: Folder, oldest: datetime | None, now: datetime) -> Folder:
    """Forget those of whose time nothing lies there any more, as was seen and not as was to be expected."""
    youngest = now if oldest is None else min(oldest, now)

    def is_over(since: datetime) -> bool:
        return youngest > since + LATE

    return replace(
        folder,
        formerly={name: each for name, each in folder.formerly.items() if not is_over(each.since)},
        unknown=None if folder.unknown is None or is_over(folder.unknown) else folder.unknown,
    )


def _bounded(folders: dict[Place, Folder], before: Mapping[Place, Folder], now: datetime) -> dict[Place, Folder]:
    """The same, with no more names and folders than can be remembered. Nobody is told to write to one without names."""
    kept = dict(list(folders.items())[:MOST_FOLDERS])
    sizes = {place: each.size for place, each in kept.items()}
    left = sum(sizes.values())
    for place in sorted(kept, key=lambda each: (-sizes[each], each)):
        if left <= MOST_TEXT:
            break
        left -= sizes[place]
        known = before.get(place)
        kept[place] = known if known is not None and not known.size and known.unknown else Folder(unknown=now)
    return kept


def _limit(folder: Folder, here: Mapping[str, Step], everywhere: Mapping[str, Step], existing: Container[str]) -> Limit:
    if folder.unknown is not None:
        return Limit(None)
    allowed = [_allowed(folder, each, step) for each, step in here.items()]
    least = [step.wanted.demand.minimum for step in here.values()]
    for each, former in folder.formerly.items():
        if each in here:
            continue
        if each in everywhere:
            allowed.append(everywhere[each].delete_after)
            least.append(everywhere[each].wanted.demand.minimum)
        else:
            # Where nothing is demanded of it any more, perhaps by mistake, nothing is deleted; once the namespace
            # itself is gone, it stays as it was last asked.
            allowed.append(None if each in existing or not each else former.delete_after)
            # Its minimum is not known any more, and was no longer than that.
            least.append(former.delete_after or 0)
    if against := sum(each is None for each in allowed):
        return Limit(None, against)
    return Limit(max((each for each in allowed if each is not None), default=None), keep=max(least, default=0))


def _allowed(folder: Folder, name: str, step: Step) -> int | None:
    """The age that a member allows. What is announced counts, where it will be due before anything of it is so old."""
    announced, arrived = step.told.announced, folder.arrived.get(name)
    if announced is None or arrived is None or name in step.wanted.unclear:
        return step.delete_after
    reached = arrived + timedelta(hours=announced.delete_after)
    return announced.delete_after if announced.due <= reached else step.delete_after


def held(folders: Mapping[Place, Folder], seen: Mapping[str, Protection]) -> dict[Place, Folder]:
    """The same, where this was seen to protect namespaces while their store could not be asked: it outlives them."""

    def kept(name: str, after: int | None) -> int | None:
        by = seen.get(name)
        if by is None or after is None:
            return after
        return None if by.endless else max(after, by.minimum)

    return {
        place: replace(
            each,
            members={name: kept(name, after) for name, after in each.members.items()},
            formerly={
                name: replace(one, delete_after=kept(name, one.delete_after)) for name, one in each.formerly.items()
            },
        )
        for place, each in folders.items()
    }


@dataclass(frozen=True, slots=True)
class Layout:
    """Where shippers are to write what they ship to one store: only to where it is remembered that they do."""

    places: Mapping[tuple[str, str], Place] = field(default_factory=dict)
    """By cluster and namespace; records of none have the name ``""``."""

    @classmethod
    def of(cls, folders: Mapping[Place, Folder]) -> Layout:
        """From what is remembered."""
        return cls({(place.cluster, name): place for place, each in folders.items() for name in each.members})

    def folder(self, cluster: str, namespace: str) -> str:
        """Empty where records lie in no folder of a class: nothing is deleted there."""
        place = self.places.get((cluster, namespace))
        return str(place) if place is not None else ""
