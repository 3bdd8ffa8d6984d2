"""Sealing: read an interval that is over, and keep a signed statement of what was there.

A seal claims what was read at that moment, and nothing about what had happened to the store before. An interval is
sealed once. What comes later gets a supplement, and only while everything that was sealed is still there: what has come
in may be what has gone out, changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.integrity import leaves, seal
from audit_operator.integrity.interval import begin, cut, moment
from audit_operator.integrity.listing import Listing
from audit_operator.integrity.seal import NO_SEAL, BucketSum, LeafList, Seal, SealKind
from audit_operator.integrity.tally import total
from audit_operator.sinks.access import failure
from audit_operator.sinks.scanning import Stream
from audit_operator.sinks.seal_archive import list_name, seal_name
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from audit_operator.integrity.interval import Interval
    from audit_operator.integrity.keys import SigningKey, VerifyKey
    from audit_operator.integrity.leaves import Entry, Packed
    from audit_operator.integrity.seal import Scope
    from audit_operator.integrity.tally import Sum
    from audit_operator.sinks.scanning import Scanner
    from audit_operator.sinks.seal_archive import SealArchive

_ELSEWHERE = failure(Reason.CHAIN_UNUSABLE, "somebody else has made a seal at the same time")
_THERE_ALREADY = failure(Reason.CHAIN_UNUSABLE, "there is a chain already: leave out --new-chain, which begins one")
_NO_CHAIN = failure(
    Reason.CHAIN_UNUSABLE,
    "there is no seal to go on from: either somebody deleted the seals, or this is the first run, which is made once "
    "and by hand, with --new-chain",
)


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


@dataclass(frozen=True, slots=True)
class _Reading:
    """An interval as it was read."""

    listing: Listing
    sums: tuple[Sum, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    """End of the chain before anything was read: what is made then follows on this, or is not kept at all.

    Attributes:
        last: seal.
        newest: seal of an interval.
    """

    last: Seal | None
    newest: Seal | None


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

    async def due(
        self, closed: datetime, length: timedelta, since: datetime | None, *, new: bool = False
    ) -> Sequence[Interval] | Failure:
        """Intervals to be sealed: those from the last seal to `closed`; of a new chain, from `since`, or only the last.

        A chain begins only where somebody says so, and never twice: if all seals were deleted, to begin again with the
        first would hide that.
        """
        head = await self._head()
        if isinstance(head, Failure):
            return head
        if new and head.last is not None:
            return _THERE_ALREADY
        if head.newest is None and not new:
            return _NO_CHAIN
        if head.newest is not None:
            return tuple(cut(head.newest.interval.until, closed, length))
        return tuple(cut(begin(since or closed - length, length), closed, length))

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
        head = await self._head()
        if isinstance(head, Failure):
            return head
        if head.newest is not None and head.newest.interval.until != interval.since:
            return _ELSEWHERE
        reading = await self._reading(interval)
        if isinstance(reading, Failure):
            return reading
        made = await self._keep(head, SealKind.INTERVAL, reading, leaves.pack(reading.listing.lines()), now)
        return made if isinstance(made, Failure) else Sealed(interval, made, made.records, 0, reading.unreadable)

    async def supplement(self, interval: Interval, now: datetime) -> Sealed | Failure:
        """Seal what has come since the interval was sealed."""
        head = await self._head()
        if isinstance(head, Failure):
            return head
        entries = await self._entries(interval)
        if isinstance(entries, Failure):
            return entries
        reading = await self._reading(interval)
        if isinstance(reading, Failure):
            return reading
        sealed = {each.prefix for each in entries}
        missing = len(sealed - reading.listing.prefixes())
        new = leaves.pack(() if missing else reading.listing.lines(sealed))
        if not new.records:
            return Sealed(interval, None, 0, missing, reading.unreadable)
        made = await self._keep(head, SealKind.SUPPLEMENT, reading, new, now)
        return made if isinstance(made, Failure) else Sealed(interval, made, new.records, 0, reading.unreadable)

    async def _reading(self, interval: Interval) -> _Reading | Failure:
        listing = Listing(interval)
        unreadable: list[str] = []
        async for batch in self.scanner.scan(interval, Stream(self.scope.cluster, self.scope.namespace)):
            if isinstance(batch, Failure):
                return batch
            unreadable += batch.unreadable
            for record in batch.records:
                listing.add(record)
        return _Reading(listing, listing.close(), tuple(unreadable))

    async def _keep(
        self, head: _Head, kind: SealKind, reading: _Reading, packed: Packed, now: datetime
    ) -> Seal | Failure:
        previous = head.last
        interval, sums = reading.listing.interval, reading.sums
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
                leaves=LeafList(digest=leaves.digest(packed.content), records=packed.records),
                previous=seal.digest(previous.encode()) if previous else NO_SEAL,
                key_id=self.key.public.id,
            )
        )
        # The list first: a seal must not name one that is not there. Whether it was there before makes no difference.
        kept = await self.archive.add(list_name(made.leaves.digest), packed.content)
        if isinstance(kept, Failure):
            return kept
        kept = await self.archive.add(seal_name(made.sequence), made.encode())
        if isinstance(kept, Failure):
            return kept
        return made if kept else _ELSEWHERE

    async def _head(self) -> _Head | Failure:
        numbers = await self.archive.numbers()
        if isinstance(numbers, Failure):
            return numbers
        last = None
        for number in reversed(numbers):
            read = await self._read(number)
            if isinstance(read, Failure):
                return read
            last = last or read
            if read.kind is SealKind.INTERVAL:
                return _Head(last, read)
        return _Head(last, None)

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
