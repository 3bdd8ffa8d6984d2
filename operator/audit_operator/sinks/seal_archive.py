"""Where seals are kept: written once, and never again under the same name.

A chain has a folder of its own. Seals are named by their number, so that of two sealers at work at once one is refused;
lists by their digest, so that one which was left behind without its seal harms nobody.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from minio.error import S3Error

from audit_operator.sinks.access import failure
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from minio.datatypes import Object

    from audit_operator.integrity.seal import Scope
    from audit_operator.sinks.s3 import S3Store

_ROOT = "seals"
_SEAL_BYTES, _REPORT_BYTES = 64 * 2**10, 512 * 2**10
"""More than the longest of them has. What is larger is none, and is not held."""
_MOST_LISTED = 500_000
"""Names of one chain, in all versions: of 28 years with a seal and a list an hour."""
_CROWDED = failure(Reason.ANSWER_TOO_LARGE, f"there are more than {_MOST_LISTED} objects in the folder of the seals")
_THERE_ALREADY = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_SEAL = re.compile(r"([0-9]{12})\.json")
_NO_VERSION = frozenset({None, "", "null"})
_REPORTS = "report-"
_REPORT = re.compile(r"report-([0-9]{12})\.json")
_WARRANTS = "warrant-"
_WARRANT = re.compile(r"warrant-[0-9a-f]{64}\.json")


@dataclass(frozen=True, slots=True)
class Inventory:
    """Seals of one chain.

    Attributes:
        numbers: of those that are there, in order.
        meddled: of those that somebody has deleted or written again, as far as the archive remembers, in order.
        remembers: whether it remembers that, of all that is there.
    """

    numbers: tuple[int, ...]
    meddled: tuple[int, ...] = ()
    remembers: bool = False


class SealArchive(Protocol):
    """The folder of one chain. No call raises for what the store, a disk or a user does."""

    async def numbers(self) -> tuple[int, ...] | Failure:
        """Of the seals that are there, in order."""

    async def inventory(self) -> Inventory | Failure:
        """Which seals are there, and what became of them."""

    async def reports(self) -> tuple[int, ...] | Failure:
        """Numbers of the reports of verifications that are there, in order."""

    async def warrants(self) -> tuple[str, ...] | Failure:
        """Names of the warrants of erasures that are there, in order."""

    async def read(self, name: str) -> bytes | Failure | None:
        """One object, as it was first written; None where there is none."""

    async def add(self, name: str, content: bytes) -> bool | Failure:
        """Keep an object; False where there is one of that name already."""


def seal_name(number: int) -> str:
    """Name of a seal."""
    return f"{number:012d}.json"


def report_name(number: int) -> str:
    """Name of the report of a verification."""
    return f"{_REPORTS}{number:012d}.json"


def warrant_name(digest: str) -> str:
    """Name of the warrant with this digest."""
    return f"{_WARRANTS}{digest}.json"


def list_name(digest: str) -> str:
    """Name of the list with this digest."""
    return f"{digest}.jsonl.gz"


def folder_of(scope: Scope) -> str:
    """Folder of a chain, in any archive. Values are labelled, since one may be ``..``; a sink is named by the API."""
    values = {"cluster": scope.cluster, "namespace": scope.namespace}
    labelled = (f"{name}={quote(value, safe='')}" for name, value in values.items() if value)
    return "/".join([f"sink={scope.sink}", *labelled])


def numbers_in(names: Iterable[str]) -> tuple[int, ...]:
    """Numbers of the seals among objects of these names, in order."""
    return tuple(sorted(int(found[1]) for each in names if (found := _SEAL.fullmatch(each))))


def reports_in(names: Iterable[str]) -> tuple[int, ...]:
    """Numbers of the reports among objects of these names, in order."""
    return tuple(sorted(int(found[1]) for each in names if (found := _REPORT.fullmatch(each))))


def warrants_in(names: Iterable[str]) -> tuple[str, ...]:
    """Those among the names of objects that are names of warrants, in order."""
    return tuple(sorted(each for each in names if _WARRANT.fullmatch(each)))


def _most_bytes(name: str) -> int:
    """How many bytes of an object are worth reading: one more than its kind can have; -1: all."""
    if _SEAL.fullmatch(name):
        return _SEAL_BYTES + 1
    return _REPORT_BYTES + 1 if _REPORT.fullmatch(name) else -1


@dataclass(frozen=True, slots=True)
class FolderArchive:
    """A folder on this machine; what makes it immutable is up to whoever mounts it."""

    folder: Path

    async def numbers(self) -> tuple[int, ...] | Failure:
        """See `SealArchive`."""
        names = await self._names()
        return names if isinstance(names, Failure) else numbers_in(names)

    async def reports(self) -> tuple[int, ...] | Failure:
        """See `SealArchive`."""
        names = await self._names()
        return names if isinstance(names, Failure) else reports_in(names)

    async def warrants(self) -> tuple[str, ...] | Failure:
        """See `SealArchive`."""
        names = await self._names()
        return names if isinstance(names, Failure) else warrants_in(names)

    async def _names(self) -> list[str] | Failure:
        try:
            return await asyncio.to_thread(lambda: [each.name for each in self.folder.iterdir()])
        except FileNotFoundError:
            return []
        except OSError as error:
            return _unusable(error)

    async def inventory(self) -> Inventory | Failure:
        """See `SealArchive`. A folder remembers nothing."""
        numbers = await self.numbers()
        return numbers if isinstance(numbers, Failure) else Inventory(numbers)

    async def read(self, name: str) -> bytes | Failure | None:
        """See `SealArchive`."""
        try:
            return await asyncio.to_thread(self._read, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _unusable(error)

    def _read(self, name: str) -> bytes:
        with (self.folder / name).open("rb") as file:
            return file.read(_most_bytes(name))

    async def add(self, name: str, content: bytes) -> bool | Failure:
        """See `SealArchive`."""
        try:
            await asyncio.to_thread(self._add, name, content)
        except FileExistsError:
            return False
        except OSError as error:
            return _unusable(error)
        return True

    def _add(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{uuid.uuid4()}"
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # A link, and not a rename: that would replace what is there.
            (self.folder / name).hardlink_to(beside)
        finally:
            beside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class S3Archive:
    """A folder in a bucket, which should have Object Lock and a default retention."""

    store: S3Store
    folder: str

    async def numbers(self) -> tuple[int, ...] | Failure:
        """See `SealArchive`."""
        found = await self.inventory()
        return found if isinstance(found, Failure) else found.numbers

    async def inventory(self) -> Inventory | Failure:
        """See `SealArchive`."""
        listed = await self.store.call(lambda: self._versions(""))
        if isinstance(listed, Failure):
            return listed
        numbers = numbers_in({name for name, each in listed if not each.is_delete_marker})
        meddled = numbers_in(name for name, times in Counter(name for name, _ in listed).items() if times > 1)
        # What was written before a bucket began to keep versions has none of its own.
        versions = {each.version_id for name, each in listed if numbers_in([name])}
        return Inventory(numbers, meddled, bool(versions) and versions.isdisjoint(_NO_VERSION))

    async def reports(self) -> tuple[int, ...] | Failure:
        """See `SealArchive`."""
        listed = await self.store.call(lambda: self._versions(_REPORTS))
        if isinstance(listed, Failure):
            return listed
        return reports_in({name for name, each in listed if not each.is_delete_marker})

    async def warrants(self) -> tuple[str, ...] | Failure:
        """See `SealArchive`."""
        listed = await self.store.call(lambda: self._versions(_WARRANTS))
        if isinstance(listed, Failure):
            return listed
        return warrants_in({name for name, each in listed if not each.is_delete_marker})

    async def read(self, name: str) -> bytes | Failure | None:
        """See `SealArchive`."""
        return await self.store.call(lambda: self._read(name))

    async def add(self, name: str, content: bytes) -> bool | Failure:
        """See `SealArchive`. A store that does not know the condition is at least asked before."""
        there = await self.read(name)
        if there is not None:
            return there if isinstance(there, Failure) else False
        return await self.store.call(lambda: self._add(name, content))

    def _versions(self, beginning: str) -> list[tuple[str, Object]] | Failure:
        """Everything that was ever written, or deleted, below such a name; of one name, the newest first."""
        listed = self.store.client.list_objects(
            self.store.bucket.bucket, prefix=self._key(beginning), include_version=True
        )
        first = list(islice(listed, _MOST_LISTED + 1))
        if len(first) > _MOST_LISTED:
            return _CROWDED
        return [(str(each.object_name).removeprefix(self._key("")), each) for each in first]

    def _read(self, name: str) -> bytes | Failure | None:
        # The oldest: where versions are kept, a deletion and what was written after it hide a seal, and no more.
        versions = self._versions(name)
        if isinstance(versions, Failure):
            return versions
        written = [each for key, each in versions if key == name and not each.is_delete_marker]
        if not written:
            return None
        version = written[-1].version_id
        try:
            response = self.store.client.get_object(
                self.store.bucket.bucket, self._key(name), version_id=None if version in _NO_VERSION else version
            )
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise
        try:
            most = _most_bytes(name)
            content: bytes = response.read(most if most >= 0 else None, decode_content=False)
        finally:
            response.close()
            response.release_conn()
        return content

    def _add(self, name: str, content: bytes) -> bool:
        headers: dict[str, Any] = {
            "Content-Type": "application/json" if name.endswith(".json") else "application/gzip",
            # Where objects are locked, Amazon's takes none without.
            "Content-MD5": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
            "If-None-Match": "*",
        }
        try:
            # Its own method for this takes no such header.
            self.store.client._put_object(self.store.bucket.bucket, self._key(name), content, headers)  # noqa: SLF001
        except S3Error as error:
            if error.code in _THERE_ALREADY:
                return False
            raise
        return True

    def _key(self, name: str) -> str:
        return f"{self.store.bucket.prefix}{_ROOT}/{self.folder}/{name}"


def _unusable(error: OSError) -> Failure:
    return failure(Reason.ARCHIVE_UNUSABLE, f"the folder of the seals cannot be used: {error.strerror}")
