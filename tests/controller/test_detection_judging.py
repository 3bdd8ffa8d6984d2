"""Detections are judged beside the plan: equal questions once, in turn, and nobody's wait for another's."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, suppress

from audit_operator.api.policy_status import CanFire
from audit_operator.controller import detection_judging
from audit_operator.controller.detection_judging import DetectionJudging
from audit_operator.plan import plan
from tests.plan.objects import audit_policy, cluster_policy
from tests.plan.test_detections import EXEC, METADATA, hostile, world


class Asked:
    """Counts what is really judged."""

    def __init__(self, monkeypatch, fail=None):
        self.questions, self.fail, self._judge = [], fail, detection_judging.verdict
        monkeypatch.setattr(detection_judging, "verdict", self)

    def __call__(self, question):
        self.questions.append(question)
        if self.fail is not None and self.fail(question):
            raise RuntimeError("injected")
        return self._judge(question)


class Changes:
    def __init__(self):
        self.seen, self.event = 0, asyncio.Event()

    def __call__(self):
        self.seen += 1
        self.event.set()


async def follow(judging, *policies):
    snapshot = world(*policies)
    await judging.follow(snapshot, plan(snapshot))
    return {ref: [each.verdict.can_fire for each in those] for ref, those in judging.said.items()}


@asynccontextmanager
async def running(judging):
    task = asyncio.create_task(judging.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_equal_questions_are_judged_once_and_an_unchanged_plan_judges_nothing(monkeypatch):
    asked, judging = Asked(monkeypatch), DetectionJudging(Changes())
    policies = [audit_policy(f"team-{each}", rules=METADATA, detections=[EXEC]) for each in range(20)]
    assert set(map(tuple, (await follow(judging, *policies)).values())) == {(CanFire.YES,)}
    assert len(asked.questions) == 1
    await follow(judging, *policies)
    threshold = [audit_policy("more", rules=METADATA, detections=[{**EXEC, "threshold": 7, "name": "other"}])]
    await follow(judging, *policies, *threshold)
    assert len(asked.questions) == 1


async def test_what_takes_long_is_judged_in_the_background_in_turn(monkeypatch):
    changes = Changes()
    asked, judging = Asked(monkeypatch), DetectionJudging(changes)
    await follow(judging)  # the first time, more is waited for
    bad = [hostile(f"bad-{each}") for each in range(3)]
    good = audit_policy("z-good", rules=METADATA, detections=[EXEC])
    first = await follow(judging, *bad, good)
    assert judging.waiting
    assert first[good.ref] == [CanFire.NOT_JUDGED]
    async with running(judging), asyncio.timeout(120):
        while judging.waiting:
            await changes.event.wait()
    assert asked.questions[-1].condition is not None
    said = await follow(judging, *bad, good)
    assert said[good.ref] == [CanFire.YES]
    assert judging.waiting == 0


async def test_while_it_is_judged_anew_the_former_verdict_stands(monkeypatch):
    changes = Changes()
    judging = DetectionJudging(changes)
    policy = cluster_policy(rules=METADATA, detections=[EXEC])
    assert (await follow(judging, policy))[policy.ref] == [CanFire.YES]
    asked = Asked(monkeypatch)
    changed = cluster_policy(rules=[{"level": "None"}], detections=[EXEC])
    assert (await follow(judging, changed))[policy.ref] == [CanFire.YES]
    assert (asked.questions, judging.waiting) == ([], 1)
    another = cluster_policy(rules=[{"level": "None"}], detections=[{"name": "exec", "preset": "TokenMinting"}])
    assert (await follow(judging, another))[policy.ref] == [CanFire.NOT_JUDGED]
    async with running(judging), asyncio.timeout(60):
        while judging.waiting:
            await changes.event.wait()
    assert (await follow(judging, another))[policy.ref] == [CanFire.NO]


async def test_a_verdict_that_is_the_same_as_before_is_no_reason_to_plan_again():
    changes = Changes()
    judging = DetectionJudging(changes)
    await follow(judging, cluster_policy(rules=METADATA, detections=[EXEC]))
    await follow(judging, cluster_policy(rules=[{"level": "Request"}], detections=[EXEC]))
    async with running(judging), asyncio.timeout(60):
        while judging.waiting:  # noqa: ASYNC110 - that nothing is said of it is the point
            await asyncio.sleep(0.01)
        silent = cluster_policy(rules=[{"level": "None"}], detections=[EXEC])
        assert (await follow(judging, silent))[silent.ref] == [CanFire.YES]
        await changes.event.wait()
        assert changes.seen == 1
    assert (await follow(judging, silent))[silent.ref] == [CanFire.NO]


async def test_questions_that_are_put_while_others_are_answered_are_answered_too(monkeypatch):
    changes = Changes()
    judging = DetectionJudging(changes)
    await follow(judging)
    asked, begun, go_on = Asked(monkeypatch), threading.Event(), threading.Event()

    def slowly(question):
        begun.set()
        assert go_on.wait(60)
        return asked(question)

    monkeypatch.setattr(detection_judging, "verdict", slowly)
    await follow(judging, cluster_policy(rules=METADATA, detections=[EXEC]))
    async with running(judging), asyncio.timeout(60):
        await asyncio.to_thread(begun.wait)
        later = cluster_policy(rules=[{"level": "Request"}], detections=[EXEC])
        assert (await follow(judging, later))[later.ref] == [CanFire.NOT_JUDGED]
        go_on.set()
        await changes.event.wait()
    assert len(asked.questions) == 2
    assert (await follow(judging, later))[later.ref] == [CanFire.YES]


async def test_a_defect_that_one_question_brings_out_is_said_there_alone(monkeypatch):
    defects = Changes()
    asked = Asked(monkeypatch, fail=lambda question: "secrets" in repr(question.condition))
    judging = DetectionJudging(Changes(), defects)
    secrets = {"name": "secrets", "preset": "SecretEnumeration"}
    policy = audit_policy(rules=METADATA, detections=[secrets, EXEC])
    assert (await follow(judging, policy))[policy.ref] == [CanFire.NOT_JUDGED, CanFire.YES]
    assert (defects.seen, len(asked.questions)) == (1, 2)


async def test_answers_that_nobody_asks_for_are_forgotten(monkeypatch):
    monkeypatch.setattr(detection_judging, "_SPARE", 2)
    judging = DetectionJudging(Changes())
    for each in range(10):
        rules = [{"level": "None", "users": [f"user-{each}"]}, *METADATA]
        await follow(judging, audit_policy(rules=rules, detections=[EXEC]))
    assert len(judging._known) == 3
