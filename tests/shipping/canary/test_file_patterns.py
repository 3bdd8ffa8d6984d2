"""Which entry takes in a path: as the expression that the collector has says, and in no time whatever the pattern."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.application.pipeline import LogFiles
from audit_operator.shipping.canary.file_patterns import FilePath

FOLDER = "/f"
TEXT = st.lists(st.sampled_from(["a", "b", ".", "-", "1", "/", "*", "**/", "/**/"]), min_size=1, max_size=10)
"""With so few stars that Python's expressions end."""
FEW = TEXT.map("".join).filter(lambda each: each.count("*") <= 6)
PATHS = st.lists(st.sampled_from(["a", "b", ".", "-", "1", "/", "\n"]), max_size=12).map("".join)


def both(pattern, path):
    files = LogFiles("logs", pattern, FOLDER)
    made = FilePath.of(path)
    return any(map(made.matches, files.include)), re.search(files.regex.replace("$", r"\Z"), path) is not None


@given(pattern=FEW, rest=PATHS)
def test_a_path_is_compared_as_the_expression_of_the_collector_does(pattern, rest):
    ours, expression = both(pattern, f"{FOLDER}/{rest}")
    assert ours == expression


@given(pattern=FEW, names=st.lists(st.sampled_from(["", "a", "b/", "a/b/", ".1", "-"]), min_size=12, max_size=12))
def test_what_is_made_from_a_pattern_is_compared_as_the_expression_of_the_collector_does(pattern, names):
    put = iter(names)
    path = re.sub(r"\*+/?", lambda _: next(put), pattern)
    ours, expression = both(pattern, f"{FOLDER}/{path}")
    assert ours == expression


def test_a_star_stays_within_its_part_and_two_lead_through_any_folders():
    def matches(pattern, path):
        return FilePath.of(path).matches(pattern)

    assert matches("/f/*.log", "/f/a.log")
    assert not matches("/f/*.log", "/f/a/b.log")
    assert all(matches("/f/**/a.log", each) for each in ("/f/a.log", "/f/x/a.log", "/f/x/y/a.log"))
    assert not matches("/f/**/a.log", "/f/xa.log")
    assert matches("/f/a-[0-9]*.log", "/f/a-1x.log")
    assert not matches("/f/a-[0-9]*.log", "/f/a-x.log")


def test_a_pattern_full_of_stars_is_compared_at_once():
    path = FilePath.of("/f/" + "canarya" * 128)
    assert path.matches("/f/" + "*a" * 128)
    assert not path.matches("/f/" + "*a" * 126 + "*b")
    assert not path.matches("/f/" + "**/*" * 63 + "*b")
