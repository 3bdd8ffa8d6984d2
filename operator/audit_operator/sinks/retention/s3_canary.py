"""Whether a bucket really refuses to delete what is locked: an object of ours is locked for moments, and tried.

A refusal alone proves nothing: a key that may not delete is refused, too, lock or no lock. So the object must be gone
once its lock is over.
"""

from __future__ import annotations

import io
import time
import uuid
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from minio.error import S3Error
from minio.retention import Retention

if TYPE_CHECKING:
    import minio

    from audit_operator.api.sink import S3, ObjectLockMode

CANARY = ".retention-canary/"
"""Folder of such objects, below the sink's prefix; it sorts before those of records."""

LOCKED = timedelta(seconds=15)
"""For how long one is locked; clocks may differ by so much."""

_KEPT = timedelta(minutes=10)
_STEP = 1.0
_REFUSALS = frozenset({"AccessDenied", "ObjectLocked", "InvalidRequest", "InvalidObjectState"})
"""How stores answer where a lock is in force (Amazon's, SeaweedFS, MinIO, Ceph: read, but for SeaweedFS)."""
_MOST_LISTED = 1000


def try_to_delete(
    client: minio.Minio, bucket: S3, mode: ObjectLockMode, now: datetime, locked: timedelta = LOCKED
) -> str:
    """Empty if the store refused because of the lock, else what happened, in words of ours.

    Blocks until the lock is over; raises what the library does. Objects of earlier trials are cleared away, as far as
    they can be.
    """
    folder = f"{bucket.prefix}{CANARY}"
    try:
        written = client.put_object(
            bucket.bucket,
            f"{folder}{uuid.uuid4()}",
            io.BytesIO(b""),
            0,
            retention=Retention(mode.value.upper(), datetime.now(UTC) + locked),
        )
    except S3Error:
        return "an object could not be locked on trial: the store refused it"
    if not written.version_id:
        return "an object that was locked on trial has no version"
    name, version = str(written.object_name), written.version_id
    refused = _refusal(client, bucket.bucket, name, version)
    if not refused:
        return "an object that was locked on trial could be deleted"
    if refused not in _REFUSALS:
        return "whether an object that is locked can be deleted could not be tried: the store failed"
    end = time.monotonic() + 2 * locked.total_seconds()
    while _refusal(client, bucket.bucket, name, version):
        if time.monotonic() >= end:
            return (
                "an object that was locked on trial could not be deleted after that either, so that the refusal says "
                f"nothing of the lock: let the access key delete versions below {folder}"
            )
        time.sleep(_STEP)
    _clear(client, bucket.bucket, folder, now - _KEPT)
    return ""


def _refusal(client: minio.Minio, bucket: str, name: str, version: str) -> str:
    """The code with which the store refuses to delete a version; empty where it deletes it."""
    try:
        client.remove_object(bucket, name, version_id=version)
    except S3Error as error:
        return error.code or "unknown"
    return ""


def _clear(client: minio.Minio, bucket: str, folder: str, before: datetime) -> None:
    listed = client.list_objects(bucket, prefix=folder, recursive=True, include_version=True)
    for each in islice(listed, _MOST_LISTED):
        if each.last_modified is not None and each.last_modified < before:
            try:
                client.remove_object(bucket, str(each.object_name), version_id=each.version_id)
            except S3Error:
                return  # its lock is not over, or the key may not delete: it does no harm
