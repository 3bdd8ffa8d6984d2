"""Audit events to try a configuration with, as the API server writes them at level RequestResponse.

They differ in what levels, routes and redaction go by: bodies, managed fields, stages, subresources, failed requests,
persons and system users, requests about no namespace and about no resource.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VALUE = "hW7pQ2xV9kLm4sRt"
"""Stands where a Secret has its values; it must never leave a node."""
GONE = (VALUE, base64.b64encode(VALUE.encode()).decode())

PERSON = {"username": "jane@example.com", "groups": ["canary", "system:authenticated"]}
SYSTEM = {
    "username": "system:serviceaccount:kube-system:canary",
    "groups": ["system:serviceaccounts", "system:authenticated"],
}
NAME = "canary"
_ANSWER, _TIMES = '"responseStatus":', ',"requestReceivedTimestamp":'
_DAY, _SECOND = "2026-01-02", "03:04:05"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of which an event is made; `what` is for people."""

    what: str
    verb: str
    group: str
    resource: str
    name: str = NAME
    subresource: str = ""
    query: str = ""
    user: Mapping[str, Any] | None = None
    stage: Stage = Stage.RESPONSE_COMPLETE
    code: int = 200
    bodies: bool = False

    def uri(self, namespace: str) -> str:
        """Of the request line; `resource` is a whole path where a request is about none."""
        if self.resource.startswith("/"):
            return self.resource
        root = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        named = "" if self.verb == "create" and not self.subresource else self.name
        parts = (root, *(("namespaces", namespace) if namespace else ()), self.resource, named, self.subresource)
        return "/".join(filter(None, parts)) + self.query


IN_NAMESPACE = (
    Sent("a Secret that is created", "create", "", "secrets", code=201, bodies=True),
    Sent("a Deployment that is updated", "update", "apps", "deployments", bodies=True),
    Sent("a refused exec", "create", "", "pods", subresource="exec", query="?command=id&stdin=true", code=403),
    Sent("a watch that begins", "watch", "", "configmaps", "", query="?watch=true", stage=Stage.RESPONSE_STARTED),
    Sent("a list that was received", "list", "", "pods", "", stage=Stage.REQUEST_RECEIVED),
    Sent("a read by a service account", "get", "canary.audit-operator.dev", "canaries", user=SYSTEM),
)
IN_NONE = (
    Sent("a binding that is created", "create", "rbac.authorization.k8s.io", "clusterrolebindings", bodies=True),
    Sent("a list of nodes", "list", "", "nodes", "", user=SYSTEM),
)
ABOUT_NO_RESOURCE = (
    Sent("a health check", "get", "", "/healthz", user=SYSTEM),
    Sent("a request without a user", "get", "", "/api", user={}, code=401),
)


def hardly_recorded() -> Iterator[Sent]:
    """Requests of which policies often record nothing, the likeliest first."""
    for stage in (Stage.RESPONSE_COMPLETE, Stage.REQUEST_RECEIVED):
        for group, resource in (("", "events"), ("coordination.k8s.io", "leases"), ("", "endpoints"), ("", "pods")):
            for user in (SYSTEM, PERSON):
                yield Sent("a read", "get", group, resource, user=user, stage=stage)
                yield Sent("a watch", "watch", group, resource, "", query="?watch=true", user=user, stage=stage)


def event_of(sent: Sent, namespace: str, number: int) -> dict[str, Any]:
    """The event of a request; `number` tells events apart, and is above 0."""
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": Level.REQUEST_RESPONSE.value,
        "auditID": f"00000000-0000-4000-8000-{number:012}",
        "stage": sent.stage.value,
        "requestURI": sent.uri(namespace),
        "verb": sent.verb,
        "user": dict(PERSON if sent.user is None else sent.user),
        "sourceIPs": ["192.0.2.1"],
        "userAgent": "canary/1.0",
        **(_reference(sent, namespace) if not sent.resource.startswith("/") else {}),
        **({} if sent.stage is Stage.REQUEST_RECEIVED else {"responseStatus": {"metadata": {}, "code": sent.code}}),
        **({"requestObject": _body(sent, namespace), "responseObject": _body(sent, namespace)} if sent.bodies else {}),
        "requestReceivedTimestamp": f"{_DAY}T{_SECOND}.{number:06}Z",
        "stageTimestamp": f"{_DAY}T{_SECOND}.{number:06}Z",
    }
    if sent.stage is not Stage.REQUEST_RECEIVED:
        event["annotations"] = {"authorization.k8s.io/decision": "forbid" if sent.code == 403 else "allow"}  # noqa: PLR2004 - Forbidden
    return event


def time_of(number: int) -> str:
    """The time of the event with that number, as Go writes it."""
    return f"{_DAY}T{_SECOND}.{f'{number:06}'.rstrip('0')}Z"


def line_of(event: Mapping[str, Any]) -> str:
    """As it stands in the API server's file."""
    return json.dumps(event, separators=(",", ":"))


def salvaged_line(event: Mapping[str, Any]) -> str:
    """The line of an event that has no bodies, with one that no parser reads: it holds a number beyond all range."""
    whole, body = line_of(event), f'{{"stringData":{{"token":"{VALUE}"}},"replicas":1e999}}'
    before, times, after = whole.partition(_TIMES)
    return f'{before},"requestObject":{body}{times}{after}'


def broken_line(namespace: str, number: int) -> str:
    """The line of an event that was cut before its bodies; what it is about can be read all the same."""
    whole = line_of(event_of(IN_NAMESPACE[0], namespace, number))
    return f'{whole[: whole.index(_ANSWER) + len(_ANSWER)]}{{"metadata":{{}},"message":"{VALUE}'


def _reference(sent: Sent, namespace: str) -> dict[str, Any]:
    named = {
        "resource": sent.resource,
        "namespace": namespace,
        "name": sent.name,
        "apiGroup": sent.group,
        "apiVersion": "v1",
        "subresource": sent.subresource,
    }
    return {"objectRef": {name: value for name, value in named.items() if value}}


def _body(sent: Sent, namespace: str) -> dict[str, Any]:
    metadata = {
        "name": sent.name,
        **({"namespace": namespace} if namespace else {}),
        "managedFields": [{"manager": "canary", "operation": "Update"}],
    }
    if sent.resource != "secrets":
        return {"kind": "Canary", "apiVersion": "v1", "metadata": metadata, "spec": {"replicas": 2}}
    data = {"data": {"password": GONE[1]}}
    applied = json.dumps({"kind": "Secret", "metadata": {"name": sent.name}, **data})
    note = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {**metadata, **note}}
    return {**secret, "stringData": {"token": VALUE}, **data}
