"""The standard as JSON Schema, for tests of applications: `python -m audit_operator.shipping.application.schema`.

What a schema cannot say, `audit-operator logs check` does: how long a line may be, and that times are not ahead.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from audit_operator.api.application_logs import TimeFormat
from audit_operator.shipping.application.standard import (
    EARLIEST,
    LATEST,
    NUMBER,
    Standard,
    StandardField,
    per_second,
)
from audit_operator.shipping.collector.times import RFC3339

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_NULL = {"not": {"type": "null"}}
_MEANINGS = {
    StandardField.TIME: "When it happened.",
    StandardField.USER: "Who did it.",
    StandardField.ACTION: "What was done.",
    StandardField.RESULT: "How it ended.",
    StandardField.ID: "Unique id of the record.",
    StandardField.CORRELATION_ID: "What ties the records of one transaction together.",
}


def line_schema(standard: Standard) -> str:
    """The schema of a line, as JSON text."""
    whole: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of an application's audit log",
        "description": "Further fields may be there. A line is one JSON object, at most 1 MiB long.",
        "type": "object",
        "properties": {},
        "required": [],
    }
    for name in StandardField:
        here, *others = standard.places(name)
        schema = {"description": _MEANINGS[name], **_schema(name, standard.time_format)}
        if others:
            whole.setdefault("allOf", []).append({"anyOf": list(_either(here, others[0], schema))})
        else:
            whole["properties"][here[0]] = schema
            whole["required"].append(here[0])
    return json.dumps(whole, indent=2) + "\n"


def _either(nested: tuple[str, ...], flat: tuple[str, ...], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield _at(nested, schema)
    yield {"not": _at(nested, _NOT_NULL), **_at(flat, schema)}


def _at(keys: tuple[str, ...], schema: dict[str, Any]) -> dict[str, Any]:
    """That there is such a value at a place."""
    for key in reversed(keys):
        schema = {"type": "object", "properties": {key: schema}, "required": [key]}
    return schema


def _schema(name: StandardField, time_format: TimeFormat) -> dict[str, Any]:
    if name is not StandardField.TIME:
        return {"type": "string", "minLength": 1}
    if time_format is TimeFormat.RFC3339:
        return {"type": "string", "pattern": RFC3339}
    unit = per_second(time_format)
    number = {"type": "number", "minimum": EARLIEST * unit, "exclusiveMaximum": LATEST * unit}
    return {"anyOf": [number, {"type": "string", "pattern": NUMBER}]}


if __name__ == "__main__":
    sys.stdout.write(line_schema(Standard()))
