"""Every record of a span out of a bucket.

Objects lie under the hour of their upload, and what is in them only they themselves say. So all are read that were
uploaded since the span began, up to now: a record that was written into its past lies in a later hour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from audit_operator.integrity.record import StoredRecord
from audit_operator.shipping.collector.attributes import QUARANTINE
from audit_operator.sinks.scanning import PAUSES, Batch, persistent
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from audit_operator.integrity.interval import Interval
    from audit_operator.sinks.s3 import S3Store
    from audit_operator.sinks.scanning import Stream

MOST_BYTES = 256 * 2**20
"""Of an object, unpacked; collectors write 16 MiB at the most."""
_LONGEST_TIME = 20
_TEXT = "stringValue"
_TAKEN = frozenset({"timeUnixNano", "observedTimeUnixNano", "body", "attributes"})


@dataclass(frozen=True, slots=True)
class S3Scanner:
    """Implements `scanning.Scanner`."""

    store: S3Store
    most_bytes: int = MOST_BYTES
    pauses: tuple[float, ...] = PAUSES

    @property
    def by_time(self) -> bool:
        """See `scanning.Scanner`."""
        return False

    async def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        """See `scanning.Scanner`. One object at a time, in order of upload."""
        keys = await self.store.call(lambda: list(self.store.keys(span.since)))
        if isinstance(keys, Failure):
            yield keys
            return
        for key in keys:
            async for batch in persistent(partial(self._read, key, span, stream), self.pauses):
                yield batch
                if isinstance(batch, Failure):
                    return

    async def _read(self, key: str, span: Interval, stream: Stream) -> AsyncIterator[Batch | Failure]:
        yield await self.store.call(lambda: self._object(key, span, stream))

    def _object(self, key: str, span: Interval, stream: Stream) -> Batch:
        try:
            text = self.store.read(key, self.most_bytes)
            records = tuple(_records(text)) if text is not None else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            records = None
        if records is None:
            return Batch(unreadable=(key,))
        return Batch(tuple(each for each in records if span.holds(each.nanoseconds) and stream.holds(each)))


def _records(text: bytes) -> Iterator[StoredRecord]:
    """Of one object. Raises what it likes where that is none of a collector's."""
    for resource in json.loads(text)["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            shared = {
                **_others("resource", resource.get("resource", {})),
                **_others("scope", scope.get("scope", {})),
            }
            for entry in scope["logRecords"]:
                yield _record(entry, shared)


def _record(entry: dict[str, Any], shared: dict[str, str]) -> StoredRecord:
    body = entry.get("body", {})
    named = [(each["key"], _value(each["value"])) for each in entry.get("attributes", ())]
    attributes = dict(named)
    # A line that is no event has no time, and is of no span; anything else without one is nothing of a collector's.
    time = str(entry.get("timeUnixNano", 0) if QUARANTINE in attributes else entry["timeUnixNano"])
    if len(attributes) != len(named) or len(time) > _LONGEST_TIME:
        raise ValueError
    rest = {name: value for name, value in entry.items() if name not in _TAKEN}
    # Not when a collector read the line: that differs from copy to copy.
    return StoredRecord(int(time), _value(body), {**attributes, **_others("", rest), **shared})


def _value(value: dict[str, Any]) -> str:
    """A text as it is; what is none with its type, so that 1 and "1" are not the same."""
    text = value.get(_TEXT)
    return text if isinstance(text, str) and len(value) == 1 else json.dumps(value, sort_keys=True)


def _others(of: str, fields: dict[str, Any]) -> dict[str, str]:
    """What else there is, under names that no attribute has."""
    return {f"\0{of}.{name}": json.dumps(value, sort_keys=True) for name, value in fields.items()}
