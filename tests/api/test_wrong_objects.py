from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.api.findings import Severity
from audit_operator.api.kinds import KINDS
from audit_operator.api.parsing import parse_object
from audit_operator.api.schema import openapi_schema
from tests.api.objects import WrongObject, wrong_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG = wrong_objects()


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_object_is_refused_at_the_field_that_is_wrong(wrong: WrongObject) -> None:
    findings = parse_object(wrong.document)
    assert isinstance(findings, tuple)
    assert wrong.path in [finding.path for finding in findings]
    for finding in findings:
        assert finding.severity is Severity.ERROR
        assert finding.object is not None
        assert finding.object.name == "example"
        assert finding.message.startswith(finding.path)


def constraint_messages(schema: dict[str, Any]) -> Iterator[str]:
    yield from (each["message"] for each in schema.get("x-kubernetes-validations", ()))
    for child in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from constraint_messages(child)


def test_every_rule_of_the_schemas_is_broken_by_an_object_of_the_table() -> None:
    stated = {message for kind in KINDS for message in constraint_messages(openapi_schema(kind))}
    said = [finding.message for wrong in WRONG for finding in parse_object(wrong.document)]  # type: ignore[union-attr]
    assert {message for message in stated if not any(message in each for each in said)} == set()
