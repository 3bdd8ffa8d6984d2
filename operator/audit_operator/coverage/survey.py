"""A policy asked about every probe of a catalogue: how many are satisfied, and which are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.coverage.callers import SAMPLE_NAMESPACE, sample_callers
from audit_operator.coverage.probes import ActionProbes, Probes, probes_of
from audit_operator.coverage.recording import CompiledPolicy, Extent, Recording, Situation

if TYPE_CHECKING:
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.policy.model import Policy


MAX_SITUATIONS_OF_CLUSTER = 20_000
MAX_SITUATIONS_OF_NAMESPACE = 2_000
"""Most situations that a policy is asked about: with thousands of names it must not hold up the others. Where there are
more, nothing is called covered."""


@dataclass(frozen=True, slots=True)
class Failing:
    """The operations that fail in one situation, as masks: they are put into words only where they are shown."""

    situation: Situation
    recording: Recording
    operations: int
    leaking: int


@dataclass(slots=True)
class Tally:
    """What was found for one action so far; `weakest` is the lowest level, and the rule that decided so."""

    probes: int = 0
    satisfied: int = 0
    weakest: Level = Level.REQUEST_RESPONSE
    weakest_rule: int | None = None
    failing: list[Failing] = field(default_factory=list)

    def count(self, action: ActionProbes, situation: Situation, recording: Recording) -> None:
        """Take in what is recorded of the action for one of its subjects."""
        asked = action.operations_at(situation.namespace) & recording.at_least(Level.NONE)
        if not asked:
            return
        leaking = asked & action.leaking(recording)
        satisfied = asked & ~leaking & recording.at_least(action.action.min_level) & ~recording.omitting(action.stages)
        if not self.probes or asked & ~recording.at_least(self.weakest):
            self._weaken(asked, recording)
        self.probes += asked.bit_count()
        self.satisfied += satisfied.bit_count()
        if satisfied != asked:
            self.failing.append(Failing(situation, recording, asked ^ satisfied, leaking))

    def count_leaks(self, action: ActionProbes, situation: Situation, recording: Recording) -> None:
        """Take in what leaks for anybody else: a token is a token, whoever asked for it."""
        leaking = action.operations_at(situation.namespace) & action.leaking(recording)
        if leaking:
            self.probes += leaking.bit_count()
            self.failing.append(Failing(situation, recording, leaking, leaking))

    def _weaken(self, asked: int, recording: Recording) -> None:
        outcomes = (outcome for outcome in recording.outcomes if outcome.operations & asked)
        weakest = min(outcomes, key=lambda outcome: outcome.level.rank)
        self.weakest, self.weakest_rule = weakest.level, weakest.rule


@dataclass(frozen=True, slots=True)
class Survey:
    """The answers of one policy.

    Attributes:
        probes: what was asked, but for what the policy added by naming somebody or something.
        recordings: what is recorded in each situation.
        tallies: one per action of `probes`.
        truncated: whether the policy names more than was asked about.
    """

    probes: Probes
    recordings: tuple[tuple[Situation, Recording], ...]
    tallies: tuple[Tally, ...]
    truncated: bool


def survey_cluster(
    policy: Policy, catalogue: Catalogue, *, follow_namespaces: bool = True, follow_names: bool = True
) -> Survey:
    """Ask about every action, in all sorts of places."""
    extent = Extent(MAX_SITUATIONS_OF_CLUSTER, namespaces=follow_namespaces, names=follow_names)
    return _survey(policy, catalogue, probes_of(catalogue, None), extent)


def survey_namespace(restricted: Policy, catalogue: Catalogue, namespace: str) -> Survey:
    """Ask about the actions that concern a namespace; the policy is a `Restriction`'s."""
    special = namespace if namespace in catalogue.named_namespaces else SAMPLE_NAMESPACE
    return _survey(restricted, catalogue, probes_of(catalogue, special), Extent(MAX_SITUATIONS_OF_NAMESPACE))


def _survey(policy: Policy, catalogue: Catalogue, probes: Probes, extent: Extent) -> Survey:
    compiled = CompiledPolicy(policy, probes.operations)
    situations, truncated = compiled.situations(sample_callers(catalogue.subjects), probes.namespaces, extent)
    tallies = tuple(Tally() for _ in probes.actions)
    recordings = []
    for situation in situations:
        recording = compiled.record(situation)
        recordings.append((situation, recording))
        concerned = probes.by_subject.get(situation.caller.subject, ())
        for index in concerned:
            tallies[index].count(probes.actions[index], situation, recording)
        for index in probes.leak_prone:
            if index not in concerned:
                tallies[index].count_leaks(probes.actions[index], situation, recording)
    return Survey(probes, tuple(recordings), tallies, truncated)
