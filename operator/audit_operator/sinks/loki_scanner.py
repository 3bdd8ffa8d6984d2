"""Every record of a span out of Loki.

It answers a question with some thousand records at most, in order of time, and says nothing of what it left out. So
each question begins with the time that the one before ended with, which it has again, and what came is held against
what Loki counts. Made from its documentation: no Loki has run in our tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from audit_operator.integrity.interval import exact, to_nanoseconds
from audit_operator.integrity.record import StoredRecord
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.scanning import PAUSES, Batch, persistent
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from audit_operator.integrity.interval import Interval
    from audit_operator.sinks.access import Answer
    from audit_operator.sinks.loki import LokiStore
    from audit_operator.sinks.scanning import Stream

AT_ONCE = 500
"""Records that one question is to answer with: they must fit into a message of 4 MiB between Loki's processes."""
MOST_AT_ONCE = 5000
"""The default of max_entries_limit_per_query."""

_WINDOW = 3600 * 10**9
_SECOND = 10**9
_OF_THE_STORE = frozenset({"service_name", "detected_level", "observed_timestamp", "__stream_shard__"})
"""What Loki makes itself; and when a collector read the line, which differs from copy to copy."""
_TOO_LARGE = frozenset({Reason.ANSWER_TOO_LARGE, Reason.STORE_FAILED})
_NO_ANSWER = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_MALFORMED = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that Loki gives to a query")


@dataclass(frozen=True, slots=True)
class LokiScanner:
    """Implements `scanning.Scanner`."""

    store: LokiStore
    at_once: int = AT_ONCE
    most_at_once: int = MOST_AT_ONCE
    pauses: tuple[float, ...] = field(default=PAUSES)

    @property
    def by_time(self) -> bool:
        """See `scanning.Scanner`."""
        return True

    async def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        """See `scanning.Scanner`. In order of time; some records come twice."""
        begin, end = to_nanoseconds(span.since), to_nanoseconds(span.until)
        while begin < end:
            until = min(begin + _WINDOW, end)
            async for part in persistent(partial(self._window, begin, until, _query(stream)), self.pauses):
                yield part
                if isinstance(part, Failure):
                    return
            begin = until

    async def _window(self, begin: int, until: int, query: str) -> AsyncIterator[Batch | Failure]:
        counted = await self._count(begin, until, query)
        if isinstance(counted, Failure):
            yield counted
            return
        read, again, at = 0, 0, begin
        limit, most = self.at_once, self.most_at_once
        while True:
            records = await self._page(at, until, query, limit)
            if isinstance(records, Failure):
                if records.reason not in _TOO_LARGE or limit == 1:
                    yield records
                    return
                limit, most = limit // 2, limit - 1
                continue
            if len(records) >= limit and records[-1].nanoseconds == at:
                if limit >= most:
                    said = f"{limit} records or more are of {exact(at)}, and Loki gives no more of them at once"
                    yield failure(Reason.ANSWER_INCOMPLETE, said)
                    return
                limit = min(2 * limit, most)
                continue
            yield Batch(tuple(records))
            read += len(records) - again
            if len(records) < limit:
                break
            at = records[-1].nanoseconds
            again = sum(each.nanoseconds == at for each in records)
        if read < counted:
            said = f"the store counted {counted} records from {exact(begin)} on, and gave {read}"
            yield failure(Reason.ANSWER_INCOMPLETE, said)

    async def _count(self, begin: int, until: int, query: str) -> int | Failure:
        # A range does not have its begin: one that ends a nanosecond earlier has ours.
        seconds = (until - begin) // _SECOND
        form = {"query": f"sum(count_over_time({query} [{seconds}s]))", "time": str(until - 1)}
        answer = await self.store.endpoint.connection.ask("/loki/api/v1/query", form, self.store.tenant_headers)
        if isinstance(answer, Failure):
            return answer
        try:
            samples = _result(answer, "vector")
            return sum(int(each["value"][1]) for each in samples)
        except _NO_ANSWER:
            return _MALFORMED

    async def _page(self, begin: int, until: int, query: str, limit: int) -> list[StoredRecord] | Failure:
        """The first records, in order of time."""
        form = {"query": query, "start": str(begin), "end": str(until), "limit": str(limit), "direction": "forward"}
        answer = await self.store.endpoint.connection.ask("/loki/api/v1/query_range", form, self.store.tenant_headers)
        if isinstance(answer, Failure):
            return answer
        try:
            streams = _result(answer, "streams")
            records = [_record(stream["stream"], value) for stream in streams for value in stream["values"]]
        except _NO_ANSWER:
            return _MALFORMED
        if not all(begin <= each.nanoseconds < until for each in records):
            return _MALFORMED
        return sorted(records, key=lambda each: each.nanoseconds)


def _query(stream: Stream) -> str:
    wanted = (("cluster", stream.cluster), ("namespace", stream.namespace))
    return '{service_name=~".+"}' + "".join(f" | {name}={quoted(value)}" for name, value in wanted if value)


def _result(answer: Answer, kind: str) -> list[Any]:
    """Raises what it likes where the answer is another."""
    document = answer.json(strict=True)
    if isinstance(document, Failure) or document["status"] != "success" or document["data"]["resultType"] != kind:
        raise ValueError
    result: list[Any] = document["data"]["result"]
    return result


def _record(labels: dict[str, Any], value: list[Any]) -> StoredRecord:
    nanoseconds, text = value[0], value[1]
    attributes = {name: each for name, each in labels.items() if name not in _OF_THE_STORE}
    if not all(isinstance(each, str) for each in (nanoseconds, text, *attributes.values())):
        raise TypeError
    return StoredRecord(int(nanoseconds), text, attributes)
