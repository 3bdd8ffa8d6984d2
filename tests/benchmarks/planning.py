"""How long the pure part of the operator takes: parse, plan, judge, and the same after one change."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.parsing import parse_object
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.status import statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

API_VERSION = "audit-operator.dev/v1alpha1"
SECRETS = {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}


def run() -> Iterator[str]:
    yield "| policies | distinct | parse s | plan s | statuses s | after one change: plan s | statuses s |"
    yield "|---|---|---|---|---|---|---|"
    for number, distinct in ((1_000, 30), (1_000, 1_000), (10_000, 30)):
        clock = Stopwatch()
        policies = tuple(parsed("AuditPolicy", each[0], each[1]) for each in documents(number, distinct))
        clock.lap()
        snapshot = Snapshot(
            audit_policies=policies,
            cluster_audit_policies=(
                parsed("ClusterAuditPolicy", {"name": "b"}, {"preset": "Baseline", "limits": [SECRETS]}),
            ),
            control_planes=(parsed("AuditControlPlane", {"name": "main"}, {"default": True, "driver": "Process"}),),
            namespaces=tuple(NamespaceFact(f"team-{index:05d}") for index in range(number)),
            server_version="v1.37.2",
        )
        judge(snapshot, clock)
        changed = parsed("AuditPolicy", {"name": "p", "namespace": "team-00000"}, {"rules": [{"level": "Request"}]})
        judge(replace(snapshot, audit_policies=(changed, *policies[1:])), clock)
        yield f"| {number:,} | {distinct:,} | " + " | ".join(f"{lap:.2f}" for lap in clock.laps) + " |"


class Stopwatch:
    def __init__(self) -> None:
        self.laps: list[float] = []
        self._last = time.perf_counter()

    def lap(self) -> None:
        now = time.perf_counter()
        self.laps.append(now - self._last)
        self._last = now


def judge(snapshot: Snapshot, clock: Stopwatch) -> None:
    clock._last = time.perf_counter()
    planned = plan(snapshot)
    clock.lap()
    statuses(snapshot, planned, {})
    clock.lap()


def parsed(kind: str, metadata: dict[str, Any], spec: dict[str, Any]) -> Any:
    result = parse_object({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
    assert not isinstance(result, tuple), result
    return result


def documents(number: int, distinct: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    resources = ["pods", "services", "pods/exec", "pods/log", "events"]
    verbs = ["get", "list", "create", "update", "patch", "delete"]
    for index in range(number):
        draw = random.Random(index % distinct)
        rules = [
            {
                "level": draw.choice(["Request", "RequestResponse", "None"]),
                "verbs": draw.sample(verbs, 3),
                "resources": [{"group": draw.choice(["", "apps", "batch"]), "resources": draw.sample(resources, 3)}],
            }
            for _ in range(5)
        ]
        yield {"name": "p", "namespace": f"team-{index:05d}"}, {"rules": rules}
