"""What a rendered configuration does with a record, by its connectors' tables: no collector runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit_operator.shipping.collector.routing import ROUTING

_LARGER = re.compile(r"Len\(log\.body\) > ([0-9]+)")
_ROUTE = re.compile(r'log\.attributes\["route"\] == "([^"]*)"')
_UP_TO = re.compile(r'log\.attributes\["route"\] <= "([^"]*)"')
_QUARANTINED = 'log.attributes["quarantine"] != nil'


@dataclass(frozen=True)
class Sent:
    """That a record has come to an exporter, and which processors it went through from the first connector on."""

    exporter: str
    processors: tuple[str, ...]


def walk(config, *, size, route="", quarantined=False):
    """What becomes of a record with a body of so many bytes, in order; copies that only count are left out.

    No route stands for an attribute that is not there, which is not less than any text.
    """
    pipelines = config["service"]["pipelines"]

    def through(connector, processors):
        settings = config["connectors"][connector]
        rows = [each for each in settings["table"] if each.get("action") != "copy"]
        names = next((each["pipelines"] for each in rows if holds(each["condition"])), settings["default_pipelines"])
        for pipeline in (pipelines[name] for name in names):
            assert connector in pipeline["receivers"]
            passed = (*processors, *pipeline.get("processors", ()))
            for each in pipeline["exporters"]:
                yield from through(each, passed) if each in config["connectors"] else [Sent(each, passed)]

    def holds(condition):
        if (found := _LARGER.fullmatch(condition)) is not None:
            return size > int(found[1])
        if (found := _ROUTE.fullmatch(condition)) is not None:
            return route == found[1]
        if (found := _UP_TO.fullmatch(condition)) is not None:
            return bool(route) and route <= found[1]
        assert condition == _QUARANTINED
        return quarantined

    return list(through(ROUTING, ()))
