"""The standard: which lines keep to it."""

from __future__ import annotations

import pytest

from audit_operator.api.application_logs import TimeFormat
from audit_operator.shipping.application.standard import Standard
from tests.shipping.application.lines import CASES, LONGEST, SECONDS, in_milliseconds, line

NOW = 1795860000.0


@pytest.mark.parametrize(("text", "reason"), CASES)
def test_the_first_reason_is_the_one_that_is_meant(text, reason):
    breaches = Standard(longest_line=LONGEST).breaches(text, NOW)
    assert next(iter(breaches), None) == reason


@pytest.mark.parametrize(("value", "reason"), SECONDS)
def test_numbers_count_in_the_unit_of_the_policy(value, reason):
    seconds = Standard(time_format=TimeFormat.UNIX_SECONDS).breaches(line(time=value), NOW)
    millis = Standard(time_format=TimeFormat.UNIX_MILLISECONDS).breaches(line(time=in_milliseconds(value)), NOW)
    assert next(iter(seconds), None) == next(iter(millis), None) == reason
