"""Audit events as the API server writes them, for requests that are given as the policy sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from audit_operator.policy.attributes import request_from_event

if TYPE_CHECKING:
    from audit_operator.api.audit import Level, Stage
    from audit_operator.policy.model import Request

OBJECT = {"kind": "Thing", "metadata": {"name": "x", "managedFields": [{"manager": "m"}]}, "spec": {"big": 2**53}}


def event_of(request: Request, stage: Stage, level: Level, audit_id: str) -> dict[str, Any] | None:
    """An event with bodies; None if no request line leads to these attributes."""
    user = {} if request.user is None else {"username": request.user.name, "groups": list(request.user.groups)}
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": str(level),
        "auditID": audit_id,
        "stage": stage.value,
        "requestURI": _uri(request),
        "verb": request.verb,
        "user": user,
        "sourceIPs": ["192.0.2.1"],
        "responseStatus": {"metadata": {}, "code": 200},
        "requestObject": OBJECT,
        "responseObject": OBJECT,
        "requestReceivedTimestamp": "2026-11-28T07:00:00.000000Z",
        "stageTimestamp": "2026-11-28T07:00:00.000001Z",
    }
    if request.resource_request:
        reference = {
            "resource": request.resource,
            "namespace": request.namespace,
            # As the API server completes it from the body of what is created.
            "name": request.name or ("from-the-body" if request.verb == "create" else ""),
            "apiGroup": request.api_group,
            "apiVersion": request.api_version or "v1",
            "subresource": request.subresource,
        }
        named = {key: value for key, value in reference.items() if value}
        # Go writes fields in the order of the type: this one before the answer.
        before = list(event).index("responseStatus")
        fields = list(event.items())
        event = dict([*fields[:before], ("objectRef", named), *fields[before:]])
    seen = request_from_event(event)
    return event if _comparable(seen) == _comparable(request) else None


def line_of(event: dict[str, Any]) -> bytes:
    """The line in the API server's file."""
    return json.dumps(event, separators=(",", ":")).encode()


def _uri(request: Request) -> str:
    if not request.resource_request:
        return request.path
    version = request.api_version or "v1"
    parts = ["apis", request.api_group, version] if request.api_group else ["api", version]
    if request.namespace and (request.resource, request.name) != ("namespaces", request.namespace):
        parts += ["namespaces", request.namespace]
    parts += [request.resource, *filter(None, (request.name, request.subresource))]
    query = ""
    if request.verb in {"list", "watch"} and request.name:
        parts.remove(request.name)
        query = f"?fieldSelector={quote(f'metadata.name={request.name}')}"
    return "/" + "/".join(parts) + query


def _comparable(request: Any) -> tuple[Any, ...]:
    """What a policy can tell apart."""
    user = request.user and (request.user.name, request.user.groups)
    if not request.resource_request:
        return user, request.verb, request.path
    where = request.api_group, request.namespace, request.resource, request.subresource, request.name
    return user, request.verb, *where
