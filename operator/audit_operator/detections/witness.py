"""A request and the event that is recorded of it, as proof that a rule can fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.detections.bodies import type_at
from audit_operator.detections.moment import DECISION

if TYPE_CHECKING:
    from audit_operator.api.audit import Level, Stage
    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.condition import Path
    from audit_operator.detections.moment import Moment
    from audit_operator.detections.solving import Values
    from audit_operator.policy.model import Request


@dataclass(frozen=True, slots=True)
class Witness:
    """An event (audit.k8s.io/v1) that fires a rule, and what it is of."""

    operation: Operation
    request: Request
    level: Level
    stage: Stage
    event: dict[str, Any]


def witness(moment: Moment, values: Values) -> Witness:
    """The event of a moment, with values where they were left open."""
    return Witness(moment.operation, moment.request, moment.level, moment.stage, _event(moment, values))


def _event(moment: Moment, values: Values) -> dict[str, Any]:
    user, request = moment.user, moment.request
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": moment.level.value,
        "auditID": "00000000-0000-0000-0000-000000000000",
        "stage": moment.stage.value,
        "requestURI": moment.uri,
        "verb": moment.operation.verb,
        "user": {"username": user.name, "groups": list(user.groups)} if user else {},
        "sourceIPs": ["192.0.2.1"],
        "userAgent": "sample/1.0",
    }
    if request.resource_request:
        named = {
            "resource": request.resource,
            "namespace": request.namespace,
            "name": request.name,
            "apiGroup": request.api_group,
            "apiVersion": "v1",
            "subresource": request.subresource,
        }
        event["objectRef"] = {key: value for key, value in named.items() if value}
    for path in _DERIVED:
        for value in (moment.domain(path).choices or ())[:1]:
            _put(event, path, [value], moment)
    for path, chosen in values.items():
        _put(event, path, chosen, moment)
    return event


_DERIVED: tuple[Path, ...] = (("responseStatus", "code"), DECISION)
"""Of what follows from how far the request has come."""


def _put(event: dict[str, Any], path: Path, values: list[Any], moment: Moment) -> None:
    """Put values at a path; several go into a list, of which bodies know where it is."""
    if not values:
        _remove(event, path)
    elif path[0] in ("requestObject", "responseObject") and moment.kind_of(path[0]):
        _into(event.setdefault(path[0], {}), path[1:], (), values, moment.kind_of(path[0]))
    else:
        inner = event
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = values if moment.domain(path).many else values[0]


def _remove(event: dict[str, Any], path: Path) -> None:
    inner = event
    for step in path[:-1]:
        found = inner.get(step)
        if not isinstance(found, dict):
            return
        inner = found
    inner.pop(path[-1], None)


def _into(holder: dict[str, Any], rest: Path, done: Path, values: list[Any], kind: str) -> None:
    """Put values below an object of a body; `done` leads from the body's root to `holder`."""
    if not rest:
        return
    step, *others = rest
    here = (*done, step)
    found = "[*]" if kind.startswith("List of ") and here == ("items",) else type_at(kind, here) or "*"
    if not others:
        _set(holder, step, values, is_list=found.startswith("["))
    elif found.startswith("["):
        elements = holder.setdefault(step, [])
        # A list within an element takes all the values; else each value has an element of its own.
        spread = [values] if _has_list(kind, here, tuple(others)) else [[value] for value in values]
        for number, share in enumerate(spread):
            if number == len(elements):
                elements.append({})
            _into(elements[number], tuple(others), here, share, kind)
    else:
        _into(holder.setdefault(step, {}), tuple(others), here, values, kind)


def _has_list(kind: str, done: Path, rest: Path) -> bool:
    return any((type_at(kind, (*done, *rest[:end])) or "").startswith("[") for end in range(1, len(rest) + 1))


def _set(holder: dict[str, Any], step: str, values: list[Any], *, is_list: bool) -> None:
    if is_list:
        holder[step] = values
    elif isinstance(values[0], dict):
        holder.setdefault(step, {}).update(values[0])
    else:
        holder[step] = values[0]
