"""Every record of a span out of OpenSearch or Elasticsearch.

Read with a scroll: it goes over one state of the index, whatever is written meanwhile, and says at the beginning how
many documents there are. A point in time with a cursor would do the same, but OpenSearch 2 has no field by which
documents of one millisecond could be told apart (`_shard_doc`): at the border of two pages some would be lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from audit_operator.integrity.record import StoredRecord
from audit_operator.shipping.search_index import TEXT, TIME
from audit_operator.sinks.access import failure
from audit_operator.sinks.rfc3339 import nanoseconds
from audit_operator.sinks.scanning import PAUSES, Batch, persistent
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from audit_operator.integrity.interval import Interval
    from audit_operator.sinks.access import Answer
    from audit_operator.sinks.open_search import OpenSearchStore
    from audit_operator.sinks.scanning import Stream

PAGES = (1000, 100, 10, 1)
"""Documents of a page; fewer where an answer with so many is too large to be held."""
_KEPT = "2m"
"""How long a store keeps a scroll open that nobody goes on with."""
_UTC = "+00:00"
_JSON = {"Content-Type": "application/json"}
_WHOLE = f"scroll={_KEPT}&allow_partial_search_results=false"
_MOMENT = timedelta(milliseconds=1)
"""Stores count in whole ones; what they find beside the span is left out here."""
_NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
_MALFORMED = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that OpenSearch gives to a search")


@dataclass(frozen=True, slots=True)
class _Page:
    """Part of an answer: how many documents there are in all, some of them, and how to go on."""

    total: int
    hits: list[dict[str, Any]]
    scroll: str

    @classmethod
    def read(cls, answer: Answer) -> _Page | Failure:
        document = answer.json(strict=True)
        if isinstance(document, Failure):
            return document
        try:
            total, hits = document["hits"]["total"], list(document["hits"]["hits"])
            # A shard that is away gives nothing, and the others pass for the whole.
            if document["timed_out"] or document["_shards"]["failed"] or total["relation"] != "eq":
                return failure(Reason.ANSWER_INCOMPLETE, "the store could not look into all of its parts")
            if not all(isinstance(each, dict) for each in hits):
                return _MALFORMED
            return cls(int(total["value"]), hits, str(document["_scroll_id"]) if hits else "")
        except _NO_RECORD:
            return _MALFORMED


@dataclass(frozen=True, slots=True)
class OpenSearchScanner:
    """Implements `scanning.Scanner`. Whose a record is, is looked for here: the store's fields may have any type."""

    store: OpenSearchStore
    pages: tuple[int, ...] = PAGES
    pauses: tuple[float, ...] = PAUSES

    @property
    def by_time(self) -> bool:
        """See `scanning.Scanner`."""
        return True

    async def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        """See `scanning.Scanner`. In no order. What falters is begun anew, so that records may come twice."""
        async for part in persistent(partial(self._whole, span, stream), self.pauses):
            yield part

    async def _whole(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        for size in self.pages:
            async for part in self._scroll(span, stream, size):
                if isinstance(part, Failure) and part.reason is Reason.ANSWER_TOO_LARGE and size != self.pages[-1]:
                    break
                yield part
                if isinstance(part, Failure):
                    return
            else:
                return

    async def _scroll(self, span: Interval, stream: Stream, size: int) -> AsyncIterator[Batch | Failure]:
        page = await self._first(span, size)
        read, opened = 0, set()
        total = page.total if isinstance(page, _Page) else 0
        try:
            while isinstance(page, _Page) and page.hits:
                opened.add(page.scroll)
                read += len(page.hits)
                yield _batch(page.hits, span, stream)
                page = await self._next(page.scroll)
                if isinstance(page, _Page) and not page.hits and read < total:
                    page = failure(Reason.ANSWER_INCOMPLETE, f"the store counted {total} records, and gave {read}")
        finally:
            await self._close(opened)
        if isinstance(page, Failure):
            yield page

    async def _first(self, span: Interval, size: int) -> _Page | Failure:
        between = {"gte": _text(span.since - _MOMENT), "lte": _text(span.until + _MOMENT)}
        question = {
            "size": size,
            "sort": ["_doc"],  # as they lie: nothing has to be held in memory to sort them
            "track_total_hits": True,
            "query": {"bool": {"filter": [{"range": {TIME: between}}]}},
        }
        answer = await self.store.look(f"_search?{_WHOLE}", json.dumps(question).encode())
        if answer is None:
            return _Page(0, [], "")
        return answer if isinstance(answer, Failure) else _Page.read(answer)

    async def _next(self, scroll: str) -> _Page | Failure:
        connection, question = self.store.connection, {"scroll": _KEPT, "scroll_id": scroll}
        answer = await connection.post(f"{connection.base}/_search/scroll", json.dumps(question).encode(), _JSON)
        return answer if isinstance(answer, Failure) else _Page.read(answer)

    async def _close(self, scrolls: set[str]) -> None:
        """A store keeps only so many open at a time. It closes them itself after a while: to fail here is harmless."""
        if scrolls:
            body = json.dumps({"scroll_id": sorted(scrolls)}).encode()
            await self.store.connection.delete("/_search/scroll", _JSON, body)


def _batch(hits: list[dict[str, Any]], span: Interval, stream: Stream) -> Batch:
    records, unreadable = [], []
    for each in hits:
        try:
            record = _record(dict(each["_source"]))
        except _NO_RECORD:
            unreadable.append(f"{each.get('_index', '')}/{each.get('_id', '')}")
            continue
        if span.holds(record.nanoseconds) and stream.holds(record):
            records.append(record)
    return Batch(tuple(records), tuple(unreadable))


def _record(source: dict[str, Any]) -> StoredRecord:
    """Raises what it likes where the document is none of a shipper's."""
    time, text = source.pop(TIME), source.pop(TEXT)
    if not isinstance(time, str) or not isinstance(text, str):
        raise TypeError
    return StoredRecord(_nanoseconds(time), text, dict(_attribute(*each) for each in source.items()))


def _nanoseconds(text: str) -> int:
    """As shippers write it, or as the operator does, which writes the zone as numbers. Raises ValueError."""
    return nanoseconds(f"{text.removesuffix(_UTC)}Z" if text.endswith(_UTC) else text)


def _attribute(name: str, value: object) -> tuple[str, str]:
    """A text as it is; what is none, as shippers never write it, under a name that no attribute has."""
    return (name, value) if isinstance(value, str) else (f"\0{name}", json.dumps(value, sort_keys=True))


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
