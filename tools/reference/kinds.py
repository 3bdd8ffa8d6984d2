"""One page for each kind, made of the schema that API servers check objects with: so it says what really holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.api.kinds import KINDS
from audit_operator.api.resource import API_VERSION
from audit_operator.api.schema import openapi_schema
from tools.reference.markdown import GENERATED, anchor, code, fenced, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.resource import KindInfo

Schema = dict[str, Any]

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
_LIMITS = {
    "maxLength": "at most {} characters",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "maxProperties": "at most {} keys",
}


def kind_pages() -> dict[str, str]:
    """File name to text, for all kinds."""
    return {f"{kind.lower()}.md": _page(kind) for kind in KINDS}


def _page(kind: str) -> str:
    info, schema = KINDS[kind].info, openapi_schema(kind)
    parts = [
        GENERATED,
        f"# {kind}\n\n{schema['description']}\n\n",
        _served(kind, info),
        "What `kubectl get` shows; with `-o wide` the last ones, too:\n\n",
        table(("column", "shows"), ((each.name, each.description) for each in info.columns)),
        "Unknown fields are errors. Fields without a default are absent unless they are set.\n\n",
    ]
    for name in ("spec", "status"):
        for heading, node in _objects(name, schema["properties"][name]):
            parts.append(_section(heading, node))
    parts.append(_examples(kind))
    return "".join(parts).rstrip() + "\n"


def _served(kind: str, info: KindInfo) -> str:
    scope = "one namespace" if info.namespaced else "the cluster"
    return f"`apiVersion: {API_VERSION}`, `kind: {kind}`, of {scope}. Names: `{info.plural}`, `{info.short_name}`.\n\n"


def _objects(path: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    """The objects at this place and below, with where they stand: `spec.rules[]` for the entries of a list."""
    if "properties" in node:
        yield path, node
        for name, child in node["properties"].items():
            yield from _objects(f"{path}.{name}", child)
    elif "items" in node:
        yield from _objects(f"{path}[]", node["items"])
    elif "additionalProperties" in node:
        yield from _objects(f"{path}{{}}", node["additionalProperties"])


def _section(path: str, node: Schema) -> str:
    required = node.get("required", [])
    rows = (
        (code(name) + (" *required*" if name in required else ""), *_about(f"{path}.{name}", child))
        for name, child in node["properties"].items()
    )
    text = f"## {path}\n\n{node.get('description', '')}\n\n" + table(("field", "type", "default", "says"), rows)
    rules = [each for each in node.get("x-kubernetes-validations", []) if each.get("message")]
    if rules:
        text += "".join(f"* {_ruled(each)}\n" for each in rules) + "\n"
    return text


def _ruled(rule: Schema) -> str:
    field = rule.get("fieldPath", "").removeprefix(".")
    return f"{code(field)} {rule['message']}" if field else rule["message"]


def _about(path: str, node: Schema) -> tuple[str, str, str]:
    """Type, default, and what a field says, with what it must keep to."""
    default = code(json.dumps(node["default"], ensure_ascii=False)) if "default" in node else ""
    kept = "; ".join(_kept(node))
    return _type(path, node), default, node.get("description", "") + (f" *{_sentence(kept)}.*" if kept else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _type(path: str, node: Schema) -> str:
    if "properties" in node:
        return f"[object](#{anchor(path)})"
    if "items" in node:
        return f"list of {_type(f'{path}[]', node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(f'{path}{{}}', node['additionalProperties'])}"
    if node.get("format") == "date-time":
        return "time"
    return str(node["type"])


def _kept(node: Schema) -> Iterator[str]:
    """What values must keep to, in words; of entries, too."""
    if "enum" in node:
        yield "one of " + ", ".join(code(str(each)) for each in node["enum"])
    if least := node.get("minLength"):
        yield "not empty" if least == 1 else f"at least {least} characters"
    yield from (text.format(node[name]) for name, text in _LIMITS.items() if name in node)
    if "pattern" in node:
        yield f"matches {code(node['pattern'])}"
    if node.get("x-kubernetes-list-type") == "set":
        yield "no entry twice"
    if keys := node.get("x-kubernetes-list-map-keys"):
        yield f"no two entries with the same {' and '.join(map(code, keys))}"
    yield from (_ruled(each) for each in node.get("x-kubernetes-validations", []) if _is_of_value(node, each))
    if "items" in node and "properties" not in node["items"]:
        yield from (f"each entry {each}" for each in _kept(node["items"]))


def _is_of_value(node: Schema, rule: Schema) -> bool:
    """Those of objects stand below the table of the object's fields."""
    return "properties" not in node and bool(rule.get("message"))


def _examples(kind: str) -> str:
    """The documents of this kind among the samples, with their comments."""
    text = "## Examples\n\n"
    for file in sorted(SAMPLES.glob("*.yaml")):
        found = [each for each in _documents(file) if (yaml.safe_load(each) or {}).get("kind") == kind]
        for document in found:
            text += f"Of [{file.name}](../../manifests/samples/{file.name}):\n\n" + fenced(document, "yaml")
    return text


def _documents(file: Path) -> list[str]:
    return [each.strip() for each in re.split(r"^---$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)]
