"""The verdict on every critical action of a catalogue under one policy.

An action is asked about as probes: each of its operations, by each of its subjects, in each place. A probe is satisfied
when its level is at least the one needed, no body is recorded that must not be, and no needed stage is left out. See
docs/coverage.md for what each verdict claims.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level, Stage
from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.recording import SAMPLE_NAME, Situation
from audit_operator.coverage.restriction import Restriction, restrict
from audit_operator.coverage.survey import survey_cluster, survey_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.coverage.catalogue import Action, BlindSpot, Catalogue
    from audit_operator.coverage.operations import Operation, Operations
    from audit_operator.coverage.probes import ActionProbes
    from audit_operator.coverage.survey import Failing, Survey, Tally
    from audit_operator.policy.model import Policy

MAX_FAILURES = 10
"""Failing probes that are shown per action."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A probe that is not satisfied.

    Attributes:
        operation, situation: the probe.
        level: what it is recorded at.
        missing_stages: needed stages that are omitted, if it is recorded at all.
        leaks: whether a body is recorded that must not be.
        rule: index of the rule that decided, None where none matched.
    """

    operation: Operation
    situation: Situation
    level: Level
    missing_stages: frozenset[Stage]
    leaks: bool
    rule: int | None

    @property
    def request(self) -> str:
        """The request in words, with who sends it."""
        return describe(self.operation, self.situation)


@dataclass(frozen=True, slots=True)
class ActionCoverage:
    """The verdict on one action.

    Attributes:
        action: the catalogue's entry.
        level: the lowest level found; for a leak the highest.
        wanted: the level needed; for a leak the highest that is safe.
        reason: why, as a sentence.
        rule: index of the rule that decided about the probe that the reason is about, None where none matched.
        probes: how many were asked.
        satisfied: how many of them are satisfied.
        lacking: how many of them are not recorded as needed; one whose body must not be recorded may be all the same.
        failures: some of those that are not, one per operation, worst first.
    """

    action: Action
    verdict: Verdict
    level: Level
    wanted: Level
    reason: str
    rule: int | None
    probes: int
    satisfied: int
    lacking: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """The verdicts under one policy, in the catalogue's order.

    Attributes:
        actions: those that can be audited and, where one namespace is judged, concern it.
        blind_spots: what no policy can record; never counted.
        truncated: whether the policy names more users, objects and namespaces than were asked about.
    """

    actions: tuple[ActionCoverage, ...]
    blind_spots: tuple[BlindSpot, ...]
    truncated: bool = False

    def count(self, verdict: Verdict) -> int:
        """How many actions have that verdict; `NotAuditable` counts the blind spots."""
        if verdict is Verdict.NOT_AUDITABLE:
            return len(self.blind_spots)
        return Counter(each.verdict for each in self.actions)[verdict]

    @property
    def score(self) -> str:
        """Covered of all that can be audited, for example ``36/38``."""
        return f"{self.count(Verdict.COVERED)}/{len(self.actions)}"


def assess(
    policy: Policy,
    catalogue: Catalogue,
    *,
    namespace: str | None = None,
    follow_namespaces: bool = True,
    follow_names: bool = True,
) -> Coverage:
    """The verdicts for the whole cluster, or for one namespace.

    For the cluster every action is judged: in an application's namespace that no rule names, in kube-system, wherever
    the catalogue says, in the namespaces that rules name, and without a namespace.

    For a namespace only actions that can be done in it are judged: by requests sent to it, by lists across all
    namespaces, and on the Namespace object itself. For many namespaces see `assess_restriction`.

    Args:
        policy: the policy as the API server has it.
        catalogue: what to judge.
        namespace: the namespace; None is the cluster.
        follow_namespaces: False leaves out, for the cluster, namespaces that only rules name; for a policy whose
            namespaces are judged one by one.
        follow_names: False asks, for the cluster, about the catalogue's samples only, whoever and whatever else rules
            name; for comparison with other tools' figures.
    """
    if namespace is not None:
        return assess_restriction(restrict(policy, namespace), catalogue, namespace)
    survey = survey_cluster(policy, catalogue, follow_namespaces=follow_namespaces, follow_names=follow_names)
    return _conclude(survey, catalogue, range(len(policy.rules)))


def assess_restriction(restriction: Restriction, catalogue: Catalogue, namespace: str) -> Coverage:
    """The verdicts for a namespace; `assess` with the restriction already made.

    Namespaces with equal restrictions have equal coverage, unless the catalogue itself names one of them
    (`Catalogue.named_namespaces`).
    """
    return _conclude(survey_namespace(restriction.policy, catalogue, namespace), catalogue, restriction.indexes)


def _conclude(survey: Survey, catalogue: Catalogue, indexes: Sequence[int]) -> Coverage:
    verdicts = tuple(
        _verdict(tally, probes, survey.probes.operations, indexes, truncated=survey.truncated)
        for tally, probes in zip(survey.tallies, survey.probes.actions, strict=True)
    )
    return Coverage(verdicts, catalogue.blind_spots, survey.truncated)


def _verdict(
    tally: Tally, action: ActionProbes, operations: Operations, indexes: Sequence[int], *, truncated: bool
) -> ActionCoverage:
    entry = action.action

    def concluded(
        verdict: Verdict, level: Level, reason: str, rule: int | None, failures: tuple[Failure, ...] = ()
    ) -> ActionCoverage:
        wanted = entry.max_level if verdict is Verdict.LEAK else entry.min_level
        lacking = sum(_lacking(each, action) for each in tally.failing)
        return ActionCoverage(
            entry, verdict, level, wanted, reason, rule, tally.probes, tally.satisfied, lacking, failures
        )

    if not tally.failing:
        rule = None if tally.weakest_rule is None else indexes[tally.weakest_rule]
        reason = f"all {tally.probes} requests asked about are recorded at {tally.weakest} or above"
        if truncated:
            return concluded(Verdict.PARTIAL, tally.weakest, f"{reason}, but {_TRUNCATED}", rule)
        return concluded(Verdict.COVERED, tally.weakest, reason, rule)
    failures = _failures(tally.failing, action, operations, indexes)
    worst = failures[0]
    sentence = _sentence(worst, entry)
    if worst.leaks:
        others = sum((each.operations & ~each.leaking).bit_count() for each in tally.failing)
        if others:
            sentence += f"; besides, {others} of {tally.probes} requests are not recorded as needed"
        return concluded(Verdict.LEAK, worst.level, sentence, worst.rule, failures)
    if not tally.satisfied:
        return concluded(Verdict.GAP, worst.level, sentence, worst.rule, failures)
    counted = f"{tally.satisfied} of {tally.probes} requests are recorded as needed"
    return concluded(Verdict.PARTIAL, worst.level, f"{counted}; {sentence}", worst.rule, failures)


def _lacking(failing: Failing, action: ActionProbes) -> int:
    """How many of the failing operations are not recorded as needed: a leaking one may lack a stage besides."""
    lacking = failing.operations & ~failing.leaking
    if failing.situation.caller.subject not in action.action.subjects:
        return lacking.bit_count()
    for outcome in failing.recording.outcomes:
        if action.stages & outcome.omit_stages:
            lacking |= outcome.operations & failing.leaking
    return lacking.bit_count()


# Leaks before everything else, and of them the highest level first; else the lowest.
_WORST_FIRST = [*((True, level) for level in reversed(Level)), *((False, level) for level in Level)]
_TRUNCATED = "the policy names more users, objects and namespaces than are asked about"


def _failures(
    failing: Sequence[Failing], action: ActionProbes, operations: Operations, indexes: Sequence[int]
) -> tuple[Failure, ...]:
    """The worst failures, one per operation."""
    found: list[Failure] = []
    seen = 0
    for leaks, level in _WORST_FIRST:
        for each in failing:
            concerned = (each.leaking if leaks else each.operations & ~each.leaking) & ~seen
            for outcome in each.recording.outcomes if concerned else ():
                if outcome.level is not level:
                    continue
                seen |= outcome.operations & concerned
                missing = action.stages & outcome.omit_stages if level is not Level.NONE else frozenset[Stage]()
                rule = None if outcome.rule is None else indexes[outcome.rule]
                for operation in operations.members(outcome.operations & concerned):
                    found.append(Failure(operation, each.situation, level, missing, leaks, rule))
                    if len(found) == MAX_FAILURES:
                        return tuple(found)
    return tuple(found)


def describe(operation: Operation, situation: Situation) -> str:
    """A probe in words: ``get secrets in a namespace by a person``."""
    words = [operation.verb, operation.target]
    if operation.is_on_namespace:
        if situation.namespace != SAMPLE_NAMESPACE:
            words.append(situation.namespace)
    else:
        if operation.is_named and situation.name != SAMPLE_NAME:
            words.append(situation.name)
        if operation.in_namespace:
            words.append("in a namespace" if situation.namespace == SAMPLE_NAMESPACE else f"in {situation.namespace}")
        elif operation.is_across_namespaces:
            words.append("across all namespaces")
    return " ".join([*words, "by", situation.caller.title])


def _sentence(failure: Failure, action: Action) -> str:
    decided = "no rule matches" if failure.rule is None else f"rules[{failure.rule}]"
    if failure.leaks:
        return (
            f"{failure.request} is recorded at {failure.level} ({decided}): above {action.max_level} the event itself "
            "holds credentials or personal data"
        )
    if failure.level is Level.NONE:
        return f"{failure.request} is not recorded ({decided})"
    if failure.missing_stages:
        stages = " and ".join(sorted(failure.missing_stages))
        return f"{failure.request} is recorded without stage {stages} ({decided})"
    needed = f"{failure.request} is recorded at {failure.level} only ({decided}); {action.min_level} is needed"
    return f"{needed}, since only the body shows {action.body_needed[0]}" if action.body_needed else needed
