"""The verdict on each control: a pass needs an observation of everything that it depends on.

What speaks against a control fails it, whatever else is known; so does a live probe that contradicts the verdict on an
action. What was not observed keeps it from passing; so does a probe that was not found again, since nobody knows where
it was lost. Without proof a verdict stands as what the policy says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import Verdict
from audit_operator.compliance.controls import Control, EvidenceKind, Reach, controls_of
from audit_operator.compliance.facts import LiveProof, Observation, Shown, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.compliance import Framework
    from audit_operator.compliance.facts import Facts
    from audit_operator.coverage.verdicts import ActionCoverage

_OF_THE_POLICY = frozenset({EvidenceKind.RECORDED, EvidenceKind.NOT_LEAKED, EvidenceKind.FIELDS})
"""What is concluded from the policy: true of an API server only if that was seen to run with it."""


class Outcome(StrEnum):
    """The verdict on a control."""

    PASS = "Pass"  # noqa: S105 - a verdict
    FAIL = "Fail"
    NOT_APPLICABLE = "NotApplicable"
    CANNOT_BE_JUDGED = "CannotBeJudged"


@dataclass(frozen=True, slots=True)
class Judged:
    """A control, the verdict on it, and why.

    Attributes:
        observations: what the verdict rests on.
        reason: the verdict in a sentence.
    """

    control: Control
    outcome: Outcome
    reason: str
    observations: tuple[Observation, ...] = ()

    @property
    def proof(self) -> LiveProof | None:
        """What live probes have shown of all its actions together: the worst of them; None where it rests on none."""
        shown = {each.proof for each in self.observations}
        return next((each for each in _WORST_FIRST if each in shown), None)

    @property
    def proved_on(self) -> str:
        """Day of the oldest proof of its actions; empty where none is proved, or nobody has noted when."""
        days = (each.seen for each in self.observations if each.proof is LiveProof.VERIFIED and each.seen)
        return min(days, default="")


_WORST_FIRST = (LiveProof.CONTRADICTED, LiveProof.MISSING, LiveProof.CLAIMED, LiveProof.VERIFIED)


@dataclass(frozen=True, slots=True)
class Result:
    """The verdicts on the controls of one framework."""

    framework: Framework
    judged: tuple[Judged, ...]

    def count(self, outcome: Outcome) -> int:
        """How many controls have that verdict."""
        return Counter(each.outcome for each in self.judged)[outcome]


def judge(frameworks: Iterable[Framework], facts: Facts) -> tuple[Result, ...]:
    """The verdicts, framework by framework in order of name."""
    wanted = sorted(frozenset(frameworks))
    return tuple(
        Result(each, tuple(judge_control(control, facts) for control in controls_of([each]))) for each in wanted
    )


def passing_rate(results: Iterable[Result]) -> str:
    """Controls passed, of those passed or failed: ``87%``, never rounded up; empty where there is neither."""
    results = tuple(results)
    passed = sum(each.count(Outcome.PASS) for each in results)
    failed = sum(each.count(Outcome.FAIL) for each in results)
    return f"{100 * passed // (passed + failed)}%" if passed + failed else ""


def judge_control(control: Control, facts: Facts) -> Judged:
    """The verdict on one control."""
    if control.cannot_be_judged:
        return Judged(control, Outcome.CANNOT_BE_JUDGED, control.cannot_be_judged)
    if control.reach is Reach.CLUSTER and facts.namespace:
        return Judged(control, Outcome.NOT_APPLICABLE, "it is about the cluster, and nothing in one namespace")
    found = tuple(dict.fromkeys(_observations(control, facts)))
    standing = Counter(each.standing for each in found)
    if standing[Standing.FAILS]:
        return Judged(control, Outcome.FAIL, _first(found, Standing.FAILS), found)
    if standing[Standing.NOT_OBSERVED]:
        return Judged(control, Outcome.CANNOT_BE_JUDGED, _first(found, Standing.NOT_OBSERVED), found)
    if not standing[Standing.HOLDS]:
        return Judged(control, Outcome.NOT_APPLICABLE, _first(found, Standing.NOT_APPLICABLE), found)
    said = f"all that was observed holds ({standing[Standing.HOLDS]}){_proved(found)}"
    return Judged(control, Outcome.PASS, said, found)


def _proved(found: tuple[Observation, ...]) -> str:
    """How many of the actions live probes have proved; empty where it is about none of a cluster."""
    proofs = {each.source: each.proof for each in found if each.proof is not None}
    if not proofs:
        return ""
    verified = sum(each is LiveProof.VERIFIED for each in proofs.values())
    return f"; {verified} of {len(proofs)} actions proved live"


def _first(found: tuple[Observation, ...], standing: Standing) -> str:
    of_it = [each.said for each in found if each.standing is standing]
    return of_it[0] if len(of_it) == 1 else f"{of_it[0]}; and {len(of_it) - 1} more"


def _observations(control: Control, facts: Facts) -> Iterator[Observation]:
    concluded = False
    for kind in control.evidence:
        found = tuple(_of_kind(kind, control, facts))
        applies = any(each.standing is not Standing.NOT_APPLICABLE for each in found)
        concluded = concluded or (kind in _OF_THE_POLICY and applies)
        yield from found
    if concluded and not facts.as_written:
        yield from _observed(EvidenceKind.IN_FORCE, facts)


def _of_kind(kind: EvidenceKind, control: Control, facts: Facts) -> Iterator[Observation]:
    match kind:
        case EvidenceKind.RECORDED | EvidenceKind.NOT_LEAKED:
            yield from _of_actions(kind, control, facts)
        case EvidenceKind.RETAINED:
            if (short := _too_short(control, facts)) is not None:
                yield short
            yield from _observed(kind, facts)
        case EvidenceKind.FIELDS:
            said = "events of API servers have user, verb, object, time, source and result by their format"
            yield Observation(Standing.HOLDS, said, "audit.k8s.io/v1")
            yield from _observed(kind, facts)
        case _:
            yield from _observed(kind, facts)


def _observed(kind: EvidenceKind, facts: Facts) -> tuple[Observation, ...]:
    nothing = Observation(Standing.NOT_OBSERVED, f"{kind}: nobody has observed it", "")
    return facts.observed.get(kind) or (nothing,)


def _too_short(control: Control, facts: Facts) -> Observation | None:
    """Where no policy asks for as long as the framework does: what a store was seen to do then proves too little."""
    wanted = (control.minimum_hours, control.hot_hours)
    if facts.asked is None or all(asked >= least for asked, least in zip(facts.asked, wanted, strict=True)):
        return None
    said = (
        f"policies ask for {_days(facts.asked)}, and this is about {_days(wanted)}: name {control.framework} in "
        "spec.compliance.frameworks, so that stores are asked"
    )
    return Observation(Standing.NOT_OBSERVED, said, "spec.retention")


def _days(asked: tuple[int, int]) -> str:
    kept, searchable = (each // 24 for each in asked)
    return f"{kept} days" if not searchable else f"{kept} days, {searchable} of them searchable at once"


def _of_actions(kind: EvidenceKind, control: Control, facts: Facts) -> Iterator[Observation]:
    if facts.coverage is None:
        yield Observation(Standing.NOT_OBSERVED, "the policy is not known", "")
        return
    of_control = [
        each for each in facts.coverage.actions if control.id in each.action.frameworks.get(control.framework, ())
    ]
    if not of_control:
        yield Observation(Standing.NOT_APPLICABLE, "none of its actions can be done here", "catalogue")
    for each in of_control:
        standing = _recorded(each) if kind is EvidenceKind.RECORDED else _not_leaked(each)
        seen = Observation(standing, f"{each.action.id} is {each.verdict}: {each.reason}", f"coverage/{each.action.id}")
        shown = facts.shown.get(each.action.id, Shown(LiveProof.CLAIMED))
        yield seen if facts.as_written else _with(seen, shown)


def _with(seen: Observation, shown: Shown) -> Observation:
    """What the policy says of an action, and what live probes have shown of that."""
    standing, said = seen.standing, seen.said
    match shown.proof:
        case LiveProof.CONTRADICTED:
            standing, said = Standing.FAILS, f"{said}; but a live probe contradicts it: {shown.said}"
        case LiveProof.MISSING:
            standing = Standing.FAILS if standing is Standing.FAILS else Standing.NOT_OBSERVED
            said = f"{said}; but a live probe was not found again: {shown.said}"
        case LiveProof.CLAIMED if shown.said:
            standing = Standing.FAILS if standing is Standing.FAILS else Standing.NOT_OBSERVED
            said = f"{said}; but {shown.said}"
        case LiveProof.VERIFIED:
            said = f"{said}; proved live"
    return Observation(standing, said, seen.source, shown.seen, shown.proof)


def _recorded(action: ActionCoverage) -> Standing:
    if action.lacking:
        return Standing.FAILS
    # Nothing is lacking of what was asked about, but not everything was.
    return Standing.NOT_OBSERVED if action.verdict is Verdict.PARTIAL else Standing.HOLDS


def _not_leaked(action: ActionCoverage) -> Standing:
    if action.verdict is Verdict.LEAK:
        return Standing.FAILS
    return Standing.NOT_OBSERVED if action.verdict is Verdict.PARTIAL and not action.lacking else Standing.HOLDS
