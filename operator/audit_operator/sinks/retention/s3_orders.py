"""Brings the lifecycle rules of a bucket to what may be deleted from its folders, beside those of others.

The document is read, changed and written as a whole, and S3 has no way to write it only if nobody else has: so it is
written only where one of our rules is another, and read again afterwards. Sinks of ours that share a bucket take turns:
what one had read before could bring back a rule that a hold had taken from the other.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from minio.error import S3Error
from minio.helpers import md5sum_hash

from audit_operator.sinks.access import failure
from audit_operator.sinks.retention.protocol import Done
from audit_operator.sinks.retention.s3_rules import Expiry, Rules, UnreadableRulesError
from audit_operator.sinks.store import Failure, Reason, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.retention.folders import Place
    from audit_operator.sinks.s3 import S3Store

_LOG = logging.getLogger(__name__)
_TRIES = 4
_KEPT_HEADER = "x-amz-transition-default-minimum-object-size"
"""A setting of the document that is no part of its text: who does not send it, resets it."""
_FORBIDDEN = frozenset({"AccessDenied", "NotImplemented", "MethodNotAllowed"})
_CANNOT = (
    "let the access key s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration; or set a lifecycle rule that "
    "expires objects, and versions that are no longer current"
)


@dataclass(slots=True)
class Turns:
    """All of one process: who changes the rules of which bucket now."""

    _locks: dict[tuple[str, str], threading.Lock] = field(default_factory=dict)
    _access: threading.Lock = field(default_factory=threading.Lock)

    def of(self, store: S3Store) -> threading.Lock:
        """To be held from reading to writing. Two names of one host cannot be recognised."""
        bucket = store.bucket
        with self._access:
            return self._locks.setdefault((bucket.endpoint or bucket.region or "", bucket.bucket), threading.Lock())


def rules_of(store: S3Store, home: str, clusters: Iterable[str], known: Iterable[Place] = ()) -> Rules:
    """The rules of a bucket. Blocks; raises what the library does, and ValueError where they cannot be told apart."""
    return _read(store, home, clusters, known)[0]


def order(
    store: S3Store,
    home: str,
    clusters: Iterable[str],
    folders: Mapping[Place, Expiry | None],
    given_up: threading.Event,
) -> Done | Failure | Unsupported:
    """Make the rules of these folders say so, and take away any other of ours. Blocks; raises as above.

    `given_up` is set once nobody waits for it: nothing is written any more.
    """
    wanted = {place: each for place, each in folders.items() if each is not None}
    clusters = frozenset(clusters)
    for _ in range(_TRIES):
        rules, headers = _read(store, home, clusters, folders)
        changed = {each for each in {*wanted, *rules.ours} if rules.ours.get(each) != wanted.get(each)}
        if not changed:
            return Done({})
        if given_up.is_set():
            break
        extra = {"bucket": store.bucket.bucket, "folders": sorted(map(str, changed)), "reason": "Ordered"}
        _LOG.info("Lifecycle rules are written", extra=extra)
        try:
            _write(store, rules.saying(wanted[each] for each in sorted(wanted)), headers)
        except S3Error as error:
            if error.code in _FORBIDDEN:
                return Unsupported(_CANNOT)
            raise
    return failure(Reason.REFUSED, "the bucket's lifecycle rules are others than were written, again and again")


def _read(store: S3Store, home: str, clusters: Iterable[str], known: Iterable[Place]) -> tuple[Rules, dict[str, str]]:
    text, headers = "", {}
    try:
        answer = _execute(store, "GET")
        text = answer.data.decode()
        headers = {name: value for name, value in answer.headers.items() if name.lower() == _KEPT_HEADER}
    except S3Error as error:
        if error.code != "NoSuchLifecycleConfiguration":
            raise
    try:
        return Rules.parse(text, home, clusters, known), headers
    except UnreadableRulesError as error:
        raise ValueError("no lifecycle rules") from error


def _write(store: S3Store, text: str, headers: Mapping[str, str]) -> None:
    if not text:
        store.client.delete_bucket_lifecycle(store.bucket.bucket)
        return
    body = text.encode()
    _execute(store, "PUT", body=body, headers={**headers, "Content-MD5": md5sum_hash(body)})


def _execute(store: S3Store, method: str, **more: Any) -> Any:
    """The library's own calls would read the document into what it knows of it, and write that."""
    return store.client._execute(  # noqa: SLF001 - see above
        method, store.bucket.bucket, query_params={"lifecycle": ""}, **more
    )
