"""One seal: what was read of an interval and when, the seal before it, and the signature of who read it.

A seal is the bytes of its canonical JSON: sorted keys, no spaces, ASCII. Other bytes of the same meaning are no seal,
so that nothing about one can be changed, not even what nobody would read.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from audit_operator.integrity.interval import BUCKETS, MINUTE, Interval, read_moment
from audit_operator.integrity.tally import Sum, total

NO_SEAL = "0" * 64
"""In place of the digest of the seal before the first one."""
_TO_SIGN = b"audit-operator.dev/seal/v1\0"
_SIGNATURE = "signature"

_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0)]
_Name = Annotated[str, Field(max_length=512)]
_Moment = Annotated[str, Field(max_length=32)]


class SealKind(StrEnum):
    """What a seal is about."""

    INTERVAL = "Interval"
    SUPPLEMENT = "Supplement"


class _Part(BaseModel):
    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Scope(_Part):
    """Whose records a chain of seals is about.

    Attributes:
        sink: the store, as ``ClusterAuditSink/central`` or ``AuditSink/payments/own``.
        cluster: value of the attribute of that name; empty: all that the store has.
        namespace: value of the attribute of that name; empty: all namespaces, and records without one.
    """

    sink: _Name
    cluster: _Name = ""
    namespace: _Name = ""

    def __str__(self) -> str:
        of = [f"{name} {value}" for name, value in (("cluster", self.cluster), ("namespace", self.namespace)) if value]
        return ", ".join([self.sink, *of])


class BucketSum(_Part):
    """Number of records of a bucket, and the root over them."""

    records: _Count
    root: _Hash


class LeafList(_Part):
    """The list beside a seal: its digest, which is also a part of its name, and how many records it names."""

    digest: _Hash
    records: _Count


class Seal(_Part):
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
        key_id: which key signed.
        signature: Ed25519, in hex.
    """

    version: Literal[1] = 1
    kind: SealKind
    scope: Scope
    sequence: Annotated[int, Field(ge=1)]
    since: _Moment
    until: _Moment
    sealed_at: _Moment
    records: _Count
    root: _Hash
    buckets: Annotated[tuple[BucketSum, ...], Field(min_length=BUCKETS, max_length=BUCKETS)]
    leaves: LeafList
    previous: _Hash
    key_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    signature: Annotated[str, Field(pattern="^([0-9a-f]{128})?$")] = ""

    @property
    def interval(self) -> Interval:
        """The interval that it is about."""
        return Interval(read_moment(self.since), read_moment(self.until))

    @property
    def sums(self) -> tuple[Sum, ...]:
        """Of its buckets."""
        return tuple(Sum(each.records, bytes.fromhex(each.root)) for each in self.buckets)

    def encode(self) -> bytes:
        """The bytes that are kept."""
        return _canonical(self.model_dump(mode="json", by_alias=True))

    def signed_bytes(self) -> bytes:
        """What the signature is about: everything else."""
        document = self.model_dump(mode="json", by_alias=True)
        del document[_SIGNATURE]
        return _TO_SIGN + _canonical(document)


def digest(encoded: bytes) -> str:
    """SHA-256 of a seal's bytes, by which the next one names it."""
    return hashlib.sha256(encoded).hexdigest()


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


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")
