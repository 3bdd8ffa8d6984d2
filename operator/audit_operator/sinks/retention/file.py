"""Files of namespaces and days, on a disk that the operator reaches: what is too old in them is counted, and deleted.

A file goes once all of its day is too old. That of the day in which the limit lies is replaced by one without what is
too old. The shipper may add to any of them meanwhile: it and we hold the lock of a file as long as we are at it
(tools/otelcol/exporters/datedfiles). Nothing but such files, in folders of the namespaces that are asked about, is
looked at.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from time import sleep
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.demand import period
from audit_operator.retention.judgement import Facts, Gap, Mends
from audit_operator.shipping.collector.attributes import QUARANTINE
from audit_operator.sinks.dated_files import BEGIN, OF_ANY, OF_NONE, REFUSED, day_of
from audit_operator.sinks.retention.protocol import NO_FOLDERS, Done, Observed
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Limit, Place
    from audit_operator.sinks.retention.protocol import Order

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_DAY = timedelta(days=1)
_MARKS = tuple(f',"{each}":"'.encode() for each in ("unseen", QUARANTINE))
"""Of what earlier collectors wrote among records of no namespace, and is of any. In no value stands a plain quote."""
_CHUNK = 2**20
_LOCK_TRIES, _LOCK_PAUSE = 500, 0.02
_FORMER = "audit*.jsonl"
_MENDS = Mends(
    keep_longer="let nobody but the operator delete files in the volume",
    delete="delete dated files by their age",
    lock="ship to a sink of type S3 with objectLock as well; whoever reaches the volume can delete files",
)
_LEFT = Gap(
    RetentionState.PARTIAL,
    "audit.jsonl and what was rotated away of it, of a former release, hold records of all namespaces",
    "delete them by hand when they are old enough",
)
_UNREADABLE = "see the log for which these are, and who may read and write them; they must be folders, and no links"


class _File(NamedTuple):
    """One of a folder that is open as `folder`; `end` is the moment after its day.

    `mixed`: whether lines that may be of any namespace can be among its own. They are neither counted nor deleted.
    """

    folder: int
    name: str
    end: datetime
    mixed: bool


@dataclass(frozen=True, slots=True)
class FileRetention:
    """The files of one sink; implements `protocol.RetentionStore`. `folder` need not be there yet."""

    folder: Path

    @property
    def mends(self) -> Mends:
        """See `protocol.RetentionStore`."""
        return _MENDS

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Observed | Failure:
        """See `protocol.RetentionStore`. Reads what is too old, or may be."""
        seen = await _in_thread(lambda given_up: _observe(self.folder, classes, now, given_up))
        # Where nothing at all can be read, it is the disk that is not well.
        return seen if seen.facts or not seen.uncounted else next(iter(seen.uncounted.values()))

    async def enforce(
        self,
        orders: Sequence[Order],
        now: datetime,
        folders: Mapping[Place, Limit] = NO_FOLDERS,  # noqa: ARG002 - the protocol's
    ) -> Done:
        """See `protocol.RetentionStore`. Ends with the file that it is at when nobody waits for it any more."""
        return await _in_thread(lambda given_up: _delete(self.folder, orders, now, given_up))


async def _in_thread(work: Callable[[threading.Event], _T]) -> _T:
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(work, given_up)
    finally:
        given_up.set()


def _explained(error: OSError) -> Failure:
    return Failure(
        Reason.STORE_FAILED,
        f"files of a namespace cannot be read, or changed: {error.strerror or type(error).__name__}",
        "see who may read and write them, and whether their disk is well, and has room",
    )


def _observe(root: Path, classes: Sequence[RetentionClass], now: datetime, given_up: threading.Event) -> Observed:
    facts, uncounted = {}, {}
    for each in classes:
        try:
            facts[each.name] = _facts(root, each, now, given_up)
        except OSError as error:
            uncounted[each.name] = _explained(error)
    return Observed(facts, uncounted=uncounted)


def _facts(root: Path, wanted: RetentionClass, now: datetime, given_up: threading.Event) -> Facts:
    demand, overdue, oldest = wanted.demand, 0, None
    # Under a legal hold, to be older than the maximum is nothing wrong.
    limit = None if demand.maximum is None or demand.delete_after is None else now - timedelta(hours=demand.maximum)
    unread: dict[str, OSError] = {}
    for namespace in wanted.namespaces:
        try:
            for position, file in enumerate(_files(root, namespace)):
                if given_up.is_set():
                    break
                if position == 0 and (oldest is None or file.end - _DAY < oldest):
                    oldest = min(_times(file), default=oldest)
                if limit is not None and file.end - _DAY < limit:
                    whole = file.end <= limit and not file.mixed
                    overdue += _lines(file) if whole else sum(each < limit for each in _times(file))
        except OSError as error:
            unread[namespace or OF_NONE] = error
    if unread and len(unread) == len(wanted.namespaces):
        # It is rather the disk than one folder.
        raise next(iter(unread.values()))
    gaps = list(_unread(root, unread))
    if demand.delete_after is not None:
        gaps += _left(root, demand.delete_after, now)
    return Facts(None, can_delete=True, oldest=oldest, overdue=overdue, gaps=tuple(gaps))


def _unread(root: Path, failed: Mapping[str, OSError]) -> Iterator[Gap]:
    """Which, the log says: the status of a policy is not for whoever may know of other namespaces."""
    for namespace, error in failed.items():
        extra = {"object": str(root / namespace), "reason": error.strerror or type(error).__name__}
        _LOG.warning("A folder cannot be read, so that nothing in it is counted.", extra=extra)
    if failed:
        said = f"{len(failed)} folders of namespaces cannot be read; what is in them is not counted"
        yield Gap(RetentionState.PARTIAL, said, _UNREADABLE)


def _left(root: Path, delete_after: int, now: datetime) -> Iterator[Gap]:
    """What is not deleted by order, and may be of the class."""
    if any(root.glob(_FORMER)):
        yield _LEFT
    for folder in (OF_ANY, REFUSED):
        if any(each.end <= now - timedelta(hours=delete_after) for each in _files(root, folder)):
            said = f"files in {folder}, which may be of any namespace, are older than {period(delete_after)}"
            yield Gap(RetentionState.PARTIAL, said, "delete them by hand once they are older than the longest minimum")


def _delete(root: Path, orders: Sequence[Order], now: datetime, given_up: threading.Event) -> Done:
    """What cannot be deleted of a namespace keeps nothing of others."""
    deleted: dict[str, int] = {}
    wrong: dict[str, Failure] = {}
    for order in orders:
        if order.delete_after is None:
            continue
        name, limit = order.wanted.name, now - timedelta(hours=order.delete_after)
        for namespace in order.namespaces:
            try:
                for count in _deleted(root, namespace, limit, given_up):
                    deleted[name] = deleted.get(name, 0) + count
            except OSError as error:
                wrong[name] = _explained(error)
    return Done(deleted, uncounted=wrong)


def _deleted(root: Path, namespace: str, limit: datetime, given_up: threading.Event) -> Iterator[int]:
    """Delete what is before `limit`, file by file; gives how many records those were."""
    for file in _files(root, namespace):
        if file.end - _DAY >= limit or given_up.is_set():
            return
        with _locked(file):
            whole = file.end <= limit and not _has_of_any(file)
            count = _remove(file) if whole else _thin(file, limit)
        yield count


def _remove(file: _File) -> int:
    """Delete a file; returns how many records it had."""
    count = _lines(file)
    _forget(file)
    os.unlink(file.name, dir_fd=file.folder)  # a Path knows no open folder
    os.fsync(file.folder)
    return count


def _thin(file: _File, limit: datetime) -> int:
    """Delete the records before `limit`; returns how many those were. What is no record stays as long as its day."""
    count = sum(each < limit for each in _times(file))
    if count:
        with _rewriting(file) as rest, _reading(file) as lines:
            rest.writelines(line for line in lines if (when := _time(file, line)) is None or when >= limit)
    return count


def _has_of_any(file: _File) -> bool:
    if not file.mixed:
        return False
    with _reading(file) as lines:
        return any(map(_is_of_any, lines))


def _is_of_any(line: bytes) -> bool:
    return any(each in line for each in _MARKS)


@contextmanager
def _rewriting(file: _File) -> Iterator[BinaryIO]:
    """What is written takes the place of a file, as a whole and on disk, or not at all."""
    name = _forget(file)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(name, flags, 0o640, dir_fd=file.folder), "wb") as content:
        yield content
        content.flush()
        os.fsync(content.fileno())
    os.replace(name, file.name, src_dir_fd=file.folder, dst_dir_fd=file.folder)
    os.fsync(file.folder)


def _forget(file: _File) -> str:
    """Delete what is to take its place, of somebody who was killed at it; returns what that is called."""
    name = f".{file.name}.new"
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=file.folder)
    return name


@contextmanager
def _locked(file: _File) -> Iterator[None]:
    """The shipper waits before it adds to the file, and looks whether it is still that file afterwards.

    Raises BlockingIOError where somebody else keeps the lock: whoever may read the file can.
    """
    with _opened(file) as descriptor:
        for _ in range(_LOCK_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            sleep(_LOCK_PAUSE)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _files(root: Path, namespace: str) -> Iterator[_File]:
    """Those of a namespace, the oldest first. Raises OSError. Links are not followed."""
    try:
        folder = os.open(root / (namespace or OF_NONE), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(each.name for each in entries if each.is_file(follow_symlinks=False))
        for name in names:
            day = day_of(name)
            if day is not None:
                yield _File(folder, name, datetime.combine(day, time(), UTC) + _DAY, mixed=not namespace)
    finally:
        os.close(folder)


def _lines(file: _File) -> int:
    """How many records a file has; half a line is none."""
    with _opened(file) as descriptor:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: os.read(descriptor, _CHUNK), b""))


def _times(file: _File) -> Iterator[datetime]:
    """When its records were."""
    with _reading(file) as lines:
        yield from filter(None, (_time(file, each) for each in lines))


def _time(file: _File, line: bytes) -> datetime | None:
    """When a record was; None for a line that is none, or not of those whose file this is."""
    if not line.startswith(BEGIN) or not line.endswith(b"\n") or (file.mixed and _is_of_any(line)):
        return None
    try:
        moment = datetime.fromisoformat(line[len(BEGIN) : line.index(b'"', len(BEGIN))].decode("ascii"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


@contextmanager
def _reading(file: _File) -> Iterator[BinaryIO]:
    with _opened(file) as descriptor, os.fdopen(os.dup(descriptor), "rb") as lines:
        yield lines


@contextmanager
def _opened(file: _File) -> Iterator[int]:
    descriptor = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=file.folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
