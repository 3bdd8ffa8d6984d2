"""The probes of a catalogue: what is asked about each action, for the cluster or for one namespace.

Made once per catalogue and kept, since every policy is asked the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level, Stage
from audit_operator.coverage.callers import CONTROLLERS_NAMESPACE, SAMPLE_NAMESPACE
from audit_operator.coverage.catalogue import Action, Catalogue, Match, Scope
from audit_operator.coverage.operations import Operation, Operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.coverage.recording import Recording

NO_NAMESPACE = ""
"""Where requests are sent that have no namespace: about objects of the cluster, lists across namespaces, paths."""

ANY_NAMESPACE = None

_ACROSS = frozenset({"list", "watch"})


@dataclass(frozen=True, slots=True)
class ActionProbes:
    """An action's operations as masks, and what makes them satisfied.

    Attributes:
        anywhere: operations in any namespace.
        only_in: operations in certain namespaces.
        without: operations without a namespace.
        no_request_body, no_response_body: operations whose body must not be recorded.
    """

    action: Action
    stages: frozenset[Stage]
    anywhere: int
    only_in: dict[str, int]
    without: int
    no_request_body: int
    no_response_body: int

    def operations_at(self, namespace: str) -> int:
        """The operations that are the action in a namespace; ``""`` is none."""
        return self.anywhere | self.only_in.get(namespace, 0) if namespace else self.without

    def leaking(self, recording: Recording) -> int:
        """Operations of which a body is recorded that must not be."""
        leaking = 0
        if self.no_request_body:
            leaking |= self.no_request_body & recording.at_least(Level.REQUEST)
        if self.no_response_body:
            leaking |= self.no_response_body & recording.at_least(Level.REQUEST_RESPONSE)
        return leaking


@dataclass(frozen=True, slots=True)
class Probes:
    """A catalogue's probes.

    Attributes:
        operations: everything that is asked about.
        actions: the actions that can be done where it is asked.
        namespaces: where it is asked; the last is none.
        by_subject: for each subject of the catalogue the indexes of its actions.
        leak_prone: indexes of the actions of which some body must not be recorded.
    """

    operations: Operations
    actions: tuple[ActionProbes, ...]
    namespaces: tuple[str, ...]
    by_subject: dict[str, tuple[int, ...]]
    leak_prone: tuple[int, ...]


@lru_cache(maxsize=64)
def probes_of(catalogue: Catalogue, namespace: str | None) -> Probes:
    """The probes for the cluster (None), for a namespace that the catalogue names, or for any (`SAMPLE_NAMESPACE`)."""
    per_action = [_operations_of(action, namespace) for action in catalogue.actions]
    if namespace is not None:
        per_action = [places if places.keys() - {NO_NAMESPACE} else {} for places in per_action]
    operations = Operations(each for places in per_action for listed in places.values() for each in listed)
    actions = tuple(
        _compile(action, places, operations)
        for action, places in zip(catalogue.actions, per_action, strict=True)
        if places
    )
    asked = [SAMPLE_NAMESPACE]
    if namespace is None:
        asked += sorted({CONTROLLERS_NAMESPACE, *catalogue.named_namespaces})
    subjects = {subject for probes in actions for subject in probes.action.subjects}
    return Probes(
        operations,
        actions,
        (*asked, NO_NAMESPACE),
        {
            subject: tuple(index for index, probes in enumerate(actions) if subject in probes.action.subjects)
            for subject in subjects
        },
        tuple(i for i, probes in enumerate(actions) if probes.no_request_body | probes.no_response_body),
    )


def operations_at(action: Action, place: str) -> tuple[Operation, ...]:
    """The requests that are the action and are sent in a namespace, or (``""``) without one; in the catalogue's order.

    A list across namespaces is sent without one.
    """
    found = [
        operation
        for match in action.match
        for where, operation in _operations_of_match(match)
        if where == place or (where is ANY_NAMESPACE and place)
    ]
    return tuple(dict.fromkeys(found))


def _compile(action: Action, places: dict[str | None, list[Operation]], operations: Operations) -> ActionProbes:
    masks = {place: operations.mask(listed) for place, listed in places.items()}
    everything = operations.mask(each for listed in places.values() for each in listed)
    return ActionProbes(
        action,
        frozenset(action.stages),
        masks.get(ANY_NAMESPACE, 0),
        {place: mask for place, mask in masks.items() if place},
        masks.get(NO_NAMESPACE, 0),
        everything & operations.with_request_body if action.max_level < Level.REQUEST else 0,
        everything & operations.with_response_body if action.max_level < Level.REQUEST_RESPONSE else 0,
    )


def _operations_of(action: Action, namespace: str | None) -> dict[str | None, list[Operation]]:
    """An action's operations by place: `ANY_NAMESPACE`, one namespace, or `NO_NAMESPACE`.

    For one namespace what is done elsewhere is left out, and what is done only there is about `SAMPLE_NAMESPACE`.
    """
    found: dict[str | None, list[Operation]] = {}
    for match in action.match:
        for place, operation in _operations_of_match(match):
            if namespace is not None and place == namespace:
                place = SAMPLE_NAMESPACE  # noqa: PLW2901 - the same place, by its other name
            elsewhere = place not in (ANY_NAMESPACE, SAMPLE_NAMESPACE) and not operation.is_across_namespaces
            if namespace is None or not elsewhere:
                found.setdefault(place, []).append(operation)
    return found


def _operations_of_match(match: Match) -> Iterator[tuple[str | None, Operation]]:
    for verb in match.verbs:
        for path in match.non_resource_urls:
            yield NO_NAMESPACE, Operation(verb, path=path)
        for spelled in match.resources:
            resource, _, subresource = spelled.partition("/")
            operation = Operation(verb, match.api_group, resource, subresource)
            inside = replace(operation, in_namespace=True)
            if match.scope is Scope.CLUSTER:
                itself = inside.is_on_namespace and inside.is_named
                yield (ANY_NAMESPACE, inside) if itself else (NO_NAMESPACE, operation)
                continue
            for place in match.namespaces or (ANY_NAMESPACE,):
                yield place, inside
            if verb in _ACROSS and not match.namespaces:
                yield NO_NAMESPACE, replace(operation, is_across_namespaces=True)
