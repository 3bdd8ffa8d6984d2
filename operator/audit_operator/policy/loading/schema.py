"""The types behind a policy text, as data: `Policy` of audit.k8s.io/v1 with its `ObjectMeta`, and the internal type.

Source: `pkg/apis/audit/v1/types.go`, `pkg/apis/audit/types.go` (kubernetes/apiserver), `pkg/apis/meta/v1/types.go`
(kubernetes/apimachinery).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


class Leaf(Enum):
    """A type without parts; the value says it in words."""

    STRING = "a string"
    BOOL = "a boolean"
    OPTIONAL_BOOL = "a boolean or null"
    INT64 = "a whole number"
    TIME = "an RFC 3339 time"
    ANY = "anything"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A Go slice."""

    item: Type


@dataclass(frozen=True, slots=True)
class MapOf:
    """A Go map from strings."""

    value: Type


@dataclass(frozen=True, slots=True, eq=False)
class Struct:
    """A Go struct: fields by name, case-sensitive."""

    fields: Mapping[str, Type]


Type: TypeAlias = Leaf | ListOf | MapOf | Struct

_STRINGS = ListOf(Leaf.STRING)
_TYPE_META: dict[str, Type] = {"kind": Leaf.STRING, "apiVersion": Leaf.STRING}
_OWNER_REFERENCE = Struct(
    dict.fromkeys(["apiVersion", "kind", "name", "uid"], Leaf.STRING)
    | dict.fromkeys(["controller", "blockOwnerDeletion"], Leaf.BOOL)
)
_MANAGED_FIELDS_ENTRY = Struct(
    dict.fromkeys(["manager", "operation", "apiVersion", "fieldsType", "subresource"], Leaf.STRING)
    | {"time": Leaf.TIME, "fieldsV1": Leaf.ANY}
)
_OBJECT_META: dict[str, Type] = {
    **dict.fromkeys(["name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"], Leaf.STRING),
    **dict.fromkeys(["generation", "deletionGracePeriodSeconds"], Leaf.INT64),
    **dict.fromkeys(["creationTimestamp", "deletionTimestamp"], Leaf.TIME),
    **dict.fromkeys(["labels", "annotations"], MapOf(Leaf.STRING)),
    "ownerReferences": ListOf(_OWNER_REFERENCE),
    "finalizers": _STRINGS,
    "managedFields": ListOf(_MANAGED_FIELDS_ENTRY),
}
_ENTRY: dict[str, Type] = {"group": Leaf.STRING, "resources": _STRINGS, "resourceNames": _STRINGS}
_RULE: dict[str, Type] = {
    "level": Leaf.STRING,
    **dict.fromkeys(["users", "userGroups", "verbs"], _STRINGS),
    "resources": ListOf(Struct(_ENTRY)),
    **dict.fromkeys(["namespaces", "nonResourceURLs", "omitStages"], _STRINGS),
    "omitManagedFields": Leaf.OPTIONAL_BOOL,
}
_POLICY: dict[str, Type] = {"rules": ListOf(Struct(_RULE)), "omitStages": _STRINGS, "omitManagedFields": Leaf.BOOL}

POLICY = Struct({**_TYPE_META, "metadata": Struct(_OBJECT_META), **_POLICY})
"""audit.k8s.io/v1 Policy."""


def _go_names(fields: Mapping[str, Type]) -> dict[str, Type]:
    return {key[0].upper() + key[1:]: value for key, value in fields.items()}


INTERNAL_POLICY = Struct(
    _TYPE_META
    | _OBJECT_META
    | _go_names(_POLICY)
    | {"Rules": ListOf(Struct(_go_names(_RULE) | {"Resources": ListOf(Struct(_go_names(_ENTRY)))}))}
)
"""What a text without an apiVersion is decoded into before it is refused: Go's field names, metadata spread out."""
