"""From what a seal covers and what a store has to what happened to which record.

A record is found again by the names that it carries. Two that have the same names are one that was changed or moved;
which of both, the hash says: with its old time, a record that was only moved has the hash that was sealed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.interval import exact
from audit_operator.integrity.leaves import PREFIX_BYTES, Entry
from audit_operator.integrity.record import leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from audit_operator.integrity.interval import Interval
    from audit_operator.integrity.record import Identity, StoredRecord

MOST_NAMED = 20
"""Records that are named one by one, of one kind, interval and namespace; the rest are counted."""

MOST_TRIED = 100
"""Records of the same names among which one is looked for. Clients choose audit IDs, and may give all the same one."""

_LOOK = "see the store's own log for who deletes or writes there; the API server's files, or another sink, may have it"
_EXPIRED = "if its retention deletes records of this age, verify a later time only (--since)"
_LATE = "if it came late, seal it: audit-operator seal --late; if not, somebody wrote it into the store"


@dataclass(frozen=True, slots=True)
class Missing:
    """A record that is sealed and not there."""

    interval: Interval
    seal: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Extra:
    """A record that is there and not sealed."""

    interval: Interval
    seal: int
    identity: Identity
    nanoseconds: int
    content: bytes = field(repr=False)

    @classmethod
    def of(cls, interval: Interval, seal: int, record: StoredRecord) -> Extra:
        """From the record, without its text."""
        return cls(interval, seal, record.identity, record.nanoseconds, record.content())


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one bucket: entries of which the store has no record, and leaves of records that no entry names."""

    missing: tuple[Entry, ...]
    extra: frozenset[bytes]


def difference(sealed: Iterable[Entry], found: Iterable[bytes]) -> Difference:
    """Compare a bucket's entries with the leaves that were found there."""
    entries = {each.prefix: each for each in sealed}
    leaves = frozenset(found)
    there = {each[:PREFIX_BYTES] for each in leaves}
    return Difference(
        tuple(entry for prefix, entry in entries.items() if prefix not in there),
        frozenset(each for each in leaves if each[:PREFIX_BYTES] not in entries),
    )


def explain(missing: Sequence[Missing], extras: Sequence[Extra]) -> tuple[Discovery, ...]:
    """What happened, over all intervals that were compared: a record may have been moved from one to another."""
    pairs = _Pairs(list(missing), list(extras))
    # The likeliest first: moved and nothing else, changed in place, both, and other names at the same time.
    pairs.match(lambda gone: gone.entry.identity, lambda extra: extra.identity, only_moved=True)
    pairs.match(lambda gone: (gone.entry.identity, gone.entry.nanoseconds), lambda one: (one.identity, one.nanoseconds))
    pairs.match(lambda gone: gone.entry.identity, lambda extra: extra.identity)
    pairs.match(lambda gone: gone.entry.nanoseconds, lambda extra: extra.nanoseconds)
    discoveries = [_explained(*each) for each in pairs.made]
    discoveries += [_explained(each, None) for each in pairs.missing]
    discoveries += [_unsealed(each) for each in pairs.extras]
    return tuple(_bounded(sorted(discoveries, key=_order)))


def excused(missing: Iterable[Missing], erased: Mapping[bytes, str]) -> tuple[list[Missing], list[Discovery]]:
    """Those that nothing explains, and what became of the others: `erased` has the id of an erasure by hash."""
    left: list[Missing] = []
    groups: defaultdict[tuple[Interval, int, str], int] = defaultdict(int)
    for each in missing:
        erasure = erased.get(each.entry.prefix)
        if erasure is None:
            left.append(each)
        else:
            groups[each.interval, each.seal, erasure] += 1
    return left, [
        Discovery(
            Kind.RECORDS_ERASED, f"{count} records were erased by right: erasure {erasure}", "", interval, seal, count
        )
        for (interval, seal, erasure), count in sorted(groups.items())
    ]


@dataclass(slots=True)
class _Pairs:
    """What is missing, what is there instead, and who was found to be whom."""

    missing: list[Missing]
    extras: list[Extra]
    made: list[tuple[Missing, Extra]] = field(default_factory=list)

    def match(
        self,
        of_missing: Callable[[Missing], Hashable],
        of_extra: Callable[[Extra], Hashable],
        *,
        only_moved: bool = False,
    ) -> None:
        """Pair what has the same key."""
        candidates = defaultdict(list)
        for each in self.extras:
            candidates[of_extra(each)].append(each)
        left = []
        for gone in self.missing:
            among = candidates[of_missing(gone)]
            tried = enumerate(islice(among, MOST_TRIED))
            place = next((place for place, each in tried if not only_moved or _was_moved(gone, each)), None)
            if place is None:
                left.append(gone)
            else:
                self.made.append((gone, among.pop(place)))
        self.missing, self.extras = left, [each for among in candidates.values() for each in among]


def _was_moved(missing: Missing, now: Extra) -> bool:
    return leaf(missing.entry.nanoseconds, now.content).startswith(missing.entry.prefix)


def _explained(missing: Missing, now: Extra | None) -> Discovery:
    entry, at = missing.entry, exact(missing.entry.nanoseconds)
    if now is None:
        kind, message, mend = Kind.RECORD_REMOVED, f"the record of {at} is gone", _LOOK
    elif _was_moved(missing, now):
        kind, mend = Kind.RECORD_MOVED, _LOOK
        message = f"the record of {at} now has the time {exact(now.nanoseconds)}, and so another place in the order"
    elif now.nanoseconds == entry.nanoseconds:
        kind, message, mend = Kind.RECORD_CHANGED, f"the record of {at} has another text or other attributes", _LOOK
    else:
        kind, mend = Kind.RECORD_CHANGED, _LOOK
        message = f"the record of {at} now has the time {exact(now.nanoseconds)}, and another text or other attributes"
    return Discovery(kind, message, mend, missing.interval, missing.seal, 1, entry.identity, entry.nanoseconds)


def _unsealed(extra: Extra) -> Discovery:
    message = f"no seal covers the record of {exact(extra.nanoseconds)}: it came after the interval was sealed"
    return Discovery(
        Kind.RECORD_UNSEALED, message, _LATE, extra.interval, extra.seal, 1, extra.identity, extra.nanoseconds
    )


def _order(each: Discovery) -> tuple[Interval | None, int, str]:
    return each.interval, each.nanoseconds or 0, each.kind


def _bounded(discoveries: Iterable[Discovery]) -> Iterator[Discovery]:
    """Name the first of many that are alike, and count the others."""
    groups: dict[tuple[Kind, Interval | None, str], list[Discovery]] = defaultdict(list)
    for each in discoveries:
        groups[each.kind, each.interval, each.identity.namespace if each.identity else ""].append(each)
    for (kind, interval, namespace), group in groups.items():
        yield from group[:MOST_NAMED]
        rest = len(group) - MOST_NAMED
        if rest > 0:
            where = f"namespace {namespace}" if namespace else "no namespace"
            mend = _EXPIRED if kind is Kind.RECORD_REMOVED else group[0].mend
            message = f"the same is true of {rest} more records of {where}"
            yield Discovery(kind, message, mend, interval, group[0].seal, rest)
