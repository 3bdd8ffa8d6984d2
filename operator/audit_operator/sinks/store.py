"""What every store can be asked, and what may come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping
    from datetime import datetime

    from audit_operator.sinks.selection import Selection

MOST_RECORDS = 1000
"""How many records one question returns at most."""


class Reason(StrEnum):
    """Why a store could not be asked, or did not answer as it should."""

    ADDRESS_INVALID = "AddressInvalid"
    UNREACHABLE = "Unreachable"
    TIMED_OUT = "TimedOut"
    CUT_OFF = "CutOff"
    TLS_FAILED = "TLSFailed"
    TLS_FILES_INVALID = "TLSFilesInvalid"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    UNAUTHENTICATED = "Unauthenticated"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    REDIRECTED = "Redirected"
    TOO_LARGE = "TooLarge"
    TOO_MANY_REQUESTS = "TooManyRequests"
    REFUSED = "Refused"
    STORE_FAILED = "StoreFailed"
    ANSWER_MALFORMED = "AnswerMalformed"
    ANSWER_TOO_LARGE = "AnswerTooLarge"
    ANSWER_INCOMPLETE = "AnswerIncomplete"
    ARCHIVE_UNUSABLE = "ArchiveUnusable"
    CHAIN_UNUSABLE = "ChainUnusable"
    QUESTION_INVALID = "QuestionInvalid"
    SECRET_UNREADABLE = "SecretUnreadable"  # noqa: S105 - a reason


@dataclass(frozen=True, slots=True)
class Failure:
    """Nothing is known about the store but this. Holds no secret, and no word of the store's."""

    reason: Reason
    message: str
    mend: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """This cannot be asked of a store of this type."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reachable:
    """The store took an empty write with these credentials; nothing is said about what it keeps."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The store answered a write with success. That is no proof that it kept the record: only `find` is."""


@dataclass(frozen=True, slots=True)
class Record:
    """One audit event in a store.

    Attributes:
        audit_id: `auditID` of the event.
        stage: its stage.
        time: when the event reached that stage (`stageTimestamp`), in UTC; stores count retention from it.
        text: the event as JSON text.
        attributes: what else the record carries, for example cluster and namespace.
    """

    audit_id: str
    stage: str
    time: datetime
    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has.

    Attributes:
        records: each once. Two records of one audit ID and stage are both here if their texts differ: a client may
            choose the audit ID of its request, so that the same one need not mean the same event.
        copies: how many more records were the same in audit ID, stage and text; at-least-once makes some.
        complete: whether that is all; not so where the store had more than `MOST_RECORDS`.
    """

    records: tuple[Record, ...]
    copies: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Health:
    """What a store says about itself.

    Attributes:
        writable: whether it takes writes.
        dropped: records that it threw away since it started, by its own reasons; None where it does not say.
    """

    writable: bool
    dropped: Mapping[str, int] | None


class Store(Protocol):
    """One store. No call raises for anything that the store, the network or a user does."""

    async def check(self) -> Reachable | Failure | Unsupported:
        """Whether it can be written to, by writing nothing."""

    async def write(self, record: Record) -> Accepted | Failure | Unsupported:
        """Write one record, in the way of the shipper, such as a probe's."""

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Found | Failure | Unsupported:
        """Records of one audit ID, of one stage or (None) of all, whose time is `since` or later."""

    def search(self, selection: Selection) -> AsyncGenerator[Record | Failure | Unsupported, None]:
        """Records that are asked for, in the order asked for, and copies among them; one more than the limit at most.

        A Failure or Unsupported is the last. To be asked through `search.search`, which checks what comes.
        """

    async def health(self) -> Health | Failure | Unsupported:
        """How the store says that it is."""


def without_copies(records: Iterable[Record]) -> Found:
    """What was read, up to one more than `MOST_RECORDS`, as an answer."""
    read = tuple(records)
    kept = read[:MOST_RECORDS]
    single = {(each.audit_id, each.stage, each.text): each for each in reversed(kept)}
    ordered = sorted(single.values(), key=lambda each: (each.time, each.stage, each.text))
    return Found(tuple(ordered), len(kept) - len(single), complete=len(read) <= MOST_RECORDS)
