"""What a bucket keeps, and whether it refuses to delete: asked, and tried.

Settings that read well prove little: a store may take Object Lock's settings and not keep to them. So a deletion
is tried, too. Records lie in a folder for each retention class, which has a lifecycle rule of its own; what came
before, and what is of no class, lies beside them and is never deleted by order.

Object Lock binds whoever comes through the S3 API. Whoever runs the store may have other ways to its disks (measured
with SeaweedFS: one DELETE at its filer takes locked versions with it).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from minio.error import S3Error
from minio.lifecycleconfig import LifecycleConfig
from minio.objectlockconfig import YEARS
from minio.xml import unmarshal

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink import ObjectLockMode
from audit_operator.retention.demand import period
from audit_operator.retention.folders import home_of
from audit_operator.retention.judgement import Facts, Gap, Mends
from audit_operator.sinks.retention.protocol import NO_FOLDERS, Observed
from audit_operator.sinks.retention.s3_canary import LOCKED
from audit_operator.sinks.retention.s3_lifecycle import lifecycle
from audit_operator.sinks.retention.s3_orders import Turns, order, rules_of
from audit_operator.sinks.retention.s3_rules import Expiry
from audit_operator.sinks.retention.s3_trials import Trials
from audit_operator.sinks.store import Failure, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import minio
    from minio.datatypes import Object

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Limit, Place
    from audit_operator.sinks.retention.protocol import Done, Order
    from audit_operator.sinks.retention.s3_lifecycle import Lifecycle
    from audit_operator.sinks.retention.s3_rules import Rules
    from audit_operator.sinks.s3 import S3Store

_DAY = 24
_MOST_LISTED = 1000
_OUTSIDE = (
    "the operator deletes nothing there: give the folders of years a lifecycle rule that is as long as the longest "
    "minimum, or remove what may go"
)
_VERSIONS = "let the default of the bucket's Object Lock be as long as the minimum, or keep no versions there"


@dataclass(frozen=True, slots=True)
class _Lock:
    """What the bucket locks by default, for how many hours; empty and 0: nothing."""

    mode: str = ""
    hours: int = 0


@dataclass(frozen=True, slots=True)
class _Inside:
    """What lies in one folder.

    Attributes:
        uploaded: when its oldest objects were, by the hours in their names, and those of hours that are to come.
        since: nothing was uploaded before; None: nothing lies there.
        newest: the lock of the newest object.
    """

    uploaded: tuple[datetime, ...] = ()
    since: datetime | None = None
    newest: _Lock | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that was asked of a bucket; `trial` says what came of the canary: empty where its deletion was refused.

    `lifecycle` is what rules of others do; `outside` what lies in no folder of a class.
    """

    versioned: bool
    rules: Rules
    lifecycle: Lifecycle
    lock: _Lock
    outside: _Inside
    places: Mapping[Place, _Inside]
    trial: str = ""

    @property
    def settings(self) -> str:
        """Another text where somebody changed them."""
        return f"versioned={self.versioned} {self.lifecycle} {self.lock}"

    def of(self, name: str) -> Iterator[_Inside]:
        """What lies in the folders of a class."""
        return (each for place, each in self.places.items() if place.name == name)


@dataclass(frozen=True, slots=True)
class S3Retention:
    """The folder of one sink in a bucket; implements `protocol.RetentionStore`.

    Attributes:
        store: the bucket.
        sink: its name; folders of others are foreign.
        clusters: names under which records of ours come; those of others are foreign, too.
        locked: see `s3_canary`.
        trials: where an object of ours is tried to be deleted.
        turns: of those who change rules.
    """

    store: S3Store
    sink: str = ""
    clusters: tuple[str, ...] = ()
    locked: timedelta = LOCKED
    trials: Trials = field(default_factory=Trials, repr=False, compare=False)
    turns: Turns = field(default_factory=Turns, repr=False, compare=False)

    @property
    def home(self) -> str:
        """Where its folders lie in the bucket."""
        return f"{self.store.bucket.prefix}{home_of(self.sink)}"

    @property
    def mends(self) -> Mends:
        """See `protocol.RetentionStore`."""
        bucket = self.store.bucket
        place = f"bucket {bucket.bucket}" + (f" for {bucket.prefix}" if bucket.prefix else "")
        mode = bucket.object_lock.mode.value if bucket.object_lock else ""
        return Mends(
            keep_longer=f"lengthen the lifecycle rules of {place}, or remove them",
            delete=f"set a lifecycle rule in {place} that expires objects, and versions that are no longer current",
            lock=f"make the default of {place}'s Object Lock {mode}, for as long as the minimum"
            if mode
            else "set spec.s3.objectLock in the sink, and such a default in a bucket that was made with Object Lock",
        )

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Observed | Failure | Unsupported:
        """See `protocol.RetentionStore`. Writes, and tries to delete, an object of its own where a lock is demanded."""
        lock = self.store.bucket.object_lock
        mode = lock.mode if lock is not None and any(each.demand.immutable for each in classes) else None
        seen, trial = await asyncio.gather(self.store.call(lambda: _look(self, now, mode)), self._tried(now, mode))
        if isinstance(seen, Failure):
            return seen
        if isinstance(trial, Failure):
            return trial
        seen = replace(seen, trial=trial)
        return Observed(
            {each.name: _facts(each, seen, mode, now) for each in classes},
            seen.settings,
            folders={place: each.since for place, each in seen.places.items() if each.since is not None},
            ordered={place: each.days * _DAY if each is not None else None for place, each in seen.rules.ours.items()},
        )

    async def enforce(
        self,
        orders: Sequence[Order],  # noqa: ARG002 - the protocol's
        now: datetime,  # noqa: ARG002
        folders: Mapping[Place, Limit] = NO_FOLDERS,
    ) -> Done | Failure | Unsupported:
        """See `protocol.RetentionStore`. A rule for each folder that may be deleted from, in one write."""
        given_up = threading.Event()

        def told() -> Done | Failure | Unsupported:
            with self.turns.of(self.store):
                locked = _lock(self.store.client, self.store.bucket.bucket).hours
                wanted = {place: self._rule(place, each, locked) for place, each in folders.items()}
                return order(self.store, self.home, self.clusters, wanted, given_up)

        try:
            return await self.store.call(told)
        finally:
            given_up.set()

    def _rule(self, place: Place, limit: Limit, locked: int) -> Expiry | None:
        """Of a folder, in a bucket that locks what comes for so many hours: as long, a version cannot go early."""
        if limit.delete_after is None:
            return None
        return Expiry.of(self.home, place, limit.delete_after, 0 if limit.keep <= locked else limit.keep)

    async def _tried(self, now: datetime, mode: ObjectLockMode | None) -> str | Failure:
        return "" if mode is None else await self.trials.hold(self.store, mode, now, self.locked)


def _look(retention: S3Retention, now: datetime, mode: ObjectLockMode | None) -> _Seen:
    """Blocks; raises what the library does, and ValueError where the rules are none that it knows."""
    store = retention.store
    client, bucket = store.client, store.bucket
    versioned = bool(client.get_bucket_versioning(bucket.bucket).status)
    rules = rules_of(store, retention.home, retention.clusters)
    theirs = unmarshal(LifecycleConfig, rules.of_others) if rules.foreign else None
    return _Seen(
        versioned,
        rules,
        lifecycle(theirs, bucket.prefix, retention.home, versioned=versioned),
        _lock(client, bucket.bucket),
        _inside(store, bucket.prefix, now, mode),
        {
            each: _inside(store, f"{retention.home}{each}/", now, mode)
            for each in store.places(retention.sink)
            if each.cluster in retention.clusters
        },
    )


def _inside(store: S3Store, folder: str, now: datetime, mode: ObjectLockMode | None) -> _Inside:
    newest = _newest(store, folder, now) if mode is not None else None
    locked = None if newest is None else _lock_of(store.client, store.bucket.bucket, newest)
    # Clocks of shippers may be wrong: an hour says as little as a moment of the store's when the other is earlier.
    later = (now + timedelta(hours=1)).astimezone(UTC).strftime("%Y/%m/%d/%H/")
    known = dict([*_oldest(store, folder), *_oldest(store, folder, later)])
    since = min((_earliest(key.removeprefix(folder), when) for key, when in known.items()), default=None)
    return _Inside(tuple(sorted(known.values())), since, locked)


def _lock(client: minio.Minio, bucket: str) -> _Lock:
    try:
        config = client.get_object_lock_config(bucket)
    except S3Error as error:
        if error.code == "ObjectLockConfigurationNotFoundError":
            return _Lock()
        raise
    if config.mode is None or config.duration is None:
        return _Lock()
    return _Lock(config.mode, config.duration * _DAY * (365 if config.duration_unit == YEARS else 1))


def _lock_of(client: minio.Minio, bucket: str, stored: Object) -> _Lock:
    """Of an object that was stored: what it is really locked for."""
    try:
        kept = client.get_object_retention(bucket, str(stored.object_name))
    except S3Error as error:
        if error.code in {"InvalidRequest", "NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"}:
            return _Lock()
        raise
    if kept is None or stored.last_modified is None:
        return _Lock()
    return _Lock(kept.mode, round((kept.retain_until_date - stored.last_modified) / timedelta(hours=1)))


def _newest(store: S3Store, folder: str, now: datetime) -> Object | None:
    """The last of two days, or of as many objects as one looks at."""
    after = (now - timedelta(days=2)).astimezone(UTC).strftime("%Y/%m/%d/%H/")
    last = deque(islice(store.objects(folder, after), _MOST_LISTED), maxlen=1)
    return last[0] if last else None


def _oldest(store: S3Store, folder: str, after: str = "0") -> Iterator[tuple[str, datetime]]:
    """The first objects by their hours, and when they were uploaded."""
    for each in islice(store.objects(folder, after), _MOST_LISTED):
        if each.last_modified is not None:
            yield str(each.object_name), each.last_modified


def _earliest(key: str, uploaded: datetime) -> datetime:
    """Before which an object cannot have been uploaded, by the hour in its name or by the store."""
    try:
        hour = datetime.strptime(key[: len("2026/01/01/00")], "%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return uploaded
    return min(hour, uploaded)


def _facts(wanted: RetentionClass, seen: _Seen, mode: ObjectLockMode | None, now: datetime) -> Facts:
    gaps = [*_lifecycle_gaps(wanted, seen), *_overdue(wanted, seen, now)]
    missing = list(_lock_gaps(wanted, seen, mode)) if wanted.demand.immutable and mode is not None else []
    ordered = [each.days * _DAY for place, each in seen.rules.ours.items() if each and place.name == wanted.name]
    oldest = [when for each in (seen.outside, *seen.of(wanted.name)) for when in each.uploaded[:1]]
    return Facts(
        min((*ordered, *([seen.lifecycle.earliest] if seen.lifecycle.earliest is not None else [])), default=None),
        can_delete=True,
        immutable=mode is not None and wanted.demand.immutable and not missing,
        oldest=min(oldest, default=None),
        gaps=(*gaps, *missing),
    )


def _lifecycle_gaps(wanted: RetentionClass, seen: _Seen) -> Iterator[Gap]:
    rules = seen.lifecycle
    if rules.dated:
        said = "a lifecycle rule deletes on a date, however young records are"
        yield Gap(RetentionState.PARTIAL, said, "remove it")
    latest = wanted.demand.delete_after
    older = max(
        (each.older for place, each in seen.rules.ours.items() if each and place.name == wanted.name), default=1
    )
    if latest is not None and seen.versioned and older > 1:
        said = f"versions of objects stay for {period(older * _DAY)} more, as somebody may have deleted these too early"
        yield Gap(RetentionState.PARTIAL, said, _VERSIONS)
    if latest is None or rules.earliest is None or rules.earliest > latest:
        return  # what is missing then is missing in every store, and said for all of them
    if any(place.name == wanted.name for place in seen.rules.ours):
        return
    if rules.all_by is None or rules.all_by > latest:
        said = f"lifecycle rules do not delete all objects and all of their versions after {period(latest)}"
        yield Gap(RetentionState.PARTIAL, said, "expire versions that are no longer current, and set no tags")


def _overdue(wanted: RetentionClass, seen: _Seen, now: datetime) -> Iterator[Gap]:
    latest = wanted.demand.delete_after
    if latest is None:
        return

    def late(uploaded: tuple[datetime, ...]) -> str:
        count = sum(now - each > timedelta(hours=latest) for each in uploaded)
        return f"{count} or more" if count >= _MOST_LISTED else str(count) if count else ""

    for each in seen.of(wanted.name):
        if many := late(each.uploaded):
            yield Gap(RetentionState.PENDING, f"{many} objects are older than {period(latest)}", "")
    if many := late(seen.outside.uploaded):
        said = f"{many} objects are older than {period(latest)} that lie in no folder of a class, and may be of any"
        yield Gap(RetentionState.PENDING if _goes(seen, latest) else RetentionState.PARTIAL, said, _OUTSIDE)


def _goes(seen: _Seen, latest: int) -> bool:
    """Whether a rule of others sees to what lies in no folder."""
    return seen.lifecycle.all_by is not None and seen.lifecycle.all_by <= latest


def _lock_gaps(wanted: RetentionClass, seen: _Seen, mode: ObjectLockMode | None) -> Iterator[Gap]:
    enough = {"COMPLIANCE"} if mode is ObjectLockMode.COMPLIANCE else {"COMPLIANCE", "GOVERNANCE"}
    least = wanted.demand.minimum
    newest = next((each.newest for each in seen.of(wanted.name) if each.newest is not None), seen.outside.newest)
    for what, lock in (("the bucket's default", seen.lock), ("the newest object", newest)):
        if lock is None:
            continue
        said = f"locked {lock.mode.capitalize()} for {period(lock.hours)}" if lock.mode else "not locked"
        if lock.mode not in enough or lock.hours < least:
            yield Gap(RetentionState.PARTIAL, f"{what} is {said}", "")
    if seen.trial:
        yield Gap(RetentionState.PARTIAL, seen.trial, "")
