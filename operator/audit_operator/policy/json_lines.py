"""Requests in and decisions out as JSON, one object a line, for scripts and for comparison with other evaluators.

The form is fixed: keys of a request that are ``""`` or false may be left out, `user` null is a failed authentication.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.model import Request, User

if TYPE_CHECKING:
    from audit_operator.policy.model import Decision

_STRINGS = {
    "verb": "verb",
    "path": "path",
    "apiGroup": "api_group",
    "apiVersion": "api_version",
    "namespace": "namespace",
    "resource": "resource",
    "subresource": "subresource",
    "name": "name",
}
_KEYS = frozenset(_STRINGS) | {"user", "resourceRequest"}
_USER_KEYS = frozenset({"name", "groups", "uid"})


def request_from_json(data: object) -> Request | Finding:
    """Read a request; a finding says what is wrong with it. A misspelt key is an error: it would change the answer."""
    if not isinstance(data, dict):
        return _wrong("a request is an object")
    if unknown := sorted(set(data) - _KEYS):
        return _wrong(f"unknown key {unknown[0]!r} in a request; known are {', '.join(sorted(_KEYS))}")
    strings = {field: data.get(key, "") for key, field in _STRINGS.items()}
    for key, field in _STRINGS.items():
        if not isinstance(strings[field], str):
            return _wrong(f"{key} must be a string")
    resource_request = data.get("resourceRequest", False)
    if not isinstance(resource_request, bool):
        return _wrong("resourceRequest must be true or false")
    user = _user(data.get("user"))
    if isinstance(user, Finding):
        return user
    return Request(user=user, resource_request=resource_request, **strings)


def _user(data: object) -> User | Finding | None:
    if data is None:
        return None
    if not isinstance(data, dict) or set(data) - _USER_KEYS:
        return _wrong(f"user must be null or an object of {', '.join(sorted(_USER_KEYS))}")
    name, groups, uid = data.get("name", ""), data.get("groups") or [], data.get("uid", "")
    if not isinstance(name, str) or not isinstance(uid, str):
        return _wrong("name and uid of a user must be strings")
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        return _wrong("groups of a user must be a list of strings")
    return User(name, tuple(groups), uid)


def _wrong(message: str) -> Finding:
    return Finding("invalid-request", Severity.ERROR, message)


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """A decision: level, omitted stages (sorted), omitManagedFields, and the index of the rule, null for none."""
    return {
        "level": str(decision.level),
        "omitStages": sorted(decision.omit_stages),
        "omitManagedFields": decision.omit_managed_fields,
        "rule": decision.rule,
    }
