"""Spans of time that are sealed one by one, and their division into buckets, by which a difference is located."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUCKETS = 60
"""Of an interval: an hour has minutes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_NANOSECONDS = 1000
_FORM = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From `since` up to, and without, `until`; both in UTC, and whole minutes apart."""

    since: datetime
    until: datetime

    def __str__(self) -> str:
        return f"{moment(self.since)} to {moment(self.until)}"

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    def holds(self, nanoseconds: int) -> bool:
        """Whether a record of this time belongs here."""
        return to_nanoseconds(self.since) <= nanoseconds < to_nanoseconds(self.until)

    def bucket_of(self, nanoseconds: int) -> int:
        """In which bucket a record of this time is, from 0 to `BUCKETS` - 1."""
        begin = to_nanoseconds(self.since)
        return (nanoseconds - begin) * BUCKETS // (to_nanoseconds(self.until) - begin)

    def bucket(self, index: int) -> Interval:
        """The span of one bucket."""
        step = self.length / BUCKETS
        return Interval(self.since + index * step, self.since + (index + 1) * step)


def cut(since: datetime, until: datetime, length: timedelta) -> Iterator[Interval]:
    """The intervals of this length from `since` on that are over at `until`."""
    while since + length <= until:
        yield Interval(since, since + length)
        since += length


def turn(intervals: Sequence[Interval], last: Interval | None, most: timedelta) -> Sequence[Interval]:
    """Those, of intervals in order, that have their turn: so many without a gap as are not longer together.

    One at the least. They follow on `last`, what the turn before was about; and it is the first one's turn again where
    that had come to the end: had there been one more, it would have been longer. There always are new ones by then.
    Of a `last` without length, it is not known what it could have come to.
    """
    left = [each for each in intervals if last is None or each.since >= last.until]
    if last is not None and left and last.since < last.until == left[0].since and left[0].until - last.since <= most:
        left = []
    left = left or list(intervals)
    count = 1
    while (
        count < len(left) and left[count].since == left[count - 1].until and left[count].until - left[0].since <= most
    ):
        count += 1
    return left[:count]


def begin(time: datetime, length: timedelta) -> datetime:
    """When the interval begins that holds this time; the first of a chain begins at a multiple of its length."""
    return EPOCH + (time - EPOCH) // length * length


def to_nanoseconds(time: datetime) -> int:
    """Since 1970, in UTC."""
    return (time - EPOCH) // timedelta(microseconds=1) * _NANOSECONDS


def moment(time: datetime) -> str:
    """A time in whole seconds, as seals write it."""
    return time.astimezone(UTC).strftime(_FORM)


def read_moment(text: str) -> datetime:
    """What `moment` wrote. Raises ValueError for anything else."""
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


def exact(nanoseconds: int) -> str:
    """A record's time as RFC 3339 text with nine digits; as a number where no calendar has it."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        whole = EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"{nanoseconds} ns"
    return f"{whole.strftime('%Y-%m-%dT%H:%M:%S')}.{rest:09d}Z"
