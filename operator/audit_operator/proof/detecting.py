"""Which refused request a detection is about, so that it can be measured how long its counter takes to show it.

A condition is asked as it stands, about the very events that are predicted of a request: what is not said of these,
such as a body, a success or an address, no refused request has, and such a detection stays unmeasured.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Stage
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.operations import Operation
from audit_operator.coverage.probes import operations_at
from audit_operator.detections.condition import evaluate, tests_of
from audit_operator.detections.pattern import Comparison
from audit_operator.proof.requests import METHODS, USER_AGENT, Aim, ProbeRequest
from audit_operator.proof.selecting import GENTLE_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.detections.condition import Condition, Path
    from audit_operator.proof.basis import Basis
    from audit_operator.proof.requests import Marks

_MOST_OPERATIONS, _MOST_PLACES = 200, 4
_ACROSS = frozenset({"list", "watch"})


@dataclass(frozen=True, slots=True)
class AskedDetection:
    """What is to be detected: the condition's id, the condition, and in which namespace; empty for all of them."""

    id: str
    condition: Condition
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A request, and ids of the conditions that hold for what is recorded of it."""

    request: ProbeRequest
    ids: frozenset[str]


def trials(detections: Iterable[AskedDetection], basis: Basis, marks: Callable[[], Marks]) -> tuple[Trial, ...]:
    """Requests for as many detections as can be measured, each with all of them that it is about."""
    wanted = list(detections)
    chosen: list[tuple[ProbeRequest, tuple[dict[str, Any], ...]]] = []
    for each in wanted:
        if not any(_holds(each, request, events) for request, events in chosen):
            chosen += islice(_requests(each, basis, marks), 1)
    return tuple(
        Trial(request, frozenset(each.id for each in wanted if _holds(each, request, events)))
        for request, events in chosen
    )


def _requests(
    detection: AskedDetection, basis: Basis, marks: Callable[[], Marks]
) -> Iterator[tuple[ProbeRequest, tuple[dict[str, Any], ...]]]:
    for place in _places(detection, basis):
        spared = {_what(each) for each in _excluded(place, basis)}
        for operation in islice(_operations(detection.condition, place), _MOST_OPERATIONS):
            request = ProbeRequest.of(Aim(operation, place, Sender.PROBER), marks())
            events = tuple(events_of(request, basis))
            if _what(operation) not in spared and _holds(detection, request, events):
                yield request, events


def _excluded(place: str, basis: Basis) -> Iterator[Operation]:
    """What actions are that nobody wants probed."""
    for action in basis.selector.catalogue.actions:
        if action.id in basis.selector.excluded:
            for each in {place, "", SAMPLE_NAMESPACE}:
                yield from operations_at(action, each)


def _what(operation: Operation) -> tuple[str, str, str, str]:
    return operation.verb, operation.api_group, operation.resource, operation.subresource


def _holds(detection: AskedDetection, request: ProbeRequest, events: Iterable[dict[str, Any]]) -> bool:
    if detection.namespace and request.aim.place != detection.namespace:
        return False
    return any(evaluate(detection.condition, event) is True for event in events)


def events_of(request: ProbeRequest, basis: Basis) -> Iterator[dict[str, Any]]:
    """What is recorded of a request of the prober, as far as it is known before; nothing under a pseudonym."""
    prediction, prober = basis.predict(request), basis.selector.prober
    if prediction.user is None:
        return
    seen = request.attributes(prober)
    named = {
        "resource": seen.resource,
        "namespace": seen.namespace,
        "name": seen.name,
        "apiGroup": seen.api_group,
        "subresource": seen.subresource,
    }
    for stage in prediction.levels:
        yield {
            "level": prediction.levels[stage].value,
            "auditID": request.marks.audit_id,
            "stage": stage.value,
            "requestURI": prediction.uri,
            "verb": seen.verb,
            "user": {"username": prober.name, "groups": list(prober.groups)},
            "userAgent": USER_AGENT,
            "objectRef": {key: value for key, value in named.items() if value},
            **(_ANSWER if stage is not Stage.REQUEST_RECEIVED else {}),
        }


_ANSWER = {
    "responseStatus": {"status": "Failure", "reason": "Forbidden", "code": HTTPStatus.FORBIDDEN.value},
    "annotations": {"authorization.k8s.io/decision": "forbid"},
}


def _places(detection: AskedDetection, basis: Basis) -> Iterator[str]:
    """Where to ask: in its namespace; else in those that it names, in some, and without any."""
    if detection.namespace:
        yield from [each for each in basis.places if each == detection.namespace]
        return
    named = [each for each in _named(detection.condition, ("objectRef", "namespace")) if each in basis.places]
    others = [each for each in reversed(basis.places) if each not in named]
    yield from [*named[:_MOST_PLACES], *others[:_MOST_PLACES], ""]


def _operations(condition: Condition, place: str) -> Iterator[Operation]:
    """Operations of what a condition names, the gentlest first."""
    verbs = [each for each in _named(condition, ("verb",)) if each in METHODS] or ["get"]
    groups = ["", *_named(condition, ("objectRef", "apiGroup"))]
    resources = _named(condition, ("objectRef", "resource")) or ["pods"]
    subresources = ["", *_named(condition, ("objectRef", "subresource"))]
    for verb, group, resource, subresource in product(
        sorted(verbs, key=GENTLE_FIRST.index), groups, resources, subresources
    ):
        across = not place and verb in _ACROSS
        yield Operation(verb, group, resource, subresource, in_namespace=bool(place), is_across_namespaces=across)


def _named(condition: Condition, path: Path) -> list[str]:
    """Values that a condition spells out for a field, in order."""
    found = (
        pattern.text
        for test in tests_of(condition)
        if test.field.path == path
        for pattern in test.patterns
        if pattern.comparison is Comparison.EQUALS
    )
    return list(dict.fromkeys(found))
