"""Which fields the bodies in audit events can have.

The API server records the objects that it has decoded, so a field that a kind does not have is in no event of a create
or an update, whatever was sent: a rule that asks for the ServiceAccount in the spec of a RoleBinding asks in vain.
`object_fields.json` is written by `tools/object_fields.py`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from audit_operator.policy.known_resources import known_resources

if TYPE_CHECKING:
    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.condition import Path

_OWN_KIND = frozenset({"status", "finalize", "approval", "ephemeralcontainers", "resize"})
"""Subresources whose bodies are of the kind of the resource."""
_KINDS = {"eviction": "Eviction", "binding": "Binding", "token": "TokenRequest", "scale": "Scale"}
ANYTHING = "*"
"""The type of what has no known fields."""

LIST = "List of "


def kind_of(operation: Operation) -> str:
    """The kind of the objects that an operation is about; `ANYTHING` if it is not known."""
    resource = known_resources().find(operation.api_group, operation.resource)
    if operation.subresource in _KINDS:
        return _KINDS[operation.subresource]
    if resource is None or (operation.subresource and operation.subresource not in _OWN_KIND):
        return ANYTHING
    return resource.kind if resource.kind in _types() else ANYTHING


def type_at(kind: str, path: Path) -> str | None:
    """The type of what is at a path of an object: a type as in the file; None if there is no such field.

    Lists on the way are gone through. A list of objects (`LIST` and their kind) has them in ``items``.
    """
    if kind.startswith(LIST):
        if not path:
            return ANYTHING
        return type_at(kind.removeprefix(LIST), path[1:]) if path[0] == "items" else _of_list(path)
    found = kind
    for step in path:
        found = found.strip("[]")
        if found == ANYTHING:
            return ANYTHING
        if found.startswith("{"):  # keys of maps may have dots, so all the rest may be one of them
            return found[1:-1] if found[1:-1] not in _types() else ANYTHING
        fields = _types().get(found, {})
        if step not in fields:
            return None
        found = fields[step]
    return found


def _of_list(path: Path) -> str | None:
    return "string" if path in (("kind",), ("apiVersion",)) else ANYTHING if path[0] == "metadata" else None


@lru_cache(maxsize=1)
def _types() -> dict[str, dict[str, str]]:
    text = files("audit_operator.detections").joinpath("object_fields.json").read_text("utf-8")
    types: dict[str, dict[str, str]] = json.loads(text)["types"]
    return types
