"""What counting for detections costs the collector: by the number of conditions, and with none, in turns."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.detection import Detection, DetectionKey, Selection
from audit_operator.api.rules import GroupResources
from audit_operator.detections.counted import event_count
from audit_operator.detections.own import preset_detections, resolve
from audit_operator.shipping.collector.configuration import ARGUMENTS, ENVIRONMENT, Endpoints, render
from audit_operator.shipping.pipeline import Counting
from audit_operator.shipping.redaction.demand import RedactionDemand
from tests.benchmarks.shipping import lines_of, pipeline_in, table_of
from tests.integration.shipping.collector import run_collector
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.detections.own import OwnDetection

EVENTS, TURNS, MANY = 20_000, 3, 64
_REFUSED = 0.02
"""Of all events."""


def run() -> Iterator[str]:
    """The first are the presets; all others are about a verb, a resource and two users."""
    lines = list(_lines())
    own = [*preset_detections(), *_own(MANY - len(preset_detections()))]
    amounts = (0, 1, len(preset_detections()), MANY)
    taken: dict[int, list[float]] = {amount: [] for amount in amounts}
    for _ in range(TURNS):
        for amount in amounts:
            taken[amount].append(_ship(lines, own[:amount]) - _ship(lines[:1], own[:amount]))
    yield f"{EVENTS:,} events, 2 % of them refused or failed, the least of {TURNS} turns."
    yield ""
    yield "| conditions | CPU s per 100,000 events | to none |"
    yield "|---|---|---|"
    none = min(taken[0])
    for amount in amounts:
        each = min(taken[amount])
        yield f"| {amount} | {each * 100_000 / EVENTS:.1f} | {each / none:.2f} |"


def _lines() -> Iterator[bytes]:
    draw = random.Random(2)
    for line in lines_of(EVENTS, 100):
        event = json.loads(line)
        event["responseStatus"]["code"] = draw.choice([401, 403, 500]) if draw.random() < _REFUSED else 200
        yield json.dumps(event, separators=(",", ":")).encode()


def _own(number: int) -> Iterator[OwnDetection]:
    draw = random.Random(3)
    for index in range(number):
        resource = draw.choice(["secrets", "configmaps", "deployments", "pods"])
        group = "apps" if resource == "deployments" else ""
        selection = Selection(
            verbs=(draw.choice(["create", "update", "patch", "get", "list"]),),
            resources=(GroupResources(group=group, resources=(resource,)),),
            users=(f"u{index}", "bob"),
        )
        yield resolve(Detection(name=f"d{index}", selection=selection, group_by=(DetectionKey.USER,)))


def _ship(lines: list[bytes], own: list[OwnDetection]) -> float:
    table, ports = table_of(100), free_ports()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipeline = pipeline_in(folder, table, RedactionDemand())
        counts = tuple(event_count(each, namespaced=False, kept=3600, most=300) for each in own)
        endpoints = Endpoints(health=f"127.0.0.1:{next(ports)}", detections=f"127.0.0.1:{next(ports)}")
        config = render(replace(pipeline, counting=Counting(counts, "prober")), endpoints)
        return run_collector(config, lines, folder, environ=ENVIRONMENT, arguments=ARGUMENTS).cost.cpu
