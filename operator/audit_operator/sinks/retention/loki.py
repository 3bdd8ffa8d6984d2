"""Loki: retention by stream, which only a file can set, and deletions by order, which wait for a day.

Made from Loki's documentation: no Loki has run in our tests (docs/design/retention.md). A deletion that was ordered is
hidden from queries within minutes, carried out after delete_request_cancel_period, and can be cancelled until then, or
ended. So orders that are still right stay, as they would begin to wait anew; those that are not are cancelled first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.judgement import Facts, Gap, Mends, without_deletion
from audit_operator.shipping.exporters import CLUSTER
from audit_operator.sinks.retention.loki_client import EPOCH, REFUSED, Span
from audit_operator.sinks.retention.loki_questions import (
    ANYTHING,
    BY_NAME,
    Selector,
    batches,
    is_ours,
    of_names,
    questions,
    selector_of,
)
from audit_operator.sinks.retention.loki_rules import NEVER
from audit_operator.sinks.retention.loki_settings import LATER
from audit_operator.sinks.retention.protocol import NO_FOLDERS, Done, Observed
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Limit, Place
    from audit_operator.sinks.retention.loki_client import LokiClient, Ordered
    from audit_operator.sinks.retention.loki_questions import Question
    from audit_operator.sinks.retention.loki_rules import Kept
    from audit_operator.sinks.retention.loki_settings import LokiSettings
    from audit_operator.sinks.retention.protocol import Order

_ORDERED_FOR = timedelta(days=1)
"""For how long an order that waits stands for whatever becomes due after it: each one costs the compactor a look."""
_MOST_ORDERS = 100
"""Deletions ordered in one round; what is left is for the next."""

_BY_ITSELF = (
    "set the compactor's retention_enabled, and what `audit-operator sinks overrides` prints: stream labels, and a "
    "retention_stream that is a day shorter than the maximum"
)
_MENDS = Mends(
    "give these streams a longer period in retention_stream, or the tenant a longer retention_period",
    f"{_BY_ITSELF}; or these labels, a delete_request_store, and deletion_mode filter-and-delete for the tenant",
    "ship to a sink of type S3 with objectLock as well; Loki cannot refuse its administrator",
)
_MENDS_OF_TENANT = replace(
    _MENDS,
    delete=f"{_BY_ITSELF}; the operator deletes in no store whose address a namespace chose: it could be everybody's",
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked before any class was.

    Attributes:
        settings: of the tenant.
        earlier: the earlier of what our clock and the store's say; nothing is deleted by the later one.
        later: the later one; nothing is claimed to be gone by the earlier one.
        begin: nothing of ours is older.
        ordered: deletions of ours that are not carried out.
        deletes: whether anything is deleted by order, by the settings.
        refused: how the store, or a gateway before it, refused to say what was ordered.
    """

    settings: LokiSettings
    earlier: datetime
    later: datetime
    begin: datetime
    ordered: tuple[Ordered, ...] = ()
    deletes: bool = False
    refused: Failure | None = None

    def until(self, end: datetime) -> Span:
        """From the beginning."""
        return Span(self.begin, end, self.settings.longest)


@dataclass(frozen=True, slots=True)
class LokiRetention:
    """One tenant of a Loki; implements `protocol.RetentionStore`.

    Attributes:
        client: with time for questions about everything that the store has.
        clusters: names that records of ours carry; all others are foreign.
        may_delete: whether anything is ever deleted here.
    """

    client: LokiClient
    clusters: tuple[str, ...]
    may_delete: bool = True

    @property
    def mends(self) -> Mends:
        """See `protocol.RetentionStore`."""
        return _MENDS if self.may_delete else _MENDS_OF_TENANT

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Observed | Failure:
        """See `protocol.RetentionStore`."""
        asked = await self._ask(now)
        if isinstance(asked, Failure):
            return asked
        facts: dict[str, Facts] = {}
        uncounted: dict[str, Failure] = {}
        for each in sorted(classes, key=lambda each: len(each.namespaces)):
            found = await self._facts(each, asked)
            if isinstance(found, Failure):
                uncounted[each.name] = found
            else:
                refused = asked.refused
                facts[each.name] = found if refused is None else without_deletion(each, found, refused.message)
        # Where nothing at all could be counted, it is the store that cannot be asked.
        whole = facts or not uncounted
        return Observed(facts, str(asked.settings), uncounted) if whole else next(iter(uncounted.values()))

    async def enforce(
        self,
        orders: Sequence[Order],
        now: datetime,
        folders: Mapping[Place, Limit] = NO_FOLDERS,  # noqa: ARG002 - the protocol's
    ) -> Done | Failure:
        """See `protocol.RetentionStore`. What is deleted is gone a day or more later, so that it is not counted."""
        asked = await self._ask(now)
        if isinstance(asked, Failure):
            return asked
        if asked.refused is not None:
            return Done({}, refused=asked.refused)
        until = dict(_until(orders, asked.earlier)) if asked.deletes else {}
        right = [(each, named) for each in asked.ordered if (named := self._allowed(each, until)) is not None]
        wrong = {*asked.ordered} - {each for each, _ in right}
        for each in wrong:
            cancelled = await self.client.cancel(each)
            if cancelled is not None:
                return Done({}, refused=cancelled) if cancelled.reason in REFUSED else cancelled
        fresh = {(named.label, named.name) for each, named in right if each.created > asked.earlier - _ORDERED_FOR}
        due, uncounted = await self._due(orders, until, fresh, asked)
        for label, name in due[:_MOST_ORDERS]:
            begun = await self.client.delete(Selector(frozenset(self.clusters), label, name), until[name])
            if isinstance(begun, Failure):
                return Done({}, refused=begun) if begun.reason in REFUSED else begun
        # What was hidden and is cancelled shows again in a while, and is asked about then.
        return Done({}, bool(wrong or fresh or due), uncounted=uncounted)

    def _allowed(self, ordered: Ordered, until: Mapping[str, datetime]) -> Selector | None:
        """What a deletion is about that waits, where it may still be carried out, for each cluster that it names."""
        selector = selector_of(ordered.query)
        if selector is None or not selector.clusters <= {*self.clusters}:
            return None
        return selector if ordered.end <= until.get(selector.name, EPOCH) else None

    async def _ask(self, now: datetime) -> _Asked | Failure:
        settings, theirs = await self.client.settings(), await self.client.now()
        if isinstance(settings, Failure):
            return settings
        if isinstance(theirs, Failure):
            return theirs
        begin = await self._begin(Span(settings.since, max(now, theirs), settings.longest))
        if isinstance(begin, Failure):
            return begin
        asked = _Asked(settings, min(now, theirs), max(now, theirs), begin)
        # Deletions are ended even where no new ones are ordered, as somebody may have changed the settings since.
        ordered = await self.client.ordered() if self.may_delete else ()
        deletes = self.may_delete and settings.can_delete and settings.labelled
        if isinstance(ordered, Failure):
            if not deletes:
                return asked
            return replace(asked, deletes=True, refused=ordered) if ordered.reason in REFUSED else ordered
        ours = tuple(each for each in ordered if is_ours(each.query, self.clusters))
        return replace(asked, ordered=ours, deletes=deletes)

    async def _begin(self, span: Span) -> datetime | Failure:
        """When the oldest of all records is from: each class is then asked about no time before."""
        oldest = span.end
        for query in (f"{ANYTHING}}}", of_names(self.clusters, CLUSTER)):
            first = await self.client.first(query, replace(span, end=oldest))
            if isinstance(first, Failure):
                return first
            oldest = first or oldest
        return oldest

    async def _facts(self, wanted: RetentionClass, asked: _Asked) -> Facts | Failure:
        demand, settings = wanted.demand, asked.settings
        # Under a legal hold, to be older than the maximum is nothing wrong.
        limit = _before(asked.later, demand.maximum or 0) if demand.delete_after is not None else EPOCH
        oldest, overdue = [], 0
        ends: list[Kept] = []
        gaps = list(settings.gaps(deletes=demand.delete_after is not None))
        for question in questions(wanted.namespaces, self.clusters, labelled=settings.labelled):
            first = await self.client.first(question.query, asked.until(asked.later))
            if isinstance(first, Failure):
                return first
            if first is not None:
                counted = await self.client.count(question.query, Span(first, limit, settings.longest))
                if isinstance(counted, Failure):
                    return counted
                oldest.append(first)
                overdue += counted
            if first is not None or not question.remnant:
                kept = [settings.kept(each) for each in question.labels]
                ends += kept
                gaps += _not_reached(wanted, question, kept) if asked.deletes else ()
        waiting = [each for each in asked.ordered if _is_about(each, wanted)]
        earliest = min((each.earliest for each in ends if each.earliest is not None), default=None)
        return Facts(
            earliest if settings.known else None,
            _later(earliest, ends),
            asked.deletes,
            oldest=min(oldest, default=None),
            overdue=overdue,
            unknown=not settings.known,
            searchable=settings.looks_back,
            gaps=(*dict.fromkeys(gaps), *_waiting(waiting)),
        )

    async def _due(
        self, orders: Sequence[Order], until: Mapping[str, datetime], fresh: Container[tuple[str, str]], asked: _Asked
    ) -> tuple[list[tuple[str, str]], dict[str, Failure]]:
        """Labels and names of namespaces of which something may be deleted, and no deletion has been ordered lately.

        And classes of which that could not be counted.
        """
        found: list[tuple[str, str]] = []
        uncounted: dict[str, Failure] = {}
        for order in orders:
            for label in BY_NAME:
                names = [each for each in order.namespaces if each in until and (label, each) not in fresh]
                for batch in batches(names):
                    there = await self.client.there(batch, self.clusters, label, asked.until(until[batch[0]]))
                    if isinstance(there, Failure):
                        uncounted[order.wanted.name] = there
                    else:
                        found += [(label, each) for each in batch if each in there]
        return found, uncounted


def _before(moment: datetime, hours: int) -> datetime:
    """So many hours before; never before anything was."""
    return max(EPOCH, moment.astimezone(UTC) - timedelta(hours=min(hours, NEVER)))


def _until(orders: Sequence[Order], now: datetime) -> Iterator[tuple[str, datetime]]:
    """From before which moment records may be deleted, by namespace; Loki takes whole seconds."""
    for order in orders:
        if order.delete_after is not None and order.delete_after < NEVER:
            limit = _before(now, order.delete_after).replace(microsecond=0)
            yield from ((each, limit) for each in order.namespaces if each)


def _later(earliest: int | None, ends: Iterable[Kept]) -> int:
    if earliest is None:
        return 0
    latest = [each.latest for each in ends]
    return NEVER if None in latest else max(each for each in latest if each is not None) - earliest + LATER


def _not_reached(wanted: RetentionClass, question: Question, kept: Iterable[Kept]) -> Iterator[Gap]:
    """What deletions by order do not reach, where the store does not delete it in time by itself."""
    limit = wanted.demand.delete_after
    if question.reached or limit is None:
        return
    if all(each.latest is not None and each.latest + LATER <= limit for each in kept):
        return
    if question.remnant:
        said = "records are there from before cluster, namespace and unseen were labels of streams"
        yield Gap(RetentionState.PARTIAL, said, "they go by retention_period of the tenant alone: shorten that")
    else:
        said = "records of no namespace are not deleted by order in Loki"
        yield Gap(RetentionState.PARTIAL, said, "give their streams a period in retention_stream")


def _is_about(ordered: Ordered, wanted: RetentionClass) -> bool:
    selector = selector_of(ordered.query)
    return selector is None or selector.name in wanted.namespaces


def _waiting(ordered: Sequence[Ordered]) -> Iterator[Gap]:
    if ordered:
        before = max(each.end for each in ordered)
        said = f"records from before {before:%Y-%m-%d} are hidden, and removed after delete_request_cancel_period"
        yield Gap(RetentionState.PENDING, said, "")
