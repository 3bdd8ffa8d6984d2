"""The whole configuration of a collector on a control-plane node.

Settings that lose events by default are set to what loses none: files are read from their beginning, offsets and queues
lie on disk, nothing is given up after some time, and a queue that is full makes the reader wait. Collector 0.157.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector import (
    counting,
    cutting,
    deciding,
    demands,
    levels,
    proving,
    pseudonym_keys,
    reading,
    unreadable,
    writing,
)
from audit_operator.shipping.collector.attributes import QUARANTINE
from audit_operator.shipping.collector.ottl import Statements, attribute, transform
from audit_operator.shipping.collector.routing import (
    DETACH,
    NOWHERE,
    ROUTING,
    Destination,
    connector,
    pipelines,
    spread,
)
from audit_operator.shipping.exporters import RETRIED_REFUSALS
from audit_operator.shipping.pipeline import LARGEST_LINE, AuditFiles, AuditWebhook
from audit_operator.shipping.redaction import rendering as redaction
from audit_operator.shipping.redaction import withholding
from audit_operator.shipping.redaction.demand import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.collector.routing import WayOut
    from audit_operator.shipping.exporters import Exporter
    from audit_operator.shipping.pipeline import AuditPipeline

ARGUMENTS = ("--feature-gates=stanza.synchronousLogEmitter",)
"""How a collector must be started. Without it, offsets are written while events still wait, for up to 100 ms, to be put
into queues: what waits when the collector is killed is lost (measured: 3 of 145)."""
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"GOGC": "400"})
"""With which it should run. Its heap is small: at Go's default it collects garbage for a quarter of its time."""
OFFSETS, QUEUES = "file_storage/offsets", "file_storage/queues"
KEYS = "lookup/pseudonyms"
TOGETHER = "together"
"""Is done once all queues have what was read, and keeps it as it was read until then: a receiver tries again with that.
But for it, what the first try has moved to where it belongs would not be there for the second. It stands before the
memory limiter, since it shows what is held up, whatever the reason."""
RETURNED = "filter/returned"
IDENTITY = "audit_operator.config"
"""Attribute in which a collector's own telemetry says which configuration it runs."""

_IS_QUARANTINED = f"{attribute(QUARANTINE)} != nil"

FOLDER_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_FOLDER"
HEALTH_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_HEALTH"
METRICS_PORT_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_METRICS_PORT"
WEBHOOK_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_WEBHOOK"
DETECTIONS_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_DETECTIONS"
"""Of the collector's environment, for configurations that several collectors get: where each keeps its files, and where
it listens, is its own matter."""


def variable(name: str) -> str:
    """What the collector expands to a variable of its environment."""
    return f"${{env:{name}}}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the collector itself listens, as ``HOST:PORT``; all but the host may each be a `variable`."""

    health: str = "0.0.0.0:13133"
    metrics_host: str = "0.0.0.0"  # noqa: S104 - Prometheus does, too
    metrics_port: int | str = 8888
    detections: str = "0.0.0.0:8889"


def render(pipeline: AuditPipeline, endpoints: Endpoints = Endpoints()) -> dict[str, Any]:
    """The configuration, to be written as YAML or JSON."""
    reading = _processors(pipeline)
    destinations = _destinations(pipeline)
    ways_out = cutting.ways_out(destinations)
    # Where what is large comes to, so little comes to that routes may stand in a row.
    ways_out |= spread(ROUTING, ways_out[ROUTING])
    used = {each.id for destination in destinations for each in destination.exporters}
    receiver, settings = _receiver(pipeline.source)
    read = {"receivers": [receiver], "processors": list(reading), "exporters": [ROUTING]}
    counts = bool(pipeline.counting.counts)
    configuration = {
        "extensions": extensions(pipeline.state, endpoints),
        "receivers": {receiver: settings},
        "processors": {
            **reading,
            **({counting.DETECT: counting.detect(pipeline), **counting.processors(pipeline)} if counts else {}),
            **unreadable.processors(),
            **counting.start(),
            **cutting.processors(each for each in pipeline.exporters if each.id in used),
            DETACH: {},
        },
        "connectors": {
            **_connectors(ways_out),
            **unreadable.connectors(),
            **(counting.connectors(pipeline) if counts else {}),
        },
        "exporters": {
            NOWHERE: {},
            **{each.id: dict(each.config) for each in pipeline.exporters},
            **counting.exporter(pipeline, endpoints.detections),
        },
        "service": {
            "extensions": list(extensions(pipeline.state, endpoints)),
            "telemetry": telemetry(endpoints),
            "pipelines": {
                **(counting.pipelines(pipeline, read) if counts else {"logs/read": read}),
                **unreadable.pipelines(counting.START_NOTED, counting.EXPORTER),
                **pipelines(ways_out),
            },
        },
    }
    address = [pipeline.source.address] if isinstance(pipeline.source, AuditWebhook) else []
    ours = pipeline.table, pipeline.keys, *address
    return unexpanded(configuration, *of_environment(pipeline.state, endpoints, *ours))


def of_environment(state: str, endpoints: Endpoints, *others: str) -> Iterator[str]:
    """Our own values that the collector is to expand, whole; a tenant's text that is equal to one gains nothing."""
    storages = (each["directory"] for each in extensions(state, endpoints).values() if "directory" in each)
    for value in (*others, *storages, endpoints.health, str(endpoints.metrics_port)):
        if value.startswith("${env:AUDIT_OPERATOR_COLLECTOR_"):
            yield value


def identified(configuration: dict[str, Any], digest: str) -> dict[str, Any]:
    """The configuration, with a name that a collector shows once it runs with it."""
    service = configuration["service"]
    resource = {"attributes": [{"name": IDENTITY, "value": digest}]}
    return {**configuration, "service": {**service, "telemetry": {**service["telemetry"], "resource": resource}}}


def _destinations(pipeline: AuditPipeline) -> list[Destination]:
    known = {each.id: each for each in pipeline.exporters}

    def destination(name: str, condition: str, exporters: Iterable[str]) -> Destination:
        return Destination(name, condition, tuple(known[each] for each in exporters))

    return [
        # A line that cannot be read as an event, and still says whose it is, goes where its events go.
        *(
            Destination.of_route(route, tuple(known[each] for each in exporters))
            for route, exporters in sorted(pipeline.routes.items())
            if route
        ),
        destination("quarantine", _IS_QUARANTINED, pipeline.quarantine),
        destination("unseen", "", pipeline.routes[""]),
    ]


def _connectors(ways_out: Mapping[str, list[WayOut]]) -> dict[str, Any]:
    found = {name: connector(ways) for name, ways in ways_out.items()}
    every = found[ROUTING]
    return {**found, ROUTING: {**every, "table": [unreadable.route(), *every["table"]]}}


def _processors(pipeline: AuditPipeline) -> dict[str, Any]:
    return {
        TOGETHER: waiting_for(pipeline.exporters),
        "memory_limiter": {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20},
        **({RETURNED: _returned()} if isinstance(pipeline.source, AuditWebhook) else {}),
        "transform/read": transform(*reading.recognise(), *reading.read(pipeline.shape)),
        "lookup": deciding.lookup(
            pipeline.shape,
            pipeline.table,
            counted=any(each.namespaced for each in pipeline.counting.counts),
            redaction=demands.look_ups(pipeline.redactions),
        ),
        "filter/levels": levels.drop(),
        "transform/levels": transform(*levels.strip()),
        **({KEYS: pseudonym_keys.lookup(pipeline.keys)} if _makes_pseudonyms(pipeline) else {}),
        proving.REDACT: proving.proved(_redactions(pipeline), _withheld(pipeline)),
        "transform/write": transform(*writing.write(pipeline)),
    }


def _returned() -> dict[str, Any]:
    """Drop what was shipped before.

    A tenant's name server may let the name of a store stand for our own loopback: everything that is sent there would
    come back, and be sent there and everywhere else, for ever.
    """
    return {"error_mode": "ignore", "log_conditions": [f"{attribute('cluster')} != nil"]}


def _redactions(pipeline: AuditPipeline) -> Iterator[Statements]:
    """The statements for all demands, for all events; a line that is none is not harmed."""
    if pipeline.redactions:
        yield from redaction.render(together(pipeline.redactions.values()), demands.gates(pipeline.redactions))
        yield from demands.apply_tenants(pipeline.redactions)
    if _makes_pseudonyms(pipeline):
        yield redaction.forgotten_keys()
    # Of a line that nobody can read, one does not know whose it is.
    quarantined = redaction.quarantined(nameless=any(map(redaction.is_about_persons, pipeline.redactions.values())))
    yield replace(quarantined, conditions=(_IS_QUARANTINED, *quarantined.conditions))


def _withheld(pipeline: AuditPipeline) -> Iterator[Statements]:
    asked = together(pipeline.redactions.values()).pseudonymize
    return withholding.withheld(asked, demands.gates(pipeline.redactions))


def _makes_pseudonyms(pipeline: AuditPipeline) -> bool:
    return any(demand.pseudonymize for demand in pipeline.redactions.values())


def _receiver(source: AuditFiles | AuditWebhook) -> tuple[str, dict[str, Any]]:
    if isinstance(source, AuditFiles):
        return "file_log", file_log(source.include, source.exclude)
    # It answers once the queues have what was posted. A batch is one event at the least, and what is around it.
    return "otlp", {
        "protocols": {"http": {"endpoint": source.address, "max_request_body_size": LARGEST_LINE + LARGEST_LINE // 2}}
    }


def file_log(include: Iterable[str], exclude: Iterable[str]) -> dict[str, Any]:
    """A receiver of the lines of files that match patterns."""
    return {
        "include": list(include),
        "exclude": list(exclude),
        "start_at": "beginning",
        "storage": OFFSETS,
        "max_log_size": f"{LARGEST_LINE // 2**20}MiB",
        # The rest of a line would otherwise be read as a line of its own, and a sender could write an event there.
        "max_log_size_behavior": "truncate",
        # The same holds for half a line whose other half takes its time: half a second of it is the default.
        "force_flush_period": "1m",
        "fingerprint_size": "4kb",
        "poll_interval": "200ms",
        "include_file_name": False,
        "retry_on_failure": {"enabled": True, "max_elapsed_time": "0s"},
    }


def waiting_for(exporters: Iterable[Exporter]) -> dict[str, Any]:
    """What stands at the beginning, and shows which exporters can hold it up."""
    return {"exporters": sorted(each.id for each in exporters if not each.detached)}


def extensions(state: str, endpoints: Endpoints) -> dict[str, Any]:
    """Health, what is kept in the folder `state`, and how exporters take refusals."""

    def storage(name: str) -> dict[str, Any]:
        return {"directory": f"{state}/{name}", "create_directory": True, "fsync": True}

    return {
        "health_check": {"endpoint": endpoints.health},
        OFFSETS: storage("offsets"),
        QUEUES: storage("queues"),
        RETRIED_REFUSALS: {},
    }


def telemetry(endpoints: Endpoints) -> dict[str, Any]:
    """What the collector tells of itself."""
    prometheus = {"host": endpoints.metrics_host, "port": endpoints.metrics_port}
    return {
        "logs": {"level": "info", "encoding": "json"},
        "metrics": {"level": "normal", "readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]},
    }


def unexpanded(configuration: dict[str, Any], *expanded: str) -> dict[str, Any]:
    """The same with every ``$`` doubled, since the collector expands what follows a single one.

    But for the texts `expanded`, and for exporters, which name files so.
    """

    def doubled(value: Any) -> Any:
        if isinstance(value, str):
            return value if value in expanded else value.replace("$", "$$")
        if isinstance(value, dict):
            return {key: doubled(each) for key, each in value.items()}
        return [doubled(each) for each in value] if isinstance(value, list) else value

    return {part: doubled(value) if part != "exporters" else value for part, value in configuration.items()}
