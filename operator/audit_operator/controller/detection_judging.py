"""Judges whether detections of policies can fire, beside the plan: what one tenant asks keeps nobody's policy waiting.

An answer depends on the question alone, so that it stays until the question is another. What can be answered at once is
in the statuses of the same reconciliation; the rest is answered in the background, the first detection of every policy
before the second of any.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import CanFire
from audit_operator.plan.detection_answers import Verdict, told, unanswered, verdict
from audit_operator.plan.detection_questions import questions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.detection_answers import Told
    from audit_operator.plan.detection_questions import Asked, Question

_LOG = logging.getLogger(__name__)

AT_ONCE = 100_000
"""Steps for which statuses wait, a tenth of a second, and after which the last question is the last."""
AT_FIRST = 2_000_000
"""The same after a start: statuses that are written twice cost more than a wait."""
_QUESTION = 1_000
"""Steps that a question costs besides those that are counted."""
_REPORT = 15.0
"""Seconds of judging after which statuses are made anew, though more is to be judged."""
_SPARE = 128
"""Answers that are kept although nobody asks: policies that are edited to and fro."""
_DEFECT = Verdict(CanFire.NOT_JUDGED, "a defect of the operator; its log says more", "report it")

Answers = dict["Question", Verdict]


@dataclass(slots=True)
class DetectionJudging:
    """`on_change` is called when more is known than statuses say, `on_defect` when a question brings out a bug."""

    on_change: Callable[[], None]
    on_defect: Callable[[], None] = lambda: None
    said: Mapping[ObjectRef, tuple[Told, ...]] = field(default_factory=dict)
    waiting: int = 0
    _known: Answers = field(default_factory=dict)
    _asked: Mapping[ObjectRef, tuple[Asked, ...]] = field(default_factory=dict)
    _first: bool = True
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, snapshot: Snapshot, planned: Plan) -> None:
        """Put the questions of these facts from now on, and answer what can be answered at once."""
        asked = await asyncio.to_thread(questions, snapshot, planned)
        first, self._first = self._first, False
        steps = AT_FIRST if first else AT_ONCE
        answers, waiting = await asyncio.to_thread(self._answer, asked, dict(self._known), steps, patient=first)
        self._known |= answers
        self._known = _kept(self._known, asked)
        said = await self._told(asked)
        self._asked, self.said, self.waiting = asked, said, waiting
        if self.waiting:
            self._wake.set()

    async def run(self) -> None:
        """Answer for ever what was left. Raises nothing: a bug must not be the end of judging, nor of all the rest."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._answer_all()
            except Exception as error:  # noqa: BLE001 - see the docstring
                self.on_defect()
                _LOG.error("Detections not judged", exc_info=error, extra={"reason": type(error).__name__})

    async def _answer_all(self) -> None:
        """Half of the time is everybody else's."""
        reported, is_done = time.monotonic(), False
        while not is_done:
            began, asked = time.monotonic(), self._asked
            known = dict(self._known)
            answers, left = await asyncio.to_thread(self._answer, asked, known, AT_ONCE, patient=True)
            self._known |= answers
            if asked is self._asked:  # else, others have been put meanwhile
                self.waiting, is_done = left, not left
            if time.monotonic() - reported > _REPORT and not is_done:
                reported = time.monotonic()
                self.on_change()
            await asyncio.sleep(time.monotonic() - began)
        # Most changes of a policy leave verdicts on others as they are: that is no reason to plan again.
        if await self._told(self._asked) != self.said:
            self.on_change()

    async def _told(self, asked: Mapping[ObjectRef, tuple[Asked, ...]]) -> dict[ObjectRef, tuple[Told, ...]]:
        """What is known of these, and of what is not known what statuses say now."""
        known = _by_identity(dict(self._known))
        return await asyncio.to_thread(told, asked, known, partial(_before, self._asked, self.said))

    def _answer(
        self, asked: Mapping[ObjectRef, tuple[Asked, ...]], known: Answers, steps: int, *, patient: bool
    ) -> tuple[Answers, int]:
        """More answers, for about so many steps, and how many policies wait for another one.

        Whoever is not patient leaves out questions about whole clusters: they take longest, and each change of any
        policy makes them others.
        """
        fresh: Answers = {}
        while todo := unanswered(asked, _by_identity(known)):
            now = [each for each in todo if each.namespace or patient]
            for each in now:
                if steps <= 0:
                    return fresh, len(todo)
                fresh[each] = known[each] = self._verdict(each)
                steps -= known[each].steps + _QUESTION
            if not now:
                return fresh, len(todo)
        return fresh, 0

    def _verdict(self, question: Question) -> Verdict:
        try:
            return verdict(question)
        except Exception as error:  # noqa: BLE001 - one tenant's question must not be the end of judging
            _LOG.error("A detection cannot be judged", exc_info=error, extra={"reason": type(error).__name__})
            self.on_defect()
            return _DEFECT


def _before(
    asked: Mapping[ObjectRef, tuple[Asked, ...]],
    said: Mapping[ObjectRef, tuple[Told, ...]],
    ref: ObjectRef,
    one: Asked,
) -> Verdict | None:
    """What was said of a detection that is the same, while what is recorded may be not."""
    now = one.question
    for former, told_then in zip(asked.get(ref, ()), said.get(ref, ()), strict=True):
        then = former.question
        if former.name == one.name and now is not None and then is not None and then.condition == now.condition:
            return told_then.verdict
    return None


def _by_identity(known: Answers) -> Callable[[Question], Verdict | None]:
    """Looks answers up for many policies with the same questions: to compare these each time would take longer."""
    found: dict[int, Verdict | None] = {}

    def get(question: Question) -> Verdict | None:
        answer = found.get(id(question))
        if answer is None:
            answer = found[id(question)] = known.get(question)
        return answer

    return get


def _kept(known: Answers, asked: Mapping[ObjectRef, tuple[Asked, ...]]) -> Answers:
    """The answers to what is asked, and some to what was asked lately."""
    distinct = {id(each): each for each in asked.values()}.values()
    live = {id(each.question): each.question for those in distinct for each in those if each.question}
    answered = {each: known[each] for each in live.values() if each in known}
    spare = [each for each in known if each not in answered][-_SPARE:]
    return {**{each: known[each] for each in spare}, **answered}
