"""VictoriaLogs: one retention for the whole instance, and a delete API for what may be kept less long.

Its answers were read on v1.52.1. A deletion is a task: it begins within a second or so, outlives the process (even into
one that is started without -delete.enable), takes two seconds for 200,000 of a million records, and shows neither how
far it is nor what came of it. So records are counted before and after, and tasks of ours that are still there are
stopped before new ones are given: a legal hold must reach those, too. Of a record that was the first of a block, a row
with nothing but a time and the names of its stream is left (VictoriaLogs issue 1798); counts by fields leave it out.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from audit_operator.retention.judgement import Facts, Mends
from audit_operator.shipping.exporters import AUDIT_ID, CLUSTER, NAMESPACE
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.retention.protocol import Done, Observed, Order
from audit_operator.sinks.retention.victoria_logs_settings import VictoriaLogsSettings
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.sinks.access import Answer, Connection

_MOST_OF_METRICS = 4 * 2**20
_UNSEEN = "unseen"
_MARK = re.compile(rf'!{AUDIT_ID}:="audit-operator-retention:([a-z0-9.,-]*)"')
"""Excludes nothing: by it, tasks of ours are told from those of people, and of operators of other clusters."""
_LONGEST_FILTER = 12_000
"""Bytes; the store reads queries of 16 KiB."""
_PARTITION = 24
"""Hours: it deletes whole days at a time."""
_NEVER = 100 * 365 * 24
"""Hours beyond which nothing counts as older: times in the store are nanoseconds in 64 bits, where an age or a moment
of some 300 years wraps around, and matches everything."""
_BOTH, _EITHER = " ", " or "
_STEP = 0.5
_SETTINGS_REFUSED = (Reason.NOT_FOUND, Reason.FORBIDDEN, Reason.UNAUTHENTICATED)

_NOT_TASKS = failure(Reason.ANSWER_MALFORMED, "the store's list of deletions is not the one of VictoriaLogs")
_LOCK = "ship to a sink of type S3 with objectLock as well; VictoriaLogs cannot refuse its administrator"
_MENDS = Mends(
    "start it with a longer -retentionPeriod; it is one for the whole instance",
    "start it with -delete.enable, or with a -retentionPeriod that is a day shorter than the maximum",
    _LOCK,
)
_MENDS_OF_TENANT = Mends(
    _MENDS.keep_longer,
    "start it with a -retentionPeriod that is a day shorter than the maximum; the operator deletes in no store whose "
    "address a namespace chose: it could be everybody's",
    _LOCK,
)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Records of some namespaces: how many, how many beyond an age, and the time of the oldest."""

    count: int = 0
    beyond: int = 0
    oldest: datetime | None = None

    def __add__(self, other: _Counted) -> _Counted:
        times = [each.oldest for each in (self, other) if each.oldest is not None]
        return _Counted(self.count + other.count, self.beyond + other.beyond, min(times, default=None))


@dataclass(frozen=True, slots=True)
class VictoriaLogsRetention:
    """One tenant of a VictoriaLogs; implements `protocol.RetentionStore`.

    Attributes:
        connection: to the store, with time for questions about everything that it has.
        clusters: names that records of ours carry; all others are foreign.
        tenant_headers: of each request.
        may_delete: whether anything is ever deleted here.
        patience: seconds until a deletion counts as still under way.
    """

    connection: Connection
    clusters: tuple[str, ...]
    tenant_headers: Mapping[str, str] = field(default_factory=dict)
    may_delete: bool = True
    patience: float = 60.0

    @property
    def mends(self) -> Mends:
        """See `protocol.RetentionStore`."""
        return _MENDS if self.may_delete else _MENDS_OF_TENANT

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Observed | Failure:
        """See `protocol.RetentionStore`."""
        settings = await self._settings()
        if isinstance(settings, Failure):
            return settings
        facts: dict[str, Facts] = {}
        for each in classes:
            counted = await self._count(each.namespaces, each.demand.maximum, now, _EITHER)
            if isinstance(counted, Failure):
                return counted
            demand = each.demand
            facts[each.name] = Facts(
                settings.deletes_after,
                _PARTITION,
                settings.can_delete and self.may_delete,
                oldest=counted.oldest,
                # Under a legal hold, to be older than the maximum is nothing wrong.
                overdue=counted.beyond if demand.delete_after is not None else 0,
                unknown=settings.deletes_after is None,
                gaps=tuple(settings.gaps(keeps=bool(demand.minimum or demand.legal_hold))),
            )
        return Observed(facts, str(settings))

    async def enforce(self, orders: Sequence[Order], now: datetime) -> Done | Failure:
        """See `protocol.RetentionStore`. Without -delete.enable, nothing is done."""
        settings = await self._settings()
        if isinstance(settings, Failure):
            return settings
        if not (settings.can_delete and self.may_delete):
            return Done({})
        stopped = await self._stop()
        if isinstance(stopped, Failure):
            return stopped
        before: list[tuple[Order, int]] = []
        for order in orders:
            if order.delete_after is None or order.delete_after > _NEVER:
                continue
            begun = await self._delete(order, order.delete_after, now)
            if isinstance(begun, Failure):
                return begun
            before.append((order, begun))
        under_way = await self._wait() if any(count for _, count in before) else False
        return under_way if isinstance(under_way, Failure) else await self._done(before, now, under_way=under_way)

    async def _settings(self) -> VictoriaLogsSettings | Failure:
        answer = await self.connection.get("/metrics", at_most=_MOST_OF_METRICS)
        if isinstance(answer, Failure):
            # A proxy that lets questions through need not let this through.
            return VictoriaLogsSettings() if answer.reason in _SETTINGS_REFUSED else answer
        return VictoriaLogsSettings.parse(answer)

    async def _count(
        self, namespaces: Iterable[str], beyond: int | None, now: datetime, joined: str = _BOTH
    ) -> _Counted | Failure:
        total = _Counted()
        older = _older(beyond, now, joined) if beyond is not None and beyond <= _NEVER else "!*"
        for each in self._filters(namespaces):
            query = f"{each} | stats min(_time) oldest, count() total, count() if ({older}) beyond"
            answer = await self._ask("/select/logsql/query", {"query": query, "allow_partial_response": "0"})
            counted = answer if isinstance(answer, Failure) else _counted(answer)
            if isinstance(counted, Failure):
                return counted
            total += counted
        return total

    async def _delete(self, order: Order, after: int, now: datetime) -> int | Failure:
        """Begin to delete; how many records it is about."""
        about = 0
        for each in _batches(order.namespaces):
            counted = await self._count(each, after, now)
            if isinstance(counted, Failure):
                return counted
            about += counted.beyond
            for part in self._filters(each) if counted.beyond else ():
                answer = await self._ask("/delete/run_task", {"filter": f"{part} {self._mark()} {_older(after, now)}"})
                if isinstance(answer, Failure):
                    return answer
        return about

    async def _done(self, before: list[tuple[Order, int]], now: datetime, *, under_way: bool) -> Done | Failure:
        deleted: dict[str, int] = {}
        for order, count in before:
            left = await self._count(order.namespaces, order.delete_after, now) if count else _Counted()
            if isinstance(left, Failure):
                return left
            name = order.wanted.name
            deleted[name] = deleted.get(name, 0) + max(0, count - left.beyond)
        return Done(deleted, under_way=under_way)

    async def _stop(self) -> Failure | None:
        """End what we began earlier: what may be deleted may have changed, and what is still due is asked for again."""
        tasks = await self._tasks()
        if isinstance(tasks, Failure):
            return tasks
        for each in tasks:
            answer = await self._ask("/delete/stop_task", {"task_id": each})
            if isinstance(answer, Failure):
                return answer
        return None

    async def _wait(self) -> bool | Failure:
        """Whether deletions of ours are still under way once patience is over."""
        end = asyncio.get_running_loop().time() + self.patience
        while True:
            tasks = await self._tasks()
            if isinstance(tasks, Failure) or not tasks:
                return tasks if isinstance(tasks, Failure) else False
            if asyncio.get_running_loop().time() >= end:
                return True
            await asyncio.sleep(_STEP)

    async def _tasks(self) -> tuple[str, ...] | Failure:
        """Deletions of ours that wait or run, in this tenant."""
        answer = await self._ask("/delete/active_tasks", {})
        listed = answer if isinstance(answer, Failure) else answer.json()
        if isinstance(listed, Failure):
            return listed
        tenant = {key.lower(): int(value) for key, value in self.tenant_headers.items()}
        if not isinstance(listed, list):
            return _NOT_TASKS
        try:
            return tuple(str(each["task_id"]) for each in listed if self._is_ours(each, tenant))
        except (KeyError, TypeError, AttributeError):
            return _NOT_TASKS

    def _mark(self) -> str:
        return f'!{AUDIT_ID}:="audit-operator-retention:{",".join(self.clusters)}"'

    def _is_ours(self, task: Mapping[str, Any], tenant: Mapping[str, int]) -> bool:
        marked = _MARK.search(task["filter"])
        return marked is not None and bool({*marked[1].split(",")} & {*self.clusters}) and _is_of(task, tenant)

    async def _ask(self, path: str, form: Mapping[str, str]) -> Answer | Failure:
        return await self.connection.ask(path, form, self.tenant_headers)

    def _filters(self, namespaces: Iterable[str]) -> Iterator[str]:
        """What finds the records of these namespaces, and no others, in as many questions as the store takes."""
        ours = f"{CLUSTER}:in({','.join(map(quoted, self.clusters))})"
        for batch in _batches(namespaces):
            named = ",".join(quoted(each) for each in batch if each)
            # A namespace that shippers had not seen yet stands under another name, so that both are asked for.
            parts = [f"{NAMESPACE}:in({named})", f"{_UNSEEN}:in({named})"] if named else []
            parts += [f'({NAMESPACE}:="" {_UNSEEN}:="")'] if "" in batch else []
            yield f"{ours} ({' or '.join(parts)})"


def _is_of(task: Mapping[str, Any], tenant: Mapping[str, int]) -> bool:
    wanted = {"account_id": tenant.get("accountid", 0), "project_id": tenant.get("projectid", 0)}
    return bool(task["tenant_ids"] == [wanted])


def _older(hours: int, now: datetime, joined: str = _BOTH) -> str:
    """Older than that by our clock and by the store's: if either goes wrong, nothing is deleted too early.

    What is overdue is so by either: if one goes wrong, nothing is claimed to be gone that is still there.
    """
    limit = f"{(now.astimezone(UTC) - timedelta(hours=hours)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    return f"_time:<{limit}{joined}_time:>{hours}h"


def _batches(namespaces: Iterable[str]) -> Iterator[tuple[str, ...]]:
    batch: list[str] = []
    size = 0
    for each in namespaces:
        takes = 2 * (len(quoted(each)) + 1)
        if batch and size + takes > _LONGEST_FILTER:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += takes
    if batch:
        yield tuple(batch)


def _counted(answer: Answer) -> _Counted | Failure:
    try:
        row = json.loads(answer.body)
        oldest = row.get("oldest")
        time = datetime.fromisoformat(oldest) if oldest else None
        return _Counted(int(row["total"]), int(row["beyond"]), time.astimezone(UTC) if time is not None else None)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that VictoriaLogs gives to a count")
