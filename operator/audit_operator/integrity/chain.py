"""Whether the seals that are there are the seals that were made: each signed, each after the one before it, none gone.

What a seal says is used only where its own signature is right. One trouble is one finding: where a seal is missing, the
one behind it is not blamed for naming it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.interval import MINUTE, Interval, moment, read_moment
from audit_operator.integrity.seal import NO_SEAL, Scope, Seal, SealKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from audit_operator.integrity.keys import VerifyKey

_RESTORE = "find out who could delete there, and restore the seal from a copy or an older version of the object"
_REPLACED = "find out who could write there; an older version of the object may be the seal as it was made"
_GIVE_KEY = "if the key was renewed, name the earlier public key as well; if not, somebody else made this seal"
_TOO_LATE = (
    "if the sealer was off for so long, verify a later time (--since); if it was not, somebody deleted the seals that "
    "it had made, and let it make others"
)
_EARLIER = "if sealing began then, ask for no earlier time (--since); if not, somebody deleted the seals before"
_SEAL = "see why the sealer did not run; then let it seal what is still there"
_NONE_AT_ALL = (
    "see that this is the chain that was sealed (sink, --cluster, --namespace) and where its seals are; if nothing was "
    "sealed yet, begin with audit-operator seal --new-chain; if it was, somebody deleted all seals"
)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a check came to.

    Attributes:
        seals: those whose signature is right, in order.
        discoveries: everything that is wrong with the chain.
    """

    seals: tuple[Seal, ...]
    discoveries: tuple[Discovery, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """What must have been sealed, and when.

    Attributes:
        closed: every interval that was over then.
        allowance: for how long after its end an interval may be sealed without a warning; twice as long is an error.
        since: there must be seals from then on; of intervals that were over then, it is no error how late they are.
        may_begin_later: whether the first seal may be about a later time all the same, since others remember the chain.
    """

    closed: datetime
    allowance: timedelta
    since: datetime | None = None
    may_begin_later: bool = False


def check(held: Mapping[int, bytes], scope: Scope, keys: Iterable[VerifyKey], times: Times, *, first: int = 1) -> Chain:
    """Check a chain, or the end of one.

    Args:
        held: bytes of the seals, by number.
        scope: whose chain it must be.
        keys: that are trusted.
        times: what must have been sealed, and when.
        first: number of the seal to begin with; what the one before it was is not looked at then.
    """
    walk = _Walk(scope, {each.id: each for each in keys}, times)
    if first > 1:
        walk.number, walk.digest = first - 1, None
    for number in sorted(held):
        walk.take(number, held[number])
    walk.end(times.closed)
    return Chain(tuple(walk.seals), tuple(walk.discoveries))


@dataclass(slots=True)
class _Walk:
    """From the first seal to the last.

    Attributes:
        number: of the last seal that was there.
        digest: of its bytes; None where they are not to be relied on.
        until: end of the last interval that a good seal is about; None before the first one.
        length: of that interval.
        began: when the first good seal was made: an interval that was over then could be sealed no earlier.
        excused: intervals behind it whose seals are missing or bad, which has been reported already.
        late: what was sealed late.
    """

    scope: Scope
    keys: Mapping[str, VerifyKey]
    times: Times
    seals: list[Seal] = field(default_factory=list)
    discoveries: list[Discovery] = field(default_factory=list)
    number: int = 0
    digest: str | None = NO_SEAL
    until: datetime | None = None
    length: timedelta = MINUTE
    began: datetime | None = None
    excused: int = 0
    late: list[_Late] = field(default_factory=list)

    def take(self, number: int, encoded: bytes) -> None:
        """The next seal that is there."""
        seal = seals.decode(encoded)
        if number > self.number + 1:
            self._missing(number, seal)
        self.number = number
        trouble = _unreadable(number) if seal is None else self._trouble(number, seal)
        if seal is None or trouble is not None:
            self.discoveries += [trouble] if trouble else []
            self.digest = None
            self.excused += seal is None or seal.kind is SealKind.INTERVAL
            return
        before, self.digest = self.digest, seals.digest(encoded)
        if before not in {None, seal.previous}:
            message = (
                f"seal {number} does not follow on the seal {number - 1} that is there: one of the two was replaced by "
                "another that the key has signed"
            )
            self.discoveries.append(Discovery(Kind.CHAIN_BROKEN, message, _REPLACED, seal.interval, number))
        self.seals.append(seal)
        if seal.kind is SealKind.INTERVAL:
            self._interval(seal)

    def end(self, closed: datetime) -> None:
        """After the last seal."""
        self.discoveries += (each.told() for each in self.late)
        if self.until is None:
            if not self.number:
                self.discoveries.append(Discovery(Kind.SEAL_MISSING, "there is no seal at all", _NONE_AT_ALL))
            return
        # Whoever can write there may have named an object with any number.
        due = (closed - self.until) // self.length
        if due > self.excused:
            gap = Interval(self.until + self.excused * self.length, self.until + due * self.length)
            message = f"nothing is sealed from {gap}"
            self.discoveries.append(Discovery(Kind.SEAL_MISSING, message, _SEAL, gap, self.number + 1))

    def _missing(self, number: int, following: Seal | None) -> None:
        first, last = self.number + 1, number - 1
        which = f"seal {first} is" if first == last else f"seals {first} to {last} are"
        gap = None
        if following is not None and following.kind is SealKind.INTERVAL and self.until is not None:
            since = following.interval.since
            gap = Interval(self.until, since) if self.until < since else None
        message = f"{which} missing" + (f"; there is nothing that covers {gap}" if gap else "")
        self.discoveries.append(Discovery(Kind.SEAL_MISSING, message, _RESTORE, gap, first))
        self.digest = None
        self.excused += number - first

    def _trouble(self, number: int, seal: Seal) -> Discovery | None:
        if (seal.scope, seal.sequence) != (self.scope, number):
            message = f"in place of seal {number} there is seal {seal.sequence} of {seal.scope}"
            return Discovery(Kind.SEAL_MISPLACED, message, _REPLACED, seal.interval, number)
        key = self.keys.get(seal.key_id)
        if key is None:
            message = f"seal {number} was signed with the key {seal.key_id}, which is not among those that are trusted"
            return Discovery(Kind.SEAL_KEY_UNKNOWN, message, _GIVE_KEY, seal.interval, number)
        if key.signed(seal):
            return None
        message = f"seal {number} is not as it was made: its signature is wrong"
        return Discovery(Kind.SEAL_CHANGED, message, _REPLACED, seal.interval, number)

    def _interval(self, seal: Seal) -> None:
        interval = seal.interval
        if self.until is not None and interval.since != self.until and not self.excused:
            gap = Interval(*sorted((self.until, interval.since)))
            how = "nothing is sealed" if self.until < interval.since else "two intervals are sealed"
            message = f"{how} from {gap}, before seal {seal.sequence}"
            self.discoveries.append(Discovery(Kind.SEAL_MISSING, message, _SEAL, gap, seal.sequence))
        since = None if self.times.may_begin_later else self.times.since
        if self.until is None and not self.excused and since is not None and since < interval.since:
            gap = Interval(since, interval.since)
            message = f"the first seal begins at {moment(interval.since)}; nothing before it is sealed"
            self.discoveries.append(Discovery(Kind.SEAL_MISSING, message, _EARLIER, gap, seal.sequence))
        self.until, self.length, self.excused = interval.until, interval.length, 0
        self._lateness(seal)

    def _lateness(self, seal: Seal) -> None:
        interval, made = seal.interval, read_moment(seal.sealed_at)
        self.began = self.began or made
        if made <= interval.until + self.times.allowance:
            return
        asked = self.times.since is None or interval.until > self.times.since
        # Whoever deletes the last seals lets the sealer make them anew, and that is all there is to see of it.
        is_error = asked and made > max(interval.until, self.began) + 2 * self.times.allowance
        kind = Kind.SEALED_TOO_LATE if is_error else Kind.SEALED_LATE
        if not self.late or not self.late[-1].goes_on_with(kind, interval):
            self.late.append(_Late(kind, seal.sequence, interval, made))
        else:
            self.late[-1].add(interval, made)


@dataclass(slots=True)
class _Late:
    """Intervals one after the other that were sealed late: a sealer that was away for a week is one trouble."""

    kind: Kind
    first: int
    span: Interval
    earliest: datetime
    latest: datetime = field(init=False)
    intervals: int = 1

    def __post_init__(self) -> None:
        self.latest = self.earliest

    def goes_on_with(self, kind: Kind, interval: Interval) -> bool:
        """Whether an interval belongs to the same trouble."""
        return (kind, interval.since) == (self.kind, self.span.until)

    def add(self, interval: Interval, made: datetime) -> None:
        """One more."""
        self.span = Interval(self.span.since, interval.until)
        self.earliest, self.latest = min(self.earliest, made), max(self.latest, made)
        self.intervals += 1

    def told(self) -> Discovery:
        """As a finding."""
        when = f"at {moment(self.earliest)}"
        if self.latest != self.earliest:
            when = f"from {moment(self.earliest)} to {moment(self.latest)}"
        what = "this was" if self.intervals == 1 else f"these {self.intervals} intervals were"
        message = f"{what} sealed only {when}: what happened to records before that is not known"
        mend = _TOO_LATE if self.kind is Kind.SEALED_TOO_LATE else ""
        return Discovery(self.kind, message, mend, self.span, self.first)


def _unreadable(number: int) -> Discovery:
    message = f"seal {number} is not as it was made: it cannot be read"
    return Discovery(Kind.SEAL_CHANGED, message, _REPLACED, None, number)
