"""VictoriaLogs: written to as OTLP, asked in LogsQL.

It answers 200 also for what it throws away: entries whose time lies outside of its retention (counted in
vl_rows_dropped_total), and entries above 2 MiB (only in its log). So a write proves nothing, and `find` does.
"""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.exporters import AUDIT_ID, STAGE
from audit_operator.sinks import logsql
from audit_operator.sinks.access import each_once, failure
from audit_operator.sinks.quoting import UNASKABLE, are_askable, quoted
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
    from collections.abc import AsyncGenerator, Mapping

    from audit_operator.sinks.access import Answer
    from audit_operator.sinks.otlp_endpoint import OtlpEndpoint
    from audit_operator.sinks.selection import Selection

_TIME, _TEXT = "_time", "_msg"
_METRIC = re.compile(
    rb'(vl_rows_dropped_total|vl_storage_is_read_only)(?:\{(?:reason="([a-z_]{1,64})")?.*\})? (\d{1,18})'
)
_NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_MALFORMED = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that VictoriaLogs gives to a query")
_MOST_OF_METRICS = 4 * 2**20
_LONGEST_METRIC = 1024


@dataclass(frozen=True, slots=True)
class VictoriaLogsStore:
    """One tenant of a VictoriaLogs; implements `store.Store`."""

    endpoint: OtlpEndpoint
    tenant_headers: Mapping[str, str] = field(default_factory=dict)

    async def check(self) -> Reachable | Failure:
        """See `store.Store`."""
        return await self.endpoint.check()

    async def write(self, record: Record) -> Accepted | Failure:
        """See `store.Store`."""
        return await self.endpoint.write(record)

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Found | Failure:
        """See `store.Store`. What was written a second ago may not be found yet."""
        if not are_askable(audit_id, stage):
            return UNASKABLE
        query = f"{AUDIT_ID}:={quoted(audit_id)}" + (f" {STAGE}:={quoted(stage)}" if stage is not None else "")
        form = {**logsql.form(query), "start": since.isoformat(), "limit": str(MOST_RECORDS + 1)}
        answer = await self.endpoint.connection.ask(logsql.PATH, form, self.tenant_headers)
        return answer if isinstance(answer, Failure) else _found(answer)

    async def search(self, selection: Selection) -> AsyncGenerator[Record | Failure, None]:
        """See `store.Store`. VictoriaLogs sorts in its memory, and refuses what would need too much of it."""
        query = logsql.query(selection)
        if len(query) > logsql.LONGEST:
            yield failure(Reason.QUESTION_INVALID, "what is asked for is too long, taken together")
            return
        lines = self.endpoint.connection.lines(logsql.PATH, logsql.form(query), self.tenant_headers)
        async with aclosing(lines):
            async for line in lines:
                answer = line if isinstance(line, Failure) else _found_in(line)
                yield answer
                if isinstance(answer, Failure):
                    return

    async def health(self) -> Health | Failure:
        """See `store.Store`. A cluster's counters are in its storage nodes, and are not told here."""
        answer = await self.endpoint.connection.get("/health")
        if isinstance(answer, Failure):
            return answer
        metrics = await self.endpoint.connection.get("/metrics", at_most=_MOST_OF_METRICS)
        return Health(writable=True, dropped=None) if isinstance(metrics, Failure) else _health(metrics)


def _found(answer: Answer) -> Found | Failure:
    """The answer is one JSON object a line."""
    try:
        return without_copies(_record(json.loads(line)) for line in answer.body.splitlines() if line)
    except _NO_RECORD:
        return _MALFORMED


def _found_in(line: bytes) -> Record | Failure:
    """A record of any kind. Records of applications have no audit ID."""
    try:
        return _record({AUDIT_ID: "", **json.loads(line, object_pairs_hook=each_once)})
    except _NO_RECORD:
        return _MALFORMED


def _record(row: dict[str, Any]) -> Record:
    fields = {key: _expect_text(value) for key, value in row.items()}
    return Record(
        audit_id=fields.pop(AUDIT_ID),
        stage=fields.pop(STAGE, ""),
        time=_expect_zone(datetime.fromisoformat(fields.pop(_TIME))),
        text=fields.pop(_TEXT, ""),
        attributes=fields,
    )


def _expect_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _expect_zone(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError
    return time


def _health(metrics: Answer) -> Health:
    dropped: dict[str, int] = {}
    read_only = False
    # Line by line, and no long ones: who answers may be a tenant's, and may answer anything.
    for line in metrics.body.splitlines():
        found = _METRIC.fullmatch(line) if len(line) <= _LONGEST_METRIC else None
        if found is None:
            continue
        if found[1] == b"vl_storage_is_read_only":
            read_only = read_only or int(found[3]) > 0
        else:
            reason = found[2].decode() if found[2] else ""
            dropped[reason] = dropped.get(reason, 0) + int(found[3])
    return Health(writable=not read_only, dropped=dropped or None)
