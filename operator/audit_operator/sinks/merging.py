"""Records of a selection out of several stores, each once and in one order, as far as all of them say.

Each store gives its records by time, and those of one moment in any order. So all that stores have of a moment is put
in order here, and nothing more is held.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.sinks.sameness import identity, order
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Order
from audit_operator.sinks.store import Failure, Reason, Record, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from datetime import datetime

    from audit_operator.sinks.selection import Selection
    from audit_operator.sinks.store import Store


async def search_all(
    stores: Mapping[str, Store], selection: Selection
) -> AsyncGenerator[Record | End | Failure | Unsupported, None]:
    """As `search.search` answers for one store; the Failure at the end names what could not be asked, or failed.

    Others are shown nevertheless. Where one has more than it may give, nothing is shown that lies beyond: it might have
    more there. `copies` are those within stores; that several stores have a record makes no copy of it.
    """
    async with AsyncExitStack() as stack:
        streams = [
            _Stream(name, await stack.enter_async_context(aclosing(search(store, selection))))
            for name, store in stores.items()
        ]
        for each in streams:
            await each.advance()
        shown = 0
        while (moment := _next(streams, selection.order)) is not None:
            found: dict[tuple[object, ...], Record] = {}
            for stream in streams:
                while stream.head is not None and stream.head.time == moment:
                    found.setdefault(identity(stream.head), stream.head)
                    await stream.advance()
            for record in sorted(found.values(), key=order, reverse=selection.order is Order.NEWEST):
                if shown == selection.limit:
                    yield _end(streams, complete=False)
                    return
                yield record
                shown += 1
            if any(each.is_cut for each in streams):
                yield _end(streams, complete=False)
                return
        yield _end(streams, complete=not any(each.is_cut for each in streams))


@dataclass(slots=True)
class _Stream:
    """The answer of one store: its next record, and once there is none, how it ended."""

    name: str
    answers: AsyncGenerator[Record | End | Failure | Unsupported, None]
    head: Record | None = None
    end: End = field(default_factory=lambda: End(0, complete=True))
    failed: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether it has more than it may give, and all that it gave was taken."""
        return self.head is None and not self.end.complete

    async def advance(self) -> None:
        self.head = None
        match await anext(self.answers, None):
            case Record() as record:
                self.head = record
            case End() as end:
                self.end = end
            case Failure(_, message, mend):
                self.failed = f"{message} ({mend})"
            case Unsupported(reason):
                self.failed = f"it cannot be asked: {reason}"
            case None:
                self.failed = "its answer ends without having said so"


def _next(streams: list[_Stream], by: Order) -> datetime | None:
    times = [each.head.time for each in streams if each.head is not None]
    if not times:
        return None
    return max(times) if by is Order.NEWEST else min(times)


def _end(streams: list[_Stream], *, complete: bool) -> End | Failure:
    if failed := [f"{each.name}: {each.failed}" for each in streams if each.failed]:
        return Failure(Reason.ANSWER_INCOMPLETE, "; ".join(failed), "ask the others alone, by their names")
    return End(sum(each.end.copies for each in streams), complete)
