"""Every record of a span out of dated files, by when it was."""

from __future__ import annotations

import threading
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby
from typing import TYPE_CHECKING

from audit_operator.integrity.record import StoredRecord
from audit_operator.sinks.blocking import unblocked
from audit_operator.sinks.dated_files import UNREADABLE, Tally, documents, folders_of, opened, why_unreadable
from audit_operator.sinks.files import listed
from audit_operator.sinks.scanning import Batch
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from audit_operator.integrity.interval import Interval
    from audit_operator.sinks.dated_files import DatedFile
    from audit_operator.sinks.files import FileStore
    from audit_operator.sinks.scanning import Stream

_RECORDS, _BYTES = 500, 4 * 2**20
"""Of a batch."""
_LATE = timedelta(hours=1)
"""For which the records of a day are still written after it."""


@dataclass(frozen=True, slots=True)
class FileScanner:
    """Implements `scanning.Scanner`.

    Attributes:
        unended: files of days that are not over, whose last line was without end: it was being written, or cut off.
    """

    store: FileStore
    unended: set[str] = field(default_factory=set, compare=False)

    @property
    def by_time(self) -> bool:
        """See `scanning.Scanner`. Of a day, all must be read for any part of it."""
        return False

    async def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        """See `scanning.Scanner`. What cannot be read is named by file, line by line up to a few.

        A last line without end is, once its day is over.
        """
        given_up = threading.Event()
        async with aclosing(unblocked(_batches(self, span, stream, given_up), given_up, 1)) as batches:
            async for each in batches:
                yield each


def _batches(
    scanner: FileScanner, span: Interval, stream: Stream, given_up: threading.Event
) -> Generator[Batch | Failure, None, None]:
    found = listed(scanner.store.root, folders_of([stream.namespace]) if stream.namespace else None, span.since)
    if isinstance(found, Failure):
        yield found
        return
    tally = Tally(first=list(found.wrong), wrong=len(found.wrong))
    records: list[StoredRecord] = []
    size = 0
    wanted = (each for each in found.files if span.since.date() <= each.day <= span.until.date())
    for _, of_day in groupby(sorted(wanted, key=lambda each: each.day), lambda each: each.day):
        for record in chain.from_iterable(_records(scanner, file, tally, given_up) for file in of_day):
            if span.holds(record.nanoseconds) and stream.holds(record):
                records.append(record)
                size += len(record.text)
            if len(records) == _RECORDS or size >= _BYTES:
                yield Batch(tuple(records))
                records, size = [], 0
        if given_up.is_set():
            return
        # A record lies in the files of its day, and so do its copies.
        yield Batch(tuple(records), settled=True)
        records, size = [], 0
    yield Batch(unreadable=tally.named())


def _records(scanner: FileScanner, file: DatedFile, tally: Tally, given_up: threading.Event) -> Iterator[StoredRecord]:
    halves = tally.half
    try:
        with opened(scanner.store.root, file) as content:
            for each in documents(content, file, tally, given_up):
                yield StoredRecord(each.nanoseconds, each.text, each.attributes)
    except UNREADABLE as error:
        tally.add(why_unreadable(file, error))
    if tally.half > halves and file.day < (datetime.now(UTC) - _LATE).date():
        tally.add(f"{file}: its last line has no end, though its day is over")
    elif tally.half > halves:
        scanner.unended.add(str(file))
