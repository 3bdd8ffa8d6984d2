"""Which lines a configuration is tried with: of each route a few, and of what belongs to everybody always.

However many namespaces there are, so many are tried and no more. What is left untried is made by the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.model import Request
from audit_operator.shipping.canary.events import (
    ABOUT_NO_RESOURCE,
    GONE,
    IN_NAMESPACE,
    IN_NONE,
    broken_line,
    event_of,
    hardly_recorded,
    line_of,
    time_of,
)
from audit_operator.shipping.canary.planted import Canary, Planted
from audit_operator.shipping.canary.prediction import Oracle
from audit_operator.shipping.enforcement.table import LEVEL, REDACTION, ROUTE, decide, namespace_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.canary.events import Sent
    from audit_operator.shipping.enforcement.table import Table
    from audit_operator.shipping.pipeline import AuditPipeline

Holds = Callable[[str, "Mapping[str, Any]"], bool]
"""Whether the condition with an id holds for an event."""

MOST_NAMESPACES, MOST_CONDITIONS = 8, 16
UNSEEN = "canary-that-nobody-has-seen"
NO_JSON = "no JSON object"
_NO_EVENT = f"a line that is no event {GONE[0]}"
_FIRST_KEY = namespace_key("")


def plant(pipeline: AuditPipeline, table: Table, log: str, holds: Holds) -> Canary:
    """The lines for a configuration of this pipeline and a table; the same for the same facts.

    `log` is the path of the API server's log; `holds` says whether the condition with an id holds for an event. Asked
    are those of cluster-wide policies alone: for what one namespace selects, nobody else's records are to wait.
    """
    conditions = [each.id for each in pipeline.counting.counts if not each.namespaced][:MOST_CONDITIONS]
    if any(each.patterns for each in pipeline.redactions.values()):
        conditions = []  # what such a pattern leaves of a body, for them to hold or not, is not foretold
    planting = _Planting(Oracle(pipeline, table), conditions, holds)
    planted = tuple(planting.lines(_namespaces(table)))
    return Canary(log=log, planted=planted, pseudonymous=tuple(sorted(planting.pseudonymous)), counts=planting.counts)


def _namespaces(table: Table) -> list[str]:
    """One for each route, then one for each other pair of route and redaction, and not too many."""
    pairs: dict[tuple[str, str], str] = {}
    for key, states in table.entries.items():
        if key.startswith(_FIRST_KEY) and key != _FIRST_KEY:
            pair = str(states.get(ROUTE, "")), str(states.get(REDACTION, ""))
            pairs.setdefault(pair, key.removeprefix(_FIRST_KEY))
    routes: dict[str, str] = {}
    for (route, _), namespace in sorted(pairs.items()):
        routes.setdefault(route, namespace)
    chosen = dict.fromkeys([*routes.values(), *(namespace for _, namespace in sorted(pairs.items()))])
    return list(chosen)[:MOST_NAMESPACES]


class _Planting:
    """Numbers events, and notes in which namespaces pseudonyms are made."""

    def __init__(self, oracle: Oracle, conditions: Iterable[str], holds: Holds) -> None:
        self._oracle = oracle
        self._holds = holds
        self._number = 0
        self.counts = dict.fromkeys(conditions, 0)
        self.pseudonymous: set[str] = set()

    def lines(self, namespaces: Iterable[str]) -> Iterator[Planted]:
        yield self._no_event()
        yield from self._events("", (*ABOUT_NO_RESOURCE, *IN_NONE))
        for each in namespaces:
            yield from self._events(each, IN_NAMESPACE)
            yield self._broken(each)
        yield from self._events(UNSEEN, IN_NAMESPACE[:2])

    def _events(self, namespace: str, sent: Iterable[Sent]) -> Iterator[Planted]:
        planted = [self._event(each, namespace) for each in sent]
        yield from planted
        silent = self._silent(namespace) if all(each.exporters for each in planted) else None
        if silent is not None:
            yield self._event(silent, namespace)

    def _event(self, sent: Sent, namespace: str) -> Planted:
        self._number += 1
        event = event_of(sent, namespace, self._number)
        line = line_of(event)
        predicted = self._oracle.of_event(event, line)
        self._note(namespace)
        for each in self.counts:
            self.counts[each] += predicted.recorded and self._holds(each, predicted.event)
        return Planted(
            name=f"{sent.what}{_in_words(namespace)}",
            line=line,
            exporters=predicted.exporters,
            attributes=predicted.attributes,
            time=time_of(self._number),
            event=predicted.event,
            loose=predicted.loose,
            gone=GONE,
        )

    def _silent(self, namespace: str) -> Sent | None:
        """A request of which nothing is to be recorded; None where none is known."""
        for sent in hardly_recorded():
            event = event_of(sent, namespace, 1)
            request = request_from_event(event)
            if (
                isinstance(request, Request)
                and decide(self._oracle.table, request, sent.stage).get(LEVEL) == Level.NONE
            ):
                return sent
        return None

    def _broken(self, namespace: str) -> Planted:
        """Goes where the events of its namespace go, with nothing of what may be in it."""
        self._number += 1
        treatment = self._oracle.table.entries[namespace_key(namespace)]
        whose = {"namespace": namespace, **self._oracle.stamps(treatment)}
        return Planted(
            name=f"an event that was cut{_in_words(namespace)}",
            line=broken_line(namespace, self._number),
            exporters=self._oracle.exporters(treatment),
            attributes={"cluster": self._oracle.pipeline.cluster, "quarantine": NO_JSON, **whose},
            gone=GONE,
        )

    def _no_event(self) -> Planted:
        pipeline = self._oracle.pipeline
        attributes = {"cluster": pipeline.cluster, "quarantine": NO_JSON}
        return Planted(
            name="a line that is no event",
            line=_NO_EVENT,
            exporters=pipeline.quarantine,
            attributes=attributes,
            gone=GONE,
        )

    def _note(self, namespace: str) -> None:
        treatment = self._oracle.table.entries.get(namespace_key(namespace), {})
        if treatment and self._oracle.demand(treatment).pseudonymize:
            self.pseudonymous.add(namespace)


def _in_words(namespace: str) -> str:
    return f" in namespace {namespace}" if namespace else ""
