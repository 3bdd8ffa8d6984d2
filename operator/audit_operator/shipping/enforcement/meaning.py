"""Digests of what a decision table says of events: equal where every event gets the same level.

States have numbers that change with whatever stands before them in the table, and ask for as many groups as the one
that asks for most, so that entries cannot be compared as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.shipping.enforcement.table import GROUPS, NO_ENTRIES, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.shipping.enforcement.table import States, Table, Value

_STEPS = frozenset(Step)
_NOT_IN = ",false"


@dataclass(slots=True)
class Meanings:
    """Of one table."""

    _entries: Mapping[str, States]
    _by_state: Mapping[str, list[tuple[str, States]]]
    _known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table) -> Meanings:
        """For all events that a table decides about."""
        by_state: defaultdict[str, list[tuple[str, States]]] = defaultdict(list)
        for key, states in table.entries.items():
            state, _, symbol = key.partition("|")
            by_state[state].append((symbol, states))
        return cls(table.entries, by_state)

    def levels(self, key: str) -> str:
        """Digest of how the levels of events with this first key are decided; empty where the table has none."""
        first = self._entries.get(key, {}).get(Step.CLASS)
        return self._state(Step.CLASS, first) if isinstance(first, str) else ""

    def _state(self, step: str, state: str) -> str:
        if state not in self._known:
            after = self._by_state.get(state, ())
            said = sorted((_plain(step, symbol), self._entry(states)) for symbol, states in after)
            self._known[state] = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        return self._known[state]

    def _entry(self, states: States) -> list[tuple[str, Value]]:
        return sorted((name, self._value(name, value)) for name, value in states.items())

    def _value(self, name: str, value: Value) -> Value:
        if name == GROUPS:
            return tuple(each for each in value if each is not None)
        return self._state(name, value) if name in _STEPS and isinstance(value, str) and value != NO_ENTRIES else value


def _plain(step: str, symbol: str) -> str:
    """A symbol without the groups that a state asks for only because others do: nobody is in these."""
    while step == Step.GROUP and symbol.endswith(_NOT_IN):
        symbol = symbol.removesuffix(_NOT_IN)
    return symbol
