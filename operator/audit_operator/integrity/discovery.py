"""What verification finds, each with where it is: an interval, a seal, a record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.findings import Severity

if TYPE_CHECKING:
    from audit_operator.integrity.interval import Interval
    from audit_operator.integrity.record import Identity


class Kind(StrEnum):
    """What can be found; documented one by one in docs/integrity.md."""

    RECORD_REMOVED = "record-removed"
    RECORD_CHANGED = "record-changed"
    RECORD_MOVED = "record-moved"
    RECORD_UNSEALED = "record-unsealed"
    BUCKET_DIFFERS = "bucket-differs"
    OBJECT_UNREADABLE = "object-unreadable"
    SEAL_MISSING = "seal-missing"
    SEAL_CHANGED = "seal-changed"
    SEAL_MEDDLED = "seal-meddled"
    SEAL_REPLACED = "seal-replaced"
    SEAL_KEY_UNKNOWN = "seal-key-unknown"
    SEAL_MISPLACED = "seal-misplaced"
    CHAIN_BROKEN = "chain-broken"
    LIST_DAMAGED = "list-damaged"
    SEALED_TOO_LATE = "sealed-too-late"
    SEALED_LATE = "sealed-late"
    RECORDS_LATE = "records-late"
    RECORDS_ERASED = "records-erased"

    @property
    def severity(self) -> Severity:
        """How bad it is: what proves nothing bad is no error."""
        return _MILD.get(self, Severity.ERROR)

    @property
    def is_about_chain(self) -> bool:
        """Whether it is about the seals, all of which each verification checks, whatever it compares with the store."""
        return self in _CHAIN


_CHAIN = frozenset(
    {
        Kind.SEAL_MISSING,
        Kind.SEAL_CHANGED,
        Kind.SEAL_MEDDLED,
        Kind.SEAL_REPLACED,
        Kind.SEAL_KEY_UNKNOWN,
        Kind.SEAL_MISPLACED,
        Kind.CHAIN_BROKEN,
        Kind.SEALED_TOO_LATE,
        Kind.SEALED_LATE,
    }
)
_MILD = {Kind.SEALED_LATE: Severity.WARNING, Kind.RECORDS_LATE: Severity.INFO, Kind.RECORDS_ERASED: Severity.INFO}


@dataclass(frozen=True, slots=True)
class Discovery:
    """One finding of a verification.

    Attributes:
        kind: what it is.
        message: what is wrong, for a person.
        mend: what to do about it.
        interval: where, in time; None where that is not known.
        seal: number of the seal concerned; 0: none.
        records: how many records are concerned.
        identity: names of the record concerned, if it is one.
        nanoseconds: time of that record, as it was sealed or else as it is in the store.
    """

    kind: Kind
    message: str
    mend: str = ""
    interval: Interval | None = None
    seal: int = 0
    records: int = 0
    identity: Identity | None = None
    nanoseconds: int | None = None
