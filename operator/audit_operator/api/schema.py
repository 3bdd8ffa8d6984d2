"""The kinds as OpenAPI v3 structural schemas, made from the models.

pydantic writes JSON Schema; a CustomResourceDefinition takes a stricter dialect: no references, no unions, no closed
objects, no titles. This module translates between the two and adds nothing of its own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from audit_operator.api.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.resource import Resource

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "additionalProperties", "$defs", "const"})
# An empty default means "absent", which needs no default: rules tell apart what is written and what is not.
_EMPTY: tuple[Any, ...] = (None, "", [], {})


@cache
def openapi_schema(kind: str) -> Schema:
    """The structural schema of one of our kinds. Callers must not change it.

    Raises:
        KeyError: the kind is not ours.
    """
    model: type[Resource] = KINDS[kind]
    source = model.model_json_schema(by_alias=True, mode="validation")
    root = _translate(source, source.get("$defs", {}), closed=True)
    properties = root["properties"]
    # The API server has its own schema for these three, and allows no other to be given.
    properties["apiVersion"] = {"type": "string", "description": properties["apiVersion"]["description"]}
    properties["kind"] = {"type": "string", "description": properties["kind"]["description"]}
    properties["metadata"] = {"type": "object"}
    source_properties = source["properties"]
    properties["status"] = _translate(source_properties["status"], source["$defs"], closed=False)
    root["required"] = ["spec"]
    return root


def _translate(node: Mapping[str, Any], definitions: Mapping[str, Schema], *, closed: bool) -> Schema:
    """One node and everything below it.

    Where not `closed`, words of an enumeration are not checked: status may be written by an operator that is newer
    than the installed schema.
    """
    merged = _merged(node, definitions)
    result: Schema = {key: value for key, value in merged.items() if key not in _DROPPED}
    if "const" in merged:
        result["enum"] = [merged["const"]]
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if result.get("default") in _EMPTY:
        result.pop("default", None)
    if not closed and "enum" in result:
        del result["enum"]
        result["maxLength"] = 64
    if "properties" in merged:
        result["properties"] = {
            name: _translate(child, definitions, closed=closed) for name, child in merged["properties"].items()
        }
    elif isinstance(merged.get("additionalProperties"), dict):
        result |= _map_of(merged, definitions, closed=closed)
    if "items" in merged:
        result["items"] = _translate(merged["items"], definitions, closed=closed)
    return result


def _map_of(node: Mapping[str, Any], definitions: Mapping[str, Schema], *, closed: bool) -> Schema:
    values = _translate(node["additionalProperties"], definitions, closed=closed)
    return {"additionalProperties": values, "x-kubernetes-map-type": "granular"}


def _merged(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The node with references resolved and `X | None` read as X; what the node itself says wins."""
    own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "allOf")}
    if "$ref" in node:
        return _merged(definitions[node["$ref"].rpartition("/")[2]], definitions) | own
    if "anyOf" in node:
        (inner,) = (each for each in node["anyOf"] if each.get("type") != "null")
        return _merged(inner, definitions) | own
    return dict(own)
