"""The whole configuration of a collector on a control-plane node.

Settings that lose events by default are set to what loses none: files are read from their beginning, offsets and queues
lie on disk, nothing is given up after some time, and a queue that is full makes the reader wait. Collector 0.157.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector import deciding, levels, pseudonym_keys, reading, writing
from audit_operator.shipping.collector.attributes import QUARANTINE
from audit_operator.shipping.collector.ottl import Statements, attribute, text, transform
from audit_operator.shipping.enforcement.table import REDACTION, ROUTE
from audit_operator.shipping.pipeline import LARGEST_LINE, AuditFiles, AuditWebhook
from audit_operator.shipping.redaction import rendering as redaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.pipeline import AuditPipeline
    from audit_operator.shipping.redaction.demand import RedactionDemand

ARGUMENTS = ("--feature-gates=stanza.synchronousLogEmitter",)
"""How a collector must be started. Without it, offsets are written while events still wait, for up to 100 ms, to be put
into queues: what waits when the collector is killed is lost (measured: 3 of 145)."""
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"GOGC": "400"})
"""With which it should run. Its heap is small: at Go's default it collects garbage for a quarter of its time."""
NOWHERE = "nop"
"""Takes the events of namespaces whose policies name no sink: they stay in the API server's files."""
OFFSETS, QUEUES = "file_storage/offsets", "file_storage/queues"
KEYS = "lookup/pseudonyms"
QUARANTINED = "transform/quarantine"
"""Does nothing: the collector counts what passes through a processor."""
IDENTITY = "audit_operator.config"
"""Attribute in which a collector's own telemetry says which configuration it runs."""


FOLDER_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_FOLDER"
HEALTH_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_HEALTH"
METRICS_PORT_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_METRICS_PORT"
WEBHOOK_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_WEBHOOK"
"""Of the collector's environment, for configurations that several collectors get: where each keeps its files, and where
it listens, is its own matter."""


def variable(name: str) -> str:
    """What the collector expands to a variable of its environment."""
    return f"${{env:{name}}}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the collector itself listens, as ``HOST:PORT``; health and port may each be a `variable`."""

    health: str = "0.0.0.0:13133"
    metrics_host: str = "0.0.0.0"  # noqa: S104 - Prometheus does, too
    metrics_port: int | str = 8888


def render(pipeline: AuditPipeline, endpoints: Endpoints = Endpoints()) -> dict[str, Any]:
    """The configuration, to be written as YAML or JSON."""
    reading = _processors(pipeline)
    ways_out = _ways_out(pipeline)
    receiver, settings = _receiver(pipeline.source)
    configuration = {
        "extensions": extensions(pipeline.state, endpoints),
        "receivers": {receiver: settings},
        "processors": {
            **reading,
            QUARANTINED: {"error_mode": "ignore", "log_statements": []},
            **({"batch": {"timeout": "0s"}} if any(each.detached for each in pipeline.exporters) else {}),
        },
        "connectors": {"routing": routing(ways_out)},
        "exporters": {NOWHERE: {}, **{each.id: dict(each.config) for each in pipeline.exporters}},
        "service": {
            "extensions": ["health_check", OFFSETS, QUEUES],
            "telemetry": telemetry(endpoints),
            "pipelines": {
                "logs/read": {"receivers": [receiver], "processors": list(reading), "exporters": ["routing"]},
                **{name: each for way in ways_out for name, each in way.pipelines.items()},
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


@dataclass(frozen=True, slots=True)
class WayOut:
    """Where records go that meet a condition; an empty one stands for all others."""

    condition: str
    pipelines: dict[str, Any]


def _ways_out(pipeline: AuditPipeline) -> list[WayOut]:
    detached = {each.id for each in pipeline.exporters if each.detached}
    quarantine = ends("quarantine", pipeline.quarantine, detached)
    first = next(iter(quarantine.values()))  # of two, both get every record
    first["processors"] = [QUARANTINED, *first.get("processors", ())]
    return [
        # A line that cannot be read as an event, and still says whose it is, goes where its events go.
        *(
            WayOut(f"{attribute(ROUTE)} == {text(route)}", ends(route, exporters, detached))
            for route, exporters in sorted(pipeline.routes.items())
            if route
        ),
        WayOut(f"{attribute(QUARANTINE)} != nil", quarantine),
        WayOut("", ends("unseen", pipeline.routes[""], detached)),
    ]


def ends(name: str, exporters: tuple[str, ...], detached: set[str]) -> dict[str, Any]:
    """The ends of one way out: what may be given up must hold up, or repeat, nothing that goes elsewhere."""
    kept = [each for each in exporters if each not in detached]
    loose = [each for each in exporters if each in detached]
    ends = {}
    if kept or not loose:
        ends[f"logs/{name}"] = {"receivers": ["routing"], "exporters": kept or [NOWHERE]}
    if loose:
        ends[f"logs/{name}-detached"] = {"receivers": ["routing"], "processors": ["batch"], "exporters": loose}
    return ends


def routing(ways_out: list[WayOut]) -> dict[str, Any]:
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


def _processors(pipeline: AuditPipeline) -> dict[str, Any]:
    return {
        "memory_limiter": {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20},
        "transform/read": transform(*reading.recognise(), *reading.read(pipeline.shape)),
        "lookup": deciding.lookup(pipeline.shape, pipeline.table),
        "filter/levels": levels.drop(),
        "transform/levels": transform(*levels.strip()),
        **({KEYS: pseudonym_keys.lookup(pipeline.keys)} if _makes_pseudonyms(pipeline) else {}),
        "transform/redact": transform(*_redactions(pipeline)),
        "transform/write": transform(*writing.write(pipeline)),
    }


def _redactions(pipeline: AuditPipeline) -> Iterator[Statements]:
    """The statements of each demand once, for all events of whose class it is; a line that is none is not harmed."""
    names: dict[RedactionDemand, list[str]] = {}
    for name, demand in sorted(pipeline.redactions.items()):
        names.setdefault(demand, []).append(name)
    is_for_all = len(names) == 1 and "" in pipeline.redactions
    for demand, theirs in names.items():
        concerned = () if is_for_all else (" or ".join(map(_is_redacted_by, theirs)),)
        for group in redaction.render(demand):
            yield replace(group, conditions=(*concerned, *group.conditions))
    if _makes_pseudonyms(pipeline):
        yield redaction.forgotten_keys()
    is_none = f"{attribute(QUARANTINE)} != nil"
    yield replace(redaction.quarantined(), conditions=(is_none, *redaction.quarantined().conditions))


def _makes_pseudonyms(pipeline: AuditPipeline) -> bool:
    return any(demand.pseudonymize for demand in pipeline.redactions.values())


def _is_redacted_by(name: str) -> str:
    found = attribute(deciding.state(REDACTION))
    return f"{found} == {text(name)}" if name else f"{found} == nil"


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


def extensions(state: str, endpoints: Endpoints) -> dict[str, Any]:
    """Health, and what is kept in the folder `state`."""

    def storage(name: str) -> dict[str, Any]:
        return {"directory": f"{state}/{name}", "create_directory": True, "fsync": True}

    return {
        "health_check": {"endpoint": endpoints.health},
        OFFSETS: storage("offsets"),
        QUEUES: storage("queues"),
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
