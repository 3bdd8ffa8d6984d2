"""What was read of an interval, as hashes alone: 32 bytes for each record, however large it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import merkle
from audit_operator.integrity.interval import BUCKETS

if TYPE_CHECKING:
    from audit_operator.integrity.interval import Interval

_COUNT_BYTES = 8
_BUCKET = b"\2"


@dataclass(frozen=True, slots=True)
class Sum:
    """Number of different records, and the root over them."""

    records: int = 0
    root: bytes = merkle.EMPTY


@dataclass(slots=True)
class Tally:
    """Records of one interval, by bucket."""

    interval: Interval
    _leaves: defaultdict[int, bytearray] = field(default_factory=lambda: defaultdict(bytearray))

    def add(self, nanoseconds: int, leaf: bytes) -> None:
        """Take note of a record, which must be of this interval."""
        self._leaves[self.interval.bucket_of(nanoseconds)] += leaf

    def leaves(self, bucket: int) -> list[bytes]:
        """Of a bucket, sorted, each once."""
        held, size = self._leaves.get(bucket, bytearray()), merkle.HASH_BYTES
        return sorted({bytes(held[start : start + size]) for start in range(0, len(held), size)})

    def sums(self) -> tuple[Sum, ...]:
        """One for each bucket."""
        return tuple(_sum(self.leaves(each)) for each in range(BUCKETS))


def total(sums: tuple[Sum, ...]) -> Sum:
    """Of an interval, from its buckets: number and root of each have their place in it."""
    nodes = [
        merkle.leaf_of(_BUCKET + _number(index) + _number(each.records) + each.root) for index, each in enumerate(sums)
    ]
    return Sum(sum(each.records for each in sums), merkle.root(nodes))


def _number(value: int) -> bytes:
    return value.to_bytes(_COUNT_BYTES, "big")


def _sum(leaves: list[bytes]) -> Sum:
    return Sum(len(leaves), merkle.root(leaves))
