"""Can a rule fire with a policy as it is?

For each operation that a rule is about, an event is looked for that the policy records and that fires it. What is found
is checked by itself: the policy is evaluated for the event's request as replay does, and the condition for the event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.detections.condition import Constant, Every, Negation, Some, Test, evaluate, fold, may_be, tests_of
from audit_operator.detections.domain import ABSENT
from audit_operator.detections.moment import Moment, moments_of
from audit_operator.detections.solving import solve
from audit_operator.detections.universe import Universe
from audit_operator.detections.witness import Witness, witness
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.compiled_evaluator import compile_evaluator
from audit_operator.policy.model import Decision, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.condition import Condition
    from audit_operator.detections.rule import DetectionRule
    from audit_operator.policy.model import Policy


class Firing(StrEnum):
    """Whether a rule can fire."""

    CAN = "can fire"
    PARTLY = "can fire in part"
    """For some of the operations that it is about, and not for others."""
    CANNOT = "cannot fire"
    NEVER = "cannot fire with any policy"
    UNJUDGED = "cannot be judged"


@dataclass(frozen=True, slots=True)
class Want:
    """An operation whose events would fire a rule, if only they were recorded.

    Attributes:
        wanted: an event that fires it, at the lowest level that does.
        decision: what the policy decides about the request of that event.
    """

    wanted: Witness
    decision: Decision

    @property
    def reason(self) -> str:
        """Why it is not recorded as needed."""
        request, decision, wanted = self.wanted.request, self.decision, self.wanted
        by = f"rules[{decision.rule}]" if decision.rule is not None else "no rule matches"
        done = f"{request.verb} {wanted.operation.target}"
        who = f" by {request.user.name}" if request.user else " by a caller whose authentication failed"
        if decision.level is Level.NONE:
            return f"{done}{who} is not recorded ({by}); it needs level {wanted.level} and stage {wanted.stage}"
        if wanted.stage in decision.omit_stages and decision.level >= wanted.level:
            return f"{done}{who} is recorded without stage {wanted.stage} ({by})"
        only = "at level" if decision.level > wanted.level else "level"
        return f"{done}{who} is recorded at {decision.level} ({by}); it needs {only} {wanted.level}" + (
            ", no more" if decision.level > wanted.level else ""
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a rule can fire with a policy.

    Attributes:
        witness: a recorded event that fires it.
        able: how many of the operations that it is about are recorded as needed.
        wants: those that are not, with what they need; the lowest level first.
        unseen: what it would leave out and cannot, since the policy does not record it: there it fires too often.
        reason: why, in a sentence.
    """

    rule: DetectionRule
    firing: Firing
    reason: str
    witness: Witness | None = None
    able: int = 0
    wants: tuple[Want, ...] = ()
    unseen: tuple[str, ...] = ()


_TRUNCATED = "more users, namespaces and objects are named than are asked about"


@dataclass(frozen=True, slots=True)
class _Found:
    witness: Witness | None
    doubts: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def judge(rule: DetectionRule, policy: Policy) -> Judgement:
    """Whether the rule can fire with the policy, with a witness or with what is missing."""
    if rule.disabled:
        return Judgement(rule, Firing.NEVER, "it is switched off in its file")
    if rule.condition is None:
        return Judgement(rule, Firing.UNJUDGED, rule.problem)
    judgement = _judge(rule, rule.condition, policy)
    for each in rule.further:
        besides = _judge(rule, each, policy)
        if besides.firing in (Firing.CANNOT, Firing.NEVER):
            return besides
    if judgement.firing in (Firing.CANNOT, Firing.NEVER):
        if rule.loose is not None and _judge(rule, rule.loose, policy).firing is not judgement.firing:
            return Judgement(rule, Firing.UNJUDGED, "it depends on what its language makes of fields that are absent")
    elif rule.problem:
        # What is understood is necessary, and not all that is needed.
        return replace(judgement, firing=Firing.UNJUDGED, reason=rule.problem)
    return judgement


def _judge(rule: DetectionRule, condition: Condition, policy: Policy) -> Judgement:
    if not may_be(fold(condition, lambda _: None), truth=True):
        return Judgement(rule, Firing.NEVER, "its condition is false whatever happens")
    search = _Search(Universe.of(condition, policy), policy)
    able: list[_Found] = []
    wants: list[Want] = []
    doubts: list[str] = []
    for operation in search.universe.operations:
        residual = fold(condition, partial(_of_operation, operation))
        if not may_be(residual, truth=True):
            continue
        found = search.recorded(operation, residual, condition)
        if found.witness:
            able.append(found)
            continue
        wanted = search.thinkable(operation, residual, condition)
        if wanted.witness and not found.doubts:
            wants.append(Want(wanted.witness, search.decide(wanted.witness.request)))
        doubts += found.doubts or wanted.doubts
    wants.sort(key=lambda each: each.wanted.level.rank)
    return _conclude(rule, able, tuple(wants), doubts)


def _conclude(rule: DetectionRule, able: list[_Found], wants: tuple[Want, ...], doubts: list[str]) -> Judgement:
    if able:
        unseen = tuple(dict.fromkeys(place for each in able for place in each.unseen))
        firing, reason = Firing.CAN, ""
        if wants:
            firing = Firing.PARTLY
            counted = f"{len(wants)} of {len(able) + len(wants)} kinds of request are not recorded as needed"
            reason = f"{counted}: {wants[0].reason}"
        return Judgement(rule, firing, reason, able[0].witness, len(able), wants, unseen)
    if doubts:
        return Judgement(rule, Firing.UNJUDGED, doubts[0], wants=wants)
    if wants:
        return Judgement(rule, Firing.CANNOT, wants[0].reason, wants=wants)
    return Judgement(rule, Firing.NEVER, "no request makes the API server write an event that fits it")


class _Search:
    """Looks for events, each of which is either recorded by a policy or thinkable."""

    def __init__(self, universe: Universe, policy: Policy) -> None:
        self.universe = universe
        self.decide: Callable[[Request], Decision] = compile_evaluator(policy)

    def recorded(self, operation: Operation, residual: Condition, whole: Condition) -> _Found:
        """An event that the policy records."""
        doubts = (
            ["more users, namespaces and objects are named than are asked about"] if self.universe.truncated else []
        )
        return self._first(self._recorded(operation), residual, whole, doubts)

    def thinkable(self, operation: Operation, residual: Condition, whole: Condition) -> _Found:
        """An event that some policy would record, at the lowest level that does."""
        found = _Found(None)
        for level in (Level.METADATA, Level.REQUEST, Level.REQUEST_RESPONSE):
            found = self._first(self._thinkable(operation, level), residual, whole, list(found.doubts))
            if found.witness:
                break
        return found

    def _recorded(self, operation: Operation) -> Iterator[Moment]:
        for user, namespace, name in self.universe.situations(operation):
            decision = self.decide(operation.request(user, namespace, name))
            if decision.level is not Level.NONE:
                for stage, outcome in moments_of(operation, user):
                    if stage not in decision.omit_stages:
                        yield Moment(operation, user, namespace, name, stage, outcome, decision.level)

    def _thinkable(self, operation: Operation, level: Level) -> Iterator[Moment]:
        for user, namespace, name in self.universe.situations(operation):
            for stage, outcome in moments_of(operation, user):
                yield Moment(operation, user, namespace, name, stage, outcome, level)

    def _first(self, moments: Iterator[Moment], residual: Condition, whole: Condition, doubts: list[str]) -> _Found:
        narrowing = _Narrowing(residual)
        refuted = set[object]()
        for moment in moments:
            place = narrowing.to(moment)
            # Whoever sends it, where nothing is asked of the sender.
            key = (id(place), moment.stage, moment.outcome, moment.level, moment.user is None)
            if place.hopeless or (not place.asks_user and key in refuted):
                continue
            remaining = fold(place.condition, moment.known_of_user) if place.asks_user else place.condition
            if not may_be(remaining, truth=True) or (id(place), remaining) in refuted:
                continue
            answer = solve(remaining, moment.domain)
            if answer.values is not None:
                found = witness(moment, answer.values)
                if evaluate(whole, found.event) is True and _is_of(found, moment):
                    return _Found(found, unseen=tuple(_unseen(residual, moment)))
                answer.doubts.append("an event was found that does not stand up to being checked")
            refuted.add((id(place), remaining) if place.asks_user else key)
            doubts += answer.doubts
        return _Found(None, tuple(dict.fromkeys(doubts)))


def _unseen(condition: Condition, moment: Moment, *, excluding: bool = False) -> Iterator[str]:
    """Exclusions that never apply, since they ask for bodies that could be recorded and are not."""
    match condition:
        case Test(field):
            fuller = replace(moment, level=Level.REQUEST_RESPONSE)
            if excluding and moment.domain(field.path) == ABSENT != fuller.domain(field.path):
                yield condition.place
        case Negation(part):
            yield from _unseen(part, moment, excluding=not excluding)
        case Every(parts) | Some(parts):
            for part in parts:
                yield from _unseen(part, moment, excluding=excluding)


@dataclass(frozen=True, slots=True)
class _Place:
    """What is left of a condition in one place at one stage.

    Attributes:
        hopeless: whether it cannot hold.
        asks_user: whether it depends on who sends the request.
    """

    condition: Condition
    hopeless: bool
    asks_user: bool

    @classmethod
    def of(cls, condition: Condition) -> _Place:
        asks_user = any(test.field.path[0] == "user" for test in tests_of(condition))
        return cls(condition, not may_be(condition, truth=True), asks_user)


class _Narrowing:
    """A condition with what is known of moments put in, step by step: most of it is the same for many of them."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._at: dict[tuple[object, ...], Condition] = {}
        self._places: dict[tuple[object, ...], _Place] = {}

    def to(self, moment: Moment) -> _Place:
        """What is left but for what depends on the user."""
        key = (moment.stage, moment.outcome, moment.level)
        where = (*key, moment.namespace, moment.name)
        if where not in self._places:
            if key not in self._at:
                self._at[key] = fold(self._condition, lambda test: _anywhere(moment, test))
            self._places[where] = _Place.of(fold(self._at[key], moment.known_to))
        return self._places[where]


def _anywhere(moment: Moment, test: Test) -> Constant | None:
    """What a test amounts to wherever the request is sent."""
    return None if test.field.path[0] in ("objectRef", "requestURI") else moment.known_to(test)


def _of_operation(operation: Operation, test: Test) -> Constant | None:
    """What a test amounts to in every event of an operation; None if that depends."""
    known = {
        ("verb",): operation.verb,
        ("objectRef", "resource"): operation.resource,
        ("objectRef", "subresource"): operation.subresource,
        ("objectRef", "apiGroup"): operation.api_group,
    }.get(test.field.path)
    if known is None:
        return None
    return Constant(test.holds((known,) if known else ()))


def _is_of(found: Witness, moment: Moment) -> bool:
    """Whether the event leads back to its request: by it the policy was asked."""
    request = request_from_event(found.event)
    if not isinstance(request, Request):
        return False
    seen = (request.verb, request.resource_request, request.api_group, request.resource, request.subresource)
    meant = moment.request
    same = seen == (meant.verb, meant.resource_request, meant.api_group, meant.resource, meant.subresource)
    return same and (request.namespace, request.name, request.user) == (meant.namespace, meant.name, meant.user)
