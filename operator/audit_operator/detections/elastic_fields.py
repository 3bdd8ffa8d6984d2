"""What the fields that Elastic's integration for Kubernetes writes take from an audit event."""

from __future__ import annotations

from audit_operator.detections.condition import Condition, Constant, Field, Test
from audit_operator.detections.event_fields import path_of
from audit_operator.detections.rule import NotUnderstoodError

_PREFIX = "kubernetes.audit."
_SAME = {
    "event.action": "verb",
    "user.name": "user.username",
    "user_agent.original": "userAgent",
    "source.ip": "sourceIPs",
}
_CONSTANTS = {
    "data_stream.dataset": "kubernetes.audit_logs",
    "event.dataset": "kubernetes.audit_logs",
    "event.module": "kubernetes",
}


def is_about_audit(query: str) -> bool:
    """Whether a query is about audit events of Kubernetes."""
    return _PREFIX in query or "kubernetes.audit_logs" in query


def field_called(name: str) -> Field:
    """The field of that name.

    Raises:
        NotUnderstoodError: it is not known.
    """
    spelled = _SAME.get(name) or (name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else "")
    path = path_of(spelled)
    if path is None:
        raise NotUnderstoodError(f"the field {name} is not known")
    if path[0] == "annotations" and len(path) > 1:
        # The integration writes underscores for dots, but for what follows the slash.
        prefix, slash, rest = path[1].partition("/")
        path = ("annotations", f"{prefix.replace('_', '.')}{slash}{rest}")
    return Field(path)


def tested(name: str, test: Test) -> Condition:
    """The test, or what it amounts to for a field that is the same in all audit events."""
    if name in _CONSTANTS:
        return Constant(test.holds((_CONSTANTS[name],)))
    return test


def field_or_constant(name: str) -> Field:
    """The field of that name, which may be one that is the same in all audit events."""
    return Field(("verb",)) if name in _CONSTANTS else field_called(name)
