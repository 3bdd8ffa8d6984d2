"""Documents of our own that are no objects of a cluster, such as catalogues: from text to a model, or to findings.

Stricter than Kubernetes about the text: duplicate keys and further documents are errors, since either way something
that was written would not count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from audit_operator.api.findings import Finding, Location, ObjectRef, Severity
from audit_operator.api.validation_words import sentence, telling
from audit_operator.policy.document import Document, Path, format_path, parse_document

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_FINDINGS = 50
_MAX_SHOWN = 80

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class TypedDocument(Generic[_Model]):
    """What a document says, and where it says it."""

    value: _Model
    document: Document
    source: ObjectRef | None
    file: str

    def report(self, check: str, message: str, path: Path = ()) -> Finding:
        """An error of what stands there."""
        return _report(self, (check, message), path)


def read_document(
    text: str | bytes, model: type[_Model], what: str, *, source: ObjectRef | None = None, file: str = ""
) -> TypedDocument[_Model] | tuple[Finding, ...]:
    """The document, or at least one finding of severity Error. Never raises.

    Args:
        text: YAML or JSON.
        model: what it is to be.
        what: its name in sentences, such as ``the catalogue``.
        source: the object that holds the text, for findings.
        file: its file name, for findings.
    """
    document = parse_document(text)
    place = _Place(document, source, file)
    if document.problems:
        return tuple(
            _report(place, (each.kind, each.message), each.path, each.line) for each in document.problems[:MAX_FINDINGS]
        )
    try:
        value = model.model_validate_json(json.dumps(document.value), by_alias=True, by_name=False)
    except ValidationError as error:
        details = telling(error.errors(include_url=False))[:MAX_FINDINGS]
        return tuple(
            _report(place, _explain(each, document, what), each["loc"], mend=_mend(each, model)) for each in details
        )
    return TypedDocument(value, document, source, file)


@dataclass(frozen=True, slots=True)
class _Place:
    document: Document
    source: ObjectRef | None
    file: str


def _report(
    place: _Place | TypedDocument[Any], said: tuple[str, str], path: Path, line: int = 0, *, mend: str = ""
) -> Finding:
    check, message = said
    where = Location(place.file, line or place.document.line(path))
    return Finding(check, Severity.ERROR, message, mend, place.source, format_path(path), location=where)


def _explain(error: ErrorDetails, document: Document, what: str) -> tuple[str, str]:
    """Id and message of a finding about one validation error."""
    path, value = error["loc"], error["input"]
    where = format_path(path) or what
    match error["type"]:
        case "extra_forbidden":
            return "unknown-key", f"{where} is an unknown key"
        case "missing":
            return "missing-field", f"{where} is required"
        case "constraint":
            return "invalid-value", f"{where}: {error['msg']}"
        case "json_invalid":
            return "unreadable", "the text holds characters that are no Unicode"
        case kind:
            check = "wrong-type" if kind.endswith("_type") else "out-of-bounds" if "too_" in kind else "invalid-value"
            scalar = isinstance(value, str | int | float | bool)
            found = f"; found {_shown(document.written(path) or value)}" if scalar else ""
            return check, f"{where} {sentence(error)}{found}"


def _shown(value: object) -> str:
    """A value on one line, and short: no text of a user's may break a terminal or a condition."""
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _mend(error: ErrorDetails, model: type[BaseModel]) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = _known_keys(error["loc"][:-1], model)
            close = get_close_matches(str(error["loc"][-1]), known, n=1)
            return f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}"
        case "string_type":
            return "quote it"
        case _:
            return ""


def _known_keys(path: Path, model: type[BaseModel]) -> list[str]:
    """The keys that the object at `path` may have."""
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    node = schema
    for step in path:
        node = node.get("items", {}) if isinstance(step, int) else node.get("properties", {}).get(step, {})
        reference = str(node.get("$ref", ""))
        node = schema["$defs"][reference.rpartition("/")[2]] if reference else node
    return list(node.get("properties", ()))
