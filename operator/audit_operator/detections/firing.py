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
from audit_operator.detections.moment import Moment, character, moments_of
from audit_operator.detections.recording import Recording
from audit_operator.detections.solving import solve
from audit_operator.detections.universe import Universe
from audit_operator.detections.witness import Witness, witness
from audit_operator.detections.work import Work, WorkEndedError
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.model import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from audit_operator.api.audit import Stage
    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.condition import Condition
    from audit_operator.detections.rule import DetectionRule
    from audit_operator.policy.model import Decision, Policy, Rule


class Firing(StrEnum):
    """Whether a rule can fire."""

    CAN = "can fire"
    PARTLY = "can fire in part"
    """For some of the operations that it is about, or in some namespaces, and not for others."""
    CANNOT = "cannot fire"
    NEVER = "cannot fire with any policy"
    UNJUDGED = "cannot be judged"


@dataclass(frozen=True, slots=True)
class Want:
    """An operation whose events would fire a rule, if only they were recorded.

    Attributes:
        request: one of which an event would fire it.
        level, stage: of that event; the lowest level that does.
        decision: what becomes of the request.
        rule: the rule that decides that, where one does.
        elsewhere: whether it is recorded as needed in another namespace.
    """

    operation: Operation
    request: Request
    level: Level
    stage: Stage
    decision: Decision
    rule: Rule | None
    elsewhere: bool = False

    @property
    def reason(self) -> str:
        """Why it is not recorded as needed; rules are named by their numbers."""
        return self.because(f"rules[{self.decision.rule}]")

    def because(self, named: str) -> str:
        """The same with another name for the rule that decides."""
        request, decision = self.request, self.decision
        by = named if self.rule is not None else "no rule matches"
        where = f" in namespaces such as {request.namespace}" if self.elsewhere else ""
        done = f"{request.verb} {self.operation.target}{where}"
        who = f" by {request.user.name}" if request.user else " by a caller whose authentication failed"
        if decision.level is Level.NONE:
            return f"{done}{who} is not recorded ({by}); it needs level {self.level} and stage {self.stage}"
        if self.stage in decision.omit_stages and decision.level >= self.level:
            return f"{done}{who} is recorded without stage {self.stage} ({by})"
        only = "at level" if decision.level > self.level else "level"
        return f"{done}{who} is recorded at {decision.level} ({by}); it needs {only} {self.level}" + (
            ", no more" if decision.level > self.level else ""
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a rule can fire with a policy.

    Attributes:
        witness: a recorded event that fires it.
        able: how many of the operations that it is about are recorded as needed, in every namespace.
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
_NAMESPACE = ("objectRef", "namespace")
_MOST_PLACES = 8
"""Most namespaces of which each is asked about by itself; the first stands for all that nobody names."""
_OF_ITS_OWN = frozenset({"requestURI", "requestObject", "responseObject"})
"""Fields that hold, for each operation, something else."""
_OPERATION, _DECISION, _MOMENT = 30, 10, 5
"""Steps that it takes to look at an operation, to evaluate a policy, and to look at a moment."""


@dataclass(frozen=True, slots=True)
class _Found:
    witness: Witness | None = None
    moment: Moment | None = None
    doubts: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def judge(
    rule: DetectionRule, recorded: Policy | Recording, *, namespace: str = "", work: Work | None = None
) -> Judgement:
    """Whether the rule can fire with what is recorded, with a witness or with what is missing.

    With a namespace, it is about requests in that one alone, and `recorded` is what becomes of those. What is not
    decided within `work` is not judged; as steps are counted and not seconds, that is the same each time.
    """
    if rule.disabled:
        return Judgement(rule, Firing.NEVER, "it is switched off in its file")
    if rule.condition is None:
        return Judgement(rule, Firing.UNJUDGED, rule.problem)
    try:
        return _Judge(rule, Recording.of(recorded), namespace, work or Work()).judged(rule.condition)
    except WorkEndedError:
        return Judgement(rule, Firing.UNJUDGED, TOO_MUCH)


TOO_MUCH = "there is too much that it can be about, or its tests have too many values: it takes too long to judge"


@dataclass(frozen=True, slots=True)
class _Judge:
    rule: DetectionRule
    recording: Recording
    namespace: str
    work: Work

    def judged(self, condition: Condition) -> Judgement:
        rule = self.rule
        judgement = self._of(condition)
        for each in rule.further:
            besides = self._of(each)
            if besides.firing in (Firing.CANNOT, Firing.NEVER):
                return besides
        if judgement.firing in (Firing.CANNOT, Firing.NEVER):
            if rule.loose is not None and self._of(rule.loose).firing is not judgement.firing:
                why = "it depends on what its language makes of fields that are absent"
                return Judgement(rule, Firing.UNJUDGED, why)
        elif rule.problem:
            # What is understood is necessary, and not all that is needed.
            return replace(judgement, firing=Firing.UNJUDGED, reason=_beside(rule.problem, judgement))
        return judgement

    def _of(self, written: Condition) -> Judgement:
        condition = fold(written, self._of_namespace)
        if not may_be(condition, truth=True):
            return Judgement(self.rule, Firing.NEVER, "its condition is false whatever happens")
        search = _Search(Universe.of(condition, self.recording, self.namespace, self.work), self.recording, self.work)
        cost = _OPERATION + sum(test.cost for test in tests_of(condition))
        seen = _Seen(search)
        able: list[_Found] = []
        wants: list[Want] = []
        beside: list[Want] = []
        whole = 0
        doubts: list[str] = []
        for operation in search.universe.operations:
            self.work.spend(cost)
            residual = fold(condition, partial(_of_operation, operation))
            if not may_be(residual, truth=True):
                continue
            sort = seen.sort(operation, residual, condition)
            if sort.found.witness:
                able.append(sort.found)
                missed = search.missed(operation, residual, condition, sort.found)
                if missed is not None:
                    wants.append(search.want(operation, missed, elsewhere=True))
                whole += missed is None
            elif sort.wanted is not None:
                (beside if _changes_nothing(operation, residual) else wants).append(search.want(operation, sort.wanted))
            doubts += sort.doubts
        if not able and not wants:
            wants = beside
        wants.sort(key=lambda each: each.level.rank)
        return _conclude(self.rule, able, whole, tuple(wants), doubts)

    def _of_namespace(self, test: Test) -> Constant | None:
        if self.namespace and test.field.path == _NAMESPACE:
            return Constant(test.holds((self.namespace,)))
        return None


def _changes_nothing(operation: Operation, condition: Condition) -> bool:
    """Whether a rule looks into a spec that is sent along with a status: the API server leaves it as it was."""
    sent = ("requestObject", "spec")
    return operation.subresource == "status" and any(test.field.path[:2] == sent for test in tests_of(condition))


def _beside(problem: str, judgement: Judgement) -> str:
    """What is not understood, and what is known of the rest."""
    if judgement.firing is Firing.UNJUDGED:
        return problem
    rest = "all that is understood can be seen" if judgement.firing is Firing.CAN else judgement.reason
    return f"{problem}; {rest}"


def _conclude(
    rule: DetectionRule, able: list[_Found], whole: int, wants: tuple[Want, ...], doubts: list[str]
) -> Judgement:
    if able:
        unseen = tuple(dict.fromkeys(place for each in able for place in each.unseen))
        firing, reason = Firing.CAN, ""
        if wants:
            firing = Firing.PARTLY
            reason = f"{_counted(len(wants), whole)}: {wants[0].reason}"
        return Judgement(rule, firing, reason, able[0].witness, whole, wants, unseen)
    if doubts:
        return Judgement(rule, Firing.UNJUDGED, doubts[0], wants=wants)
    if wants:
        return Judgement(rule, Firing.CANNOT, wants[0].reason, wants=wants)
    return Judgement(rule, Firing.NEVER, "no request makes the API server write an event that fits it")


def _counted(wants: int, able: int) -> str:
    return f"{wants} of {able + wants} kinds of request are not recorded as needed"


@dataclass(frozen=True, slots=True)
class _Sort:
    """What was found of an operation, which holds for all that are like it.

    Attributes:
        wanted: the event that would fire the rule, where none that is recorded does.
    """

    found: _Found
    wanted: Moment | None
    doubts: tuple[str, ...]


class _Seen:
    """What was found of operations, so that it need not be looked for again in those that are like them."""

    def __init__(self, search: _Search) -> None:
        self._search = search
        self._able: dict[Hashable, _Sort] = {}
        self._unable: dict[Hashable, dict[Hashable, _Sort]] = {}

    def sort(self, operation: Operation, residual: Condition, whole: Condition) -> _Sort:
        """What there is to be found of an operation."""
        search = self._search
        shape = search.shape(operation, residual)
        alike = self._able.get(shape)
        if alike is not None and alike.found.moment and search.records(operation, alike.found.moment):
            return alike
        unable = self._unable.get(shape, {})
        known = unable.get(search.decisions(operation)) if unable else None
        if known is not None:
            return known
        sort = search.sort(operation, residual, whole)
        if sort.found.witness:
            self._able[shape] = sort
        else:
            self._unable.setdefault(shape, {})[search.decisions(operation)] = sort
        return sort


class _Search:
    """Looks for events, each of which is either recorded by a policy or thinkable."""

    def __init__(self, universe: Universe, recording: Recording, work: Work) -> None:
        self.universe = universe
        self._recording = recording
        self._work = work
        self._there: dict[str, _Search] = {}
        self._missed: dict[Hashable, Moment | None] = {}
        self._rules = recording.policy.rules
        self._decide: Callable[[Request], Decision] = recording.evaluator()

    def shape(self, operation: Operation, residual: Condition) -> Hashable:
        """Equal for operations whose events differ in nothing that is asked for: all that `Moment` makes of them."""
        asked = {test.field.path[0] for test in tests_of(residual)}
        if not asked.isdisjoint(_OF_ITS_OWN):
            return operation
        place = (operation.in_namespace, operation.is_across_namespaces, operation.is_on_namespace)
        return residual, operation.verb, operation.is_named, place, character(operation)

    def decisions(self, operation: Operation) -> Hashable:
        """What becomes of every request of an operation."""
        return tuple(self._recorded_as(operation.request(*each)) for each in self.universe.situations(operation))

    def records(self, operation: Operation, moment: Moment) -> bool:
        """Whether the same moment of another operation is recorded in the same way."""
        level, omitted = self._recorded_as(operation.request(moment.user, moment.namespace, moment.name))
        return level is moment.level and moment.stage not in omitted

    def _recorded_as(self, request: Request) -> tuple[Level, frozenset[Stage]]:
        self._work.spend(_DECISION)
        decision = self._decide(request)
        return decision.level, decision.omit_stages

    def sort(self, operation: Operation, residual: Condition, whole: Condition) -> _Sort:
        """What there is to be found."""
        found = self.recorded(operation, residual, whole)
        if found.witness:
            return _Sort(found, None, ())
        wanted = self.thinkable(operation, residual, whole)
        return _Sort(found, wanted.moment if not found.doubts else None, found.doubts or wanted.doubts)

    def missed(self, operation: Operation, residual: Condition, whole: Condition, found: _Found) -> Moment | None:
        """What would fire the rule in a namespace where nothing that is recorded does, though it does elsewhere.

        It is looked for where the request that was found is recorded in another way.
        """
        moment = found.moment
        if moment is None or not operation.in_namespace:
            return None
        here = self._recorded_as(operation.request(moment.user, moment.namespace, moment.name))
        for place in self.universe.namespaces[:_MOST_PLACES]:
            if self._recorded_as(operation.request(moment.user, place, moment.name)) != here:
                wanted = self._missed_in(place, operation, residual, whole)
                if wanted is not None:
                    return wanted
        return None

    def _missed_in(self, place: str, operation: Operation, residual: Condition, whole: Condition) -> Moment | None:
        if place not in self._there:
            universe = replace(self.universe, namespaces=(place,))
            self._there[place] = _Search(universe, self._recording, self._work)
        there = self._there[place]
        key = (place, there.shape(operation, residual), there.decisions(operation))
        if key not in self._missed:
            self._missed[key] = there.sort(operation, residual, whole).wanted
        return self._missed[key]

    def want(self, operation: Operation, wanted: Moment, *, elsewhere: bool = False) -> Want:
        """The event that is missing, of an operation that is like that of the one that was found."""
        request = operation.request(wanted.user, wanted.namespace, wanted.name)
        decision = self._decide(request)
        rule = None if decision.rule is None else self._rules[decision.rule]
        return Want(operation, request, wanted.level, wanted.stage, decision, rule, elsewhere)

    def recorded(self, operation: Operation, residual: Condition, whole: Condition) -> _Found:
        """An event that the policy records."""
        doubts = [_TRUNCATED] if self.universe.truncated else []
        return self._first(self._recorded(operation), residual, whole, doubts)

    def thinkable(self, operation: Operation, residual: Condition, whole: Condition) -> _Found:
        """An event that some policy would record, at the lowest level that does."""
        found = _Found()
        for level in (Level.METADATA, Level.REQUEST, Level.REQUEST_RESPONSE):
            found = self._first(self._thinkable(operation, level), residual, whole, list(found.doubts))
            if found.witness:
                break
        return found

    def _recorded(self, operation: Operation) -> Iterator[Moment]:
        for user, namespace, name in self.universe.situations(operation):
            level, omitted = self._recorded_as(operation.request(user, namespace, name))
            if level is not Level.NONE:
                for stage, outcome in moments_of(operation, user):
                    if stage not in omitted:
                        yield Moment(operation, user, namespace, name, stage, outcome, level)

    def _thinkable(self, operation: Operation, level: Level) -> Iterator[Moment]:
        for user, namespace, name in self.universe.situations(operation):
            for stage, outcome in moments_of(operation, user):
                yield Moment(operation, user, namespace, name, stage, outcome, level)

    def _first(self, moments: Iterator[Moment], residual: Condition, whole: Condition, doubts: list[str]) -> _Found:
        narrowing = _Narrowing(residual, self._work)
        refuted = set[object]()
        for moment in moments:
            self._work.spend(_MOMENT)
            place = narrowing.to(moment)
            # Whoever sends it, where nothing is asked of the sender.
            key = (id(place), moment.stage, moment.outcome, moment.level, moment.user is None)
            if place.hopeless or (not place.asks_user and key in refuted):
                continue
            if place.asks_user:
                self._work.spend(narrowing.cost)
            remaining = fold(place.condition, moment.known_of_user) if place.asks_user else place.condition
            if not may_be(remaining, truth=True) or (id(place), remaining) in refuted:
                continue
            answer = solve(remaining, moment.domain, self._work)
            if answer.values is not None:
                found = witness(moment, answer.values)
                if evaluate(whole, found.event) is True and _is_of(found, moment):
                    return _Found(found, moment, unseen=tuple(_unseen(residual, moment)))
                answer.doubts.append("an event was found that does not stand up to being checked")
            refuted.add((id(place), remaining) if place.asks_user else key)
            doubts += answer.doubts
        return _Found(doubts=tuple(dict.fromkeys(doubts)))


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

    def __init__(self, condition: Condition, work: Work) -> None:
        self._condition = condition
        self._work = work
        self.cost = sum(test.cost for test in tests_of(condition))
        self._at: dict[tuple[object, ...], Condition] = {}
        self._places: dict[tuple[object, ...], _Place] = {}

    def to(self, moment: Moment) -> _Place:
        """What is left but for what depends on the user."""
        key = (moment.stage, moment.outcome, moment.level)
        where = (*key, moment.namespace, moment.name)
        if where not in self._places:
            self._work.spend(self.cost)
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
