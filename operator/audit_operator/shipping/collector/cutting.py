"""What is too large for a store is cut on its way there, and there alone.

Stores drop what is larger than they take, often with success for an answer, and what does not fit into one request
takes the records behind it with it. So nothing larger may come to an exporter. But what one store does not take must
cost no other store its bodies, and who sends small events pays one comparison.

    routing ─► logs/cut-N (transform/cut-N) ─► routing/cut-N ─► logs/cut-ID (filter/cut-ID) ─► ID, which takes N bytes
          ╰─► logs/above-N ─► routing/above-N ─► logs/whole-ID ─► ID, which takes more
                                    ╰► logs/cut-M, logs/above-M                          M is the next larger limit

A processor for OTTL has all its functions, and so 100 KiB, whatever it does: there is one for each limit. What only
counts, one for each exporter, is of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.attributes import CUT, QUARANTINE
from audit_operator.shipping.collector.ottl import SilentStatements, Statements, assign, attribute, transform
from audit_operator.shipping.collector.routing import DETACH, NOWHERE, ROUTING, WayOut, way_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.shipping.collector.routing import Destination
    from audit_operator.shipping.exporters import Exporter

_CUT = attribute(CUT)


def cut_counter(exporter: str) -> str:
    """Id of a processor that does nothing; through it passes what was cut for an exporter, and nothing else.

    The collector counts in ``otelcol_processor_incoming_items``.
    """
    return f"filter/cut-{exporter}"


def ways_out(destinations: list[Destination]) -> dict[str, list[WayOut]]:
    """The ways out of the connector that everything comes to, and of those for what some exporters do not take."""
    limits = sorted({each.largest for destination in destinations for each in destination.exporters})
    found, name, ways = {}, ROUTING, [way_out(each) for each in destinations]
    for limit in limits:
        found[name] = [_larger(limit, is_last=limit == limits[-1]), *ways]
        found[f"{ROUTING}/cut-{limit}"] = [_cut_ends(each, limit) for each in destinations]
        name, ways = f"{ROUTING}/above-{limit}", [_whole_ends(each, limit) for each in destinations]
    return found if limits else {name: ways}


def processors(exporters: Iterable[Exporter]) -> dict[str, Any]:
    """What cuts, and what counts that, by id."""
    found = list(exporters)
    return {
        **{_cutter(limit): transform(*_cut(limit)) for limit in sorted({each.largest for each in found})},
        **{cut_counter(each.id): {} for each in found},
    }


def _cutter(limit: int) -> str:
    return f"transform/cut-{limit}"


def _larger(limit: int, *, is_last: bool) -> WayOut:
    cut = {f"logs/cut-{limit}": {"processors": [_cutter(limit)], "exporters": [f"{ROUTING}/cut-{limit}"]}}
    above = {} if is_last else {f"logs/above-{limit}": {"exporters": [f"{ROUTING}/above-{limit}"]}}
    return WayOut(f"Len(log.body) > {limit}", {**cut, **above})


def _cut_ends(destination: Destination, limit: int) -> WayOut:
    """Each exporter has an end of its own, so that it is known who gets less."""
    concerned = (each for each in destination.exporters if each.largest == limit)
    return _ends(destination, {f"logs/cut-{each.id}": _end(each, cut_counter(each.id)) for each in concerned})


def _whole_ends(destination: Destination, limit: int) -> WayOut:
    concerned = (each for each in destination.exporters if each.largest > limit)
    return _ends(destination, {f"logs/whole-{each.id}": _end(each) for each in concerned})


def _end(exporter: Exporter, *processors: str) -> dict[str, Any]:
    return {"processors": [*processors, *[DETACH] * exporter.detached], "exporters": [exporter.id]}


def _ends(destination: Destination, ends: dict[str, dict[str, Any]]) -> WayOut:
    return WayOut(destination.condition, ends or {"logs/nowhere": {"exporters": [NOWHERE]}})


def _cut(largest: int) -> Iterator[Statements]:
    """Without its bodies, an event is one still. What is too large even so is no JSON any more, but it arrives."""
    yield Statements((assign(_CUT, "Len(log.body)", f"{_CUT} == nil"),))
    yield SilentStatements((assign("log.body", "ParseJSON(log.body)"),), (f"{attribute(QUARANTINE)} == nil",))
    yield Statements(
        (
            'delete_key(log.body, "requestObject")',
            'delete_key(log.body, "responseObject")',
            assign("log.body", "String(log.body)"),
        ),
        ("IsMap(log.body)",),
    )
    yield Statements((assign("log.body", f"Substring(log.body, 0, {largest}, true)"),), (f"Len(log.body) > {largest}",))
