"""Loki: written to as OTLP, asked in LogQL.

Attributes of a record are structured metadata there, which a label filter finds; of the labels it is only known that
Loki sets service_name on every stream, whatever the resource says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.exporters import AUDIT_ID, STAGE
from audit_operator.sinks import logql
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import UNASKABLE, are_askable, quoted
from audit_operator.sinks.selection import MOST_HELD, size
from audit_operator.sinks.store import (
    MOST_RECORDS,
    Accepted,
    Failure,
    Found,
    Health,
    Reachable,
    Reason,
    Record,
    without_copies,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from audit_operator.sinks.access import Answer
    from audit_operator.sinks.otlp_endpoint import OtlpEndpoint
    from audit_operator.sinks.selection import Selection

_MOST_BYTES = 2 * MOST_HELD
_TOO_MUCH = Failure(
    Reason.ANSWER_TOO_LARGE,
    f"the records are larger than {MOST_HELD >> 20} MiB together",
    "ask for fewer, or less time",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_STREAMS = frozenset({int(HTTPStatus.UNPROCESSABLE_ENTITY)})
"""Loki's answer to a request without records, given after it has recognised user and tenant."""


@dataclass(frozen=True, slots=True)
class LokiStore:
    """One tenant of a Loki; implements `store.Store`."""

    endpoint: OtlpEndpoint
    tenant_headers: Mapping[str, str] = field(default_factory=dict)

    async def check(self) -> Reachable | Failure:
        """See `store.Store`."""
        return await self.endpoint.check(also=_NO_STREAMS)

    async def write(self, record: Record) -> Accepted | Failure:
        """See `store.Store`."""
        return await self.endpoint.write(record)

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Found | Failure:
        """See `store.Store`. `since` must not lie further back than Loki's max_query_length, 30 days by default."""
        if not are_askable(audit_id, stage):
            return UNASKABLE
        wanted = f"{AUDIT_ID}={quoted(audit_id)}" + (f" | {STAGE}={quoted(stage)}" if stage is not None else "")
        form = {
            "query": f'{{service_name=~".+"}} | {wanted}',
            "start": logql.nanoseconds(since),
            "limit": str(MOST_RECORDS + 1),
        }
        answer = await self.endpoint.connection.ask("/loki/api/v1/query_range", form, self.tenant_headers)
        return answer if isinstance(answer, Failure) else _found(answer)

    async def search(self, selection: Selection) -> AsyncGenerator[Record | Failure, None]:
        """See `store.Store`. A question for each namespace; Loki's max_entries_limit_per_query, 5000 by default, holds.

        Each answer is held as a whole, and of all together what may be shown, up to limits.
        """
        best: list[Record] = []
        for scope in selection.scopes:
            if scope.since is not None and scope.since >= selection.until:
                continue  # Loki refuses a question that ends before it begins
            answer = await self.endpoint.connection.ask(
                "/loki/api/v1/query_range", logql.form(selection, scope), self.tenant_headers, at_most=_MOST_BYTES
            )
            found = answer if isinstance(answer, Failure) else _read(answer, "", strict=True)
            if isinstance(found, Failure):
                yield found
                return
            best = selection.first((*best, *found))
            if size(best) > MOST_HELD:
                yield _TOO_MUCH
                return
        for each in best:
            yield each

    async def health(self) -> Health | Failure:
        """See `store.Store`. Not every gateway lets /ready through, and none what Loki has discarded."""
        answer = await self.endpoint.connection.get("/ready")
        return answer if isinstance(answer, Failure) else Health(writable=True, dropped=None)


def _found(answer: Answer) -> Found | Failure:
    read = _read(answer)
    return read if isinstance(read, Failure) else without_copies(read)


def _read(answer: Answer, *without_id: str, strict: bool = False) -> list[Record] | Failure:
    """All records; `without_id` is the audit ID of those that have none, if such are expected."""
    document = answer.json(strict=strict)
    if isinstance(document, Failure):
        return document
    try:
        return list(_records(document, *without_id))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that Loki gives to a query")


def _records(document: dict[str, Any], *without_id: str) -> Iterator[Record]:
    data = document["data"]
    if document["status"] != "success" or data["resultType"] != "streams":
        raise ValueError
    for stream in data["result"]:
        labels = {key: str(value) for key, value in stream["stream"].items()}
        audit_id, stage = labels.pop(AUDIT_ID, *without_id), labels.pop(STAGE, "")
        for nanoseconds, text, *_ in stream["values"]:
            time = _EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)
            yield Record(audit_id, stage, time, str(text), labels)
