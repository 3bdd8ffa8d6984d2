from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from audit_operator.api.audit import Level
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import AuditPolicyStatus, Coverage, CoverageBasis, StatusFinding
from audit_operator.api.retention import Retention
from audit_operator.api.rules import GroupResources, NamespacedPolicyRule
from audit_operator.api.text import cel_hours, hours, seconds
from tests.plan.objects import audit_policy


def coverage() -> Coverage:
    return Coverage(score="36/38", covered=36, partial=1, gaps=1, leaks=0, total=38, basis=CoverageBasis.RUNNING)


def test_zero_is_written_and_absence_is_not() -> None:
    status = AuditPolicyStatus(observed_generation=3, coverage=coverage())
    assert to_json(status) == {
        "observedGeneration": 3,
        "coverage": {
            "score": "36/38",
            "covered": 36,
            "partial": 1,
            "gaps": 1,
            "leaks": 0,
            "total": 38,
            "verified": 0,
            "basis": "Running",
        },
    }


def test_pydantics_own_ways_to_leave_out_keys_work_as_well() -> None:
    policy = audit_policy(rules=[{"level": "Metadata", "resources": [{"group": ""}]}])
    assert policy.model_dump(mode="json", by_alias=True, exclude_none=True) == to_json(policy)
    assert "status" not in policy.model_dump(exclude={"status"})
    assert policy.model_dump(include={"kind"}) == {"kind": "AuditPolicy"}
    written = policy.model_dump(by_alias=True, exclude_unset=True)
    assert written["spec"] == {"rules": ({"level": Level.METADATA, "resources": ({"group": ""},)},)}
    assert policy.model_dump(exclude_defaults=True)["metadata"]["name"] == "pci"


def test_the_core_group_is_written_although_its_name_is_empty() -> None:
    rule = NamespacedPolicyRule(level=Level.METADATA, resources=(GroupResources(group=""),))
    assert to_json(rule) == {"level": "Metadata", "resources": [{"group": ""}]}


def test_objects_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        coverage().gaps = 0  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"gaps": "1"}, {"gaps": 1.0}, {"gaps": True}, {"gaps": -1}, {"leek": 1}])
def test_values_are_never_bent_into_shape(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Coverage.model_validate(to_json(coverage()) | wrong)


def test_a_finding_is_cut_to_the_bounds_of_status() -> None:
    finding = Finding("unknown-key", Severity.ERROR, "m" * 5000, mend="n" * 5000, path="p" * 5000)
    assert len(to_json(StatusFinding.of(finding))["message"]) == 1024


@pytest.mark.parametrize(
    ("period", "expected"), [("1h", 1), ("36h", 36), ("1d", 24), ("2w", 336), ("1y", 8760), ("6y", 52560)]
)
def test_periods_are_compared_in_hours(period: str, expected: int) -> None:
    assert hours(period) == expected


def test_timeouts_are_in_seconds_or_minutes() -> None:
    assert (seconds("90s"), seconds("3m")) == (90, 180)


@given(st.integers(1, 100), st.sampled_from("hdwy"), st.integers(1, 100), st.sampled_from("hdwy"))
def test_a_minimum_is_never_beyond_the_maximum(one: int, unit: str, other: int, other_unit: str) -> None:
    minimum, maximum = f"{one}{unit}", f"{other}{other_unit}"
    if hours(minimum) <= hours(maximum):
        assert Retention(minimum=minimum, maximum=maximum)
    else:
        with pytest.raises(ValidationError, match="must not be longer than maximum"):
            Retention(minimum=minimum, maximum=maximum)


def test_the_api_server_compares_periods_in_hours_too() -> None:
    assert cel_hours("self.hot") == (
        "int(self.hot.substring(0, self.hot.size() - 1)) * (self.hot.endsWith('y') ? 8760 : "
        "(self.hot.endsWith('w') ? 168 : (self.hot.endsWith('d') ? 24 : 1)))"
    )
