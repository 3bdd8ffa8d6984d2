"""Whether a store may be told to delete earlier than it does.

To keep longer is done at once. To delete earlier destroys, so it needs a word from whoever asks for it, or time in
which status says what will be deleted and when. Only the periods are looked at: whoever deletes a policy, or loses
one, shortens nothing without that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.retention.demand import Combined

GRACE = timedelta(days=7)
"""For how long a shorter period is announced before it is in force, unless it was confirmed."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A shorter period that status has announced: from `since` on, and for `GRACE`.

    Attributes:
        delete_after: hours.
        since: when it was first said.
    """

    delete_after: int
    since: datetime

    @property
    def due(self) -> datetime:
        """From when on it may be in force."""
        return self.since + GRACE


@dataclass(frozen=True, slots=True)
class Change:
    """What a store is to be told now.

    Attributes:
        delete_after: age in hours at which it deletes records; None: it must not delete any.
        announced: what is going to be asked of it later.
    """

    delete_after: int | None
    announced: Announcement | None = None


def change(effective: int | None, wanted: Combined, announced: Announcement | None, now: datetime) -> Change:
    """From what a store does (`effective`, None: it deletes nothing) towards what is wanted.

    `announced` is what status said last; an announcement of another period begins anew.
    """
    target = wanted.demand.delete_after
    if target is None or (effective is not None and target >= effective):
        return Change(target)
    if wanted.confirmed:
        return Change(target)
    if announced is None or announced.delete_after != target:
        announced = Announcement(target, now)
    if now >= announced.due:
        return Change(target)
    # Until then: as it is, but never earlier than any policy allows.
    return Change(effective, announced)
