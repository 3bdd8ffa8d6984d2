"""The whole configuration of a sidecar's collector, of few components.

What loses records by default is set as in `collector.configuration`. What differs is there to be small: a sidecar costs
its memory in every pod. Collector 0.157.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.application.attributes import FILES
from audit_operator.shipping.application.reading import QUARANTINED as IN_QUARANTINE
from audit_operator.shipping.application.reading import locate, recognise
from audit_operator.shipping.application.redacting import redact, withheld
from audit_operator.shipping.application.writing import POD, POD_UID, POD_UID_VARIABLE, POD_VARIABLE, write
from audit_operator.shipping.collector.configuration import (
    TOGETHER,
    Endpoints,
    extensions,
    file_log,
    of_environment,
    telemetry,
    unexpanded,
    waiting_for,
)
from audit_operator.shipping.collector.ottl import attribute, text, transform
from audit_operator.shipping.collector.proving import REDACT, proved
from audit_operator.shipping.collector.routing import DETACH, ROUTING, Destination, connector, pipelines, way_out
from audit_operator.shipping.collector.unreadable import COUNTED
from audit_operator.shipping.redaction.rendering import PSEUDONYM_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.shipping.application.pipeline import ApplicationPipeline
    from audit_operator.shipping.collector.routing import WayOut

__all__ = ["ENVIRONMENT", "MEMORY_BYTES", "POD_UID_VARIABLE", "POD_VARIABLE", "quarantine_counter", "render"]

MEMORY_BYTES = 128 * 2**20
"""Limit of the container."""
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"GOGC": "40", "GOMAXPROCS": "1"})
"""With which it should run: memory counts in every pod, and there is little to collect (tests/benchmarks/sidecar). Each
processor that Go may use keeps memory of its own: on a node with 64 of them, 16 MiB more at the highest."""
_LONGEST_READ = "2MiB"
"""A longer line is cut when it is read: its rest would cost memory for nothing, since no record is as long."""
_FLUSHED_AFTER = "1s"
"""A last line without its end is a line if nothing more is written to it for so long."""


def quarantine_counter(files: str) -> str:
    """Id of a processor that does nothing, but is counted: what passes through it is in quarantine.

    `files` names files as `LogFiles.name` does. The collector counts in ``otelcol_processor_incoming_items``.
    """
    return f"{COUNTED}/{files}"


def render(pipeline: ApplicationPipeline, endpoints: Endpoints) -> dict[str, Any]:
    """The configuration, to be written as YAML or JSON."""
    ways_out = {ROUTING: _ways_out(pipeline)}
    processors = {
        TOGETHER: waiting_for(pipeline.exporters),
        "memory_limiter": {"check_interval": "1s", "limit_mib": 96, "spike_limit_mib": 16},
        "transform/lines": transform(locate(pipeline), *recognise(pipeline)),
        REDACT: proved(redact(pipeline), withheld()),
        "transform/write": transform(*write(pipeline)),
    }
    configuration = {
        "extensions": extensions(pipeline.state, endpoints),
        "receivers": {"file_log": _files(pipeline)},
        "processors": {
            **processors,
            **{quarantine_counter(each.name): {"log_statements": []} for each in pipeline.files},
            **({DETACH: {}} if any(each.detached for each in pipeline.exporters) else {}),
        },
        "connectors": {name: connector(ways) for name, ways in ways_out.items()},
        "exporters": {each.id: dict(each.config) for each in pipeline.exporters},
        "service": {
            "extensions": list(extensions(pipeline.state, endpoints)),
            "telemetry": telemetry(endpoints),
            "pipelines": {
                "logs/read": {"receivers": ["file_log"], "processors": list(processors), "exporters": [ROUTING]},
                **pipelines(ways_out),
            },
        },
    }
    return unexpanded(configuration, PSEUDONYM_KEY, POD, POD_UID, *of_environment(pipeline.state, endpoints))


def _files(pipeline: ApplicationPipeline) -> dict[str, Any]:
    include = dict.fromkeys(pattern for each in pipeline.files for pattern in each.include)
    exclude = dict.fromkeys(pattern for each in pipeline.files for pattern in each.exclude)
    return {
        **file_log(include, exclude),
        "include_file_path": True,
        "include_file_path_resolved": True,
        "max_log_size": _LONGEST_READ,
        "force_flush_period": _FLUSHED_AFTER,
        "poll_interval": "500ms",
        "on_truncate": "read_whole_file",
    }


def _ways_out(pipeline: ApplicationPipeline) -> list[WayOut]:
    exporters = {each.id: each for each in pipeline.exporters}
    quarantine = tuple(exporters[each] for each in pipeline.quarantine)
    standard = tuple(exporters[each] for each in pipeline.standard)
    ways = []
    for number, name in enumerate(sorted({each.name for each in pipeline.files})):
        is_quarantined = f"{IN_QUARANTINE} != nil and {attribute(FILES)} == {text(name)}"
        way = way_out(Destination(f"quarantine-{number}", is_quarantined, quarantine))
        (first, ends), *others = way.pipelines.items()  # of two, both get every record
        counted = {**ends, "processors": [quarantine_counter(name), *ends.get("processors", ())]}
        ways.append(replace(way, pipelines={first: counted, **dict(others)}))
    return [*ways, way_out(Destination("standard", "", standard))]
