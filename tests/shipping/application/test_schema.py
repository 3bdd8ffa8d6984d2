"""The published JSON Schema says what the standard says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.shipping.application.schema import line_schema
from audit_operator.shipping.application.standard import Reason, Standard
from tests.shipping.application.lines import CASES, LONGEST, SECONDS, in_milliseconds, line

NOW = 1795860000.0
TYPES = {"object": dict, "string": str, "number": int | float}
NOT_IN_SCHEMAS = {Reason.TOO_LONG, Reason.NO_OBJECT, Reason.TIME_AHEAD}


def fits(value, schema):
    """The keywords that our schemas have, as JSON Schema 2020-12 defines them."""
    unknown = set(schema) - {
        "$schema", "title", "description", "type", "properties", "required", "minLength", "pattern", "anyOf", "allOf",
        "not", "minimum", "exclusiveMaximum",
    }  # fmt: skip
    assert not unknown, unknown
    kind = schema.get("type")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    of_type = kind is None or (value is None if kind == "null" else isinstance(value, TYPES[kind]))
    return (
        (of_type and (kind != "number" or is_number))
        and all(fits(value[key], each) for key, each in schema.get("properties", {}).items() if _has(value, key))
        and (not isinstance(value, dict) or all(key in value for key in schema.get("required", ())))
        and (not isinstance(value, str) or len(value) >= schema.get("minLength", 0))
        and (not isinstance(value, str) or _matches(schema.get("pattern", ""), value))
        and ("anyOf" not in schema or any(fits(value, each) for each in schema["anyOf"]))
        and all(fits(value, each) for each in schema.get("allOf", ()))
        and ("not" not in schema or not fits(value, schema["not"]))
        and (not is_number or schema.get("minimum", value) <= value < schema.get("exclusiveMaximum", float("inf")))
    )


def _has(value, key):
    return isinstance(value, dict) and key in value


def _matches(pattern, value):
    return re.search(pattern, value + "\0" if value.endswith("\n") else value, re.ASCII) is not None


@pytest.mark.parametrize(("text", "reason"), [each for each in CASES if each[1] not in NOT_IN_SCHEMAS])
def test_the_schema_says_what_the_check_says(text, reason):
    assert fits(json.loads(text), json.loads(line_schema(Standard(longest_line=LONGEST)))) is (reason is None)


@pytest.mark.parametrize(
    ("value", "reason"), [each for each in SECONDS if each[1] != Reason.TIME_AHEAD and not isinstance(each[0], str)]
)
def test_the_schema_knows_the_unit_of_the_policy(value, reason):
    for unit, time in (
        (TimeFormat.UNIX_SECONDS, value),
        (TimeFormat.UNIX_MILLISECONDS, in_milliseconds(value)),
    ):
        schema = json.loads(line_schema(Standard(time_format=unit)))
        assert fits(json.loads(line(time=time)), schema) is (reason is None)


DOTTED = Standard(FieldMapping(user="auth.user", correlation_id="trace.id"))


@pytest.mark.parametrize(
    "more",
    [
        {"auth": {"user": "alice"}},
        {"auth.user": "alice"},
        {"auth": {"user": None}, "auth.user": "alice"},
        {"auth": "x", "auth.user": "alice"},
        {"auth": {"user": 1}, "auth.user": "alice"},
        {"auth": {"user": "alice"}, "auth.user": 1},
        {"auth": {}},
        {"auth": None},
        {"auth.user": ""},
        {},
    ],
)
def test_the_schema_follows_dotted_paths(more):
    text = line(user=..., correlationId=..., trace={"id": "x"}, **more)
    assert fits(json.loads(text), json.loads(line_schema(DOTTED))) is (DOTTED.breaches(text, NOW) == ())


def test_the_published_schema_is_that_of_the_standard():
    published = Path(__file__).parents[3] / "docs" / "application-log.schema.json"
    assert published.read_text() == line_schema(Standard())
