"""Which lines a configuration is tried with: of namespaces that stand for all, and of what belongs to everybody."""

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
    salvaged_line,
    time_of,
)
from audit_operator.shipping.canary.planted import Canary, Planted
from audit_operator.shipping.canary.prediction import Oracle
from audit_operator.shipping.canary.sampling import sample
from audit_operator.shipping.collector.attributes import CUT, UNREADABLE
from audit_operator.shipping.collector.salvaging import BODIES
from audit_operator.shipping.enforcement.table import LEVEL, decide, namespace_key
from audit_operator.shipping.redaction import places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.canary.events import Sent
    from audit_operator.shipping.canary.sampling import Sample
    from audit_operator.shipping.enforcement.table import Table
    from audit_operator.shipping.pipeline import AuditPipeline

Holds = Callable[[str, "Mapping[str, Any]"], bool]
"""Whether the condition with an id holds for an event."""

MOST_CONDITIONS = 16
UNSEEN = "canary-that-nobody-has-seen"
NO_JSON = "no JSON object"
_NO_EVENT = f"a line that is no event {GONE[0]}"


def plant(pipeline: AuditPipeline, table: Table, log: str, holds: Holds) -> Canary:
    """The lines for a configuration of this pipeline and a table; the same for the same facts.

    `log` is the path of the API server's log; `holds` says whether the condition with an id holds for an event. Asked
    are those of cluster-wide policies alone: for what one namespace selects, nobody else's records are to wait.
    """
    conditions = [each.id for each in pipeline.counting.counts if not each.namespaced][:MOST_CONDITIONS]
    if any(each.patterns for each in pipeline.redactions.values()):
        conditions = []  # what such a pattern leaves of a body, for them to hold or not, is not foretold
    planting = _Planting(Oracle(pipeline, table), conditions, holds)
    chosen = sample(table, pipeline.routes)
    planted = tuple(planting.lines(chosen))
    return Canary(
        log=log,
        planted=planted,
        pseudonymous=tuple(sorted(planting.pseudonymous)),
        counts=planting.counts,
        unreadable=planting.unreadable,
        untried=chosen.untried,
    )


class _Planting:
    """Numbers events, and notes in which namespaces pseudonyms are made."""

    def __init__(self, oracle: Oracle, conditions: Iterable[str], holds: Holds) -> None:
        self._oracle = oracle
        self._holds = holds
        self._number = 0
        self.counts = dict.fromkeys(conditions, 0)
        self.pseudonymous: set[str] = set()
        self.unreadable = 0

    def lines(self, chosen: Sample) -> Iterator[Planted]:
        yield self._no_event()
        yield from self._events("", (*ABOUT_NO_RESOURCE, *IN_NONE))
        yield self._event(IN_NONE[0], "", salvaged=True)
        for each in chosen.whole:
            yield from self._events(each, IN_NAMESPACE)
            yield self._event(IN_NAMESPACE[0], each, salvaged=True)
            yield self._broken(each)
        for each in chosen.briefly:
            yield self._event(IN_NAMESPACE[0], each)
        yield from self._events(UNSEEN, IN_NAMESPACE[:2])

    def _events(self, namespace: str, sent: Iterable[Sent]) -> Iterator[Planted]:
        planted = [self._event(each, namespace) for each in sent]
        yield from planted
        silent = self._silent(namespace) if all(each.exporters for each in planted) else None
        if silent is not None:
            yield self._event(silent, namespace)

    def _event(self, sent: Sent, namespace: str, *, salvaged: bool = False) -> Planted:
        """Of an event whose bodies no parser reads, all else is to be `salvaged`."""
        self._number += 1
        event = event_of(sent, namespace, self._number)
        line, read, kind = line_of(event), line_of(event), sent.what
        further: dict[str, str] = {}
        if salvaged:
            event = {name: value for name, value in event.items() if name not in places.OBJECTS}
            line, read, kind = salvaged_line(event), line_of(event), f"{kind}, with bodies that cannot be read,"
            further = {UNREADABLE: BODIES, CUT: str(len(line))}
        predicted = self._oracle.of_event(event, read)
        self._note(namespace)
        self.unreadable += salvaged and predicted.recorded
        for each in self.counts:
            self.counts[each] += predicted.recorded and self._holds(each, predicted.event)
        return Planted(
            name=f"{kind}{_in_words(namespace)}",
            line=line,
            exporters=predicted.exporters,
            attributes={**predicted.attributes, **further},
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
        self.unreadable += 1
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
        self.unreadable += 1
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
