"""VictoriaLogs: one retention for the whole instance, and a delete API for what may be kept less long.

Its answers were read on v1.52.1. A deletion is a task: it begins within a second or so, outlives the process (even into
one that is started without -delete.enable), takes two seconds for 200,000 of a million records, and shows neither how
far it is nor what came of it. So records are counted before and after, and tasks of ours that are still there are
stopped before new ones are given: a legal hold must reach those, too.

**A deletion can be the end of the process**, and of what that has taken within the last seconds: it looks for parts of
the data that hold what is to go, and panics where a part was merged into another before it could take it (VictoriaLogs
pull request 1659, open at v1.52.2). Each deletion sets merges off. So they are given one after the other, each when the
store is at rest. Of a record that was the first of a block, a row
with nothing but a time and the names of its stream is left (VictoriaLogs issue 1798); counts by fields leave it out.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.retention.judgement import Facts, Mends, without_deletion
from audit_operator.shipping.exporters import AUDIT_ID
from audit_operator.sinks.access import failure
from audit_operator.sinks.retention.protocol import NO_FOLDERS, Done, Observed, Order
from audit_operator.sinks.retention.victoria_logs_counts import (
    BOTH,
    EITHER,
    Counted,
    Part,
    RecordCounts,
    batches,
    older,
)
from audit_operator.sinks.retention.victoria_logs_settings import VictoriaLogsSettings
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Limit, Place
    from audit_operator.sinks.access import Answer, Connection

_MOST_OF_METRICS = 4 * 2**20
_MARK = re.compile(rf'!{AUDIT_ID}:="audit-operator-retention:([a-z0-9.,-]*)"')
"""Excludes nothing: by it, tasks of ours are told from those of people, and of operators of other clusters."""
_MERGING = re.compile(rb'^vl_active_merges\{type="storage/[a-z]+"\} [1-9]', re.MULTILINE)
_PARTITION = 24
"""Hours: it deletes whole days at a time."""
_STEP = 0.5
_SETTINGS_REFUSED = (Reason.NOT_FOUND, Reason.FORBIDDEN, Reason.UNAUTHENTICATED)
_DELETION_REFUSED = (*_SETTINGS_REFUSED, Reason.REFUSED, Reason.REDIRECTED)
"""How a store answers that was started anew without its delete API, or a proxy that lets only questions through."""

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
class _Due:
    """What was counted before anything is deleted, by order; and what could not be counted, by class."""

    about: Mapping[Order, Counted]
    uncounted: dict[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Given:
    """What came of deletions: whether they were still under way at last, and how the store refused one, if it did."""

    under_way: bool = False
    refused: Failure | None = None


@dataclass(frozen=True, slots=True)
class VictoriaLogsRetention:
    """One tenant of a VictoriaLogs; implements `protocol.RetentionStore`.

    Attributes:
        connection: to the store, with time for questions about everything that it has.
        clusters: names that records of ours carry; all others are foreign.
        tenant_headers: of each request.
        may_delete: whether anything is ever deleted here.
        patience: seconds until deletions count as still under way; what was not given by then is due again.
        rest: seconds that a deletion waits for the store to merge nothing.
    """

    connection: Connection
    clusters: tuple[str, ...]
    tenant_headers: Mapping[str, str] = field(default_factory=dict)
    may_delete: bool = True
    patience: float = 60.0
    rest: float = 5.0

    @property
    def mends(self) -> Mends:
        """See `protocol.RetentionStore`."""
        return _MENDS if self.may_delete else _MENDS_OF_TENANT

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Observed | Failure:
        """See `protocol.RetentionStore`."""
        settings = await self._settings()
        if isinstance(settings, Failure):
            return settings
        tasks = await self._tasks() if settings.can_delete and self.may_delete else ()
        if isinstance(tasks, Failure) and tasks.reason not in _DELETION_REFUSED:
            return tasks
        counts = await self._counts.count([Part(each.namespaces, each.demand.maximum) for each in classes], now, EITHER)
        facts: dict[str, Facts] = {}
        uncounted: dict[str, Failure] = {}
        for each, counted in zip(classes, counts, strict=True):
            if isinstance(counted, Failure):
                uncounted[each.name] = counted
                continue
            said = _facts(settings, each, counted, may_delete=self.may_delete)
            facts[each.name] = without_deletion(each, said, tasks.message) if isinstance(tasks, Failure) else said
        # Where nothing at all could be counted, it is the store that cannot be asked.
        return Observed(facts, str(settings), uncounted) if facts or not uncounted else next(iter(uncounted.values()))

    async def enforce(
        self,
        orders: Sequence[Order],
        now: datetime,
        folders: Mapping[Place, Limit] = NO_FOLDERS,  # noqa: ARG002 - the protocol's
    ) -> Done | Failure:
        """See `protocol.RetentionStore`. Without -delete.enable, nothing is done."""
        settings = await self._settings()
        if isinstance(settings, Failure):
            return settings
        if not (settings.can_delete and self.may_delete):
            return Done({})
        stopped = await self._stop()
        if isinstance(stopped, Failure):
            return Done({}, refused=stopped) if stopped.reason in _DELETION_REFUSED else stopped
        due = await self._due(orders, now)
        given = await self._give(due, now)
        return given if isinstance(given, Failure) else await self._done(due, now, given)

    async def can_delete(self) -> bool | Failure:
        """Whether single records may be deleted here at all."""
        settings = await self._settings()
        return settings if isinstance(settings, Failure) else settings.can_delete and self.may_delete

    async def delete(self, found_by: str) -> bool | Failure:
        """Delete what a filter finds; whether that is still under way when patience is over.

        It bears our mark: a round of the operator may end it, as it must where a legal hold was set meanwhile.
        """
        return await self._run(f"{found_by} {self._mark()}", asyncio.get_running_loop().time() + self.patience)

    async def _settings(self) -> VictoriaLogsSettings | Failure:
        answer = await self.connection.get("/metrics", at_most=_MOST_OF_METRICS)
        if isinstance(answer, Failure):
            # A proxy that lets questions through need not let this through.
            return VictoriaLogsSettings() if answer.reason in _SETTINGS_REFUSED else answer
        return VictoriaLogsSettings.parse(answer)

    @property
    def _counts(self) -> RecordCounts:
        return RecordCounts(self.connection, self.clusters, self.tenant_headers)

    async def _due(self, orders: Sequence[Order], now: datetime) -> _Due:
        """What could not be counted is not deleted."""
        parts = {order: part for order in orders if (part := Part(order.namespaces, order.delete_after)).limit}
        counts = dict(zip(parts, await self._counts.count([*parts.values()], now, BOTH), strict=True))
        return _Due(
            {order: each for order, each in counts.items() if isinstance(each, Counted)},
            {order.wanted.name: each for order, each in counts.items() if isinstance(each, Failure)},
        )

    async def _give(self, due: _Due, now: datetime) -> _Given | Failure:
        """Give one deletion after the other, as long as they are taken and patience lasts."""
        clock = asyncio.get_running_loop().time
        end = clock() + self.patience
        for order, counted in due.about.items():
            limit = older(order.delete_after or 0, now)
            for batch in batches(counted.due):
                if clock() >= end:
                    return _Given(under_way=True)
                under_way = await self._run(f"{self._counts.filter(batch)} {self._mark()} {limit}", end)
                if isinstance(under_way, Failure):
                    return _Given(refused=under_way) if under_way.reason in _DELETION_REFUSED else under_way
                if under_way:
                    return _Given(under_way=True)
        return _Given()

    async def _run(self, found_by: str, end: float) -> bool | Failure:
        """Delete what a filter finds; whether that is still under way at the end, a time of the loop."""
        await self._at_rest(end)
        answer = await self._ask("/delete/run_task", {"filter": found_by})
        return answer if isinstance(answer, Failure) else await self._wait(end)

    async def _at_rest(self, end: float) -> None:
        """Until the store merges nothing; not for long, since one that gets much may always be at it."""
        clock = asyncio.get_running_loop().time
        until = min(end, clock() + self.rest)
        while clock() < until:
            answer = await self.connection.get("/metrics", at_most=_MOST_OF_METRICS)
            if isinstance(answer, Failure) or not _MERGING.search(answer.body):
                return
            await asyncio.sleep(_STEP)

    async def _done(self, due: _Due, now: datetime, given: _Given) -> Done:
        asked = [order for order, each in due.about.items() if each.beyond]
        left = await self._counts.count([Part(each.namespaces, each.delete_after) for each in asked], now, BOTH)
        after = dict(zip(asked, left, strict=True))
        uncounted = dict(due.uncounted)
        deleted: dict[str, int] = {}
        for order, counted in due.about.items():
            name, now_left = order.wanted.name, after.get(order, Counted())
            if isinstance(now_left, Failure):
                uncounted[name] = now_left
            else:
                deleted[name] = deleted.get(name, 0) + max(0, counted.beyond - now_left.beyond)
        return Done(deleted, given.under_way, given.refused, uncounted)

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

    async def _wait(self, end: float) -> bool | Failure:
        """Whether deletions of ours are still under way at the end."""
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


def _is_of(task: Mapping[str, Any], tenant: Mapping[str, int]) -> bool:
    wanted = {"account_id": tenant.get("accountid", 0), "project_id": tenant.get("projectid", 0)}
    return bool(task["tenant_ids"] == [wanted])


def _facts(settings: VictoriaLogsSettings, wanted: RetentionClass, counted: Counted, *, may_delete: bool) -> Facts:
    demand = wanted.demand
    return Facts(
        settings.deletes_after,
        _PARTITION,
        settings.can_delete and may_delete,
        oldest=counted.oldest,
        # Under a legal hold, to be older than the maximum is nothing wrong.
        overdue=counted.beyond if demand.delete_after is not None else 0,
        unknown=settings.deletes_after is None,
        searchable=True,
        gaps=tuple(settings.gaps(keeps=wanted.protects or demand.hot > 0)),
    )
