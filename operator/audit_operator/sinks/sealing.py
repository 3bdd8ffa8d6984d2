"""Sealing: read an interval that is over, and keep a signed statement of what was there.

A seal claims what was read at that moment, and nothing about what had happened to the store before. An interval is
sealed once. What comes later gets a supplement, and only while everything that was sealed is still there: what has come
in may be what has gone out, changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import leaves, seal
from audit_operator.integrity.interval import cut, latest_start, moment
from audit_operator.integrity.leaves import PREFIX_BYTES, Entry
from audit_operator.integrity.seal import NO_SEAL, BucketSum, LeafList, Seal, SealKind
from audit_operator.integrity.tally import Tally, total
from audit_operator.sinks.access import failure
from audit_operator.sinks.scanning import Batch, Stream
from audit_operator.sinks.seal_archive import list_name, seal_name
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from audit_operator.integrity.interval import Interval
    from audit_operator.integrity.keys import SigningKey, VerifyKey
    from audit_operator.integrity.seal import Scope
    from audit_operator.sinks.scanning import Scanner
    from audit_operator.sinks.seal_archive import SealArchive


@dataclass(frozen=True, slots=True)
class Sealed:
    """What came of one interval.

    Attributes:
        interval: that was read.
        seal: that was made; None where a supplement was asked for, and there is nothing to add.
        records: how many different records the seal is the first to cover.
        missing: sealed records that are gone; then nothing was added.
        unreadable: objects in which there may be records that nobody can read.
    """

    interval: Interval
    seal: Seal | None
    records: int = 0
    missing: int = 0
    unreadable: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """An interval as it was read: hashes, and a line for the list for each."""

    tally: Tally
    lines: dict[bytes, bytes] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sealer:
    """Makes the seals of one chain.

    Attributes:
        scope: whose chain it is.
        scanner: of the store.
        archive: that keeps the seals.
        key: that signs.
        trusted: keys that have signed before.
    """

    scope: Scope
    scanner: Scanner
    archive: SealArchive
    key: SigningKey
    trusted: tuple[VerifyKey, ...] = ()

    async def due(self, closed: datetime, length: timedelta, since: datetime | None) -> Sequence[Interval] | Failure:
        """Intervals to be sealed: those from the last seal to `closed`; without one, from `since`, or only the last."""
        newest = await self._newest(SealKind.INTERVAL)
        if isinstance(newest, Failure):
            return newest
        if newest is not None:
            return tuple(cut(newest.interval.until, closed, length))
        return tuple(cut(since or latest_start(closed, length), closed, length))

    async def sealed(self, since: datetime) -> Sequence[Interval] | Failure:
        """Intervals that have a seal, and were not over before `since`."""
        numbers = await self.archive.numbers()
        if isinstance(numbers, Failure):
            return numbers
        found: list[Interval] = []
        for number in reversed(numbers):
            read = await self._read(number)
            if isinstance(read, Failure):
                return read
            if read.kind is SealKind.INTERVAL:
                if read.interval.until <= since:
                    break
                found.append(read.interval)
        return tuple(reversed(found))

    async def seal(self, interval: Interval, now: datetime) -> Sealed | Failure:
        """Seal an interval that none covers; `now` is what the seal says about when that was."""
        reading = await self._reading(interval)
        if isinstance(reading, Failure):
            return reading
        made = await self._keep(interval, SealKind.INTERVAL, reading, list(reading.lines.values()), now)
        if isinstance(made, Failure):
            return made
        return Sealed(interval, made, len(reading.lines), unreadable=tuple(reading.unreadable))

    async def supplement(self, interval: Interval, now: datetime) -> Sealed | Failure:
        """Seal what has come since the interval was sealed."""
        entries = await self._entries(interval)
        if isinstance(entries, Failure):
            return entries
        reading = await self._reading(interval)
        if isinstance(reading, Failure):
            return reading
        unreadable = tuple(reading.unreadable)
        there = {leaf[:PREFIX_BYTES] for leaf in reading.lines}
        missing = len({each.prefix for each in entries} - there)
        sealed = {each.prefix for each in entries}
        new = [line for leaf, line in reading.lines.items() if leaf[:PREFIX_BYTES] not in sealed]
        if missing or not new:
            return Sealed(interval, None, missing=missing, unreadable=unreadable)
        made = await self._keep(interval, SealKind.SUPPLEMENT, reading, new, now)
        return made if isinstance(made, Failure) else Sealed(interval, made, len(new), unreadable=unreadable)

    async def _reading(self, interval: Interval) -> _Reading | Failure:
        reading = _Reading(Tally(interval))
        async for batch in self.scanner.scan(interval, Stream(self.scope.cluster, self.scope.namespace)):
            if isinstance(batch, Failure):
                return batch
            _note(reading, batch)
        return reading

    async def _keep(
        self, interval: Interval, kind: SealKind, reading: _Reading, lines: list[bytes], now: datetime
    ) -> Seal | Failure:
        previous = await self._last()
        if isinstance(previous, Failure):
            return previous
        packed = leaves.pack(lines)
        sums = reading.tally.sums()
        whole = total(sums)
        made = self.key.sign(
            Seal(
                kind=kind,
                scope=self.scope,
                sequence=previous.sequence + 1 if previous else 1,
                since=moment(interval.since),
                until=moment(interval.until),
                sealed_at=moment(now),
                records=whole.records,
                root=whole.root.hex(),
                buckets=tuple(BucketSum(records=each.records, root=each.root.hex()) for each in sums),
                leaves=LeafList(digest=leaves.digest(packed), records=len(lines)),
                previous=seal.digest(previous.encode()) if previous else NO_SEAL,
                key_id=self.key.public.id,
            )
        )
        # The list first: a seal must not name one that is not there. Whether it was there before makes no difference.
        kept = await self.archive.add(list_name(made.leaves.digest), packed)
        if isinstance(kept, Failure):
            return kept
        kept = await self.archive.add(seal_name(made.sequence), made.encode())
        if isinstance(kept, Failure):
            return kept
        return made if kept else failure(Reason.CHAIN_UNUSABLE, "somebody else has made a seal at the same time")

    async def _last(self) -> Seal | Failure | None:
        numbers = await self.archive.numbers()
        if isinstance(numbers, Failure):
            return numbers
        return await self._read(numbers[-1]) if numbers else None

    async def _newest(self, kind: SealKind) -> Seal | Failure | None:
        numbers = await self.archive.numbers()
        if isinstance(numbers, Failure):
            return numbers
        for number in reversed(numbers):
            read = await self._read(number)
            if isinstance(read, Failure) or read.kind is kind:
                return read
        return None

    async def _read(self, number: int) -> Seal | Failure:
        """A seal that this one may follow on: nothing is built on one that somebody else may have made."""
        encoded = await self.archive.read(seal_name(number))
        if isinstance(encoded, Failure):
            return encoded
        read = seal.decode(encoded) if encoded is not None else None
        if read is None or (read.scope, read.sequence) != (self.scope, number):
            return failure(Reason.CHAIN_UNUSABLE, f"seal {number} is none, or is not of {self.scope}")
        keys = {each.id: each for each in (*self.trusted, self.key.public)}
        key = keys.get(read.key_id)
        if key is None or not key.signed(read):
            return failure(Reason.CHAIN_UNUSABLE, f"seal {number} was not signed with this key, nor with a trusted one")
        return read

    async def _entries(self, interval: Interval) -> tuple[Entry, ...] | Failure:
        """What all seals of an interval name."""
        numbers = await self.archive.numbers()
        if isinstance(numbers, Failure):
            return numbers
        entries: list[Entry] = []
        for number in reversed(numbers):
            read = await self._read(number)
            if isinstance(read, Failure):
                return read
            if read.interval != interval:
                continue
            packed = await self.archive.read(list_name(read.leaves.digest))
            if isinstance(packed, Failure):
                return packed
            if packed is None or leaves.digest(packed) != read.leaves.digest:
                return failure(Reason.CHAIN_UNUSABLE, f"the list of seal {number} is missing, or not as it was made")
            entries += leaves.unpack(packed)
            if read.kind is SealKind.INTERVAL:
                break
        return tuple(entries)


def _note(reading: _Reading, batch: Batch) -> None:
    reading.unreadable += batch.unreadable
    for record in batch.records:
        leaf = record.leaf()
        if leaf not in reading.lines:
            reading.tally.add(record.nanoseconds, leaf)
            reading.lines[leaf] = leaves.line(Entry.of(record, leaf))
