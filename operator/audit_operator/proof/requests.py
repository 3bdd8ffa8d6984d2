"""Requests that prove what is recorded, and that can do no harm.

Every request is refused, and recorded all the same: the policy is evaluated before anybody asks for rights. Should
somebody have given rights to whoever sends it, it still does nothing: it names an API version that no API server serves
and, but for a Namespace, which is its own place, an object that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.coverage.catalogue import Sender
from audit_operator.policy.attributes import request_from_http
from audit_operator.policy.model import User

if TYPE_CHECKING:
    from audit_operator.coverage.operations import Operation
    from audit_operator.policy.model import Request

VERSION = "v0probe"
"""Policies and RBAC know API groups and no versions, and whatever is allowed to do something here is told 404."""

CANARY = "probe-token"
"""The parameter that a shipper must blank in every URL, by its name; the API server passes over it."""

_METHODS = {
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
    """What is asked: an operation, in a namespace or (``""``) without one, as somebody."""

    operation: Operation
    place: str
    sender: Sender


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One HTTP request; `uri` is as the API server records it, `content_type` is empty where there is no body."""

    aim: Aim
    marks: Marks
    method: str
    path: str
    uri: str
    content_type: str = ""

    @classmethod
    def of(cls, aim: Aim, marks: Marks) -> ProbeRequest:
        """The request for an aim."""
        operation = aim.operation
        method = operation.verb.upper() if operation.path else _METHODS[operation.verb]
        path = operation.path or _path(operation, aim.place, marks.name)
        uri = f"{path}?{_query(operation, method)}{CANARY}={marks.canary}"
        return cls(aim, marks, method, path, uri, "" if operation.path else _BODIES.get(method, ""))

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


def _path(operation: Operation, place: str, name: str) -> str:
    path = f"/apis/{operation.api_group}/{VERSION}" if operation.api_group else f"/api/{VERSION}"
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
