"""Which detections of policies are to be judged, on what, and where: as few different questions as there can be.

Ten thousand namespaces with one preset and equal policies are one question. What a detection asks of the namespace is
answered here, once for each; what is left knows the namespace no more, unless a name in it is like the namespace's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.restriction import Restrictions
from audit_operator.detections.condition import Constant, fold, tests_of
from audit_operator.detections.own import resolve
from audit_operator.detections.recording import Recording
from audit_operator.plan.limited import limits_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.audit import Stage
    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.detection import Detection
    from audit_operator.api.findings import ObjectRef
    from audit_operator.detections.condition import Condition
    from audit_operator.plan.effective import EffectivePolicy
    from audit_operator.plan.planning import Plan
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy, Rule

_NAMESPACE, _NAME = ("objectRef", "namespace"), ("objectRef", "name")


@dataclass(frozen=True)
class Question:
    """Whether events that a condition holds for are recorded, and if not, what a policy would have to say.

    Attributes:
        namespace: where; `SAMPLE_NAMESPACE` where its name does not matter, empty for a whole cluster.
        limits: what is allowed there at most.
        omitted: stages that the policy with the detection omits as a whole.
    """

    condition: Condition
    recorded: Recording
    namespace: str
    limits: tuple[tuple[Rule, ...], ...]
    omitted: frozenset[Stage]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.condition, self.recorded, self.namespace, self.limits, self.omitted))


@dataclass(frozen=True, slots=True)
class Asked:
    """A detection of a policy; without a question where it is not known what is recorded."""

    name: str
    question: Question | None


def questions(snapshot: Snapshot, planned: Plan) -> dict[ObjectRef, tuple[Asked, ...]]:
    """The detections of every policy with a control plane, as in its spec. Most equal questions are one object."""
    places = {name: _Places(each) for name, each in planned.effective.items()}
    found: dict[ObjectRef, tuple[Asked, ...]] = {}
    for policy in snapshot.policies():
        assigned = planned.assigned.get(policy.ref)
        if policy.spec.detections and assigned is not None:
            found[policy.ref] = places[assigned].asked(policy)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """What is recorded in a namespace.

    Attributes:
        by_name: whether rules know it by its name.
    """

    recorded: Recording
    by_name: bool


@dataclass(slots=True)
class _Places:
    """Asks about the policies of one control plane."""

    effective: EffectivePolicy
    _sources: tuple[Policy, ...] = field(init=False)
    _restrictions: tuple[Restrictions, ...] = field(init=False)
    _places: dict[tuple[object, ...], tuple[_Place, object]] = field(default_factory=dict)
    _limits: dict[tuple[int, ...], tuple[tuple[Rule, ...], ...]] = field(default_factory=dict)
    _limits_here: dict[tuple[tuple[Rule, ...], ...], tuple[tuple[Rule, ...], ...]] = field(default_factory=dict)
    _conditions: dict[Condition, Condition] = field(default_factory=dict)
    _questions: dict[tuple[object, ...], Question] = field(default_factory=dict)
    _alike: dict[tuple[object, ...], tuple[object, tuple[Asked, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sources = tuple(each for each in (self.effective.policy, self.effective.given) if each is not None)
        self._restrictions = tuple(map(Restrictions, self._sources))

    def asked(self, policy: AuditPolicy | ClusterAuditPolicy) -> tuple[Asked, ...]:
        """The detections of a policy, as questions."""
        namespace, own = policy.metadata.namespace, _resolved(policy.spec.detections)
        if not self.effective.known:
            return tuple(Asked(each.name, None) for each in own)
        limits, omitted = self._limits_in(namespace), frozenset(policy.spec.omit_stages)
        if not namespace:
            recorded = Recording(self.effective.policy, self.effective.given)
            return tuple(Asked(each.name, self._one(each.condition, recorded, "", limits, omitted)) for each in own)
        shared = self._place(namespace, SAMPLE_NAMESPACE)
        by_name = shared.by_name or self._is_limited_by_name(namespace)
        if by_name or any(each.is_local for each in own):
            where = (namespace, by_name)
            return tuple(Asked(each.name, self._local(each, where, limits, omitted)) for each in own)
        # Most policies are like another one: to look at each of their detections again would take longer than the plan.
        key = (id(own), id(shared), id(limits), omitted)
        if key not in self._alike:
            self._alike[key] = (
                own,
                tuple(
                    Asked(each.name, self._one(each.condition, shared.recorded, SAMPLE_NAMESPACE, limits, omitted))
                    for each in own
                ),
            )
        return self._alike[key][1]

    def _local(
        self, own: _Own, where: tuple[str, bool], limits: tuple[tuple[Rule, ...], ...], omitted: frozenset[Stage]
    ) -> Question:
        """Of a detection that may depend on the namespace's name, or of a namespace that rules know by its name."""
        namespace, by_name = where
        here = self._in_namespace(own.condition, namespace)
        if not by_name and not _knows(here, namespace):
            return self._one(here, self._place(namespace, SAMPLE_NAMESPACE).recorded, SAMPLE_NAMESPACE, limits, omitted)
        return self._one(here, self._place(namespace, namespace).recorded, namespace, limits, omitted)

    def _one(
        self,
        condition: Condition,
        recorded: Recording,
        namespace: str,
        limits: tuple[tuple[Rule, ...], ...],
        omitted: frozenset[Stage],
    ) -> Question:
        # To compare conditions and policies by what they hold, for each of thousands, would take longer than the plan.
        key = (id(condition), id(recorded), namespace, id(limits), omitted)
        if key not in self._questions:
            self._questions[key] = Question(condition, recorded, namespace, limits, omitted)
        return self._questions[key]

    def _in_namespace(self, condition: Condition, namespace: str) -> Condition:
        here = fold(
            condition,
            lambda test: Constant(test.holds((namespace,))) if test.field.path == _NAMESPACE else None,
        )
        return self._conditions.setdefault(here, here)

    def _place(self, namespace: str, called: str) -> _Place:
        """What is recorded in a namespace, with the name that it is to have."""
        restricted = [each.to(namespace) for each in self._restrictions]
        key = (called, *map(id, restricted))
        if key not in self._places:
            by_name = any(each.by_name for each in restricted)
            policies = [
                each.policy if called == SAMPLE_NAMESPACE else _within(source, each.indexes, namespace)
                for each, source in zip(restricted, self._sources, strict=True)
            ]
            self._places[key] = _Place(Recording(policies[0], next(iter(policies[1:]), None)), by_name), restricted
        return self._places[key][0]

    def _limits_in(self, namespace: str) -> tuple[tuple[Rule, ...], ...]:
        """The lists of limits there. Of a cluster all: what they forbid in one place only, they are taken to forbid."""
        limiting = self.effective.limiting
        lists = limits_in(namespace, limiting) if namespace else tuple(each.limits for each in limiting)
        lists = self._limits.setdefault(tuple(map(id, lists)), lists)
        if not namespace or not any(rule.namespaces for each in lists for rule in each):
            return lists
        here = tuple(tuple(_there(each, namespace)) for each in lists)
        return self._limits_here.setdefault(here, here)

    def _is_limited_by_name(self, namespace: str) -> bool:
        entries = (entry for each in self.effective.limiting for rule in each.limits for entry in rule.resources)
        return any(namespace in entry.resource_names for entry in entries)


def _there(limits: tuple[Rule, ...], namespace: str) -> Iterator[Rule]:
    """What a list of limits says of requests in one namespace."""
    for rule in limits:
        if not rule.namespaces or namespace in rule.namespaces:
            yield replace(rule, namespaces=())


@dataclass(frozen=True, slots=True)
class _Own:
    """A detection as it is asked about.

    Attributes:
        is_local: whether it compares the namespace, or names of objects; a namespace is one.
    """

    name: str
    condition: Condition
    is_local: bool


@lru_cache(maxsize=4096)  # most policies have the same
def _resolved(detections: tuple[Detection, ...]) -> tuple[_Own, ...]:
    return tuple(_own(each) for each in detections)


@lru_cache(maxsize=4096)
def _own(detection: Detection) -> _Own:
    condition = _same(resolve(detection).condition)
    return _Own(detection.name, condition, any(each.field.path in (_NAMESPACE, _NAME) for each in tests_of(condition)))


@lru_cache(maxsize=4096)  # thresholds and names make no other condition
def _same(condition: Condition) -> Condition:
    return condition


def _knows(condition: Condition, namespace: str) -> bool:
    """Whether a condition tells the object that the namespace is from another: it has the namespace's name."""
    names = [test for test in tests_of(condition) if test.field.path == _NAME]
    return any(test.holds((namespace,)) is not test.holds((SAMPLE_NAMESPACE,)) for test in names)


def _within(policy: Policy, indexes: tuple[int, ...], namespace: str) -> Policy:
    """Some rules of a policy, of the namespaces that they list this one alone."""
    rules = (policy.rules[index] for index in indexes)
    kept = tuple(
        replace(rule, namespaces=tuple(each for each in (namespace, "") if each in rule.namespaces)) for rule in rules
    )
    return replace(policy, rules=kept)
