"""Whether a bucket really refuses to delete what is locked: an object of ours is locked for a minute, and tried."""

from __future__ import annotations

import io
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

_LOCKED = timedelta(minutes=1)
_KEPT = timedelta(minutes=10)
_MOST_LISTED = 1000


def try_to_delete(client: minio.Minio, bucket: S3, mode: ObjectLockMode, now: datetime) -> str:
    """Empty if the store refused, else what happened, in words of ours. Blocks; raises what the library does.

    Objects of earlier trials are cleared away, as far as they can be.
    """
    folder = f"{bucket.prefix}{CANARY}"
    try:
        written = client.put_object(
            bucket.bucket,
            f"{folder}{uuid.uuid4()}",
            io.BytesIO(b""),
            0,
            retention=Retention(mode.value.upper(), datetime.now(UTC) + _LOCKED),
        )
    except S3Error:
        return "an object could not be locked on trial: the store refused it"
    if not written.version_id:
        return "an object that was locked on trial has no version"
    try:
        client.remove_object(bucket.bucket, str(written.object_name), version_id=written.version_id)
    except S3Error:
        _clear(client, bucket.bucket, folder, now - _KEPT)
        return ""
    return "an object that was locked on trial could be deleted"


def _clear(client: minio.Minio, bucket: str, folder: str, before: datetime) -> None:
    listed = client.list_objects(bucket, prefix=folder, recursive=True, include_version=True)
    for each in islice(listed, _MOST_LISTED):
        if each.last_modified is not None and each.last_modified < before:
            try:
                client.remove_object(bucket, str(each.object_name), version_id=each.version_id)
            except S3Error:
                return  # its lock is not over, or the key may not delete: it does no harm
