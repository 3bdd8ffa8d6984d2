from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.detections.pattern import Comparison, Pattern
from tests.examples import examples


@given(glob=st.text("ab*", max_size=8), value=st.text("ab\n", max_size=8))
@settings(max_examples=examples(500))
def test_a_star_is_anything_and_nothing_too(glob, value):
    expected = re.fullmatch(".*".join(map(re.escape, glob.split("*"))), value, re.DOTALL) is not None
    assert Pattern(Comparison.GLOB, glob).fits(value) is expected


def test_a_glob_of_many_stars_takes_no_longer_than_others():
    # A regular expression would not end before the tests do.
    assert not Pattern(Comparison.GLOB, "*a" * 120 + "*b").fits("a" * 10_000)
