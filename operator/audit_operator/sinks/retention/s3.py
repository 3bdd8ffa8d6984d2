"""What a bucket keeps, and whether it refuses to delete: asked, and tried.

Settings that read well prove little: a store may take Object Lock's settings and not keep to them. So a deletion
is tried, too. The operator deletes nothing here: objects hold records of many namespaces, so that no lifecycle rule can
tell those of one from those of another.

Object Lock binds whoever comes through the S3 API. Whoever runs the store may have other ways to its disks (measured
with SeaweedFS: one DELETE at its filer takes locked versions with it).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from minio.error import S3Error
from minio.objectlockconfig import YEARS

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink import ObjectLockMode
from audit_operator.retention.demand import period
from audit_operator.retention.judgement import Facts, Gap, Mends
from audit_operator.sinks.retention.protocol import Observed
from audit_operator.sinks.retention.s3_canary import LOCKED, try_to_delete
from audit_operator.sinks.retention.s3_lifecycle import lifecycle
from audit_operator.sinks.s3 import HOUR
from audit_operator.sinks.store import Failure, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import minio
    from minio.datatypes import Object

    from audit_operator.api.sink import S3
    from audit_operator.retention.classes import RetentionClass
    from audit_operator.sinks.retention.protocol import Order
    from audit_operator.sinks.retention.s3_lifecycle import Lifecycle
    from audit_operator.sinks.s3 import S3Store

_DAY = 24
_MOST_LISTED = 1000
_SHARED = "objects hold records of many namespaces, so that the operator cannot delete those of some of them"


@dataclass(frozen=True, slots=True)
class _Lock:
    """What the bucket locks by default, for how many hours; empty and 0: nothing."""

    mode: str = ""
    hours: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that was asked of a bucket; `trial` says what came of the canary: empty where its deletion was refused."""

    versioned: bool
    lifecycle: Lifecycle
    lock: _Lock
    newest: _Lock | None
    oldest: tuple[datetime, ...]
    trial: str

    @property
    def settings(self) -> str:
        """Another text where somebody changed them."""
        return f"versioned={self.versioned} {self.lifecycle} {self.lock}"


@dataclass(frozen=True, slots=True)
class S3Retention:
    """The folder of one sink in a bucket; implements `protocol.RetentionStore`. `locked`: see `s3_canary`."""

    store: S3Store
    locked: timedelta = LOCKED

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
        seen = await self.store.call(lambda: _look(self, now, mode))
        if isinstance(seen, Failure):
            return seen
        return Observed({each.name: _facts(each, seen, mode, now) for each in classes}, seen.settings)

    async def enforce(self, orders: Sequence[Order], now: datetime) -> Unsupported:  # noqa: ARG002  # the protocol's
        """See `protocol.RetentionStore`."""
        return Unsupported(_SHARED)


def _look(retention: S3Retention, now: datetime, mode: ObjectLockMode | None) -> _Seen:
    """Blocks; raises what the library does."""
    store = retention.store
    client, bucket = store.client, store.bucket
    versioned = bool(client.get_bucket_versioning(bucket.bucket).status)
    newest = _newest(store, now)
    return _Seen(
        versioned,
        lifecycle(client.get_bucket_lifecycle(bucket.bucket), bucket.prefix, versioned=versioned),
        _lock(client, bucket.bucket),
        None if newest is None else _lock_of(client, bucket.bucket, newest),
        tuple(_oldest(client, bucket)),
        "" if mode is None else try_to_delete(client, bucket, mode, now, retention.locked),
    )


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


def _hours(client: minio.Minio, bucket: S3, after: str) -> Iterator[Object]:
    """Objects of records whose keys come after that one, in order: their keys begin with the hour of their upload."""
    prefix = bucket.prefix
    found = client.list_objects(bucket.bucket, prefix=prefix, recursive=True, start_after=f"{prefix}{after}")
    # Somebody else's objects may lie among them; what comes after the digits is none of ours.
    for each in islice(found, 2 * _MOST_LISTED):
        key = str(each.object_name).removeprefix(prefix)
        if not key[:1].isdigit():
            return
        if HOUR.match(key) is not None:
            yield each


def _newest(store: S3Store, now: datetime) -> Object | None:
    """The last of two days, or of as many objects as one looks at."""
    after = (now - timedelta(days=2)).astimezone(UTC).strftime("%Y/%m/%d/%H/")
    last = deque(islice(_hours(store.client, store.bucket, after), _MOST_LISTED), maxlen=1)
    return last[0] if last else None


def _oldest(client: minio.Minio, bucket: S3) -> Iterator[datetime]:
    """When the oldest objects were uploaded, in order."""
    for each in islice(_hours(client, bucket, "0"), _MOST_LISTED):
        if each.last_modified is not None:
            yield each.last_modified


def _facts(wanted: RetentionClass, seen: _Seen, mode: ObjectLockMode | None, now: datetime) -> Facts:
    gaps = [*_lifecycle_gaps(wanted, seen.lifecycle), *_overdue(wanted, seen.oldest, now)]
    missing = list(_lock_gaps(wanted, seen, mode)) if wanted.demand.immutable and mode is not None else []
    return Facts(
        seen.lifecycle.earliest,
        immutable=mode is not None and wanted.demand.immutable and not missing,
        oldest=seen.oldest[0] if seen.oldest else None,
        gaps=(*gaps, *missing),
    )


def _lifecycle_gaps(wanted: RetentionClass, rules: Lifecycle) -> Iterator[Gap]:
    if rules.dated:
        said = "a lifecycle rule deletes on a date, however young records are"
        yield Gap(RetentionState.PARTIAL, said, "remove it")
    latest = wanted.demand.delete_after
    if latest is None or rules.earliest is None or rules.earliest > latest:
        return  # what is missing then is missing in every store, and said for all of them
    if rules.all_by is None or rules.all_by > latest:
        said = f"lifecycle rules do not delete all objects and all of their versions after {period(latest)}"
        yield Gap(RetentionState.PARTIAL, said, "expire versions that are no longer current, and set no tags")


def _overdue(wanted: RetentionClass, oldest: tuple[datetime, ...], now: datetime) -> Iterator[Gap]:
    latest = wanted.demand.delete_after
    if latest is None:
        return
    late = sum(now - each > timedelta(hours=latest) for each in oldest)
    if late:
        many = f"{late} or more" if late == _MOST_LISTED else str(late)
        yield Gap(RetentionState.PENDING, f"{many} objects are older than {period(latest)}", "")


def _lock_gaps(wanted: RetentionClass, seen: _Seen, mode: ObjectLockMode | None) -> Iterator[Gap]:
    enough = {"COMPLIANCE"} if mode is ObjectLockMode.COMPLIANCE else {"COMPLIANCE", "GOVERNANCE"}
    least = wanted.demand.minimum
    for what, lock in (("the bucket's default", seen.lock), ("the newest object", seen.newest)):
        if lock is None:
            continue
        said = f"locked {lock.mode.capitalize()} for {period(lock.hours)}" if lock.mode else "not locked"
        if lock.mode not in enough or lock.hours < least:
            yield Gap(RetentionState.PARTIAL, f"{what} is {said}", "")
    if seen.trial:
        yield Gap(RetentionState.PARTIAL, seen.trial, "")
