"""Verification: read the seals and the store, and say what became of which record.

The store is read once, as hashes; only buckets that differ are compared with the lists, and only records that no list
names are read again, to name them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import chain, leaves
from audit_operator.integrity.comparison import Extra, Missing, difference, excused, explain
from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.interval import Interval, to_nanoseconds, turn
from audit_operator.integrity.report import Head
from audit_operator.integrity.seal import digest
from audit_operator.integrity.tally import Tally
from audit_operator.integrity.watch import changed
from audit_operator.sinks.scanning import Batch, Stream
from audit_operator.sinks.seal_archive import list_name, seal_name
from audit_operator.sinks.seal_watching import read_all
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from audit_operator.integrity.keys import VerifyKey
    from audit_operator.integrity.leaves import Entry
    from audit_operator.integrity.seal import Scope, Seal
    from audit_operator.sinks.scanning import Scanner
    from audit_operator.sinks.seal_archive import SealArchive

MOST_EXTRAS = 10_000
"""Records that no seal covers, of which names and hashes are kept; the rest are counted."""
_AGAIN = "verify again; if it stays so, the list beside the seal was changed with the store"
_LIST = (
    "restore the list from a copy or an older version of the object; the seal proves without it, but names no record"
)
_OBJECT_OF_SEAL = "see in the bucket who did it; once that is known, remove the later versions and delete markers"
_OBJECT = "see in the bucket who wrote it; an older version of the object may hold the records"


@dataclass(frozen=True, slots=True)
class Turn:
    """A part of all that is sealed: so much in a row, after what was compared before; None: from the begin on."""

    most: timedelta
    last: Interval | None


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be verified.

    Attributes:
        scope: whose chain.
        keys: that are trusted to sign.
        now: the time.
        within: for how long after its end an interval may be without a seal.
        since: intervals that were over then are left out; None: none of them.
        until: intervals that were not over then are left out; None: none of them.
        turn: if not everything is to be compared at once, how long a time is, and after which one.
        pinned: seals that earlier reports saw, by number and digest; then the chain may begin after `since`. None:
            nobody remembers any.
        accepted: digests of seals that are taken for good in place of those.
        erased: ids of erasures by the hash of each record that was erased by right (`integrity.warrant`).
    """

    scope: Scope
    keys: tuple[VerifyKey, ...]
    now: datetime
    within: timedelta
    since: datetime | None = None
    until: datetime | None = None
    turn: Turn | None = None
    pinned: tuple[tuple[int, str], ...] | None = None
    accepted: frozenset[str] = frozenset()
    erased: Mapping[bytes, str] = field(default_factory=dict)

    def covers(self, interval: Interval) -> bool:
        """Whether an interval is to be compared with the store."""
        return (self.since is None or interval.until > self.since) and (
            self.until is None or interval.until <= self.until
        )


@dataclass(slots=True)
class Verification:
    """What came of it.

    Attributes:
        seals: how many there are that are right.
        head: the last of them.
        intervals: how many were compared with the store.
        span: from the begin of the first of those on, without a gap; None where there was none. What was compared
            behind an interval that was not is no part of it.
        records: how many different records were found in those.
        discoveries: what was found, by place.
        failure: why it ended early, if it did.
    """

    seals: int = 0
    head: Head | None = None
    intervals: int = 0
    span: Interval | None = None
    records: int = 0
    discoveries: list[Discovery] = field(default_factory=list)
    failure: Failure | None = None


async def verify(
    question: Question, scanner: Scanner, archive: SealArchive, progress: Callable[[str], None] = lambda _: None
) -> Verification:
    """Verify the chain, and the store for every interval that the chain covers; `progress` is told where it is."""
    run = _Run(question, scanner, archive, progress)
    run.result.failure = await run.chain() or await run.store()
    run.count_unnamed()
    unexplained, by_right = excused(run.missing, question.erased)
    run.result.discoveries += [*explain(unexplained, run.extras), *by_right]
    return run.result


@dataclass(frozen=True, slots=True)
class _Sealed:
    """An interval with its seals, in order; the last speaks of all its records."""

    interval: Interval
    seals: tuple[Seal, ...]

    @property
    def last(self) -> Seal:
        """The latest."""
        return self.seals[-1]


@dataclass(slots=True)
class _Run:
    question: Question
    scanner: Scanner
    archive: SealArchive
    progress: Callable[[str], None]
    result: Verification = field(default_factory=Verification)
    missing: list[Missing] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    unnamed: Counter[tuple[Interval, int]] = field(default_factory=Counter)
    _sealed: list[_Sealed] = field(default_factory=list)
    _unreadable: set[str] = field(default_factory=set)

    @property
    def _stream(self) -> Stream:
        return Stream(self.question.scope.cluster, self.question.scope.namespace)

    async def chain(self) -> Failure | None:
        """Read and check the seals."""
        there = await self.archive.inventory()
        if isinstance(there, Failure):
            return there
        numbers = there.numbers
        self.progress(f"reading {len(numbers)} seals")
        encoded = await read_all(self.archive, numbers, seal_name)
        if isinstance(encoded, Failure):
            return encoded
        self.result.discoveries += (_meddled(number) for number in there.meddled)
        question = self.question
        closed, remembered = question.now - question.within, question.pinned is not None
        times = chain.Times(closed, question.within, question.since, may_begin_later=remembered)
        checked = chain.check(encoded, question.scope, question.keys, times)
        self.result.seals = len(checked.seals)
        self.result.discoveries += checked.discoveries
        self.result.discoveries += changed(question.pinned or (), numbers, encoded, question.accepted)
        if checked.seals:
            last = checked.seals[-1]
            self.result.head = Head(sequence=last.sequence, digest=digest(last.encode()))
        by_interval: defaultdict[Interval, list[Seal]] = defaultdict(list)
        for each in checked.seals:
            by_interval[each.interval].append(each)
        self._sealed = [
            _Sealed(interval, tuple(seals))
            for interval, seals in sorted(by_interval.items())
            if question.covers(interval)
        ]
        if question.turn is not None:
            intervals = [each.interval for each in self._sealed]
            chosen = frozenset(turn(intervals, question.turn.last, question.turn.most))
            self._sealed = [each for each in self._sealed if each.interval in chosen]
        return None

    async def store(self) -> Failure | None:
        """Read and compare the store."""
        spans = [[each] for each in self._sealed] if self.scanner.by_time else [self._sealed] if self._sealed else []
        for span in spans:
            failed = await self._compare(span)
            if failed is not None:
                return failed
        return None

    async def _compare(self, sealed: Sequence[_Sealed]) -> Failure | None:
        tallies = [Tally(each.interval) for each in sealed]
        starts = [to_nanoseconds(each.interval.since) for each in sealed]
        self.progress(f"reading {_hull(each.interval for each in sealed)}")
        async for batch in self.scanner.scan(_hull(each.interval for each in sealed), self._stream):
            if isinstance(batch, Failure):
                return batch
            self._note_unreadable(batch)
            for record in batch.records:
                tally = tallies[bisect_right(starts, record.nanoseconds) - 1]
                # Between two intervals there may be one without a seal.
                if tally.interval.holds(record.nanoseconds):
                    tally.add(record.nanoseconds, record.leaf())
        unknown: dict[bytes, tuple[_Sealed, int]] = {}
        for each, tally in zip(sealed, tallies, strict=True):
            failed = await self._compare_interval(each, tally, unknown)
            if failed is not None:
                return failed
        failed = await self._name(unknown)
        if failed is None:
            self.result.intervals += len(sealed)
            self._claim(each.interval for each in sealed)
        return failed

    def _claim(self, intervals: Iterable[Interval]) -> None:
        for each in intervals:
            span = self.result.span or Interval(each.since, each.since)
            if span.until == each.since:
                self.result.span = Interval(span.since, each.until)

    def _note_unreadable(self, batch: Batch) -> None:
        for name in sorted({*batch.unreadable} - self._unreadable):
            self._unreadable.add(name)
            message = f"the object {name} holds no records that can be read"
            self.result.discoveries.append(Discovery(Kind.OBJECT_UNREADABLE, message, _OBJECT))

    async def _compare_interval(
        self, sealed: _Sealed, tally: Tally, unknown: dict[bytes, tuple[_Sealed, int]]
    ) -> Failure | None:
        sums = tally.sums()
        self.result.records += sum(each.records for each in sums)
        self._note_late(sealed)
        lists = await self._lists(sealed)
        if isinstance(lists, Failure):
            return lists
        differing = [index for index, (was, now) in enumerate(zip(sealed.last.sums, sums, strict=True)) if was != now]
        entries: dict[int, list[Entry]] = {index: [] for index in differing}
        for packed in lists or () if differing else ():
            for entry in leaves.unpack(packed):
                index = sealed.interval.bucket_of(entry.nanoseconds)
                if index in entries:
                    entries[index].append(entry)
        for index in differing:
            found = difference(entries[index], tally.leaves(index))
            if lists is None or not (found.missing or found.extra):
                self._note_bucket(sealed, index, sums[index].records)
                continue
            self.missing += (Missing(sealed.interval, sealed.last.sequence, each) for each in found.missing)
            unknown.update((leaf, (sealed, index)) for leaf in found.extra)
        return None

    async def _lists(self, sealed: _Sealed) -> list[bytes] | Failure | None:
        """The lists of an interval; None where they are not as they were made, or do not name everything."""
        lists = []
        for seal in sealed.seals:
            packed = await self.archive.read(list_name(seal.leaves.digest))
            if isinstance(packed, Failure):
                return packed
            if packed is None:
                self.result.discoveries.append(_damaged(seal, "is missing"))
            elif leaves.digest(packed) != seal.leaves.digest:
                self.result.discoveries.append(_damaged(seal, "is not as it was made"))
            else:
                lists.append(packed)
        named = sum(each.leaves.records for each in sealed.seals)
        # Not so, too, where a seal between these is missing or bad.
        return lists if len(lists) == len(sealed.seals) and named == sealed.last.records else None

    async def _name(self, unknown: dict[bytes, tuple[_Sealed, int]]) -> Failure | None:
        """Read records again that no list names."""
        for span in self._spans(unknown.values()):
            async for batch in self.scanner.scan(span, self._stream):
                if isinstance(batch, Failure):
                    return batch
                for record in batch.records:
                    place = unknown.pop(record.leaf(), None)
                    if place is not None:
                        extra = Extra.of(place[0].interval, place[0].last.sequence, record)
                        self._note_extra(extra)
        for sealed, index in set(unknown.values()):
            bucket = sealed.interval.bucket(index)
            message = f"what the store has from {bucket} changed while it was read"
            self.result.discoveries.append(
                Discovery(Kind.BUCKET_DIFFERS, message, "verify again", bucket, sealed.last.sequence)
            )
        return None

    def _spans(self, places: Iterable[tuple[_Sealed, int]]) -> list[Interval]:
        buckets = sorted({sealed.interval.bucket(index) for sealed, index in places})
        return buckets if self.scanner.by_time or not buckets else [_hull(buckets)]

    def _note_extra(self, extra: Extra) -> None:
        if len(self.extras) < MOST_EXTRAS:
            self.extras.append(extra)
            return
        self.unnamed[extra.interval, extra.seal] += 1

    def count_unnamed(self) -> None:
        """Say of each interval how many records there are that no seal covers, beyond those that are named."""
        for (interval, seal), count in sorted(self.unnamed.items()):
            message = f"no seal covers {count} more records; of all together, only {MOST_EXTRAS} are named"
            self.result.discoveries.append(Discovery(Kind.RECORD_UNSEALED, message, "", interval, seal, count))

    def _note_bucket(self, sealed: _Sealed, index: int, found: int) -> None:
        bucket, was = sealed.interval.bucket(index), sealed.last.buckets[index].records
        message = f"what the store has from {bucket} is not what was sealed: {was} records then, {found} now"
        self.result.discoveries.append(
            Discovery(Kind.BUCKET_DIFFERS, message, _AGAIN, bucket, sealed.last.sequence, abs(was - found))
        )

    def _note_late(self, sealed: _Sealed) -> None:
        for seal in sealed.seals[1:]:
            count = seal.leaves.records
            message = f"{count} records came after the interval was sealed, and were sealed at {seal.sealed_at}"
            self.result.discoveries.append(
                Discovery(Kind.RECORDS_LATE, message, "", sealed.interval, seal.sequence, count)
            )


def _hull(intervals: Iterable[Interval]) -> Interval:
    known = list(intervals)
    return Interval(min(each.since for each in known), max(each.until for each in known))


def _meddled(number: int) -> Discovery:
    message = f"seal {number} was deleted or written again: the bucket has more versions than the first, which is used"
    return Discovery(Kind.SEAL_MEDDLED, message, _OBJECT_OF_SEAL, None, number)


def _damaged(seal: Seal, how: str) -> Discovery:
    message = f"the list of seal {seal.sequence} {how}"
    return Discovery(Kind.LIST_DAMAGED, message, _LIST, seal.interval, seal.sequence)
