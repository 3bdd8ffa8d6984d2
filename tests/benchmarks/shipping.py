"""What the shipper costs: CPU of the collector for each part of its work, by the number of namespaces."""

from __future__ import annotations

import json
import random
import tempfile
import uuid
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level
from audit_operator.api.redaction import RedactionProfile
from audit_operator.api.sink import ClusterAuditSinkSpec, SinkType, VictoriaLogs
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.policy.presets import load_preset
from audit_operator.shipping.collector.configuration import ARGUMENTS, ENVIRONMENT, QUEUES, Endpoints, render
from audit_operator.shipping.collector.proving import REDACT
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import Table, build
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline
from audit_operator.shipping.redaction.demand import RedactionDemand
from tests.integration.shipping.collector import Cost, run_collector
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 50_000
ROUNDS = 2
_SURE = 0.5
"""Seconds."""
_BASELINE = RedactionDemand()
DISTINCT = 30
_PEOPLE = (
    ("system:node:n1", ("system:nodes", "system:authenticated")),
    ("system:serviceaccount:kube-system:deployment-controller", ("system:serviceaccounts", "system:authenticated")),
    ("alice", ("dev", "system:authenticated")),
    ("u3", ("team3", "system:authenticated")),
    ("system:kube-controller-manager", ("system:authenticated",)),
)
_RESOURCES = (("", "pods", "log"), ("", "secrets", ""), ("", "configmaps", ""), ("apps", "deployments", ""))


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a shipper's work.

    Attributes:
        processors: that events go through; None for all.
    """

    work: str
    table: Table
    namespaces: int = 100
    demand: RedactionDemand = _BASELINE
    processors: tuple[str, ...] | None = None
    sink: Exporter | None = None


def run() -> Iterator[str]:
    lines = list(lines_of(EVENTS, 100))
    size = sum(map(len, lines)) / EVENTS
    yield f"{EVENTS:,} events of {size:,.0f} bytes on average, half of them with bodies; {DISTINCT} distinct policies."
    yield f"Without the start; the least of {ROUNDS} runs, by turns."
    yield ""
    yield "| part of the work | namespaces | CPU s per 100,000 events | events/s | highest RSS MiB |"
    yield "|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name, victoria_logs(Path(name), "-retentionPeriod=100y") as url:
        parts = list(parts_of(sink_at(url)))
        costs = [[_measure(lines, part) for part in parts] for _ in range(ROUNDS)]
    for part, *runs in zip(parts, *costs, strict=True):
        cpu, seconds, resident = (min(each) for each in zip(*map(astuple, runs), strict=True))
        # What takes no longer than a collector's start varies cannot be told.
        rate = f"{EVENTS / seconds:,.0f}" if seconds > _SURE else "not told"
        figures = f"{cpu * 100_000 / EVENTS:.1f} | {rate} | {resident:.0f}"
        yield f"| {part.work} | {part.namespaces:,} | {figures} |"


def parts_of(sink: Exporter) -> Iterator[Part]:
    """From next to nothing to everything."""
    table, everything = table_of(100), RedactionDemand(frozenset(RedactionProfile))
    decide = "transform/read", "lookup", "filter/levels", "transform/levels"
    redact = *decide, REDACT
    yield Part("pass through", table, processors=())
    yield Part("parse, and read what decides", table, processors=("transform/read",))
    for namespaces in (10, 100, 1_000, 10_000):
        yield Part("and enforce levels", table_of(namespaces), namespaces, processors=decide)
    yield Part("and redact; profiles Secrets and Tokens", table, processors=redact)
    yield Part("and redact; all profiles", table, demand=everything, processors=redact)
    yield Part("full, up to the exporter; Secrets and Tokens", table)
    yield Part("full, up to the exporter; all profiles", table, demand=everything)
    yield Part("full, sent; Secrets and Tokens", table, sink=sink)
    yield Part("full, sent; all profiles", table, demand=everything, sink=sink)


def sink_at(url: str) -> Exporter:
    """A cluster-wide VictoriaLogs, with a queue on disk."""
    spec = ClusterAuditSinkSpec(type=SinkType.VICTORIA_LOGS, victoria_logs=VictoriaLogs(url=url))
    made = exporter(spec, "benchmark", CredentialFiles(), Room(QUEUES))
    assert isinstance(made, Exporter)
    return made


def _measure(lines: list[bytes], part: Part) -> Cost:
    started, done = ship(lines[:1], part), ship(lines, part)
    return Cost(done.cpu - started.cpu, done.seconds - started.seconds, done.resident)


def ship(lines: list[bytes], part: Part) -> Cost:
    """From the start until everything is through, and sent where there is a sink."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipeline = pipeline_in(folder, part.table, part.demand, part.sink)
        config = render(pipeline, Endpoints(health=f"127.0.0.1:{next(free_ports())}", detections="127.0.0.1:0"))
        if part.processors is not None:
            config["service"]["pipelines"]["logs/read"]["processors"] = list(part.processors)
        return run_collector(config, lines, folder, environ=ENVIRONMENT, arguments=ARGUMENTS).cost


def pipeline_in(folder: Path, table: Table, demand: RedactionDemand, sink: Exporter | None = None) -> AuditPipeline:
    """From the folder's `in.log` to the sink, or nowhere; the table is written into the folder."""
    (folder / "table.yaml").write_text(yaml_text(table.entries))
    return AuditPipeline(
        cluster="bench",
        source=AuditFiles((f"{folder}/in.log",)),
        shape=table.shape,
        table=f"{folder}/table.yaml",
        state=f"{folder}/state",
        routes={"": (sink.id,) if sink else ()},
        quarantine=(),
        exporters=(sink,) if sink else (),
        redactions={"": demand, "all": demand},
    )


def table_of(namespaces: int) -> Table:
    names = [f"team-{index}" for index in range(namespaces)]
    everywhere = Reach(frozenset(names), unseen_namespaces=True, cluster=True, non_resource=True)
    contributions = [Contribution(everywhere, Policy(load_preset("Baseline")))]
    for number in range(DISTINCT):
        own = (
            Rule(Level.REQUEST, users=(f"u{number}",), resources=(GroupResources("", ("secrets", "configmaps")),)),
            Rule(Level.REQUEST_RESPONSE, user_groups=("dev", f"team{number % 7}"), verbs=("create", "delete")),
        )
        mine = frozenset(name for index, name in enumerate(names) if index % DISTINCT == number)
        contributions.append(Contribution(Reach(mine), Policy(own)))
    return build(classify(contributions, names, otherwise=Treatment(redaction="all")))


def lines_of(number: int, namespaces: int) -> Iterator[bytes]:
    draw = random.Random(1)
    for _ in range(number):
        yield line_of(event_in(draw, f"team-{draw.randrange(namespaces)}"))


def line_of(event: dict[str, Any]) -> bytes:
    """As an API server writes it."""
    return json.dumps(event, separators=(",", ":")).encode()


def event_in(draw: random.Random, namespace: str) -> dict[str, Any]:
    """An event of a namespace."""
    user, groups = draw.choice(_PEOPLE)
    group, resource, subresource = draw.choice(_RESOURCES)
    verb, name = draw.choice(["get", "list", "watch", "create", "update", "patch"]), f"object-{draw.randrange(1000)}"
    level = draw.choice(["Metadata", "Metadata", "Request", "RequestResponse"])
    reference = {"resource": resource, "namespace": namespace, "name": name, "apiGroup": group, "apiVersion": "v1"}
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": level,
        "auditID": str(uuid.UUID(int=draw.getrandbits(128))),
        "stage": draw.choice(["ResponseComplete", "ResponseComplete", "RequestReceived"]),
        "requestURI": f"/{f'apis/{group}' if group else 'api'}/v1/namespaces/{namespace}/{resource}/{name}",
        "verb": verb,
        "user": {"username": user, "uid": str(uuid.UUID(int=draw.getrandbits(128))), "groups": list(groups)},
        "sourceIPs": [f"10.0.0.{draw.randrange(255)}"],
        "userAgent": "kubectl/v1.37.2 (linux/amd64) kubernetes/abcdef0",
        "objectRef": {key: value for key, value in (reference | {"subresource": subresource}).items() if value},
        "responseStatus": {"metadata": {}, "code": 200},
    }
    if level != "Metadata":
        event["requestObject"] = _object(resource, namespace, name)
    if level == "RequestResponse":
        event["responseObject"] = _object(resource, namespace, name) | {"status": {"replicas": 3}}
    return event | {
        "requestReceivedTimestamp": "2026-11-28T07:00:00.000000Z",
        "stageTimestamp": "2026-11-28T07:00:00.010000Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to User',
        },
    }


def _object(resource: str, namespace: str, name: str) -> dict[str, Any]:
    fields = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    container = {"name": "c", "image": "nginx:1", "env": [{"name": "OWNER", "value": "b@example.com"}]}
    made: dict[str, Any] = {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "x"}, "managedFields": [fields]},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [container]}}},
    }
    return made | ({"data": {"password": "c2VjcmV0"}} if resource == "secrets" else {})
