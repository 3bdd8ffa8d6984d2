"""One seal: what was read of an interval and when, the seal before it, and the signature of who read it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationError

from audit_operator.integrity.interval import BUCKETS, MINUTE, Interval, read_moment
from audit_operator.integrity.signed import Count, Hash, Moment, Number, Part, Scope, Signed, digest
from audit_operator.integrity.tally import Sum, total

__all__ = ["NO_SEAL", "BucketSum", "LeafList", "Scope", "Seal", "SealKind", "decode", "digest"]

NO_SEAL = "0" * 64
"""In place of the digest of the seal before the first one."""


class SealKind(StrEnum):
    """What a seal is about."""

    INTERVAL = "Interval"
    SUPPLEMENT = "Supplement"


class BucketSum(Part):
    """Number of records of a bucket, and the root over them."""

    records: Count
    root: Hash


class LeafList(Part):
    """The list beside a seal: its digest, which is also a part of its name, and how many records it names."""

    digest: Hash
    records: Count


class Seal(Signed):
    """What a seal says.

    Attributes:
        sequence: its number in the chain, from 1.
        kind: Interval for the first seal of an interval; Supplement for records that came after that.
        since: begin of the interval.
        until: its end.
        sealed_at: when it was made, by the clock of whoever made it.
        records: number of different records, of a supplement together with what was sealed before.
        root: over `buckets`.
        buckets: of the interval, in order of time.
        leaves: the list of the records that no seal before this one covers.
        previous: digest of the seal before it.
    """

    prefix: ClassVar[bytes] = b"audit-operator.dev/seal/v1\0"

    version: Literal[1] = 1
    kind: SealKind
    scope: Scope
    sequence: Number
    since: Moment
    until: Moment
    sealed_at: Moment
    records: Count
    root: Hash
    buckets: Annotated[tuple[BucketSum, ...], Field(min_length=BUCKETS, max_length=BUCKETS)]
    leaves: LeafList
    previous: Hash

    @property
    def interval(self) -> Interval:
        """The interval that it is about."""
        return Interval(read_moment(self.since), read_moment(self.until))

    @property
    def sums(self) -> tuple[Sum, ...]:
        """Of its buckets."""
        return tuple(Sum(each.records, bytes.fromhex(each.root)) for each in self.buckets)


def decode(encoded: bytes) -> Seal | None:
    """The seal with these bytes; None where they are none, or contradict themselves."""
    try:
        seal = Seal.model_validate_json(encoded)
        interval = seal.interval
        read_moment(seal.sealed_at)
        # So that what is found later need not be doubted: its times exist, and its root is that of its buckets.
        is_sound = interval.length >= MINUTE and interval.length % MINUTE == 0 * MINUTE
        return seal if is_sound and _agrees(seal) and seal.encode() == encoded else None
    except (ValidationError, ValueError, RecursionError):
        return None


def _agrees(seal: Seal) -> bool:
    whole = total(seal.sums)
    return (seal.records, bytes.fromhex(seal.root)) == (whole.records, whole.root)
