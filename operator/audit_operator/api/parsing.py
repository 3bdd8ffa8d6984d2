"""From a document to one of our kinds, or to findings that tell the user what to mend.

It never raises, whatever the document holds: one broken object must not stop the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.kinds import KINDS, AnyKind
from audit_operator.api.resource import API_VERSION, json_of
from audit_operator.api.schema import Schema, openapi_schema

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from audit_operator.api.model import ApiModel

MAX_FINDINGS = 50
"""Findings per object; an object with 10,000 wrong rules does not need 10,000 sentences."""

_MAX_DEPTH = 64
_METADATA_KEYS = ("name", "namespace", "labels", "annotations", "generateName", "ownerReferences", "finalizers")

Step = str | int


def parse_object(document: Mapping[str, Any]) -> AnyKind | tuple[Finding, ...]:
    """The object, or at least one finding of severity Error.

    A `status` that cannot be read is dropped: it is the operator's own output, perhaps of another release, and is
    written anew. Null counts as absent, as it does for the API server.
    """
    if not isinstance(document, Mapping):
        return (_error("not-an-object", "an object was expected", document, mend="start with apiVersion and kind"),)
    ref = _ref_of(document)
    if wrong := _type_errors(document, ref):
        return wrong
    foreign = tuple(islice(_foreign_values(document, (), ref), MAX_FINDINGS))
    if foreign:
        return foreign
    plain = _without_nulls(document)
    if wrong := tuple(_metadata_errors(plain, ref)):
        return wrong
    return _validate(plain, ref)


def to_json(model: ApiModel) -> dict[str, Any]:
    """The model as plain JSON; the same model always gives the same value, keys in the order of declaration."""
    return json_of(model)


def _validate(plain: dict[str, Any], ref: ObjectRef) -> AnyKind | tuple[Finding, ...]:
    kind = KINDS[ref.kind]
    try:
        return kind.model_validate_json(json.dumps(plain), by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
    own = [each for each in details if each["loc"][:1] != ("status",)]
    if not own and "status" in plain:
        return _validate({key: value for key, value in plain.items() if key != "status"}, ref)
    findings = [_finding(each, plain, ref) for each in own[:MAX_FINDINGS]]
    if len(own) > MAX_FINDINGS:
        findings.append(_error("too-many-errors", f"{len(own) - MAX_FINDINGS} more errors are not shown", ref=ref))
    return tuple(findings)


def _ref_of(document: Mapping[str, Any]) -> ObjectRef:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    kind, name, namespace = document.get("kind"), metadata.get("name"), metadata.get("namespace")
    return ObjectRef(*(each[:253] if isinstance(each, str) else "" for each in (kind, name, namespace)))


def _type_errors(document: Mapping[str, Any], ref: ObjectRef) -> tuple[Finding, ...]:
    """Whether the document says that it is of one of our kinds; nothing else can be judged before that."""
    kind, version = document.get("kind"), document.get("apiVersion")
    findings = []
    if version != API_VERSION:
        findings.append(_error("unknown-version", "is unknown", version, ref, "apiVersion", f"write {API_VERSION}"))
    if not isinstance(kind, str) or kind not in KINDS:
        mend = _did_you_mean(str(kind), KINDS) or f"kinds are {', '.join(KINDS)}"
        findings.append(_error("unknown-kind", "is unknown", kind, ref, "kind", mend))
    return tuple(findings)


def _foreign_values(value: Any, path: tuple[Step, ...], ref: ObjectRef) -> Iterator[Finding]:
    """What JSON cannot hold: YAML's dates and numbers as keys, NaN, and nesting without end."""
    where = _path(path)
    if len(path) > _MAX_DEPTH:
        yield _error("not-json", "is nested too deeply", ref=ref, path=where, mend="no field nests this deep")
    elif isinstance(value, Mapping):
        for key, child in value.items():
            if isinstance(key, str):
                yield from _foreign_values(child, (*path, key), ref)
            else:
                yield _error("not-json", "has a key that is no string", key, ref, where, "quote the key")
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from _foreign_values(child, (*path, index), ref)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _error("not-json", "is no number that JSON knows", value, ref, where, "write a finite number")
    elif isinstance(value, str) and not _is_unicode(value):
        yield _error("not-json", "holds bytes that are not UTF-8", value, ref, where, "save the file as UTF-8")
    elif not isinstance(value, str | int | float | bool | None):
        yield _error(
            "not-json", f"is a {type(value).__name__}, which JSON does not know", value, ref, where, "quote it"
        )


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(child) for child in value]
    return value


def _metadata_errors(plain: Mapping[str, Any], ref: ObjectRef) -> Iterator[Finding]:
    """What the API server would say about metadata, whose type is not ours to close."""
    metadata = plain.get("metadata", {})
    if not isinstance(metadata, Mapping):
        return
    for key in metadata:
        mend = _did_you_mean(key, _METADATA_KEYS) if key not in _METADATA_KEYS else ""
        if mend and key not in ("selfLink", "generation"):
            yield _error("unknown-key", "is an unknown key", ref=ref, path=f"metadata.{key}", mend=mend)
    namespaced = KINDS[ref.kind].info.namespaced
    if namespaced and not ref.namespace:
        yield _error(
            "missing-field", "is required", ref=ref, path="metadata.namespace", mend="name the namespace it is about"
        )
    if not namespaced and ref.namespace:
        mend = f"leave it out: a {ref.kind} belongs to no namespace"
        yield _error("invalid-value", "must be absent", ref.namespace, ref, "metadata.namespace", mend)


def _finding(error: ErrorDetails, plain: Mapping[str, Any], ref: ObjectRef) -> Finding:
    """One validation error in the user's terms."""
    path: tuple[Step, ...] = error["loc"]
    context = error.get("ctx", {})
    value = error["input"]
    match error["type"]:
        case "extra_forbidden":
            key = str(path[-1])
            return _error("unknown-key", "is an unknown key", ref=ref, path=_path(path), mend=_key_mend(path, ref))
        case "missing":
            return _error("missing-field", "is required", ref=ref, path=_path(path), mend=_meaning(path, ref))
        case "constraint":
            field = str(context["field"])
            where = f"{_path(path)}{field}" if field.startswith("[") else _path((*path, *filter(None, [field])))
            value = _at(plain, (*path, field)) if field and not field.startswith("[") else value
            shown = value if isinstance(value, str | bool | int) else None
            return _error("invalid-value", str(context["reason"]), shown, ref, where)
        case "enum" | "literal_error":
            words = [str(each) for each in _schema_at(path, ref).get("enum", ())]
            mend = _did_you_mean(str(value), words) or f"write one of {', '.join(words)}"
            return _error("unknown-value", "has an unknown value", value, ref, _path(path), mend)
        case "too_long" | "string_too_long" | "too_short" | "string_too_short":
            return _error("out-of-bounds", _sentence(error), ref=ref, path=_path(path))
        case "string_type" if isinstance(value, bool | int | float):
            return _error("wrong-type", "must be a string", value, ref, _path(path), f'quote it: "{value}"')
        case kind if kind.endswith("_type"):
            return _error("wrong-type", _sentence(error), value, ref, _path(path), _meaning(path, ref))
        case _:
            return _error("invalid-value", _sentence(error), value, ref, _path(path), _meaning(path, ref))


def _sentence(error: ErrorDetails) -> str:
    """pydantic's message, without its subject."""
    text = error["msg"]
    for start in ("Input should be ", "Tuple should ", "String should ", "Dictionary should "):
        if text.startswith(start):
            end = text.removeprefix(start).replace(" after validation", "")
            return f"must be {end}" if start.startswith("Input") else f"must {end}"
    return text


def _key_mend(path: tuple[Step, ...], ref: ObjectRef) -> str:
    """What the user may have meant by a key that does not exist at this place."""
    key, parent = str(path[-1]), path[:-1]
    for length in range(len(parent) - 1, -1, -1):
        if key in _schema_at(parent[:length], ref).get("properties", {}) and length:
            return f"it belongs to {_path(parent[:length])}, not here"
    known = list(_schema_at(parent, ref).get("properties", {}))
    if mend := _did_you_mean(key, known):
        return mend
    for other in KINDS:
        if other != ref.kind and key in _schema_at(parent, ObjectRef(other, "")).get("properties", {}):
            return f"only {other} has it"
    return f"known keys are {', '.join(known)}" if known else ""


def _did_you_mean(word: str, known: Any) -> str:
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.7)
    return f"did you mean {by_lower[close[0]]}?" if close else ""


def _schema_at(path: tuple[Step, ...], ref: ObjectRef) -> Schema:
    """The schema of a field, empty where the path leads nowhere."""
    node = openapi_schema(ref.kind)
    for step in path:
        node = node.get("items", {}) if isinstance(step, int) else node.get("properties", {}).get(step, {})
    return node


def _meaning(path: tuple[Step, ...], ref: ObjectRef) -> str:
    """What belongs into a field: the first sentence of its description."""
    return str(_schema_at(path, ref).get("description", "")).partition(". ")[0].rstrip(".")


def _at(value: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return value


def _path(steps: tuple[Step, ...]) -> str:
    """``("spec", "rules", 3, "verbs")`` as ``spec.rules[3].verbs``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _shown(value: Any) -> str:
    """A value, short enough for one line; no text of a user's may break a terminal or a condition."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _error(
    check: str, message: str, value: Any = None, ref: ObjectRef | None = None, path: str = "", mend: str = ""
) -> Finding:
    shown = "" if value is None or value == "" else f"; found {_shown(value)}"
    subject = f"{path} " if path else ""
    rule = path.partition("rules[")[2].partition("]")[0]
    return Finding(
        id=check,
        severity=Severity.ERROR,
        message=f"{subject}{message}{shown}",
        mend=mend,
        object=ref,
        path=path,
        rule=int(rule) if rule.isdecimal() else None,
    )
