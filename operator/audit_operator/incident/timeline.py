"""What was found, each thing once and in the order in which it happened, with where it is and why it is here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.reading.document import document
from audit_operator.sinks.sameness import identity, order

if TYPE_CHECKING:
    from audit_operator.sinks.store import Record


@dataclass(slots=True)
class Entry:
    """A record, the sinks that have it, and the leads that led to it."""

    record: Record
    sinks: set[str] = field(default_factory=set)
    why: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """As `query` shows a record, and besides that where and why."""
        return {**document(self.record), "sinks": sorted(self.sinks), "why": sorted(self.why)}


@dataclass(slots=True)
class Timeline:
    """Entries, found in any order."""

    _entries: dict[tuple[object, ...], Entry] = field(default_factory=dict)

    def add(self, record: Record, sink: str, why: str) -> None:
        """A record that a sink has."""
        entry = self._entries.setdefault(identity(record), Entry(record))
        entry.sinks.add(sink)
        entry.why.add(why)

    def entries(self) -> tuple[Entry, ...]:
        """In order of time; of one moment, in the order of stages."""
        return tuple(sorted(self._entries.values(), key=lambda entry: order(entry.record)))

    @property
    def records(self) -> tuple[Record, ...]:
        """The records alone, in order."""
        return tuple(each.record for each in self.entries())
