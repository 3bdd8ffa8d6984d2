"""From a document to one of our kinds, or to findings that tell the user what to mend.

It never raises, whatever the document holds: one broken object must not stop the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.field_path import Path, Step, shown, spelled
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.kinds import KINDS, AnyKind
from audit_operator.api.plain_json import plain_json
from audit_operator.api.resource import API_VERSION
from audit_operator.api.schema import Schema, openapi_schema
from audit_operator.api.validation_words import sentence, telling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

    from audit_operator.api.model import ApiModel

MAX_FINDINGS = 50
"""Findings per object; an object with 10,000 wrong rules does not need 10,000 sentences."""

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,253}")  # nothing else is a name, or safe to repeat
_METADATA_KEYS = ("name", "namespace", "labels", "annotations", "generateName", "ownerReferences", "finalizers")
# Known to Kubernetes, and close enough to one of the above to be taken for a slip.
_OTHER_METADATA_KEYS = ("generation", "selfLink")


def parse_object(document: Mapping[str, Any]) -> AnyKind | tuple[Finding, ...]:
    """The object, or at least one finding of severity Error.

    A `status` that cannot be read is dropped: it is the operator's own output, perhaps of another release, and is
    written anew. Null counts as absent, as it does for the API server.
    """
    value: object = document
    if not isinstance(value, Mapping):
        return (_report(ObjectRef("", ""), "not-an-object", "an object was expected", value=value),)
    ref = _ref_of(document)
    if wrong := _type_findings(document, ref):
        return wrong
    plain, problems = plain_json(document, openapi_schema(ref.kind))
    if problems:
        return tuple(
            _report(ref, "not-json", each.message, each.path, value=each.value, mend=each.mend) for each in problems
        )
    return tuple(_metadata_findings(plain, ref)) or _validate(plain, ref)


def to_json(model: ApiModel) -> dict[str, Any]:
    """The model as plain JSON; the same model always gives the same value, keys in the order of declaration."""
    dumped: dict[str, Any] = model.model_dump(mode="json", by_alias=True)
    return dumped


def _validate(plain: dict[str, Any], ref: ObjectRef) -> AnyKind | tuple[Finding, ...]:
    try:
        return KINDS[ref.kind].model_validate_json(json.dumps(plain), by_alias=True, by_name=False)
    except ValidationError as error:
        details = telling(error.errors(include_url=False))
    wrong = [each for each in details if each["loc"][:1] != ("status",)]
    if not wrong and "status" in plain:
        return _validate({key: value for key, value in plain.items() if key != "status"}, ref)
    findings = [_finding(each, plain, ref) for each in wrong[:MAX_FINDINGS]]
    if len(wrong) > MAX_FINDINGS:
        findings.append(_report(ref, "too-many-errors", f"{len(wrong) - MAX_FINDINGS} more errors are not shown"))
    return tuple(findings)


def _ref_of(document: Mapping[str, Any]) -> ObjectRef:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    texts = (document.get("kind"), metadata.get("name"), metadata.get("namespace"))
    return ObjectRef(*(each if isinstance(each, str) and _NAME.fullmatch(each) else "" for each in texts))


def _type_findings(document: Mapping[str, Any], ref: ObjectRef) -> tuple[Finding, ...]:
    """Whether the document says that it is of one of our kinds; nothing else can be judged before that."""
    kind, version = document.get("kind"), document.get("apiVersion")
    findings = []
    if version != API_VERSION:
        mend = f"write {API_VERSION}"
        findings.append(_report(ref, "unknown-version", "is unknown", ("apiVersion",), value=version, mend=mend))
    if not isinstance(kind, str) or kind not in KINDS:
        mend = _did_you_mean(str(kind), KINDS) or f"kinds are {', '.join(KINDS)}"
        findings.append(_report(ref, "unknown-kind", "is unknown", ("kind",), value=kind, mend=mend))
    return tuple(findings)


def _metadata_findings(plain: Mapping[str, Any], ref: ObjectRef) -> Iterator[Finding]:
    """What the API server would say about metadata, whose type is not ours to close."""
    metadata = plain.get("metadata", {})
    if not isinstance(metadata, Mapping):
        return
    for key in metadata:
        if key not in _METADATA_KEYS + _OTHER_METADATA_KEYS and (mend := _did_you_mean(key, _METADATA_KEYS)):
            yield _report(ref, "unknown-key", "is an unknown key", ("metadata", key), mend=mend)
    path = ("metadata", "namespace")
    namespaced, namespace = KINDS[ref.kind].info.namespaced, metadata.get("namespace")
    if namespaced and not namespace:
        yield _report(ref, "missing-field", "is required", path, mend="name the namespace that it is about")
    if not namespaced and namespace:
        mend = f"a {ref.kind} belongs to no namespace"
        yield _report(ref, "invalid-value", "must be absent", path, value=namespace, mend=mend)


def _finding(  # noqa: PLR0911 - one case for each sort of error
    error: ErrorDetails, plain: Mapping[str, Any], ref: ObjectRef
) -> Finding:
    """One validation error in the user's terms."""
    path, value = error["loc"], error["input"]
    match error["type"]:
        case "extra_forbidden":
            return _report(ref, "unknown-key", "is an unknown key", path, mend=_known_key(path, ref))
        case "missing":
            return _report(ref, "missing-field", "is required", path, mend=_meaning(path, ref))
        case "constraint":
            return _broken_constraint(error, plain, ref)
        case "enum" | "literal_error":
            words = [str(each) for each in _schema_at(path, ref).get("enum", ())]
            mend = _did_you_mean(str(value), words) or f"write one of {', '.join(words)}"
            return _report(ref, "unknown-value", "has an unknown value", path, value=value, mend=mend)
        case "string_pattern_mismatch":
            written = str(_schema_at(path, ref).get("description", ""))
            return _report(ref, "invalid-value", "is not well formed", path, value=value, mend=written)
        case "string_type" if isinstance(value, bool | int | float):
            return _report(ref, "wrong-type", "must be a string", path, value=value, mend="quote it")
        case kind:
            check = "wrong-type" if kind.endswith("_type") else "out-of-bounds" if "too_" in kind else "invalid-value"
            return _report(ref, check, sentence(error), path, value=value, mend=_meaning(path, ref))


def _broken_constraint(error: ErrorDetails, plain: Mapping[str, Any], ref: ObjectRef) -> Finding:
    context = error.get("ctx", {})
    step: Step | None = context.get("index", context.get("field"))
    path = error["loc"] if step is None else (*error["loc"], step)
    return _report(ref, "invalid-value", str(context["reason"]), path, value=_at(plain, path))


def _known_key(path: Path, ref: ObjectRef) -> str:
    """What the user may have meant by a key that does not exist at this place."""
    key, parent = str(path[-1]), path[:-1]
    for length in range(len(parent) - 1, 0, -1):
        if key in _properties(parent[:length], ref.kind):
            return f"it belongs to {spelled(parent[:length])}, not here"
    known = _properties(parent, ref.kind)
    elsewhere = (kind for kind in KINDS if key in _properties(parent, kind))
    return (
        _did_you_mean(key, known)
        or "".join(f"only {kind} has it" for kind in islice(elsewhere, 1))
        or f"known keys are {', '.join(known)}"
    )


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.7)
    return f"did you mean {by_lower[close[0]]}?" if close else ""


def _schema_at(path: Path, ref: ObjectRef) -> Schema:
    """The schema of a field, empty where the path leads nowhere."""
    node = openapi_schema(ref.kind)
    for step in path:
        node = node.get("items", {}) if isinstance(step, int) else node.get("properties", {}).get(step, {})
    return node


def _properties(path: Path, kind: str) -> Schema:
    properties: Schema = _schema_at(path, ObjectRef(kind, "")).get("properties", {})
    return properties


def _meaning(path: Path, ref: ObjectRef) -> str:
    """What belongs into a field: the first sentence of its description."""
    return str(_schema_at(path, ref).get("description", "")).partition(". ")[0].rstrip(".")


def _at(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _report(  # noqa: PLR0913 - a finding has this many parts
    ref: ObjectRef, check: str, message: str, path: Path = (), *, value: Any = None, mend: str = ""
) -> Finding:
    """A finding about one field; scalar values are shown, whole structures are not."""
    found = "" if value is None or isinstance(value, Mapping | list | tuple) else f"; found {shown(value)}"
    rules = [index for step, index in pairwise(path) if step in ("rules", "limits") and isinstance(index, int)]
    return Finding(
        id=check,
        severity=Severity.ERROR,
        message=f"{spelled(path)} {message}{found}".lstrip(),
        mend=mend,
        object=ref,
        path=spelled(path),
        rule=rules[0] if rules else None,
    )
