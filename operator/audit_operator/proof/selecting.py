"""Which requests prove an action at a place, and where they would prove nothing.

A policy is rules, and what an action's verdict rests on are the rules that decide its requests. So one request for each
decision is enough, and all that decide must be reached. A request of ours says nothing about people whom another rule
treats: then nothing is sent, and the action is said to be unproved.

Where bodies are to be proved, there is besides, for each of these decisions, one request of each sort that has a body:
whole objects and patches do not go the same way through redaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.coverage.callers import SAMPLE_NAMESPACE, sample_callers
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.probes import operations_at
from audit_operator.permissions.rbac import NOTHING
from audit_operator.policy.compiled_evaluator import compile_evaluator
from audit_operator.policy.model import User
from audit_operator.proof.bodies import written_by
from audit_operator.proof.requests import Aim, Marks, ProbeRequest, sent_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from audit_operator.coverage.catalogue import Action, Catalogue, Probe, Subject
    from audit_operator.policy.model import Decision, Policy, Request

PROBER = "audit-operator-prober"
"""The ServiceAccount that probes are sent as, in the operator's namespace, unless settings say otherwise."""

# Reads first, and what takes everything last.
GENTLE_FIRST = ("get", "head", "patch", "create", "update", "list", "watch", "delete", "deletecollection")
_SOME = Marks("", "probe", "canary")


class UnprovedReason(StrEnum):
    """Why no request would prove an action."""

    NO_PROBE = "NoProbe"
    EXCLUDED = "Excluded"
    ANOTHER_RULE = "AnotherRule"
    NOT_REACHED = "NotReached"


@dataclass(frozen=True, slots=True)
class Unproved:
    """Nothing is sent for an action; the message says why, and what would change that."""

    reason: UnprovedReason
    message: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be asked at one place.

    Attributes:
        aims: each action that can be proved, by id, with what must be found as predicted; never empty.
        unproved: each that cannot.
    """

    aims: dict[str, tuple[Aim, ...]]
    unproved: dict[str, Unproved]

    @property
    def requests(self) -> tuple[Aim, ...]:
        """Every aim once: one may prove several actions."""
        return tuple(dict.fromkeys(aim for aims in self.aims.values() for aim in aims))


def prober_in(namespace: str, name: str = PROBER) -> User:
    """Whom the API server takes the prober of an operator in that namespace for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


@dataclass(slots=True)
class Selector:
    """Chooses for one policy; keep it as long as that is the same."""

    policy: Policy
    catalogue: Catalogue
    prober: User
    excluded: Collection[str]
    bodies: bool
    _decide: Callable[[Request], Decision]

    @classmethod
    def of(
        cls,
        policy: Policy,
        catalogue: Catalogue,
        prober: User,
        excluded: Iterable[str] = (),
        *,
        bodies: bool = False,
    ) -> Selector:
        """Of actions that are not to be probed, `excluded` has the ids; `bodies` says whether bodies are proved."""
        return cls(policy, catalogue, prober, frozenset(excluded), bodies, compile_evaluator(policy))

    def at(self, place: str) -> Selection:
        """For a namespace, or for requests without one (``""``)."""
        aims: dict[str, tuple[Aim, ...]] = {}
        unproved: dict[str, Unproved] = {}
        for action in self.catalogue.actions:
            chosen = self._of(action, place)
            if isinstance(chosen, Unproved):
                unproved[action.id] = chosen
            elif chosen:
                aims[action.id] = chosen
        return Selection(aims, unproved)

    @staticmethod
    def every_with_body(action: Action, place: str) -> tuple[Aim, ...]:
        """Whatever could be sent for an action with a body."""
        return tuple(
            replace(aim, with_body=True)
            for aim in Selector.every(action, place)
            if aim.sender is Sender.PROBER and written_by(aim.operation) is not None
        )

    @staticmethod
    def every(action: Action, place: str) -> tuple[Aim, ...]:
        """Whatever could be sent for an action that has a probe, whether or not a policy tells it apart."""
        if action.probe is None or action.probe.never:
            return ()
        return tuple(Aim(operation, place, action.probe.sender) for operation in operations_at(action, place))

    def _of(self, action: Action, place: str) -> tuple[Aim, ...] | Unproved:
        operations = operations_at(action, place)
        if not operations:
            return ()
        probe = action.probe
        if probe is None or probe.never:
            return Unproved(UnprovedReason.NO_PROBE, probe.never if probe else "the catalogue names no probe for it")
        if action.id in self.excluded:
            return Unproved(UnprovedReason.EXCLUDED, "spec.probes.exclude of the control plane names it")
        every = self.every(action, place)
        unlike = self._unlike(action, every)
        chosen = unlike or _chosen(probe, [(aim, self._decision(aim)) for aim in every])
        if isinstance(chosen, Unproved) or not self.bodies:
            return chosen
        bodies = self._with_bodies(probe, self.every_with_body(action, place))
        return bodies if isinstance(bodies, Unproved) else (*chosen, *bodies)

    def _with_bodies(self, probe: Probe, aims: tuple[Aim, ...]) -> tuple[Aim, ...] | Unproved:
        """One of each verb for each decision that leaves a record."""
        chosen: dict[tuple[Decision, str], Aim] = {}
        for aim in aims:
            decision, verb = self._decision(aim), aim.operation.verb
            if decision != self._decision(replace(aim, with_body=False)):
                said = f"{verb} {aim.operation.target} is decided by another rule for an object called {NOTHING}"
                return Unproved(UnprovedReason.ANOTHER_RULE, said)
            if decision.level is not Level.NONE and (not probe.verbs or verb in probe.verbs):
                chosen.setdefault((decision, verb), aim)
        return tuple(chosen.values())

    def _decision(self, aim: Aim) -> Decision:
        user = sent_by(aim.sender, self.prober)
        return self._decide(ProbeRequest.of(aim, _SOME).attributes(user))

    def _unlike(self, action: Action, aims: tuple[Aim, ...]) -> Unproved | None:
        """Whom another rule treats than the one who sends."""
        subjects = [each for each in self.catalogue.subjects if each.name in action.subjects]
        for aim in aims:
            request = ProbeRequest.of(aim, _SOME)
            decided = self._decision(aim)
            for subject in subjects:
                if self._decide(request.attributes(_user(subject, aim.place))) != decided:
                    by = subject.title or subject.user
                    said = (
                        f"{aim.operation.verb} {aim.operation.target} by {by} is decided by another rule than a probe"
                    )
                    return Unproved(UnprovedReason.ANOTHER_RULE, said)
        return None


def _chosen(probe: Probe, decided: list[tuple[Aim, Decision]]) -> tuple[Aim, ...] | Unproved:
    """One aim for each decision."""
    chosen: dict[Decision, Aim] = {}
    for aim, decision in sorted(decided, key=lambda each: GENTLE_FIRST.index(each[0].operation.verb)):
        if not probe.verbs or aim.operation.verb in probe.verbs:
            chosen.setdefault(decision, aim)
    for aim, decision in decided:
        if decision not in chosen:
            said = f"no probe is decided by the rule for {aim.operation.verb} {aim.operation.target}"
            return Unproved(UnprovedReason.NOT_REACHED, said)
    return tuple(chosen.values())


def _user(subject: Subject, place: str) -> User | None:
    """A subject's sample, of the very namespace where one has a name."""
    [caller] = sample_callers([subject])
    if caller.user is None or not place:
        return caller.user
    groups = tuple(group.replace(SAMPLE_NAMESPACE, place) for group in caller.user.groups)
    return User(caller.user.name.replace(SAMPLE_NAMESPACE, place), groups)
