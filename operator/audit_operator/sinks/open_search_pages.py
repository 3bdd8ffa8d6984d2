"""An answer of OpenSearch or Elasticsearch, page by page, of any length and in order.

They give 10,000 documents at a time. A cursor has to tell apart those of one moment, and the only field that does, the
document's id, cannot be sorted by: OpenSearch would hold the ids of the whole index in memory for it, and Elasticsearch
refuses. So each page begins with the moment at which the one before was cut, and that moment is taken from it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.sinks.store import Failure, Reason, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST, _LARGEST = 500, 10_000
"""Documents of a page; a store gives no more than `index.max_result_window`."""
_SLACK = 50

CROWDED = Failure(
    Reason.ANSWER_TOO_LARGE,
    f"there are more records of one millisecond than an answer of the store has room for ({_LARGEST} at the most)",
    "ask for more of what the records have in common, such as a user or a resource",
)

Hit = tuple[int, Record | None]
"""A document's moment, in milliseconds since 1970, and its record; None where it is none."""


@dataclass(slots=True)
class Pages:
    """Where a reading of pages stands.

    Attributes:
        size: documents to ask for.
        edge: the moment to begin at; None at the beginning.
        done: whether there is nothing more.
    """

    size: int
    edge: int | None = None
    done: bool = False
    _largest: int = _LARGEST

    @classmethod
    def of(cls, records: int) -> Pages:
        """For an answer of so many records."""
        return cls(min(records + _SLACK, _FIRST))

    def shrink(self) -> bool:
        """Ask for less, as an answer was too large to be held; False where that was one document."""
        self.size = self._largest = self.size // 2
        return self.size > 0

    def take(self, hits: Sequence[Hit]) -> Sequence[Hit] | Failure:
        """Those documents of a page whose moment is there as a whole, in the order in which they came."""
        if len(hits) < self.size:
            self.done = True
            return hits
        self.edge = hits[-1][0]
        whole = [each for each in hits if each[0] != self.edge]
        if not whole:
            if self.size >= self._largest:
                return CROWDED
            self.size = min(self.size * 4, self._largest)
        return whole
