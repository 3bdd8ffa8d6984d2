"""What older API servers refuse."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, lint_rules


@pytest.mark.parametrize(
    ("version", "severities"), [(None, ["Info"]), ((1, 35), ["Error"]), ((1, 36), []), ((1, 37), [])]
)
def test_a_group_wildcard_is_an_error_for_an_api_server_that_would_not_start(
    version: tuple[int, int] | None, severities: list[str]
) -> None:
    findings = lint_rules('- {level: Request, resources: [{group: "*"}]}\n' + CATCH_ALL, version=version)
    assert [each.severity for each in findings if each.id == "group-wildcard-version"] == severities
    assert "validation" not in {each.id for each in findings}
