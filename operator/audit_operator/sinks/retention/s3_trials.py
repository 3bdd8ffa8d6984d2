"""Trials whether buckets refuse to delete, one at a time and beside all other work: each waits until a lock is over."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.sinks.retention.s3_canary import try_to_delete

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from audit_operator.api.sink import S3, ObjectLockMode
    from audit_operator.sinks.s3 import S3Store
    from audit_operator.sinks.store import Failure

_FRESH = 60.0
"""Seconds for which what came of a trial is good enough: a bucket is looked at before and after each change."""


@dataclass(slots=True)
class Trials:
    """All of one process. One that nobody waits for any more ends before the next begins.

    Attributes:
        thread: that they run in; the threads of other work are never taken.
    """

    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "s3-trial"), repr=False)
    _last: dict[tuple[S3, ObjectLockMode], tuple[float, str]] = field(default_factory=dict)

    async def hold(self, store: S3Store, mode: ObjectLockMode, now: datetime, locked: timedelta) -> str | Failure:
        """See `try_to_delete`; what came of the last one, where that has just ended."""
        bucket = store.bucket
        said = self._said(bucket, mode)
        return said if said is not None else await store.call(lambda: self._try(store, mode, now, locked), self.thread)

    def _try(self, store: S3Store, mode: ObjectLockMode, now: datetime, locked: timedelta) -> str:
        # Whoever waited for the thread may have waited for this very bucket.
        said = self._said(store.bucket, mode)
        if said is None:
            said = try_to_delete(store.client, store.bucket, mode, now, locked)
            self._last = {key: each for key, each in self._last.items() if time.monotonic() - each[0] < _FRESH}
            self._last[store.bucket, mode] = time.monotonic(), said
        return said

    def _said(self, bucket: S3, mode: ObjectLockMode) -> str | None:
        ended, said = self._last.get((bucket, mode), (0.0, None))
        return said if said is not None and time.monotonic() - ended < _FRESH else None
