"""Every record of a span out of VictoriaLogs.

It sorts nothing here, since that would need its memory for all of them. It is asked how many records each minute has,
and then for a few minutes at a time: an answer with fewer records than were counted is no answer.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from audit_operator.integrity.interval import Interval, exact, to_nanoseconds
from audit_operator.integrity.record import StoredRecord
from audit_operator.sinks import logsql
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.rfc3339 import nanoseconds
from audit_operator.sinks.scanning import PAUSES, Batch, persistent
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping

    from audit_operator.sinks.access import Connection
    from audit_operator.sinks.scanning import Stream
    from audit_operator.sinks.victoria_logs import VictoriaLogsStore

MOST_AT_ONCE = 20_000
"""Records that one request is to answer with: it must be over long before its time is up."""
_BATCH = 500
_STEP = timedelta(minutes=1)
_OF_THE_STORE = frozenset({"_stream", "_stream_id"})
_TIME, _TEXT, _COUNT = "_time", "_msg", "records"
NO_ROW = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_MALFORMED = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that VictoriaLogs gives to a query")


@dataclass(frozen=True, slots=True)
class _Window:
    """A span in nanoseconds since 1970, and how many records the store counted there."""

    since: int
    until: int
    records: int


@dataclass(frozen=True, slots=True)
class VictoriaLogsScanner:
    """Implements `scanning.Scanner`."""

    store: VictoriaLogsStore
    most_at_once: int = MOST_AT_ONCE
    pauses: tuple[float, ...] = PAUSES

    @property
    def by_time(self) -> bool:
        """See `scanning.Scanner`."""
        return True

    async def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        """See `scanning.Scanner`. In order of time by the minute, and in none within."""
        counts = await self._counts(span, stream)
        if isinstance(counts, Failure):
            yield counts
            return
        for window in _windows(counts, self.most_at_once):
            async for part in persistent(partial(self._window, window, stream), self.pauses):
                yield part
                if isinstance(part, Failure):
                    return

    async def _counts(self, span: Interval, stream: Stream) -> list[_Window] | Failure:
        """One for each minute that has records, in order."""
        whole = _Window(to_nanoseconds(span.since), to_nanoseconds(span.until), 0)
        query = f"{_filter(whole, stream)} | stats by (_time:1m) count() as {_COUNT}"
        answer = await self.store.endpoint.connection.ask(logsql.PATH, logsql.form(query), self.store.tenant_headers)
        if isinstance(answer, Failure):
            return answer
        try:
            rows = [_row(line) for line in answer.body.splitlines() if line]
            return sorted((_minute(row, whole) for row in rows), key=lambda each: each.since)
        except NO_ROW:
            return _MALFORMED

    async def _window(self, window: _Window, stream: Stream) -> AsyncIterator[Batch | Failure]:
        records: list[StoredRecord] = []
        read = 0
        found = stored_records(
            self.store.endpoint.connection, _filter(window, stream), self.store.tenant_headers, _MALFORMED
        )
        async with aclosing(found) as stored:
            async for record in stored:
                if isinstance(record, Failure):
                    yield record
                    return
                read += 1
                if not record.text and not record.attributes:
                    continue  # what is left where the first record of a block was deleted (VictoriaLogs issue 1798)
                records.append(record)
                if len(records) == _BATCH:
                    yield Batch(tuple(records))
                    records.clear()
        yield Batch(tuple(records))
        if read < window.records:
            said = f"the store counted {window.records} records from {exact(window.since)} on, and gave {read}"
            yield failure(Reason.ANSWER_INCOMPLETE, said)


def _windows(minutes: Iterable[_Window], most: int) -> Iterator[_Window]:
    """As few as there can be with so many records each; a minute is not divided."""
    open_: _Window | None = None
    for minute in minutes:
        if open_ is not None and open_.records + minute.records <= most:
            open_ = _Window(open_.since, minute.until, open_.records + minute.records)
            continue
        if open_ is not None:
            yield open_
        open_ = minute
    if open_ is not None:
        yield open_


def _filter(window: _Window, stream: Stream) -> str:
    parts = [f"_time:[{exact(window.since)}, {exact(window.until)})"]
    parts += [
        f"{name}:={quoted(value)}"
        for name, value in (("cluster", stream.cluster), ("namespace", stream.namespace))
        if value
    ]
    return " ".join(parts)


def _minute(row: dict[str, Any], whole: _Window) -> _Window:
    since = nanoseconds(row[_TIME])
    step = _STEP // timedelta(microseconds=1) * 1000
    return _Window(max(since, whole.since), min(since + step, whole.until), int(row[_COUNT]))


async def stored_records(
    connection: Connection, query: str, headers: Mapping[str, str], malformed: Failure
) -> AsyncGenerator[StoredRecord | Failure, None]:
    """The records of an answer as they come; a Failure is the last, `malformed` where a line is none of the store's."""
    async with aclosing(connection.lines(logsql.PATH, logsql.form(query), headers)) as lines:
        async for line in lines:
            if isinstance(line, Failure):
                yield line
                return
            try:
                record = stored_record(line)
            except NO_ROW:
                yield malformed
                return
            yield record


def stored_record(line: bytes) -> StoredRecord:
    """A line of the store's answer to a query. What is none raises one of `NO_ROW`."""
    row = _row(line)
    time, text = nanoseconds(row.pop(_TIME)), row.pop(_TEXT, "")
    attributes = {name: value for name, value in row.items() if name not in _OF_THE_STORE}
    if not all(isinstance(each, str) for each in (text, *attributes.values())):
        raise TypeError
    return StoredRecord(time, text, attributes)


def _row(line: bytes) -> dict[str, Any]:
    """One object. Surrogates stand for bytes that are no UTF-8: if the store has them, a record has them."""
    row: dict[str, Any] = json.loads(line.decode("utf-8", "surrogateescape"), object_pairs_hook=_each_once)
    return row


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values of one field, one would not be sealed."""
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError
    return row
