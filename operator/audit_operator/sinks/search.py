"""Records of a selection out of a store, checked once more one by one.

What a store was asked is one guard, and what is let through here the other: a query that means more than it should, or
a store that answers something else, ends the answer and shows nothing of it.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks.access import failure
from audit_operator.sinks.store import Failure, Reason, Record, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from audit_operator.sinks.selection import Selection
    from audit_operator.sinks.store import Store

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class End:
    """The answer is whole.

    Attributes:
        copies: how many records were left out since they were the same as one before; at-least-once makes some.
        complete: whether the store has no more such records.
    """

    copies: int
    complete: bool


async def search(store: Store, selection: Selection) -> AsyncGenerator[Record | End | Failure | Unsupported, None]:
    """Records, each once, in the order asked for; the last thing is an End, or why there is none.

    Needs memory for one record, and 16 bytes for each that was shown.
    """
    if not selection.is_askable():
        said = "what is asked for is empty, or too long"
        yield failure(Reason.QUESTION_INVALID, said)
        return
    seen: set[bytes] = set()
    read = hidden = 0
    async with aclosing(store.search(selection)) as answers:
        async for answer in answers:
            if not isinstance(answer, Record):
                yield answer
                return
            if not selection.admits(answer):
                _LOG.error("A store answered with a record that was not asked for", extra={"reason": "ForeignRecord"})
                yield failure(Reason.ANSWER_MALFORMED, "the store answered with a record that was not asked for")
                return
            if read == selection.limit:
                yield End(read - hidden - len(seen), complete=False)
                return
            read += 1
            if selection.began_before(answer):
                hidden += 1
                continue
            digest = _digest(answer)
            if digest not in seen:
                seen.add(digest)
                yield answer
    yield End(read - hidden - len(seen), complete=True)


def _digest(record: Record) -> bytes:
    whose = (record.attributes.get(name, "") for name in (CLUSTER, NAMESPACE, "stream"))
    parts = (record.audit_id, record.stage, *whose, record.time.isoformat(), record.text)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
