"""How many records a VictoriaLogs has of each namespace, and how old: thousands of namespaces in few questions.

A filter that names namespaces is exact, but the store reads no more than 16 KiB of it. So where there are many, it is
asked for all that our clusters ever wrote, by namespace, and what nobody asked about is left out here. Anybody who may
send requests can write records of namespaces that never were; if that is too much for the store, or for us, the
filters are asked after all, one after the other, as far as time allows.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks import logsql
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from audit_operator.sinks.access import Answer, Connection

_UNSEEN = "unseen"
_LONGEST_FILTER = 12_000
"""Bytes; the store reads queries of 16 KiB."""
_FEW = 8
"""So many filters are asked one by one: they are exact, and nobody can make their answers long."""
_MOST_GROUPS = 250_000
"""Of one answer, with those that nobody asked about; as many take about a second."""
_MOST_LIMITS = 16
"""Of one question by namespace: each is counted for every record."""
_SHARE = 0.2
"""Of the time, that a part can have which its filters count; more, where all others have as much."""
_NEVER = 100 * 365 * 24
"""Hours beyond which nothing counts as older: times in the store are nanoseconds in 64 bits, where an age or a moment
of some 300 years wraps around, and matches everything."""
BOTH, EITHER = " ", " or "

_OF_ONE_QUESTION = frozenset(
    {
        Reason.TIMED_OUT,
        Reason.CUT_OFF,
        Reason.REFUSED,
        Reason.STORE_FAILED,
        Reason.TOO_LARGE,
        Reason.TOO_MANY_REQUESTS,
        Reason.ANSWER_MALFORMED,
        Reason.ANSWER_TOO_LARGE,
        Reason.ANSWER_INCOMPLETE,
    }
)
"""What need not befall another question; with everything else, no other is asked."""
_NO_COUNT = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that VictoriaLogs gives to a count")
_TOO_MANY = failure(Reason.ANSWER_TOO_LARGE, f"the store has records of more than {_MOST_GROUPS} namespaces")


@dataclass(frozen=True, slots=True)
class Part:
    """Namespaces (``""``: records of none) that are counted together, and the age in hours beyond which; None: none."""

    namespaces: tuple[str, ...]
    beyond: int | None

    @property
    def limit(self) -> int | None:
        """The age, where records can be as old as that."""
        return self.beyond if self.beyond is not None and self.beyond <= _NEVER else None


@dataclass(frozen=True, slots=True)
class Counted:
    """Records of a part: how many are beyond its age, in which namespaces (in order), and the time of the oldest.

    `due` has all namespaces that have such records, and may have others.
    """

    beyond: int = 0
    due: tuple[str, ...] = ()
    oldest: datetime | None = None

    def __add__(self, other: Counted) -> Counted:
        times = [each.oldest for each in (self, other) if each.oldest is not None]
        return Counted(self.beyond + other.beyond, self.due + other.due, min(times, default=None))


@dataclass(slots=True)
class _Sum:
    """A part while the answer is read."""

    beyond: int = 0
    due: set[str] = field(default_factory=set)
    oldest: datetime | None = None

    def add(self, names: Iterable[str], beyond: int, oldest: datetime | None) -> None:
        self.beyond += beyond
        if beyond:
            self.due.update(names)
        if oldest is not None:
            self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """One tenant of a VictoriaLogs.

    Attributes:
        connection: to the store, with time for questions about everything that it has.
        clusters: names that records of ours carry; all others are foreign.
        tenant_headers: of each request.
        patience: seconds for all questions of one call; what was not answered by then is a failure of its part.
    """

    connection: Connection
    clusters: tuple[str, ...]
    tenant_headers: Mapping[str, str] = field(default_factory=dict)
    patience: float = 100.0

    async def count(self, parts: Sequence[Part], now: datetime, joined: str) -> list[Counted | Failure]:
        """Of each part; one that cannot be counted leaves the others alone. `joined`: see `older`."""
        found: dict[int, Counted | Failure] = {}
        clock = asyncio.get_running_loop().time
        end = clock() + self.patience
        if sum(1 for each in parts for _ in batches(each.namespaces)) > _FEW:
            found = await self._by_namespace(parts, now, joined, end - self.patience / 2)
        # The small ones first: a large one must not keep them from being counted at all.
        rest = sorted(set(range(len(parts))) - set(found), key=lambda each: (len(parts[each].namespaces), each))
        for done, each in enumerate(rest):
            if each not in found:
                share = max((end - clock()) / (len(rest) - done), self.patience * _SHARE)
                found[each] = await self._by_filters(parts[each], now, joined, min(end, clock() + share))
                if (wrong := _of_the_store(found[each])) is not None:
                    found |= dict.fromkeys(set(rest) - set(found), wrong)
        return [found[each] for each in range(len(parts))]

    async def _by_filters(self, part: Part, now: datetime, joined: str, end: float) -> Counted | Failure:
        total = Counted()
        condition = "!*" if part.limit is None else older(part.limit, now, joined)
        for batch in batches(part.namespaces):
            query = f"{self.filter(batch)} | stats min(_time) oldest, count() total, count() if ({condition}) beyond"
            try:
                async with asyncio.timeout_at(end):
                    answer = await self.connection.ask(logsql.PATH, logsql.form(query), self.tenant_headers)
            except TimeoutError:
                return self._late()
            counted = answer if isinstance(answer, Failure) else _counted(answer, batch)
            if isinstance(counted, Failure):
                return counted
            total += counted
        return total

    async def _by_namespace(
        self, parts: Sequence[Part], now: datetime, joined: str, end: float
    ) -> dict[int, Counted | Failure]:
        """Of those parts that could be counted so; of all, if nothing can be asked of the store at all."""
        found: dict[int, Counted | Failure] = {}
        by_limit: defaultdict[int | None, list[int]] = defaultdict(list)
        for number, each in enumerate(parts):
            by_limit[each.limit].append(number)
        limits = iter(by_limit)
        while chosen := tuple(islice(limits, _MOST_LIMITS)):
            numbers = [number for limit in chosen for number in by_limit[limit]]
            try:
                async with asyncio.timeout_at(end):
                    sums = await self._sums({each: parts[each] for each in numbers}, chosen, now, joined)
            except TimeoutError:
                sums = self._late()
            if not isinstance(sums, Failure):
                found |= {
                    each: Counted(made.beyond, tuple(sorted(made.due)), made.oldest) for each, made in sums.items()
                }
            elif _of_the_store(sums) is not None:
                return dict.fromkeys(range(len(parts)), sums)
            else:
                break  # another question of this kind would not go better
        return found

    async def _sums(
        self, parts: Mapping[int, Part], limits: Sequence[int | None], now: datetime, joined: str
    ) -> dict[int, _Sum] | Failure:
        counts = [
            f"count() if ({older(each, now, joined)}) beyond{number}"
            for number, each in enumerate(limits)
            if each is not None
        ]
        query = f"{self._ours()} | stats by ({NAMESPACE}, {_UNSEEN}) {', '.join(['min(_time) oldest', *counts])}"
        asked: defaultdict[str, list[int]] = defaultdict(list)
        for number, part in parts.items():
            for name in part.namespaces:
                asked[name].append(number)
        columns = {number: limits.index(part.limit) for number, part in parts.items()}
        sums, groups = {number: _Sum() for number in parts}, 0
        lines = self.connection.lines(logsql.PATH, logsql.form(query), self.tenant_headers)
        try:
            async for line in lines:
                if isinstance(line, Failure):
                    return line
                groups += 1
                if groups > _MOST_GROUPS:
                    return _TOO_MANY
                _add(line, asked, columns, sums, limits)
            if not groups:
                return _NO_COUNT  # a store without records answers so, but so does what is no store
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return _NO_COUNT
        finally:
            await lines.aclose()
        return sums

    def filter(self, namespaces: Iterable[str]) -> str:
        """What finds the records of these namespaces, and no others."""
        names = tuple(namespaces)
        named = ",".join(quoted(each) for each in names if each)
        # A namespace that shippers had not seen yet stands under another name, so that both are asked for.
        parts = [f"{NAMESPACE}:in({named})", f"{_UNSEEN}:in({named})"] if named else []
        parts += [f'({NAMESPACE}:="" {_UNSEEN}:="")'] if "" in names else []
        return f"{self._ours()} ({' or '.join(parts)})"

    def _ours(self) -> str:
        return f"{CLUSTER}:in({','.join(map(quoted, self.clusters))})"

    def _late(self) -> Failure:
        return failure(Reason.TIMED_OUT, f"the store did not count all records within {self.patience:g} s")


def older(hours: int, now: datetime, joined: str = BOTH) -> str:
    """Older than that by our clock and by the store's: if either goes wrong, nothing is deleted too early.

    What is overdue is so by either: if one goes wrong, nothing is claimed to be gone that is still there.
    """
    limit = f"{(now.astimezone(UTC) - timedelta(hours=hours)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    return f"_time:<{limit}{joined}_time:>{hours}h"


def batches(namespaces: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """So many namespaces as one filter can name, again and again."""
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


def _of_the_store(found: object) -> Failure | None:
    """A failure that would befall every question."""
    return found if isinstance(found, Failure) and found.reason not in _OF_ONE_QUESTION else None


def _add(
    line: bytes,
    asked: Mapping[str, Sequence[int]],
    columns: Mapping[int, int],
    sums: Mapping[int, _Sum],
    limits: Sequence[int | None],
) -> None:
    """One group of the answer. Raises what it does where that is none."""
    row = json.loads(line)
    pair = (row.get(NAMESPACE, ""), row.get(_UNSEEN, ""))
    # A record counts once for each part that asks for either of its names.
    names: defaultdict[int, list[str]] = defaultdict(list)
    for name in {each for each in pair if each} or {""}:
        for number in asked.get(name, ()):
            names[number].append(name)
    oldest = _time(row) if names else None
    for number, theirs in names.items():
        column = columns[number]
        sums[number].add(theirs, int(row[f"beyond{column}"]) if limits[column] is not None else 0, oldest)


def _counted(answer: Answer, batch: tuple[str, ...]) -> Counted | Failure:
    try:
        row = json.loads(answer.body)
        int(row["total"])  # it counted, whatever it found
        beyond = int(row["beyond"])
        return Counted(beyond, batch if beyond else (), _time(row))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return _NO_COUNT


def _time(row: Mapping[str, Any]) -> datetime | None:
    oldest = row.get("oldest")
    return datetime.fromisoformat(oldest).astimezone(UTC) if oldest else None
