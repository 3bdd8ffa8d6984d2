"""Which records leave a collector by which way, and what stands at the end of each.

A record takes the first way whose condition it meets. A pipeline's ends are shared: what several connectors send the
same way meets there, and each exporter, with its queue, is one.

Tenants make routes, and a connector asks for one after the other. So many routes are a tree of connectors, by ranges of
their names: what one more of them costs the others grows with the logarithm of their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from audit_operator.shipping.collector.ottl import attribute, text
from audit_operator.shipping.enforcement.table import ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.shipping.exporters import Exporter

ROUTING = "routing"
"""The connector that everything comes to, first of all."""
NOWHERE = "nop"
"""Takes the events of namespaces whose policies name no sink: they stay in the API server's files."""
DETACH = "detach"
"""Before exporters that may hold up nothing. It is done once their queues have what it was given, and never fails."""
_FEW = 8
"""Routes that one connector asks for. A connector more costs an event as much as some of them."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Exporters of what meets a condition; an empty one stands for all others.

    Attributes:
        route: name of the route that the condition is about; empty where it is about something else.
    """

    name: str
    condition: str
    exporters: tuple[Exporter, ...]
    route: str = ""

    @classmethod
    def of_route(cls, route: str, exporters: tuple[Exporter, ...]) -> Self:
        """The one of a route."""
        return cls(route, f"{attribute(ROUTE)} == {text(route)}", exporters, route)


@dataclass(frozen=True, slots=True)
class WayOut:
    """Where records go that meet a condition; an empty one stands for all others.

    Attributes:
        pipelines: by name, without receivers.
        route: see `Destination`.
    """

    condition: str
    pipelines: Mapping[str, Mapping[str, Any]]
    route: str = ""


def way_out(destination: Destination) -> WayOut:
    """A way with one end, or two: what may be given up must hold up, or repeat, nothing that goes elsewhere."""
    kept = [each.id for each in destination.exporters if not each.detached]
    loose = [each.id for each in destination.exporters if each.detached]
    ends: dict[str, dict[str, Any]] = {}
    if kept or not loose:
        ends[f"logs/{destination.name}"] = {"exporters": kept or [NOWHERE]}
    if loose:
        ends[f"logs/{destination.name}-detached"] = {"processors": [DETACH], "exporters": loose}
    return WayOut(destination.condition, ends, destination.route)


def spread(name: str, ways_out: list[WayOut]) -> dict[str, list[WayOut]]:
    """The same as a tree below a connector, in which none asks for more than a few routes."""
    routes = sorted((each for each in ways_out if each.route), key=lambda each: each.route)
    if len(routes) <= _FEW:
        return {name: ways_out}
    first = next(number for number, each in enumerate(ways_out) if each.route)
    others = [each for each in ways_out[first:] if not each.route]
    size = max(_FEW, -(-len(routes) // _FEW))
    groups = [routes[start : start + size] for start in range(0, len(routes), size)]
    tree: dict[str, list[WayOut]] = {name: ways_out[:first]}
    for number, group in enumerate(groups):
        below = f"{name}-{number}" if "/" in name else f"{name}/routes-{number}"
        # A record without a route is not less than any.
        condition = f"{attribute(ROUTE)} <= {text(group[-1].route)}"
        tree[name].append(WayOut(condition, {f"logs/{below.partition('/')[2]}": {"exporters": [below]}}))
        tree |= spread(below, [*group, *others])
    tree[name] += others
    return tree


def connector(ways_out: list[WayOut]) -> dict[str, Any]:
    """The connector: each record goes the first way whose condition it meets."""
    return {
        "error_mode": "ignore",
        "default_pipelines": [name for way in ways_out if not way.condition for name in way.pipelines],
        "table": [
            {"context": "log", "condition": way.condition, "pipelines": list(way.pipelines)}
            for way in ways_out
            if way.condition
        ],
    }


def pipelines(ways_out: Mapping[str, list[WayOut]]) -> dict[str, dict[str, Any]]:
    """All that ways out lead to, by connector: each with the connectors that it gets records from."""
    found: dict[str, dict[str, Any]] = {}
    for name, ways in ways_out.items():
        for way in ways:
            for pipeline, settings in way.pipelines.items():
                known = found.setdefault(pipeline, {"receivers": [], **settings})
                if name not in known["receivers"]:
                    known["receivers"].append(name)
    return found
