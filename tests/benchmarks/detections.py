"""What it costs to say of detections whether they can fire: beside the plan and the statuses, and of the worst ones."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from audit_operator.controller.detection_judging import DetectionJudging
from audit_operator.detections.own import preset_detections
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.detection_answers import verdict
from audit_operator.plan.detection_questions import Question, questions
from audit_operator.plan.status import statuses
from tests.benchmarks.planning import documents, parsed
from tests.detections.hostile import SELECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

DETECTIONS = [
    {"name": "exec", "preset": "Exec"},
    {"name": "secrets", "preset": "SecretEnumeration", "threshold": 30},
    {"name": "burst", "preset": "ForbiddenBurst"},
]
NUMBER, DISTINCT, TIMES = 10_000, 30, 3


def run() -> Iterator[str]:
    without, with_them = world([]), world(DETECTIONS)
    judging = DetectionJudging(lambda: None)
    before = time.process_time()
    asyncio.run(settle(judging, with_them))
    first = time.process_time() - before
    # In turns, and the least of each: other work on the machine would else decide.
    turns = [(unchanged(without, None), unchanged(with_them, judging)) for _ in range(TIMES)]
    plain, told = (min(each) for each in zip(*turns, strict=True))
    different = {id(each.question) for those in questions(with_them, plan(with_them)).values() for each in those}
    yield "| policies | detections | different questions | first answers, CPU s | without, CPU s | with | ratio |"
    yield "|---|---|---|---|---|---|---|"
    row = (f"{NUMBER:,}", f"{3 * NUMBER:,}", len(different), f"{first:.1f}", f"{plain:.2f}", f"{told:.2f}")
    yield f"| {' | '.join(map(str, row))} | {told / plain:.2f} |"
    yield ""
    yield "| of one namespace | steps | CPU ms |"
    yield "|---|---|---|"
    for name, question in one_by_one():
        before = time.process_time()
        steps = verdict(question).steps
        yield f"| {name} | {steps:,} | {(time.process_time() - before) * 1000:.0f} |"


def world(detections: list[dict[str, Any]]) -> Snapshot:
    more = {"detections": detections} if detections else {}
    policies = [parsed("AuditPolicy", where, {**spec, **more}) for where, spec in documents(NUMBER, DISTINCT)]
    return snapshot_of(policies)


def snapshot_of(policies: list[Any]) -> Snapshot:
    return Snapshot(
        audit_policies=tuple(policies),
        cluster_audit_policies=(parsed("ClusterAuditPolicy", {"name": "b"}, {"preset": "Baseline"}),),
        control_planes=(parsed("AuditControlPlane", {"name": "main"}, {"default": True, "driver": "Process"}),),
        namespaces=tuple(NamespaceFact(each.metadata.namespace) for each in policies),
        server_version="v1.37.2",
    )


async def settle(judging: DetectionJudging, snapshot: Snapshot) -> None:
    """Judge everything that is asked."""
    planned = plan(snapshot)
    await judging.follow(snapshot, planned)
    while judging.waiting:
        await judging.follow(snapshot, planned)


def unchanged(snapshot: Snapshot, judging: DetectionJudging | None) -> float:
    """CPU seconds of a reconciliation that finds nothing new."""
    before = time.process_time()
    planned = plan(snapshot)
    if judging is not None:
        asyncio.run(judging.follow(snapshot, planned))
    statuses(snapshot, planned, {}, detections=judging.said if judging is not None else {})
    return time.process_time() - before


def one_by_one() -> Iterator[tuple[str, Question]]:
    """Every preset, and the worst that can be written, with the baseline."""
    presets = [(each.name, {"preset": "".join(map(str.title, each.name.split("-")))}) for each in preset_detections()]
    hostile = [(name, {"selection": each.model_dump(mode="json", by_alias=True)}) for name, each in SELECTIONS.items()]
    for name, detection in [*presets, *hostile]:
        spec = {"preset": "Metadata", "detections": [{"name": "it", **detection}]}
        snapshot = snapshot_of([parsed("AuditPolicy", {"name": "p", "namespace": "web"}, spec)])
        asked, *_ = questions(snapshot, plan(snapshot)).values()
        if asked[0].question is not None:
            yield name, asked[0].question
