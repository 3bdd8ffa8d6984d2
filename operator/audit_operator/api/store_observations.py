"""What the operator saw of stores that it asked itself: values between whoever asks them, and `plan`, which judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class StoreState(StrEnum):
    """What a store answered when the operator asked it itself.

    NotAsked: the operator cannot ask it, or not yet.
    Taking: it takes writes with the sink's credentials.
    Unreachable: it gave no answer, or none about writing, several times in a row.
    Unauthenticated: it does not accept the credentials, or there are none that could be used.
    Refusing: it answers, and takes no records at the sink's address.
    Redirecting: it points elsewhere. A shipper follows that, and takes whatever it finds there for success.
    """

    NOT_ASKED = "NotAsked"
    TAKING = "Taking"
    UNREACHABLE = "Unreachable"
    UNAUTHENTICATED = "Unauthenticated"
    REFUSING = "Refusing"
    REDIRECTING = "Redirecting"


class Drop(StrEnum):
    """Why a store threw records away after it had taken them, in words of ours: never in the store's."""

    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    TOO_MANY_FIELDS = "too_many_fields"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What may change at every look.

    Attributes:
        up: whether the last question was answered, and the store takes writes.
        seconds: how long the answer took.
        dropped: records thrown away since the store was first asked, by why; empty where the store does not say.
    """

    up: bool = False
    seconds: float = 0.0
    dropped: Mapping[Drop, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreObservation:
    """One sink's store, as the operator found it. Figures do not count when two are compared.

    Attributes:
        state: see StoreState.
        message: what was found, if it is not Taking; no word of the store's.
        mend: what mends it.
        drops: why the store threw records away lately, whoever had sent them.
    """

    state: StoreState = StoreState.NOT_ASKED
    message: str = ""
    mend: str = ""
    drops: tuple[Drop, ...] = ()
    figures: StoreFigures = field(default=StoreFigures(), compare=False)
