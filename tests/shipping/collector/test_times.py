"""Which texts count as times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.shipping.collector.times import DAY, MICRO_TIME, RFC3339


def test_every_day_that_there_is_counts_and_no_other_does():
    first, after = datetime(1971, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    days = {f"{first + timedelta(number):%Y-%m-%d}" for number in range((after - first).days)}
    spelled = (f"{year}-{month:02}-{day:02}" for year in range(1969, 2202) for month in range(14) for day in range(33))
    pattern = re.compile(DAY)
    assert {each for each in spelled if pattern.fullmatch(each)} == days


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("2026-11-28T00:00:00Z", True),
        ("2026-11-28T23:59:59.123456789+23:59", True),
        ("2026-11-28T10:00:00-00:00", True),
        ("2026-11-28T24:00:00Z", False),
        ("2026-11-28T10:00:60Z", False),
        ("2026-11-28T10:00:00", False),
        ("2026-11-28 10:00:00Z", False),
        ("2026-11-28t10:00:00z", False),
        ("2026-11-28T10:00:00+24:00", False),
        ("2026-11-28T10:00:00+0100", False),
        ("2026-11-28T10:00:00,5Z", False),
        ("2026-11-28T10:00:00.Z", False),
        ("2026-11-28T10:00:00.1234567890Z", False),
    ],
)
def test_a_moment_is_spelled_as_rfc_3339_says(text, counts):
    assert bool(re.search(RFC3339, text)) is counts


def test_the_api_server_writes_six_digits_of_a_second():
    assert re.search(MICRO_TIME, "2026-11-28T07:00:00.000001Z")
    assert not re.search(MICRO_TIME, "2026-11-28T07:00:00Z")
    assert not re.search(MICRO_TIME, "2026-02-30T07:00:00.000001Z")
