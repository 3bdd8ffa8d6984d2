"""Every reason that the operator can give is documented, with its meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_operator.api.conditions import ConditionType, Reason

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "conditions.md").read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_documented_with_its_meaning(reason):
    assert f"| `{reason.value}` | {reason.meaning} |" in DOCUMENTATION


@pytest.mark.parametrize("condition", list(ConditionType))
def test_a_condition_is_documented(condition):
    assert f"| `{condition.value}` |" in DOCUMENTATION
