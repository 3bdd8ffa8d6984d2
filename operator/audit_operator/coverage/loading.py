"""Catalogues from text: the one that ships with the operator, and those that users bring.

A user's catalogue comes from a ConfigMap, under the key `catalogue.yaml`, or from a file. Whatever it holds, the answer
is a catalogue or findings with line numbers: a mistake in it must not stop the operator.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.findings import Finding, Location, ObjectRef, Severity
from audit_operator.coverage.catalogue import OPERATOR_NAMESPACE, Catalogue
from audit_operator.policy.document import Document, Path, format_path, parse_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

CATALOGUE_KEY = "catalogue.yaml"
"""The key of a ConfigMap that holds a catalogue."""

MAX_FINDINGS = 50

MAX_REQUESTS = 10_000
"""Most requests (verbs times resources or paths) of all actions together; the built-in catalogue has about 700."""

_MAX_SHOWN = 80


def load_catalogue(
    text: str | bytes, *, source: ObjectRef | None = None, file: str = ""
) -> Catalogue | tuple[Finding, ...]:
    """The catalogue, or at least one finding of severity Error. Never raises.

    Stricter than Kubernetes about the text: duplicate keys and further documents are errors, since either way something
    that was written would not count.

    Args:
        text: YAML or JSON.
        source: the object that holds the text, for findings.
        file: its file name, for findings.
    """
    document = parse_document(text)

    def report(check: str, message: str, path: Path = (), line: int = 0, mend: str = "") -> Finding:
        where = Location(file, line or document.line(path))
        return Finding(check, Severity.ERROR, message, mend, source, format_path(path), location=where)

    if document.problems:
        return tuple(
            report(problem.kind, problem.message, problem.path, problem.line)
            for problem in document.problems[:MAX_FINDINGS]
        )
    try:
        catalogue = Catalogue.model_validate_json(json.dumps(document.value), by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)[:MAX_FINDINGS]
        return tuple(report(*_explain(each, document), path=each["loc"], mend=_mend(each)) for each in details)
    if (size := _size(catalogue)) > MAX_REQUESTS:
        message = f"the actions are {size} requests together; at most {MAX_REQUESTS} are judged"
        return (report("out-of-bounds", message, ("actions",)),)
    duplicates = tuple(
        report("duplicate-name", f"{format_path(path)} is named {name} like an earlier one", path)
        for path, name in _duplicates(catalogue)
    )
    return duplicates or catalogue


@lru_cache
def builtin_catalogue(operator_namespace: str = OPERATOR_NAMESPACE) -> Catalogue:
    """The catalogue that ships with the operator, for an operator that runs in that namespace."""
    loaded = load_catalogue(files(__package__).joinpath(CATALOGUE_KEY).read_bytes(), file=CATALOGUE_KEY)
    if not isinstance(loaded, Catalogue):
        raise TypeError(f"the built-in catalogue is broken: {loaded}")
    return loaded.for_operator_in(operator_namespace)


def _explain(error: ErrorDetails, document: Document) -> tuple[str, str]:
    """Id and message of a finding about one validation error."""
    path, value = error["loc"], error["input"]
    where = format_path(path) or "the catalogue"
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
            message = error["msg"].replace("Input should be", "must be").replace(" after validation", "")
            return check, f"{where} {message}{found}"


def _shown(value: object) -> str:
    """A value on one line, and short: no text of a user's may break a terminal or a condition."""
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _mend(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = _known_keys(error["loc"][:-1])
            close = get_close_matches(str(error["loc"][-1]), known, n=1)
            return f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}"
        case "string_type":
            return "quote it"
        case _:
            return ""


def _known_keys(path: Path) -> list[str]:
    """The keys that the object at `path` may have."""
    schema: dict[str, Any] = Catalogue.model_json_schema(by_alias=True)
    node = schema
    for step in path:
        node = node.get("items", {}) if isinstance(step, int) else node.get("properties", {}).get(step, {})
        reference = str(node.get("$ref", ""))
        node = schema["$defs"][reference.rpartition("/")[2]] if reference else node
    return list(node.get("properties", ()))


def _size(catalogue: Catalogue) -> int:
    return sum(
        len(match.verbs) * (len(match.resources) + len(match.non_resource_urls)) * max(1, len(match.namespaces))
        for action in catalogue.actions
        for match in action.match
    )


def _duplicates(catalogue: Catalogue) -> Iterator[tuple[Path, str]]:
    names: dict[str, Iterable[str]] = {
        "subjects": (subject.name for subject in catalogue.subjects),
        "actions": (action.id for action in catalogue.actions),
        "blindSpots": (blind_spot.id for blind_spot in catalogue.blind_spots),
    }
    for part, listed in names.items():
        seen: set[str] = set()
        for index, name in enumerate(listed):
            if name in seen:
                yield (part, index), name
            seen.add(name)
