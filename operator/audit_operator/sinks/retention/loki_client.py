"""What Loki is asked about retention over HTTP, and how its answers are read.

A question is about as long a time as the tenant's limits let one be, so that the whole of a store takes several.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from audit_operator.policy.document import parse_document
from audit_operator.sinks.access import failure
from audit_operator.sinks.logql import nanoseconds
from audit_operator.sinks.retention.loki_questions import of_ours
from audit_operator.sinks.retention.loki_settings import Documents, LokiSettings, has_overrides, loki_settings
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.sinks.access import Answer, Connection
    from audit_operator.sinks.retention.loki_questions import Selector

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REFUSED = frozenset({Reason.NOT_FOUND, Reason.FORBIDDEN, Reason.UNAUTHENTICATED, Reason.REFUSED, Reason.REDIRECTED})
"""Answers to a question that this user may not ask, or that is not enabled; others may have an answer tomorrow."""

_DELETE = "/loki/api/v1/delete"
_QUERY = "/loki/api/v1/query"
_MOST_OF_SETTINGS = 2 * 2**20
_PROCESSED = "processed"

_NOT_AN_ANSWER = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that Loki gives to a question")
_NOT_DELETIONS = failure(Reason.ANSWER_MALFORMED, "the store's list of deletions is not the one of Loki")
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A deletion that the store has not carried out; `end`: it is about records from before that."""

    number: str
    query: str
    end: datetime
    created: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A time that records are asked about, which has its begin and not its end, and how long one question may be."""

    begin: datetime
    end: datetime
    longest: timedelta

    def parts(self) -> Iterator[tuple[datetime, datetime]]:
        """Begins and ends of questions about log lines, in order."""
        begin = self.begin
        while begin < self.end:
            end = min(begin + self.longest, self.end)
            yield begin, end
            begin = end

    def ranges(self) -> Iterator[tuple[datetime, int]]:
        """Ends and lengths in seconds of ranges to count over, which have their end, and do not have their begin."""
        end = self.end - timedelta(microseconds=1)
        while end >= self.begin:
            length = min(self.longest, end - self.begin + timedelta(microseconds=1))
            seconds = -(-length // timedelta(seconds=1))
            yield end, seconds
            end -= timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class LokiClient:
    """One tenant of a Loki, and its name there. No call raises for anything that the store or the network does."""

    connection: Connection
    tenant: str
    headers: Mapping[str, str] = field(default_factory=dict)

    async def settings(self) -> LokiSettings | Failure:
        """What counts for the tenant."""
        config = await self._document("/config")
        if isinstance(config, Failure):
            return config
        if config is None or not has_overrides(config):
            return loki_settings(Documents(config), self.tenant)
        runtime = await self._document("/runtime_config")
        if isinstance(runtime, Failure):
            return runtime
        limits = await self._document("/config/tenant/v1/limits") if runtime is None else None
        return limits if isinstance(limits, Failure) else loki_settings(Documents(config, runtime, limits), self.tenant)

    async def now(self) -> datetime | Failure:
        """The store's time: what an instant query is about that names none."""
        samples = await self._samples("vector(1)")
        if isinstance(samples, Failure):
            return samples
        return samples[0].time if len(samples) == 1 else _NOT_AN_ANSWER

    async def first(self, query: str, span: Span) -> datetime | Failure | None:
        """The time of the oldest record."""
        for begin, end in span.parts():
            times = {"start": nanoseconds(begin), "end": nanoseconds(end)}
            form = {"query": query, "limit": "1", "direction": "forward", **times}
            answer = await self.connection.ask("/loki/api/v1/query_range", form, self.headers)
            found = answer if isinstance(answer, Failure) else _times(answer)
            if isinstance(found, Failure):
                return found
            if found:
                return min(found)
        return None

    async def count(self, query: str, span: Span) -> int | Failure:
        """Records."""
        total = 0
        for end, seconds in span.ranges():
            samples = await self._samples(f"sum(count_over_time({query} [{seconds}s]))", end)
            if isinstance(samples, Failure):
                return samples
            total += sum(each.value for each in samples)
        return total

    async def there(
        self, names: Iterable[str], clusters: Iterable[str], label: str, span: Span
    ) -> frozenset[str] | Failure:
        """Those namespaces of which there are records, by the label that has their names."""
        selector = of_ours(names, clusters, label)
        found: set[str] = set()
        for end, seconds in span.ranges():
            samples = await self._samples(f"sum by ({label}) (count_over_time({selector} [{seconds}s]))", end)
            if isinstance(samples, Failure):
                return samples
            found |= {each.labels.get(label, "") for each in samples if each.value}
        return frozenset(found)

    async def ordered(self) -> tuple[Ordered, ...] | Failure:
        """Deletions that are not carried out, of anybody, in this tenant."""
        answer = await self.connection.get(_DELETE, self.headers)
        listed = answer if isinstance(answer, Failure) else answer.json()
        if isinstance(listed, Failure):
            return listed
        try:
            return tuple(_ordered(each) for each in listed or () if each["status"] != _PROCESSED)
        except _MALFORMED:
            return _NOT_DELETIONS

    async def delete(self, selector: Selector, end: datetime) -> Failure | None:
        """Order the deletion of what is from before a moment; Loki takes whole seconds."""
        parameters = {"query": str(selector), "start": "0", "end": str((end - EPOCH) // timedelta(seconds=1))}
        answer = await self.connection.post(
            f"{self.connection.base}{_DELETE}?{urlencode(parameters, quote_via=quote)}", b"", self.headers
        )
        return answer if isinstance(answer, Failure) else None

    async def cancel(self, ordered: Ordered) -> Failure | None:
        """Cancel a deletion, or end one that has begun."""
        parameters = {"request_id": ordered.number, "force": "true"}
        answer = await self.connection.delete(f"{_DELETE}?{urlencode(parameters, quote_via=quote)}", self.headers)
        return answer if isinstance(answer, Failure) else None

    async def _document(self, path: str) -> dict[str, Any] | Failure | None:
        """What stands at a path, in YAML; None where nobody may see it, or it is no object."""
        answer = await self.connection.get(path, self.headers, at_most=_MOST_OF_SETTINGS)
        if isinstance(answer, Failure):
            # A gateway that lets questions through need not let this through.
            return None if answer.reason in REFUSED else answer
        read = await asyncio.to_thread(parse_document, answer.body)
        return read.value if isinstance(read.value, dict) else None

    async def _samples(self, query: str, time: datetime | None = None) -> list[_Sample] | Failure:
        at = {} if time is None else {"time": nanoseconds(time)}
        answer = await self.connection.ask(_QUERY, {"query": query, **at}, self.headers)
        if isinstance(answer, Failure):
            return answer
        found = _result(answer, "vector")
        try:
            return found if isinstance(found, Failure) else [_sample(each) for each in found]
        except _MALFORMED:
            return _NOT_AN_ANSWER


@dataclass(frozen=True, slots=True)
class _Sample:
    """A count, of records that have these labels, at a time."""

    labels: Mapping[str, str]
    time: datetime
    value: int


def _result(answer: Answer, kind: str) -> list[Any] | Failure:
    document = answer.json()
    if isinstance(document, Failure):
        return document
    try:
        data, status = document["data"], document["status"]
        result = data["result"] if (status, data["resultType"]) == ("success", kind) else None
    except _MALFORMED:
        return _NOT_AN_ANSWER
    return result if isinstance(result, list) else _NOT_AN_ANSWER


def _times(answer: Answer) -> list[datetime] | Failure:
    streams = _result(answer, "streams")
    if isinstance(streams, Failure):
        return streams
    try:
        values = [value for stream in streams for value in stream["values"]]
        return [EPOCH + timedelta(microseconds=int(each[0]) // 1000) for each in values]
    except _MALFORMED:
        return _NOT_AN_ANSWER


def _sample(said: Any) -> _Sample:
    seconds, count = said["value"]
    return _Sample({str(key): str(value) for key, value in said["metric"].items()}, _moment(seconds), _whole(count))


def _whole(count: Any) -> int:
    return round(float(count))


def _ordered(said: Any) -> Ordered:
    query = said["query"]
    if not isinstance(query, str):
        raise TypeError
    return Ordered(str(said["request_id"]), query, _moment(said["end_time"]), _moment(said["created_at"]))


def _moment(seconds: Any) -> datetime:
    return EPOCH + timedelta(seconds=float(seconds))
