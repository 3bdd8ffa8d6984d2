"""Records out of dated files: of a File sink whose volume is mounted, or copied, where this runs.

Whatever is asked is read day after day, in the order that is asked for. Of a day, all lines are looked at, and what is
held of those that are wanted is where they are: memory does not grow with the files, nor with the answer.
"""

from __future__ import annotations

import asyncio
import heapq
import tempfile
import threading
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from itertools import groupby
from typing import IO, TYPE_CHECKING, NamedTuple

from audit_operator.integrity.interval import EPOCH
from audit_operator.shipping.exporters import AUDIT_ID, STAGE
from audit_operator.sinks.blocking import unblocked
from audit_operator.sinks.dated_files import (
    UNREADABLE,
    Tally,
    document_at,
    documents,
    folders_of,
    go_on,
    listing,
    why_unreadable,
)
from audit_operator.sinks.open_files import OpenFiles
from audit_operator.sinks.selection import Order
from audit_operator.sinks.store import (
    MOST_RECORDS,
    Failure,
    Found,
    Reachable,
    Reason,
    Record,
    Unsupported,
    without_copies,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from audit_operator.sinks.dated_files import DatedFile, Document, Listing
    from audit_operator.sinks.selection import Selection

_AT_ONCE = 16
"""Records that are held at once; each may be 16 MiB large, and few are."""
_IN_MEMORY = 4 * 2**20
_NOT_AGAIN = "a record in it could not be read a second time"
_MEND = "see who may read them, and what has become of their disk; other records are as they are shown"


@dataclass(frozen=True, slots=True)
class FileStore:
    """The folder of a sink, with folders of namespaces in it; implements `store.Store`.

    Attributes:
        root: that folder; what it is called here says nothing of the sink.
        tally: lines that kills have left, in all that was asked so far; nothing else is lost by them.
    """

    root: Path
    tally: Tally = field(default_factory=Tally, compare=False)

    async def check(self) -> Reachable | Failure:
        """See `store.Store`. That there are dated files: another folder would pass for a sink without records."""
        found = await asyncio.to_thread(listed, self.root, None, EPOCH)
        return found if isinstance(found, Failure) else Reachable()

    async def write(self, record: Record) -> Unsupported:  # noqa: ARG002 - Store's
        """See `store.Store`."""
        return Unsupported("files are written by shippers alone")

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Found | Failure:
        """See `store.Store`."""

        def is_meant(record: Record) -> bool:
            return record.audit_id == audit_id and stage in {None, record.stage} and record.time >= since

        wanted = _Wanted(None, since, None, is_meant, MOST_RECORDS + 1)
        found: list[Record] = []
        async with aclosing(self._read(wanted)) as records:
            async for each in records:
                if isinstance(each, Failure):
                    return each
                found.append(each)
        return without_copies(found)

    async def search(self, selection: Selection) -> AsyncGenerator[Record | Failure, None]:
        """See `store.Store`. A Failure after records says that some of the files, or lines, cannot be read."""
        folders = folders_of(each.namespace for each in selection.scopes)
        wanted = _Wanted(
            folders, selection.since, selection.until, selection.matches, selection.limit + 1,
            newest=selection.order is Order.NEWEST,
        )  # fmt: skip
        async with aclosing(self._read(wanted)) as records:
            async for each in records:
                yield each

    async def health(self) -> Unsupported:
        """See `store.Store`."""
        return Unsupported("files say nothing about themselves")

    async def _read(self, wanted: _Wanted) -> AsyncGenerator[Record | Failure, None]:
        notes = _Notes(Tally(), threading.Event())
        try:
            async with aclosing(unblocked(_records(self.root, wanted, notes), notes.given_up, _AT_ONCE)) as records:
                async for each in records:
                    yield each
        finally:
            self.tally.half += notes.tally.half
            self.tally.again += notes.tally.again


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which records: of these folders (None: of all) and this time, and what else is asked of each."""

    folders: tuple[str, ...] | None
    since: datetime
    until: datetime | None
    matches: Callable[[Record], bool]
    limit: int
    newest: bool = False

    def days(self, files: Iterable[DatedFile]) -> Iterator[tuple[DatedFile, ...]]:
        """The files of each day that may have some, in order."""
        last = self.until - timedelta(microseconds=1) if self.until is not None else None
        meant = [each for each in files if self.since.astimezone(UTC).date() <= each.day]
        meant = [each for each in meant if last is None or each.day <= last.astimezone(UTC).date()]
        for _, of_day in groupby(sorted(meant, key=lambda each: each.day, reverse=self.newest), lambda each: each.day):
            yield tuple(of_day)


class _Place(NamedTuple):
    """Where a record is; the first that is asked for has the largest rank, and of equal ones the largest `tie`."""

    rank: int
    tie: tuple[int, int]
    file: int
    offset: int
    length: int


class _Notes(NamedTuple):
    """What is noted while files are read, and whether to stop."""

    tally: Tally
    given_up: threading.Event


def _records(root: Path, wanted: _Wanted, notes: _Notes) -> Generator[Record | Failure, None, None]:
    """Blocks. Day after day, and at the end what could not be read.

    Whoever goes on where the limit was will not look at the days before it again. So the record that would only say
    that there are more gives way to what was wrong until then.
    """
    found = listed(root, wanted.folders, wanted.since)
    if isinstance(found, Failure):
        yield found
        return
    for each in found.wrong:
        notes.tally.add(each)
    left = wanted.limit
    for files in wanted.days(found.files):
        for record in _of_day(root, files, replace(wanted, limit=left), notes):
            if left == 1 and notes.tally.wrong:
                yield _incomplete(*notes.tally.named(), "there are more such records than were asked for")
                return
            yield record
            left -= 1
        if notes.given_up.is_set() or left <= 0:
            return
    if notes.tally.wrong:
        yield _incomplete(*notes.tally.named())


def _incomplete(*why: str) -> Failure:
    return Failure(Reason.ANSWER_INCOMPLETE, "; ".join(why), _MEND)


def listed(root: Path, folders: tuple[str, ...] | None, since: datetime) -> Listing | Failure:
    """See `dated_files.listing`; a Failure where there is nothing that a shipper could have made. Blocks."""
    try:
        found = listing(root, folders, since)
        if not found.files and not found.wrong and not listing(root, None, EPOCH).files:
            return Failure(
                Reason.NOT_FOUND,
                "there are no dated files in folders of that folder",
                "name the one that holds folders of namespaces, with files such as 2026-03-01.jsonl in them",
            )
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Failure(Reason.NOT_FOUND, f"the folder cannot be read: {why}", "name one that is there, and readable")
    return found


def _of_day(root: Path, files: tuple[DatedFile, ...], wanted: _Wanted, notes: _Notes) -> Iterator[Record]:
    """Those of a day, in order. What is replaced or deleted meanwhile is read to its end all the same."""
    best: list[_Place] = []
    with OpenFiles(root, files) as contents, tempfile.SpooledTemporaryFile(_IN_MEMORY) as plain:
        for number, file in enumerate(files):
            try:
                for document in documents(contents.get(number), file, notes.tally, notes.given_up):
                    _keep(best, document, number, wanted)
            except UNREADABLE as error:
                notes.tally.add(why_unreadable(file, error))
            if notes.given_up.is_set():
                return
        for place in sorted(_unpacked(best, contents, plain, notes), reverse=True):
            file, found = files[place.file], None
            with suppress(*UNREADABLE):
                content = plain if file.packed else contents.get(place.file)
                found = document_at(content, file, place.offset, place.length)
            if found is None:
                notes.tally.add(f"{file}: {_NOT_AGAIN}")
            else:
                yield _record(found)


def _keep(best: list[_Place], document: Document, number: int, wanted: _Wanted) -> None:
    """Of all that is wanted, only as many as are asked for: the largest."""
    rank = document.nanoseconds if wanted.newest else -document.nanoseconds
    if len(best) == wanted.limit and rank <= best[0].rank:
        return
    if wanted.matches(_record(document)):
        place = _Place(rank, (-number, -document.offset), number, document.offset, document.length)
        (heapq.heappush if len(best) < wanted.limit else heapq.heappushpop)(best, place)


def _unpacked(best: list[_Place], contents: OpenFiles, plain: IO[bytes], notes: _Notes) -> Iterator[_Place]:
    """What is wanted of packed files, once more and without the rest: to go back in one is to begin anew."""
    last = None
    for place in sorted(best, key=lambda each: (each.file, each.offset)):
        file = contents.files[place.file]
        if not file.packed:
            yield place
            continue
        part = b""
        with suppress(*UNREADABLE):
            content = contents.get(place.file)
            if place.file != last:
                content.seek(0)
            last = place.file
            go_on(content, place.offset, notes.given_up)
            part = content.read(place.length)
        if len(part) < place.length:
            notes.tally.add(f"{file}: {_NOT_AGAIN}")
            continue
        yield place._replace(offset=plain.tell())
        plain.write(part)


def _record(document: Document) -> Record:
    attributes = dict(document.attributes)
    return Record(
        audit_id=attributes.pop(AUDIT_ID, ""),
        stage=attributes.pop(STAGE, ""),
        time=EPOCH + timedelta(microseconds=document.nanoseconds // 1000),
        text=document.text,
        attributes=attributes,
    )
