"""What wishes for redaction, and sinks, cost other tenants: a shipper's start and memory, and CPU for a quiet one."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import ObjectRef
from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.api.sink import AuditSinkSpec
from audit_operator.plan.shipping import route_of
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Rule
from audit_operator.shipping.collector.configuration import ARGUMENTS, ENVIRONMENT, QUEUES, Endpoints, render
from audit_operator.shipping.collector.demands import entries
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE, keys_text
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from tests.benchmarks.shipping import event_in, line_of
from tests.integration.shipping.collector import Cost, run_collector
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EVENTS = 20_000
ROUNDS = 3
QUIET = "quiet"
_PLAIN = RedactionDemand()
_FEATURES = (*RedactionProfile, *PseudonymizedField)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Tenants that share a shipper.

    Attributes:
        demands: of each but the one whose events are sent.
        own: demand of that one.
        sinks: whether each has a sink of its own.
    """

    who: str
    demands: Sequence[RedactionDemand]
    own: RedactionDemand = _PLAIN
    sinks: bool = False


def run() -> Iterator[str]:
    draw = random.Random(1)
    lines = [line_of(event_in(draw, QUIET)) for _ in range(EVENTS)]
    yield f"{EVENTS:,} events of one tenant, beside others that send nothing; with all bodies; up to the exporter."
    yield f"The least of {ROUNDS} runs, by turns; in brackets, as a part of the first row."
    yield ""
    yield "| beside it | configuration KiB | start s | start CPU s | MiB | CPU s per 100,000 events |"
    yield "|---|---|---|---|---|---|"
    crowds = list(crowds_of())
    runs = [[_measure(lines, each) for each in crowds] for _ in range(ROUNDS)]
    first: float | None = None
    for crowd, *costs in zip(crowds, *runs, strict=True):
        started = [each[0] for each in costs]
        cpu = min(done.cpu - begun.cpu for begun, done in costs) * 100_000 / EVENTS
        first = first or cpu
        resident = min(done.resident for _, done in costs)
        yield (
            f"| {crowd.who} | {len(_config(crowd)) / 1024:.0f} | {min(each.seconds for each in started):.1f} | "
            f"{min(each.cpu for each in started):.1f} | {resident:.0f} | {cpu:.1f} ({cpu / first:.2f}) |"
        )


def crowds_of() -> Iterator[Crowd]:
    """None, some and many that have patterns, and all mixes of profiles and pseudonyms; then patterns of its own."""
    yield Crowd("nobody", ())
    for number in (1, 50, 200):
        yield Crowd(f"{number} with a pattern", [RedactionDemand(tenants=_patterns(each, 1)) for each in range(number)])
    yield Crowd("200 with 32 patterns", [RedactionDemand(tenants=_patterns(each, 32)) for each in range(200)])
    yield Crowd("64 mixes of profiles and pseudonyms", list(_mixes()))
    for number in (1, 8, 32):
        yield Crowd(f"nobody, and it has {number} of its own", (), RedactionDemand(tenants=_patterns(0, number)))
    for number in (30, 500):
        yield Crowd(f"{number} with a sink", [RedactionDemand()] * number, sinks=True)


def _patterns(tenant: int, number: int) -> tuple[OwnPattern, ...]:
    written = (OwnPattern.parse(f"p{each}", f"secret-{tenant}-{each}-[0-9]+", "x") for each in range(number))
    return tuple(each for each in written if isinstance(each, OwnPattern))


def _mixes() -> Iterator[RedactionDemand]:
    for number in range(len(_FEATURES) + 1):
        for some in map(frozenset, combinations(_FEATURES, number)):
            yield RedactionDemand(some & frozenset(RedactionProfile), (), some & frozenset(PseudonymizedField))


def _measure(lines: list[bytes], crowd: Crowd) -> tuple[Cost, Cost]:
    return _ship(lines[:1], crowd), _ship(lines, crowd)


def _ship(lines: list[bytes], crowd: Crowd) -> Cost:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = render(
            _pipeline(folder, crowd), Endpoints(health=f"127.0.0.1:{next(free_ports())}", detections="127.0.0.1:0")
        )
        return run_collector(config, lines, folder, environ=ENVIRONMENT, arguments=ARGUMENTS, patience=600).cost


def _config(crowd: Crowd) -> str:
    with tempfile.TemporaryDirectory() as name:
        return yaml_text(render(_pipeline(Path(name), crowd)))


def _pipeline(folder: Path, crowd: Crowd) -> AuditPipeline:
    """From the folder's `in.log` to nowhere; the table and the keys, of which there are none, lie in the folder."""
    demands = {f"tenant-{number}": each for number, each in enumerate(crowd.demands)}
    everywhere = Reach(frozenset([QUIET, *demands]), unseen_namespaces=True, cluster=True, non_resource=True)
    contribution = Contribution(everywhere, Policy((Rule(Level.REQUEST_RESPONSE),)))
    exporters = {name: _sink(name) for name in (QUIET, *demands)} if crowd.sinks else {}
    treatments = {
        name: Treatment(redaction=each.id, route=_route(name) if crowd.sinks else "") for name, each in demands.items()
    }
    quiet = Treatment(redaction=crowd.own.id, route=_route(QUIET) if crowd.sinks else "")
    table = build(classify([contribution], [QUIET, *demands], treatments, quiet))
    redactions = {"": _PLAIN, crowd.own.id: crowd.own, **{each.id: each for each in crowd.demands}}
    (folder / "table.yaml").write_text(yaml_text({**table.entries, **entries(redactions)}))
    (folder / KEYS_FILE).write_text(keys_text((), None))
    return AuditPipeline(
        cluster="bench",
        source=AuditFiles((f"{folder}/in.log",)),
        shape=table.shape,
        table=f"{folder}/table.yaml",
        state=f"{folder}/state",
        routes={"": (), **{_route(name): (each.id,) for name, each in exporters.items()}},
        quarantine=(),
        exporters=tuple(exporters.values()),
        redactions=redactions,
        keys=f"{folder}/{KEYS_FILE}",
    )


def _route(tenant: str) -> str:
    return route_of([ObjectRef("AuditSink", "own", tenant)])


def _sink(tenant: str) -> Exporter:
    """The quiet one's takes everything and keeps nothing; nothing is sent to the others'."""
    if tenant == QUIET:
        return Exporter("nop/quiet", {}, detached=True)
    spec = AuditSinkSpec.model_validate_json('{"type": "VictoriaLogs", "victoriaLogs": {"url": "http://x:9"}}')
    made = exporter(spec, tenant, CredentialFiles(), Room(QUEUES))
    assert isinstance(made, Exporter)
    return made
