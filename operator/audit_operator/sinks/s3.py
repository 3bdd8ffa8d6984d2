"""S3: objects of many records each, written by the collector under the hour of their upload.

Nothing in a bucket can be asked for a record: `find` reads every object of the hours in question, up to a limit.
"""

from __future__ import annotations

import asyncio
import gzip
import heapq
import io
import json
import re
import threading
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import minio
import urllib3
from minio.error import MinioException, S3Error, ServerError

from audit_operator.retention.folders import CLASS_FOLDER, CLUSTER_FOLDER, SINK_FOLDER, Place, home_of
from audit_operator.shipping.exporters import AUDIT_ID, S3_PARTITION, STAGE
from audit_operator.sinks.access import failure
from audit_operator.sinks.selection import MOST_HELD, size
from audit_operator.sinks.store import (
    MOST_RECORDS,
    Accepted,
    Failure,
    Found,
    Reachable,
    Reason,
    Record,
    Unsupported,
    without_copies,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    from minio.datatypes import Object

    from audit_operator.api.sink import S3
    from audit_operator.sinks.access import Access
    from audit_operator.sinks.network import Network
    from audit_operator.sinks.selection import Selection

_T = TypeVar("_T")
_CONNECT, _READ = 5.0, 15.0
_MOST_OBJECTS, _MOST_LISTED = 500, 20_000
_MOST_BYTES = 256 * 2**20
_MOST_TO_SEARCH, _LARGEST_TO_SEARCH = 128 * 2**20, 32 * 2**20
"""Bytes of all objects and of one, unpacked, for one search; shippers write objects of up to 16 MiB of records."""

_SEARCHES = 2
_SKEW = timedelta(minutes=1)
"""By how much the clocks of store and shippers may be behind ours."""
HOUR = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2}/")
"""Where records are in a folder, by `S3_PARTITION`; other objects, such as seals, may lie beside."""
_CODES = {
    "AccessDenied": Reason.FORBIDDEN,
    "InvalidAccessKeyId": Reason.UNAUTHENTICATED,
    "SignatureDoesNotMatch": Reason.UNAUTHENTICATED,
    "ExpiredToken": Reason.UNAUTHENTICATED,
    "NoSuchBucket": Reason.NOT_FOUND,
    "SlowDown": Reason.TOO_MANY_REQUESTS,
    "EntityTooLarge": Reason.TOO_LARGE,
    "PermanentRedirect": Reason.REDIRECTED,
    "AuthorizationHeaderMalformed": Reason.REDIRECTED,
}


@dataclass(frozen=True, slots=True)
class S3Store:
    """One folder of a bucket; implements `store.Store`.

    Attributes:
        bucket: as the sink names it.
        client: of the library, which blocks: each call runs in a thread.
        now: the time, for tests.
        searching: threads of searches, which take long and much memory: they keep no other work waiting. They end
            when nobody has the store any more.
    """

    bucket: S3
    client: minio.Minio = field(repr=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    searching: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_SEARCHES, "s3-search"), repr=False, compare=False
    )

    async def check(self) -> Reachable | Failure:
        """See `store.Store`. That the bucket may be listed; whether it may be written to, only `write` shows."""
        answer = await self.call(lambda: self.client.bucket_exists(self.bucket.bucket))
        if isinstance(answer, Failure):
            return answer
        return Reachable() if answer else failure(Reason.NOT_FOUND, "there is no such bucket")

    async def write(self, record: Record) -> Accepted | Failure:
        """See `store.Store`. An object of its own, in the form of the collector's."""
        body = gzip.compress(json.dumps(_document(record)).encode())
        key = f"{self._folder(self.now())}logs_{uuid.uuid4()}.json.gz"
        answer = await self.call(
            lambda: self.client.put_object(
                self.bucket.bucket,
                key,
                io.BytesIO(body),
                len(body),
                content_type="application/json",
                metadata={"Content-Encoding": "gzip"},
            )
        )
        return answer if isinstance(answer, Failure) else Accepted()

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Found | Failure:
        """See `store.Store`. Records arrive late, never early: no object that was uploaded before `since` is read."""
        return await self.call(lambda: self._search(audit_id, stage, since))

    async def search(self, selection: Selection) -> AsyncGenerator[Record | Failure, None]:
        """See `store.Store`. Reads every object that was uploaded since, and fails where these are too many."""
        given_up = threading.Event()
        try:
            found = await self.call(lambda: self._selected(selection, given_up), self.searching)
        finally:
            given_up.set()
        if isinstance(found, Failure):
            yield found
            return
        for each in found:
            yield each

    async def health(self) -> Unsupported:
        """See `store.Store`."""
        return Unsupported("a bucket says nothing about itself")

    def _search(self, audit_id: str, stage: str | None, since: datetime) -> Found:
        found: list[Record] = []
        left = _MOST_BYTES
        listed = list(islice(self.keys(since), _MOST_LISTED))
        complete = len(listed) <= _MOST_OBJECTS
        # The last first: whoever asks for a record asks for one that was just made, and a busy bucket has more.
        for key in listed[: -_MOST_OBJECTS - 1 : -1]:
            if left <= 0:
                complete = False
                break
            text = self.read(key, left)
            if text is None:
                complete, left = False, 0
                break
            left -= len(text)
            found += (
                each
                for each in _records(text)
                if each.audit_id == audit_id and stage in {None, each.stage} and each.time >= since
            )
        answer = without_copies(found[: MOST_RECORDS + 1])
        return Found(answer.records, answer.copies, complete and answer.complete)

    def _selected(self, selection: Selection, given_up: threading.Event) -> list[Record] | Failure:
        best: list[Record] = []
        left = _MOST_TO_SEARCH
        for number, key in enumerate(() if given_up.is_set() else self.keys(selection.since)):
            within = number < _MOST_OBJECTS and not given_up.is_set()
            text = self.read(key, min(left, _LARGEST_TO_SEARCH)) if within else None
            if text is None:
                many, large, one = _MOST_OBJECTS, _MOST_TO_SEARCH >> 20, _LARGEST_TO_SEARCH >> 20
                return _too_much(f"more than {many} objects, or {large} MiB, or {one} in one, were uploaded since then")
            left -= len(text)
            best = selection.first((*best, *filter(selection.matches, _records(text))))
            if size(best) > MOST_HELD:
                return _too_much(f"the records are larger than {MOST_HELD >> 20} MiB together")
        return best

    def keys(self, since: datetime) -> Iterator[str]:
        """Of the objects that were uploaded since then, in that order: in their folder, they begin with the hour.

        Blocks.
        """
        earliest = since - _SKEW
        hour = f"{earliest.astimezone(UTC).strftime(S3_PARTITION)}/"
        folders = (self.bucket.prefix, *self._folders())
        for _, key in heapq.merge(*(self._uploaded(folder, hour, earliest) for folder in folders)):
            yield key

    def _uploaded(self, folder: str, hour: str, earliest: datetime) -> Iterator[tuple[str, str]]:
        """Keys in one folder, with what they are sorted by across folders."""
        for key, uploaded in self._of_records(folder, hour):
            if uploaded >= earliest:
                yield key.removeprefix(folder), key

    def places(self, sink: str) -> tuple[Place, ...]:
        """Folders of a sink's retention classes that are there. Blocks."""
        home = f"{self.bucket.prefix}{home_of(sink)}"
        parsed = (Place.parse(each.removeprefix(home)) for each in self._classes(home))
        return tuple(each for each in parsed if each is not None)

    def _folders(self) -> list[str]:
        """Folders of classes, of whatever sink; what is of no class lies beside them."""
        return [each for home in self._below(f"{self.bucket.prefix}{SINK_FOLDER}") for each in self._classes(home)]

    def _classes(self, home: str) -> list[str]:
        clusters = self._below(f"{home}{CLUSTER_FOLDER}")
        return [each for cluster in clusters for each in self._below(f"{cluster}{CLASS_FOLDER}")]

    def objects(self, folder: str, after: str = "0") -> Iterator[Object]:
        """Objects of records in a folder (the sink's prefix, or one of a class), in order of the hours. Blocks."""
        listed = self.client.list_objects(
            self.bucket.bucket, prefix=folder, recursive=True, start_after=f"{folder}{after}"
        )
        for each in listed:
            key = str(each.object_name).removeprefix(folder)
            # Somebody else's objects may lie among them; what comes after the digits is none of ours.
            if not key[:1].isdigit():
                return
            if HOUR.match(key) is not None:
                yield each

    def _of_records(self, folder: str, after: str) -> Iterator[tuple[str, datetime]]:
        for each in self.objects(folder, after):
            yield str(each.object_name), each.last_modified or self.now()

    def _below(self, beginning: str) -> list[str]:
        listed = self.client.list_objects(self.bucket.bucket, prefix=beginning, recursive=False)
        return [str(each.object_name) for each in listed if each.is_dir]

    def read(self, key: str, at_most: int) -> bytes | None:
        """An object, unpacked; None where it is larger than that. Blocks; ValueError where it is not gzip."""
        response = self.client.get_object(self.bucket.bucket, key)
        try:
            packed = response.read(at_most + 1, decode_content=False)
        finally:
            response.close()
            response.release_conn()
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            text = unpacking.decompress(packed, at_most + 1)
        except zlib.error as error:
            raise ValueError("not gzip") from error
        if len(text) > at_most or len(packed) > at_most:
            return None
        if not unpacking.eof or unpacking.unused_data:
            raise ValueError("gzip that is cut, or goes on")
        return text

    def _folder(self, hour: datetime) -> str:
        return f"{self.bucket.prefix}{hour.astimezone(UTC).strftime(S3_PARTITION)}/"

    async def call(self, work: Callable[[], _T], executor: ThreadPoolExecutor | None = None) -> _T | Failure:
        """What blocking work with the client gives; what it raises for the store, or the way there, as a value."""
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work)
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return _explained(error)


def connect_s3(bucket: S3, access: Access, network: Network | None = None) -> S3Store | Failure:
    """The store, not talked to yet. Follows no redirects, tries nothing twice, and uses no proxy."""
    try:
        address = urlsplit(bucket.endpoint or f"https://s3.{bucket.region}.amazonaws.com")
    except ValueError:
        return failure(Reason.ADDRESS_INVALID, "the store's address is none that can be connected to")
    if network is not None and not network.admits(address.hostname or ""):
        return failure(Reason.ADDRESS_INVALID, "the store's address is one that only this machine could reach")
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT, read=_READ),
        retries=urllib3.Retry(total=0, redirect=0, status=0),
        cert_reqs="CERT_REQUIRED",
    )
    try:
        client = minio.Minio(
            address.netloc,
            access_key=access.access_key_id or None,
            secret_key=access.secret_access_key or None,
            secure=address.scheme == "https",
            region=bucket.region,
            http_client=pool,
        )
    except ValueError:
        return failure(Reason.ADDRESS_INVALID, "the store's address is none that can be connected to")
    return S3Store(bucket, client)


def _too_much(said: str) -> Failure:
    return Failure(Reason.ANSWER_TOO_LARGE, said, "ask for what is younger, or for fewer records, or ask another store")


def _document(record: Record) -> dict[str, Any]:
    attributes = {**record.attributes, AUDIT_ID: record.audit_id, STAGE: record.stage}
    nanoseconds = (record.time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000
    entry = {
        "timeUnixNano": str(nanoseconds),
        "body": {"stringValue": record.text},
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [entry]}]}]}


def _records(text: bytes) -> Iterable[Record]:
    """Of one object; ValueError where it is none that a collector wrote."""
    try:
        for resource in json.loads(text).get("resourceLogs", ()):
            for scope in resource.get("scopeLogs", ()):
                yield from map(_record, scope.get("logRecords", ()))
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("no OTLP") from error


def _record(entry: dict[str, Any]) -> Record:
    given = entry.get("attributes", ())
    attributes = {each["key"]: str(next(iter(each["value"].values()), "")) for each in given}
    if len(attributes) != len(given):
        raise ValueError("an attribute that is there twice")  # nobody could say whose record it is
    return Record(
        audit_id=attributes.pop(AUDIT_ID, ""),
        stage=attributes.pop(STAGE, ""),
        time=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=_nanoseconds(entry) // 1000),
        text=str(entry.get("body", {}).get("stringValue", "")),
        attributes=attributes,
    )


def _nanoseconds(entry: dict[str, Any]) -> int:
    """When it was; of a line that is no event, when it was read."""
    return int(entry.get("timeUnixNano") or entry["observedTimeUnixNano"])


def _explained(error: Exception) -> Failure:
    """In our words alone: what a store says may be chosen by somebody else."""
    match error:
        case S3Error():
            return failure(_CODES.get(error.code or "", Reason.REFUSED), "the store refused the request")
        case ServerError():
            return failure(Reason.STORE_FAILED, "the store failed")
        case urllib3.exceptions.MaxRetryError():
            return _no_answer(error.reason)
        case urllib3.exceptions.HTTPError() | OSError():
            return failure(Reason.CUT_OFF, "the connection ended before the store's answer was complete")
        case _:
            return failure(Reason.ANSWER_MALFORMED, "the store's answer is not that of an S3")


def _no_answer(why: Exception | None) -> Failure:
    match why:
        case urllib3.exceptions.SSLError():
            return failure(Reason.TLS_FAILED, "TLS with the store failed")
        case urllib3.exceptions.ResponseError():
            return failure(Reason.REDIRECTED, "the store answered with a redirect")
        case urllib3.exceptions.TimeoutError() if not isinstance(why, urllib3.exceptions.NewConnectionError):
            return failure(Reason.TIMED_OUT, f"the store did not answer within {_READ:g} s")
        case _:
            return failure(Reason.UNREACHABLE, "no connection to the store: refused, or no way to its network")
