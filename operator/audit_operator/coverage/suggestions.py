"""Rules that close what is open: put first in a policy, they turn an action's verdict into Covered.

A suggestion must not open anything else. So each operation gets the highest of what this action needs, what any other
action needs of it, and what is recorded of it now for anybody; and never more than every action can bear. The rules
have no users: an action that is recorded for some only is not covered.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import yaml

from audit_operator.api.audit import Level, Stage
from audit_operator.coverage.probes import NO_NAMESPACE
from audit_operator.coverage.restriction import restrict
from audit_operator.coverage.survey import survey_cluster, survey_namespace
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.policy.render import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.coverage.operations import Operation
    from audit_operator.coverage.probes import ActionProbes
    from audit_operator.coverage.survey import Survey, Tally

_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What closes one action.

    Attributes:
        rules: to be put first in the policy; where one namespace is judged, in a policy of that namespace.
        cluster_rules: where one namespace is judged, rules that only a policy of the cluster can have: for lists across
            all namespaces. Else empty.
        keep_stages: stages that the policy must no longer omit as a whole; rules that are there may go on to omit them.
    """

    rules: tuple[Rule, ...]
    cluster_rules: tuple[Rule, ...] = ()
    keep_stages: frozenset[Stage] = frozenset()

    def apply(self, policy: Policy, *, namespace: str | None = None) -> Policy:
        """The policy with the suggestion followed and nothing else changed; `namespace` if that was judged."""
        own = self.rules
        if namespace is not None:
            own = tuple(replace(rule, namespaces=(namespace,)) for rule in own)
        there = policy.rules
        if self.keep_stages:
            there = tuple(replace(rule, omit_stages=rule.omit_stages | self.keep_stages) for rule in there)
        return replace(
            policy, rules=(*own, *self.cluster_rules, *there), omit_stages=policy.omit_stages - self.keep_stages
        )

    @property
    def text(self) -> str:
        """The rules as YAML, and as comments where they belong."""
        parts = []
        if self.keep_stages:
            parts.append(f"# take {', '.join(sorted(self.keep_stages))} out of the policy's omitStages\n")
        parts.append(_yaml(self.rules))
        if self.cluster_rules:
            parts.append("# in a ClusterAuditPolicy, since no namespaced one reaches lists across all namespaces\n")
            parts.append(_yaml(self.cluster_rules))
        return "".join(parts)

    @property
    def line(self) -> str:
        """The rules as YAML on one line; what is to be done with stages is left out."""
        rules = yaml.safe_load(_yaml((*self.rules, *self.cluster_rules)))
        return yaml.safe_dump(rules, default_flow_style=True, sort_keys=False, width=float("inf")).strip()


def suggest(
    policy: Policy, catalogue: Catalogue, *, namespace: str | None = None, follow_namespaces: bool = True
) -> dict[str, Suggestion]:
    """A suggestion for each action that is not covered, by its id; arguments are those of `assess`.

    An action has none where the catalogue contradicts itself: one action needs what another must not have.
    """
    if namespace is None:
        survey = survey_cluster(policy, catalogue, follow_namespaces=follow_namespaces)
    else:
        survey = survey_namespace(restrict(policy, namespace).policy, catalogue, namespace)
    advisor = _Advisor(survey, policy.omit_stages, one_namespace=namespace is not None)
    pairs = zip(survey.probes.actions, survey.tallies, strict=True)
    found = {probes.action.id: advisor.suggestion(probes, tally) for probes, tally in pairs if tally.failing}
    return {identity: suggestion for identity, suggestion in found.items() if suggestion}


def rules_for(levels: Mapping[Operation, Level]) -> tuple[Rule, ...]:
    """Few rules that give each operation its level, wherever it occurs and whoever asks for it."""
    cells = {_Cell(_Target.of(operation), None): level for operation, level in levels.items()}
    return tuple(_rules(cells))


class _Thing(NamedTuple):
    """What something is done to: a path, or else a resource (or resource/subresource) of a group."""

    path: str
    api_group: str
    resource: str


class _Target(NamedTuple):
    """What one rule can single out wherever it occurs."""

    verb: str
    thing: _Thing

    @classmethod
    def of(cls, operation: Operation) -> _Target:
        slash = "/" if operation.subresource else ""
        resource = f"{operation.resource}{slash}{operation.subresource}"
        return cls(operation.verb, _Thing(operation.path, operation.api_group, resource))


class _Cell(NamedTuple):
    """A target in one namespace (``""`` is none), or wherever it occurs (None)."""

    target: _Target
    namespace: str | None


class _Advisor:
    """Finds the level for each cell, given all that was found out about a policy."""

    def __init__(self, survey: Survey, omit_stages: frozenset[Stage], *, one_namespace: bool) -> None:
        self._probes = survey.probes
        self._omit_stages = omit_stages
        self._one_namespace = one_namespace
        self._recorded: dict[str, dict[Level, int]] = defaultdict(lambda: dict.fromkeys(Level, 0))
        for situation, recording in survey.recordings:
            levels = self._recorded[situation.namespace]
            for level in Level:
                levels[level] |= recording.at_least(level)
        self._operations: dict[_Target, int] = defaultdict(int)
        self._position: dict[_Target, int] = {}
        for operation in survey.probes.operations:
            self._position.setdefault(_Target.of(operation), len(self._position))
            self._operations[_Target.of(operation)] |= survey.probes.operations.mask([operation])

    def suggestion(self, action: ActionProbes, tally: Tally) -> Suggestion | None:
        levels: dict[_Cell, Level] = {}
        for cell in self._failing_cells(action, tally):
            level = self._level_for(cell)
            if level is None:
                return None
            levels[cell] = level
        rules = tuple(_rules(levels))
        keep = action.stages & self._omit_stages
        if not self._one_namespace:
            return Suggestion(rules, (), keep)
        cluster = tuple(rule for rule in rules if rule.namespaces == (NO_NAMESPACE,))
        own = tuple(replace(rule, namespaces=()) for rule in rules if rule not in cluster)
        return Suggestion(own, cluster, keep)

    def _failing_cells(self, action: ActionProbes, tally: Tally) -> list[_Cell]:
        cells: set[_Cell] = set()
        for each in tally.failing:
            place = each.situation.namespace
            only_there = action.only_in.get(place, 0) & ~action.anywhere if place else 0
            for operation in self._probes.operations.members(each.operations):
                narrow = self._one_namespace or self._probes.operations.mask([operation]) & only_there
                cells.add(_Cell(_Target.of(operation), place if narrow else None))
        return sorted(cells, key=lambda cell: (self._position[cell.target], cell.namespace or ""))

    def _level_for(self, cell: _Cell) -> Level | None:
        """The level that suits every action and lowers nothing but what leaks; None if no level suits every action."""
        places = self._recorded if cell.namespace is None else (cell.namespace,)
        needed, bearable, safe = Level.METADATA, Level.REQUEST_RESPONSE, Level.REQUEST_RESPONSE
        recorded = Level.NONE
        for place in places:
            operations = self._operations_at(cell.target, place)
            recorded = max([recorded, *(level for level, mask in self._recorded[place].items() if mask & operations)])
            for action in self._probes.actions:
                concerned = operations & action.operations_at(place)
                if concerned:
                    needed = max(needed, action.action.min_level)
                if concerned & (action.no_request_body | action.no_response_body):
                    safe = min(safe, action.action.max_level)
                    bearable = min(bearable, Level.METADATA if concerned & action.no_request_body else Level.REQUEST)
        if needed > bearable:
            return None
        level = max(needed, recorded)
        return level if level <= bearable else max(needed, safe)

    def _operations_at(self, target: _Target, place: str) -> int:
        operations = self._probes.operations
        return self._operations[target] & (operations.in_namespace if place else operations.without_namespace)


def _rules(levels: dict[_Cell, Level]) -> Iterator[Rule]:
    """Few rules that give each cell its level; no two of them match the same request."""
    verbs: dict[tuple[Level, str | None, _Thing], list[str]] = defaultdict(list)
    for (target, namespace), level in levels.items():
        verbs[level, namespace, target.thing].append(target.verb)
    alike: dict[tuple[Level, str | None, tuple[str, ...], bool], list[_Thing]] = defaultdict(list)
    for (level, namespace, thing), listed in verbs.items():
        alike[level, namespace, _ordered(listed), bool(thing.path)].append(thing)
    for (level, namespace, ordered, are_paths), things in alike.items():
        if are_paths:
            yield Rule(level, verbs=ordered, non_resource_urls=tuple(thing.path for thing in things))
            continue
        resources: dict[str, list[str]] = defaultdict(list)
        for thing in things:
            resources[thing.api_group].append(thing.resource)
        entries = tuple(GroupResources(group, tuple(names)) for group, names in resources.items())
        yield Rule(level, verbs=ordered, resources=entries, namespaces=() if namespace is None else (namespace,))


def _ordered(verbs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(verbs, key=lambda verb: (_VERBS.index(verb) if verb in _VERBS else len(_VERBS), verb)))


def _yaml(rules: tuple[Rule, ...]) -> str:
    return render(Policy(rules)).partition("rules:\n")[2]
