"""VictoriaLogs: one retention for the whole instance, and a delete API for what may be kept less long.

Its answers were read on v1.52.1. A deletion is a task: it begins within a second or so, outlives the process (even into
one that is started without -delete.enable), takes two seconds for 200,000 of a million records, and shows neither how
far it is nor what came of it. So records are counted before and after, and tasks of ours that are still there are
stopped before new ones are given: a legal hold must reach those, too. Of a record that was the first of a block, a row
with nothing but a time and the names of its stream is left (VictoriaLogs issue 1798); counts by fields leave it out.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
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
class _Begun:
    """Deletions that were given: what was counted before, by order; and what could not be counted, by class.

    `refused` is how the store refused one of them, if it did.
    """

    about: Mapping[Order, Counted]
    uncounted: dict[str, Failure] = field(default_factory=dict)
    refused: Failure | None = None


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
        begun = await self._begin(orders, now)
        if isinstance(begun, Failure):
            return begun
        under_way = await self._wait() if any(each.beyond for each in begun.about.values()) else False
        return under_way if isinstance(under_way, Failure) else await self._done(begun, now, under_way=under_way)

    async def can_delete(self) -> bool | Failure:
        """Whether single records may be deleted here at all."""
        settings = await self._settings()
        return settings if isinstance(settings, Failure) else settings.can_delete and self.may_delete

    async def delete(self, found_by: str) -> bool | Failure:
        """Delete what a filter finds; whether that is still under way when patience is over.

        It bears our mark: a round of the operator may end it, as it must where a legal hold was set meanwhile.
        """
        answer = await self._ask("/delete/run_task", {"filter": f"{found_by} {self._mark()}"})
        return answer if isinstance(answer, Failure) else await self._wait()

    async def _settings(self) -> VictoriaLogsSettings | Failure:
        answer = await self.connection.get("/metrics", at_most=_MOST_OF_METRICS)
        if isinstance(answer, Failure):
            # A proxy that lets questions through need not let this through.
            return VictoriaLogsSettings() if answer.reason in _SETTINGS_REFUSED else answer
        return VictoriaLogsSettings.parse(answer)

    @property
    def _counts(self) -> RecordCounts:
        return RecordCounts(self.connection, self.clusters, self.tenant_headers)

    async def _begin(self, orders: Sequence[Order], now: datetime) -> _Begun | Failure:
        """Give all deletions, as long as they are taken; those of what could not be counted are not given."""
        parts = {order: part for order in orders if (part := Part(order.namespaces, order.delete_after)).limit}
        counts = dict(zip(parts, await self._counts.count([*parts.values()], now, BOTH), strict=True))
        begun = _Begun({order: each for order, each in counts.items() if isinstance(each, Counted)})
        begun.uncounted.update({order.wanted.name: each for order, each in counts.items() if isinstance(each, Failure)})
        for order, counted in begun.about.items():
            for batch in batches(counted.due):
                limit = older(order.delete_after or 0, now)
                given = {"filter": f"{self._counts.filter(batch)} {self._mark()} {limit}"}
                answer = await self._ask("/delete/run_task", given)
                if isinstance(answer, Failure):
                    if answer.reason not in _DELETION_REFUSED:
                        return answer
                    return replace(begun, refused=answer)
        return begun

    async def _done(self, begun: _Begun, now: datetime, *, under_way: bool) -> Done:
        asked = [order for order, each in begun.about.items() if each.beyond]
        left = await self._counts.count([Part(each.namespaces, each.delete_after) for each in asked], now, BOTH)
        after = dict(zip(asked, left, strict=True))
        deleted: dict[str, int] = {}
        for order, counted in begun.about.items():
            name, now_left = order.wanted.name, after.get(order, Counted())
            if isinstance(now_left, Failure):
                begun.uncounted[name] = now_left
            else:
                deleted[name] = deleted.get(name, 0) + max(0, counted.beyond - now_left.beyond)
        return Done(deleted, under_way, begun.refused, begun.uncounted)

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
