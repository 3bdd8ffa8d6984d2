"""Reading all records of a span of time, batch after batch: what seals are made from, and verified with.

Nothing is left out silently. A store that ends too early, gives less than it counted or cannot be reached is a Failure,
and the last that comes; what is there and cannot be read is named.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from audit_operator.integrity.interval import Interval
    from audit_operator.integrity.record import StoredRecord

PAUSES = (0.5, 2.0)
_PASSING = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.TIMED_OUT,
        Reason.CUT_OFF,
        Reason.STORE_FAILED,
        Reason.TOO_MANY_REQUESTS,
        Reason.ANSWER_INCOMPLETE,
    }
)
"""What may be over a moment later; hours of reading are not given up for it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Which records: those with these attributes; empty: whatever they have."""

    cluster: str = ""
    namespace: str = ""

    def holds(self, record: StoredRecord) -> bool:
        """Whether a record belongs to it."""
        wanted = (("cluster", self.cluster), ("namespace", self.namespace))
        return all(not value or record.attributes.get(name) == value for name, value in wanted)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records, in no order.

    Attributes:
        unreadable: names of objects that hold no records, or none that can be read.
        settled: whether no copy of these comes later, nor of any before: whoever looks for copies may forget them.
    """

    records: tuple[StoredRecord, ...] = ()
    unreadable: tuple[str, ...] = ()
    settled: bool = False


class Scanner(Protocol):
    """Reads all of one store.

    Attributes:
        by_time: whether a shorter span costs less. Where it does not, it is cheaper to read once for many spans.
    """

    @property
    def by_time(self) -> bool:
        """See above."""

    def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        """Every record of these times, those that were written only now as well; a Failure ends it."""


async def persistent(
    ask: Callable[[], AsyncIterator[Batch | Failure]], pauses: Sequence[float]
) -> AsyncIterator[Batch | Failure]:
    """A part of a scan, asked for again, after these pauses in seconds, where the store or the way to it falters.

    Records may then come twice: whoever scans must take them for a set, as copies make him do anyway.
    """
    for pause in (*pauses, None):
        async for part in ask():
            if isinstance(part, Failure) and part.reason in _PASSING and pause is not None:
                break
            yield part
            if isinstance(part, Failure):
                return
        else:
            return
        await asyncio.sleep(pause or 0.0)
