"""What a policy sees of an HTTP request, and of a recorded event.

The API server evaluates the policy on attributes that it takes from method, path and query alone, before it reads a
body. An event's objectRef was completed afterwards (the name of a created object, for one), so replaying events means
going back to verb, requestURI and user.
Source: `pkg/endpoints/request/requestinfo.go` and `pkg/endpoints/filters/authorization.go` of kubernetes/apiserver.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.list_options import BROKEN_PERCENT, ListOptions
from audit_operator.policy.model import Request, User

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_METHODS = {
    "create": "POST",
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
_VERBS_IN_PATH = frozenset({"proxy", "watch"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


class NoRequestError(ValueError):
    """The API server refuses the request before it audits anything, so no policy ever sees it."""


def request_from_http(method: str, path: str, query: str = "", user: User | None = None) -> Request:
    """The attributes of an HTTP request.

    Args:
        method: as sent; only upper-case ones have a verb of their own.
        path: the path as sent, percent-encoded. Bytes that are no UTF-8 become surrogates (PEP 383).
        query: what follows the question mark, percent-encoded.
        user: who was authenticated, before impersonation; None for a failed authentication.

    Raises:
        NoRequestError: the percent-encoding of the path is broken, or it ends after ``/watch`` or ``/proxy``.
    """
    decoded = _unescape_path(path)
    # A request about no resource until proven otherwise.
    request = Request(user=user, verb=method.lower(), resource_request=False, path=decoded)
    parts = decoded.strip("/").split("/")
    match parts:
        case ["api", version, first, *rest]:
            return _resource_request(replace(request, api_version=version), method, [first, *rest], query)
        case ["apis", group, version, first, *rest]:
            request = replace(request, api_group=group, api_version=version)
            return _resource_request(request, method, [first, *rest], query)
        case _:
            return request


def _resource_request(request: Request, method: str, parts: list[str], query: str) -> Request:
    verb, parts = _verb(method, parts)
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        # For the Namespace itself, namespace and name are both its name.
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:  # noqa: PLR2004 - namespaces/foo/pods
            parts = parts[2:]
    resource, name, subresource, *_ = [*parts, "", ""]
    if verb == "proxy":  # what follows the name is the path to proxy to
        subresource = ""
    if verb == "get" and not name:
        options = ListOptions.parse(query)
        verb, name = ("watch" if options.watch else "list"), options.name
    if verb == "delete" and not name:
        verb = "deletecollection"
    return replace(
        request,
        verb=verb,
        resource_request=True,
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
    )


def _verb(method: str, parts: list[str]) -> tuple[str, list[str]]:
    if parts[0] not in _VERBS_IN_PATH:
        return _VERBS.get(method, ""), parts
    if len(parts) == 1:
        raise NoRequestError(f"the path ends after {parts[0]!r}: the API server answers 500 and audits nothing")
    return parts[0], parts[1:]


def request_from_event(event: Mapping[str, Any]) -> Request | Finding:
    """What the policy saw of the request behind an audit event (audit.k8s.io/v1), or why that cannot be told.

    Uses verb, requestURI and user. The user is the one before impersonation; an empty one is a failed authentication.
    """
    verb, uri, user = event.get("verb"), event.get("requestURI"), event.get("user", {})
    if not isinstance(verb, str) or not isinstance(uri, str) or not isinstance(user, dict):
        return _unreadable("an event needs a verb, a requestURI and a user")
    path, _, query = uri.partition("?")
    try:
        who = _user(user)
        # The verb is known; the method only tells whether a name may come from a field selector.
        request = request_from_http(_METHODS.get(verb, ""), path, query, who)
    except (NoRequestError, TypeError) as error:
        return _unreadable(str(error))
    return replace(request, verb=verb)


def _user(user: Mapping[str, Any]) -> User | None:
    name, groups, uid = user.get("username", ""), user.get("groups") or [], user.get("uid", "")
    if not isinstance(name, str) or not isinstance(uid, str) or not isinstance(groups, list):
        raise TypeError("username and uid of an event's user are strings, groups is a list")
    if not all(isinstance(group, str) for group in groups):
        raise TypeError("groups of an event's user are strings")
    return User(name, tuple(groups), uid) if name or groups or uid else None


def _unreadable(message: str) -> Finding:
    return Finding("unreadable-event", Severity.ERROR, message)


def _unescape_path(path: str) -> str:
    if "%" not in path:
        return path
    if BROKEN_PERCENT.search(path):
        raise NoRequestError(f"broken percent-encoding in {path!r}: the API server answers 400 and audits nothing")
    return unquote_to_bytes(path).decode("utf-8", "surrogateescape")
