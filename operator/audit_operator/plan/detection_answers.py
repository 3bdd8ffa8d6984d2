"""Whether the detections of policies can fire, and what to change where they cannot: for status, lint and the command.

One function answers, so that all say the same. Each answer costs so many steps at most, and so do all of one policy
together: what is beyond that is not judged, and says so, whatever others have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.policy_status import CanFire
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.detections.enabling import Change, enable
from audit_operator.detections.firing import Firing, Judgement, judge
from audit_operator.detections.rule import DetectionRule, Pack
from audit_operator.detections.work import Work
from audit_operator.policy.explanation_text import describe_rule
from audit_operator.policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.coverage.suggestions import Suggestion
    from audit_operator.detections.enabling import Enabling
    from audit_operator.detections.firing import Want
    from audit_operator.detections.recording import Recording
    from audit_operator.plan.detection_questions import Asked, Question

    Known = Callable[[Question], "Verdict | None"]

CANNOT_FIRE = "detection-cannot-fire"
FIRES_IN_PART = "detection-fires-in-part"
NOT_JUDGED = "detection-not-judged"

IN_NAMESPACE, IN_CLUSTER = 200_000, 1_000_000
"""Most steps that one detection of an AuditPolicy takes, or of a ClusterAuditPolicy; to find what mends it, as many."""
_OF_ONE_POLICY = 2
"""A policy whose detections have taken so many times the most of one is asked about no more of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """To a question.

    Attributes:
        enabling: the smallest change that lets it fire, tried.
        forbidden: whether there is one, but for what limits, or API servers that are only observed, leave of it.
        steps: what it took; equal each time.
    """

    judgement: Judgement
    enabling: Enabling | None = None
    forbidden: str = ""
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer as status needs it: small, and the same for all policies that ask the same.

    Attributes:
        why: and what mends it; empty where nothing is to be said.
    """

    can_fire: CanFire
    why: str = ""
    mend: str = ""
    steps: int = field(default=0, compare=False)

    def finding(self, name: str, path: str) -> Finding | None:
        """What the author of a detection should know of it."""
        if self.can_fire is CanFire.YES:
            return None
        identity, severity, said = _SAID[self.can_fire]
        return Finding(identity, severity, f"{name} {said}: {self.why}", self.mend, path=path)


_SAID = {
    CanFire.NO: (CANNOT_FIRE, Severity.WARNING, "cannot fire"),
    CanFire.NEVER: (CANNOT_FIRE, Severity.WARNING, "cannot fire with any policy"),
    CanFire.IN_PART: (FIRES_IN_PART, Severity.INFO, "fires in part"),
    CanFire.NOT_JUDGED: (NOT_JUDGED, Severity.WARNING, "was not judged"),
}
_CAN_FIRE = {
    Firing.CAN: CanFire.YES,
    Firing.PARTLY: CanFire.IN_PART,
    Firing.CANNOT: CanFire.NO,
    Firing.NEVER: CanFire.NEVER,
    Firing.UNJUDGED: CanFire.NOT_JUDGED,
}


def answer(question: Question) -> Answer:
    """Judge a detection. Takes up to a second; the same each time."""
    namespace, limit = question.namespace, _limit(question)
    rule = DetectionRule(Pack.OWN, "", "", question.condition)
    judging, mending = Work(limit), Work(limit)
    judgement = judge(rule, question.recorded, namespace=namespace, work=judging)
    change = _change(question, replace(question.recorded, limits=question.limits))
    enabling = enable(judgement, change, builtin_catalogue(), work=mending)
    forbidden = ""
    if enabling is None and judgement.firing is Firing.CANNOT:
        forbidden = _forbidden(judgement, question, mending)
    return Answer(judgement, enabling, forbidden, judging.spent + mending.spent)


def _limit(question: Question) -> int:
    return IN_NAMESPACE if question.namespace else IN_CLUSTER


def _change(question: Question, recorded: Recording) -> Change:
    """Rules that are put first in the policy that has the detection."""

    def put_first(suggestion: Suggestion) -> Recording:
        omitted = question.omitted - suggestion.keep_stages
        return replace(recorded, added=Policy((*suggestion.rules, *suggestion.cluster_rules), omitted))

    return Change(recorded, put_first, question.omitted, question.namespace)


def _forbidden(judgement: Judgement, question: Question, work: Work) -> str:
    """Who stands in the way of what would let it fire; empty if nobody known does."""
    recorded = replace(question.recorded, limits=question.limits)
    catalogue = builtin_catalogue()
    if question.limits and enable(judgement, _change(question, replace(recorded, limits=())), catalogue, work=work):
        return "a limit of a ClusterAuditPolicy forbids what it needs: ask whoever owns that, or do without"
    if recorded.given and enable(judgement, _change(question, replace(recorded, given=None)), catalogue, work=work):
        return "the API servers are only observed, and do not record it: ask whoever owns their policy, or do without"
    return ""


def verdict(question: Question) -> Verdict:
    """The same as status says it."""
    given = answer(question)
    judgement = given.judgement
    can_fire = _CAN_FIRE[judgement.firing]
    said = why(judgement, in_namespace=bool(question.namespace))
    return Verdict(can_fire, said, "" if can_fire is CanFire.YES else _mend(given, question), given.steps)


def why(judgement: Judgement, *, in_namespace: bool) -> str:
    """The reason, with rules described: their numbers are those of a compiled policy, which changes with others."""
    if judgement.firing is Firing.NEVER and in_namespace:
        return f"of requests in this namespace: {judgement.reason}"
    if judgement.firing not in (Firing.CANNOT, Firing.PARTLY):
        return judgement.reason
    want = judgement.wants[0]
    because = want.because(_described(want))
    if judgement.firing is Firing.CANNOT:
        return because
    missing = len(judgement.wants)
    return f"{missing} of {missing + judgement.able} kinds of request are not recorded as needed: {because}"


def _described(want: Want) -> str:
    # Which namespaces it names besides is of no concern here.
    return f"{want.rule.level}: {describe_rule(replace(want.rule, namespaces=()))}" if want.rule else ""


def _mend(given: Answer, question: Question) -> str:
    if given.forbidden:
        return given.forbidden
    if given.enabling is None:
        return _OTHERWISE[given.judgement.firing]
    suggestion = given.enabling.suggestion
    said = []
    if kept := question.omitted & suggestion.keep_stages:
        said.append(f"take {', '.join(sorted(kept))} out of spec.omitStages")
    where = "spec.rules" if question.namespace else "spec.rules of a ClusterAuditPolicy for everything"
    said.append(f"put first in {where}: {suggestion.line}")
    if given.enabling.leaks:
        said.append(f"it would leak {', '.join(given.enabling.leaks)}")
    if not given.enabling.is_for_all:
        said.append("then it fires in part")
    return "; ".join(said)


_OTHERWISE = {
    Firing.CANNOT: "no smaller change was found than another selection, or level, for all that it is about",
    Firing.PARTLY: "select less, or record all that it is about",
    Firing.NEVER: "select something that can happen; docs/detections.md says what is known of events",
    Firing.UNJUDGED: "select less, by fewer names and values, and see it fire: audit-operator detections test",
}


class _Costing(Protocol):
    @property
    def steps(self) -> int: ...


_A = TypeVar("_A", bound=_Costing)


def within_bounds(
    asked: Sequence[Question], known: Callable[[Question], _A | None], refused: _A
) -> tuple[_A | None, ...]:
    """The answers to the detections of one policy, in their order; `refused` to those after the steps are used up.

    None where `known` does not know the answer: then it is not known either what those after it may cost.
    """
    found: list[_A | None] = []
    spent: int | None = 0
    for question in asked:
        if spent is not None and spent >= _OF_ONE_POLICY * _limit(question):
            found.append(refused)
            continue
        one = None if spent is None else known(question)
        spent = None if one is None or spent is None else spent + one.steps
        found.append(one)
    return tuple(found)


_TOO_MANY = "the other detections of this policy take too long to judge"
REFUSED = Verdict(CanFire.NOT_JUDGED, _TOO_MANY, "select less in those, or give this one a policy of its own")
_PENDING = Verdict(CanFire.NOT_JUDGED, "it is being judged")
_UNKNOWN = Verdict(
    CanFire.NOT_JUDGED, "what the API servers record is not known", "see the findings of the AuditControlPlane"
)


def refused_answer() -> Answer:
    """To a detection after others that have taken all steps."""
    return Answer(Judgement(DetectionRule(Pack.OWN, "", "", None), Firing.UNJUDGED, _TOO_MANY))


@dataclass(frozen=True, slots=True)
class Told:
    """What status says of one detection."""

    name: str
    verdict: Verdict


def told(
    asked: Mapping[ObjectRef, tuple[Asked, ...]],
    known: Known,
    before: Callable[[ObjectRef, Asked], Verdict | None] = lambda _ref, _asked: None,
) -> dict[ObjectRef, tuple[Told, ...]]:
    """What is known of the detections of each policy; of one that is being judged anew, what was known `before`."""
    found: dict[ObjectRef, tuple[Told, ...]] = {}
    alike: dict[int, tuple[Told, ...]] = {}
    for ref, each in asked.items():
        if id(each) in alike:
            found[ref] = alike[id(each)]
            continue
        verdicts = _verdicts(each, known)
        if None in verdicts:
            earlier = (verdict or before(ref, one) for one, verdict in zip(each, verdicts, strict=True))
            found[ref] = _together(each, earlier)
        else:
            found[ref] = alike[id(each)] = _together(each, verdicts)
    return found


def unanswered(asked: Mapping[ObjectRef, tuple[Asked, ...]], known: Known) -> list[Question]:
    """The first of each policy to which no answer is known: nobody waits for all that another policy asks."""
    found: dict[int, Question] = {}
    for each in {id(each): each for each in asked.values()}.values():
        verdicts = _verdicts(each, known)
        if None in verdicts and (first := each[verdicts.index(None)].question) is not None:
            found[id(first)] = first
    return list(found.values())


def _together(asked: tuple[Asked, ...], verdicts: Iterable[Verdict | None]) -> tuple[Told, ...]:
    return tuple(Told(each.name, verdict or _PENDING) for each, verdict in zip(asked, verdicts, strict=True))


def _verdicts(asked: tuple[Asked, ...], known: Known) -> tuple[Verdict | None, ...]:
    answers = iter(within_bounds([each.question for each in asked if each.question is not None], known, REFUSED))
    return tuple(_UNKNOWN if each.question is None else next(answers) for each in asked)


def findings(said: Sequence[Told]) -> tuple[Finding, ...]:
    """What the author of a policy should know of its detections."""
    found = (each.verdict.finding(each.name, f"spec.detections[{index}]") for index, each in enumerate(said))
    return tuple(each for each in found if each is not None)
