"""The events of a store, counted as those of a file are. Imported late: it brings in every client."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from audit_operator.cli.usage import UsageError
from audit_operator.integrity.interval import Interval, moment
from audit_operator.replay.cells import Cells
from audit_operator.shipping.redaction.pseudonyms import NO_ADDRESS
from audit_operator.sinks.seal_opening import scanner_of
from audit_operator.sinks.store import Failure, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audit_operator.integrity.record import StoredRecord
    from audit_operator.plan.sinks import Sink
    from audit_operator.replay.vocabulary import Vocabulary
    from audit_operator.sinks.scanning import Scanner, Stream
    from audit_operator.sinks.store import Store

AT_ONCE = timedelta(hours=1)
"""Of a store that can be read by time. What came twice is known for so long."""

_PSEUDONYM = re.compile(NO_ADDRESS)


@dataclass(slots=True)
class SinkCounts:
    """What was read of a store.

    Attributes:
        others: records that are no audit events, such as those of applications.
        broken: what could not be read.
    """

    cells: Cells
    others: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def pseudonyms(self) -> int:
        """Events whose caller is a pseudonym, which no policy can name."""
        return sum(
            counts.events for cell, counts in self.cells.counts.items() if cell.user and _PSEUDONYM.match(cell.user)
        )


def scanner_or_usage_error(sink: Sink, store: Store) -> Scanner:
    """What reads all of a store.

    Raises:
        UsageError: nothing does.
    """
    scanner = scanner_of(store)
    if isinstance(scanner, Unsupported):
        raise UsageError(f"{sink.ref}: {scanner.reason}")
    return scanner


async def count_records(
    scanner: Scanner, span: Interval, streams: Sequence[Stream], vocabulary: Vocabulary, tell: Callable[[str], None]
) -> SinkCounts:
    """The counts of a store's records of these streams; `tell` hears how far it is."""
    counts = SinkCounts(Cells(vocabulary))
    for part in _parts(span) if scanner.by_time else [span]:
        for stream in streams:
            tell(f"from {moment(part.since)} on, {counts.cells.events:,} events so far")
            await _read(scanner, part, stream, counts)
    return counts


async def _read(scanner: Scanner, span: Interval, stream: Stream, counts: SinkCounts) -> None:
    seen: set[bytes] = set()
    async for batch in scanner.scan(span, stream):
        if isinstance(batch, Failure):
            counts.broken.append(f"{span}: {batch.message} ({batch.mend})")
            return
        counts.broken += [f"{each}: cannot be read" for each in batch.unreadable]
        for record in batch.records:
            leaf = record.leaf()
            if span.holds(record.nanoseconds) and leaf not in seen:
                seen.add(leaf)
                _count(record, counts)
        if batch.settled:
            seen.clear()


def _count(record: StoredRecord, counts: SinkCounts) -> None:
    if "verb" in record.attributes:
        counts.cells.add(record.text.encode("utf-8", "surrogatepass"), record.attributes.get("auditID", ""))
    else:
        counts.others += 1


def _parts(span: Interval) -> Iterator[Interval]:
    since = span.since
    while since < span.until:
        until = min(since + AT_ONCE, span.until)
        yield Interval(since, until)
        since = until
