"""What was read of an interval, to be sealed: hashes, and beside each the line that names its record."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import merkle
from audit_operator.integrity.interval import BUCKETS
from audit_operator.integrity.leaves import PREFIX_BYTES, Entry, line
from audit_operator.integrity.tally import Sum

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from audit_operator.integrity.interval import Interval
    from audit_operator.integrity.record import StoredRecord


@dataclass(slots=True)
class Listing:
    """Records of one interval, by bucket. A leaf and its line are one value: as two, a million take twice the room."""

    interval: Interval
    _named: defaultdict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def add(self, record: StoredRecord) -> None:
        """Take note of a record, which must be of this interval."""
        leaf = record.leaf()
        self._named[self.interval.bucket_of(record.nanoseconds)].append(leaf + line(Entry.of(record, leaf)))

    def close(self) -> tuple[Sum, ...]:
        """Leave out copies; gives number and root of each bucket."""
        for bucket, named in self._named.items():
            self._named[bucket] = sorted(set(named))
        return tuple(self._sum(bucket) for bucket in range(BUCKETS))

    def prefixes(self) -> set[bytes]:
        """Of all leaves, as lists have them."""
        return {each[:PREFIX_BYTES] for named in self._named.values() for each in named}

    def lines(self, without: Collection[bytes] = ()) -> Iterator[bytes]:
        """For the list, in order, once closed; not of leaves with these prefixes."""
        for bucket in range(BUCKETS):
            for each in self._named.get(bucket, ()):
                if each[:PREFIX_BYTES] not in without:
                    yield each[merkle.HASH_BYTES :]

    def _sum(self, bucket: int) -> Sum:
        leaves = [each[: merkle.HASH_BYTES] for each in self._named.get(bucket, ())]
        return Sum(len(leaves), merkle.root(leaves))
