from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from audit_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from audit_operator.api.parsing import to_json


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_a_word_with_a_meaning(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)  # metav1.Condition takes no other spelling
    assert re.fullmatch(r"[A-Za-z].*\.", reason.meaning)
    assert Reason(reason.value) is reason


def test_meanings_are_distinct() -> None:
    assert len({reason.meaning for reason in Reason}) == len(Reason)


def test_a_condition_has_the_shape_of_metav1() -> None:
    condition = Condition(
        type=ConditionType.PROGRAMMED,
        status=ConditionStatus.FALSE,
        reason=Reason.PENDING,
        message="1 of 3 API servers runs it",
        observed_generation=4,
        last_transition_time="2026-11-24T15:00:00Z",
    )
    assert to_json(condition) == {
        "type": "Programmed",
        "status": "False",
        "reason": "Pending",
        "message": "1 of 3 API servers runs it",
        "observedGeneration": 4,
        "lastTransitionTime": "2026-11-24T15:00:00Z",
    }


def test_a_made_up_reason_is_refused() -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate_json(
            '{"type":"Ready","status":"True","reason":"Fine","lastTransitionTime":"2026-11-24T15:00:00Z"}'
        )
