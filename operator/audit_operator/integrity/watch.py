"""What somebody who looks at the seals from time to time sees and remembers: the last one, and whether any is missing.

Whoever makes seals may be stopped, and seals may be deleted where the archive allows it. Neither may go unseen: an
interval without a seal is found by the clock, and one that is another than it was by its digest, which is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.integrity import chain
from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.interval import read_moment
from audit_operator.integrity.seal import SealKind, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from audit_operator.integrity.chain import Times
    from audit_operator.integrity.keys import VerifyKey
    from audit_operator.integrity.seal import Seal
    from audit_operator.integrity.signed import Scope

MOST_GAPS = 16
"""Gaps among the numbers of old seals, and old seals that were meddled with, that are named; the rest are counted."""
_RESTORE = "find out who could delete there, and restore the seal from a copy or an older version of the object"
_REPLACED = (
    "find out who could delete there, and restore the seal from a copy; if it is known why it was made anew, accept "
    "the digest of the one that is there"
)
_MEDDLED = "see in the bucket who did it; once that is known, remove the later versions and delete markers"
_LATENESS = frozenset({Kind.SEALED_LATE, Kind.SEALED_TOO_LATE})


@dataclass(frozen=True, slots=True)
class LastSeal:
    """A seal as it is remembered.

    Attributes:
        sequence: its number.
        digest: SHA-256 of its bytes.
        made: when it was made.
        until: end of the last interval that it, or one before it, is about.
    """

    sequence: int
    digest: str
    made: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in the archive.

    Attributes:
        numbers: of all seals.
        meddled: of those that somebody has deleted or written again, as far as the archive remembers.
        held: bytes of the last ones, by number: from one of an interval on that is no later than the last remembered.
        remembers: whether the archive remembers what was deleted and written again.
    """

    numbers: Sequence[int]
    meddled: Sequence[int]
    held: Mapping[int, bytes]
    remembers: bool = True


@dataclass(frozen=True, slots=True)
class Watched:
    """What is to be remembered, and what is wrong."""

    last: LastSeal | None
    discoveries: tuple[Discovery, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Watch:
    """What one chain must be like.

    Attributes:
        scope: whose it is.
        keys: that are trusted to sign seals.
        accepted: digests of seals that are taken for good in place of others of the same number.
    """

    scope: Scope
    keys: tuple[VerifyKey, ...]
    accepted: Collection[str] = ()

    def judge(self, known: LastSeal | None, sight: Sight, times: Times) -> Watched:
        """Compare what is seen with what is remembered. Where these differ, that stays remembered which was."""
        first = min(sight.held, default=1)
        checked = chain.check(sight.held, self.scope, self.keys, times, first=first)
        found = [each for each in checked.discoveries if each.kind not in _LATENESS]
        found += _gaps(sight.numbers, first)
        found += _bounded(map(_meddled, sight.meddled))
        differing = known and changed([(known.sequence, known.digest)], sight.numbers, sight.held, self.accepted)
        if differing:
            return Watched(known, (*differing, *found))
        return Watched(_last(checked.seals, known), tuple(found))


def changed(
    pinned: Iterable[tuple[int, str]], numbers: Collection[int], held: Mapping[int, bytes], accepted: Collection[str]
) -> tuple[Discovery, ...]:
    """Seals that are others than they once were, each by number and digest; those that are not `held` are left out.

    Of those that are gone, too, but for the last: a gap among the numbers is found without this.
    """
    found: dict[int, Discovery] = {}
    last = max(numbers, default=0)
    for number, was in pinned:
        if number > last:
            message = f"seal {number} was there, and is missing"
            found[number] = Discovery(Kind.SEAL_MISSING, message, _RESTORE, None, number)
        elif number in held and (now := digest(held[number])) != was and now not in accepted:
            message = f"seal {number} was {was}, and now is {now}: it was deleted, or written again, and made anew"
            found[number] = Discovery(Kind.SEAL_REPLACED, message, _REPLACED, None, number)
    return tuple(found[number] for number in sorted(found))


def _last(seals: Sequence[Seal], known: LastSeal | None) -> LastSeal | None:
    intervals = [each.interval.until for each in seals if each.kind is SealKind.INTERVAL]
    if not seals or not intervals:
        return known
    last = seals[-1]
    if known is not None and last.sequence < known.sequence:
        return known
    return LastSeal(last.sequence, digest(last.encode()), read_moment(last.sealed_at), max(intervals))


def _gaps(numbers: Sequence[int], end: int) -> Iterator[Discovery]:
    """Missing ones before `end`; from there on, the chain was checked."""
    return _bounded(_missing(numbers, end))


def _missing(numbers: Sequence[int], end: int) -> Iterator[Discovery]:
    before = 0
    for number in sorted({*(each for each in numbers if each < end), end}):
        if number > before + 1:
            first, last = before + 1, number - 1
            which = f"seal {first} is" if first == last else f"seals {first} to {last} are"
            yield Discovery(Kind.SEAL_MISSING, f"{which} missing", _RESTORE, None, first)
        before = number


def _meddled(number: int) -> Discovery:
    message = f"seal {number} was deleted or written again: the bucket has more versions than the first, which is used"
    return Discovery(Kind.SEAL_MEDDLED, message, _MEDDLED, None, number)


def _bounded(found: Iterable[Discovery]) -> Iterator[Discovery]:
    every = list(found)
    yield from every[:MOST_GAPS]
    if len(every) > MOST_GAPS:
        rest = len(every) - MOST_GAPS - 1
        yield replace(every[MOST_GAPS], message=f"{every[MOST_GAPS].message}; and {rest} more like that")
