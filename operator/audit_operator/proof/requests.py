"""Requests that prove what is recorded, and that can do no harm.

Every request is refused, and recorded all the same: the policy is evaluated before anybody asks for rights. Should
somebody have given rights to whoever sends it, it still does nothing: it names an API version that no API server serves
and, but for a Namespace, which is its own place, an object that does not exist. Those with a body are allowed, where
that is asked for, and change an object that there cannot be: see `bodies`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.coverage.catalogue import Sender
from audit_operator.permissions.rbac import NOTHING
from audit_operator.policy.attributes import request_from_http
from audit_operator.policy.model import User
from audit_operator.proof.bodies import body_of, written_by

if TYPE_CHECKING:
    from audit_operator.coverage.operations import Operation
    from audit_operator.policy.model import Request

VERSION = "v0probe"
"""Policies and RBAC know API groups and no versions, and whatever is allowed to do something here is told 404."""

CANARY = "probe-token"
"""The parameter that a shipper must blank in every URL, by its name; the API server passes over it."""

USER_AGENT = "audit-operator-prober"
"""By which detections can leave out probes of nobody; whose name they have is known of the others."""

METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
_BODIES = {"POST": "application/json", "PUT": "application/json", "PATCH": "application/merge-patch+json"}
NAMELESS = frozenset({Sender.ANONYMOUS, Sender.BAD_TOKEN})
"""Who sends under no name by which a detection could tell probes from an attack."""

_ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells one request from all others; made of letters and dashes alone, which no redaction takes out.

    Attributes:
        audit_id: nobody can guess it, so that nobody else's record has it before ours was there.
        name: of an object that does not exist.
        canary: must not be found in any record.
    """

    audit_id: str
    name: str
    canary: str


@dataclass(frozen=True, slots=True)
class Aim:
    """What is asked: an operation, in a namespace or (``""``) without one, as somebody.

    Attributes:
        with_body: whether it is to be allowed, so that the record has its body; only of what `bodies.WRITTEN` names.
    """

    operation: Operation
    place: str
    sender: Sender
    with_body: bool = False

    @property
    def description(self) -> str:
        """How reports call it."""
        return f"{self.operation.verb} {self.operation.target}{' with a body' if self.with_body else ''}"


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One HTTP request; `uri` is as the API server records it, `body` and its type are empty where there is none."""

    aim: Aim
    marks: Marks
    method: str
    path: str
    uri: str
    content_type: str = ""
    body: str = ""

    @classmethod
    def of(cls, aim: Aim, marks: Marks) -> ProbeRequest:
        """The request for an aim."""
        operation = aim.operation
        method = operation.verb.upper() if operation.path else METHODS[operation.verb]
        written = written_by(operation) if aim.with_body else None
        version, name = (written.version, NOTHING) if written else (VERSION, marks.name)
        path = operation.path or _path(operation, version, aim.place, name)
        uri = f"{path}?{_query(operation, method)}{CANARY}={marks.canary}"
        content_type = "" if operation.path else _BODIES.get(method, "")
        body = body_of(operation, written, aim.place, marks.canary) if written else {}
        return cls(aim, marks, method, path, uri, content_type, json.dumps(body) if content_type else "")

    def attributes(self, user: User | None) -> Request:
        """What a policy sees of it, were it this user's."""
        path, _, query = self.uri.partition("?")
        return request_from_http(self.method, path, query, user)


def sent_by(sender: Sender, prober: User) -> User | None:
    """Whom a policy takes a sender for: impersonation comes later, and who fails to authenticate is nobody."""
    match sender:
        case Sender.ANONYMOUS:
            return _ANONYMOUS
        case Sender.BAD_TOKEN:
            return None
        case _:
            return prober


def _path(operation: Operation, version: str, place: str, name: str) -> str:
    path = f"/apis/{operation.api_group}/{version}" if operation.api_group else f"/api/{version}"
    if operation.is_on_namespace:
        path, name = f"{path}/namespaces/{place}", ""
    else:
        path = f"{path}/namespaces/{place}" if operation.in_namespace else path
        path = f"{path}/{operation.resource}"
    path = f"{path}/{name}" if operation.is_named and name else path
    return f"{path}/{operation.subresource}" if operation.subresource else path


def _query(operation: Operation, method: str) -> str:
    if operation.verb == "watch":
        return "watch=true&timeoutSeconds=1&"
    if operation.path.startswith("/debug/pprof/"):
        return "seconds=1&"
    return "dryRun=All&" if method != "GET" and not operation.path else ""
