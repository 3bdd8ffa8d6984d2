"""Which patterns of tenants are taken, and that they can become nothing but patterns."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.redaction import PseudonymizedField
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import LARGEST_SIZE, OwnPattern, Refused
from audit_operator.shipping.redaction.rendering import PSEUDONYM_KEY, render

PARTS = ("a", "b", r"\b", r"\B", "(?:", "(", ")", "|", "?", "*", "+", "{0,2}", "{2}", ".", "[^a]", "??", "*?")


@pytest.mark.parametrize(
    "regex",
    [
        "ACME-[0-9]{4,8}",
        "(?i)internal",
        r"\bID\d+\b",
        "(?:a|b)c?",
        "(?P<x>ab)+",
        r"[^\s\"]{3}x",
        r"\$\{env\}",
        "ü+",
        "a+?b",
    ],
)
def test_plain_patterns_are_taken(regex):
    assert isinstance(OwnPattern.parse("x", regex, "y"), OwnPattern)


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("(a", "no regular expression"),
        ("a)", "too many"),
        ("(?=a)b", r"\(\?"),
        ("(?<!a)b", r"\(\?"),
        ("(?#a)b", r"\(\?"),
        ("(?x)a b", r"\(\?"),
        ("(?>a)", r"\(\?"),
        (r"(a)\1", "not allowed"),
        (r"\Aa", "not allowed"),
        (r"a\Z", "not allowed"),
        (r"\pL", "not allowed"),
        (r"\Qa\E", "not allowed"),
        (r"\u0041", "not allowed"),
        (r"\é", "not allowed"),
        ("a\\", "not allowed"),
        ("^a", "within the text"),
        ("a$", "within the text"),
        ("a*", "empty"),
        ("a?", "empty"),
        ("(a|)", "empty"),
        (r"\b", "empty"),
        ("a{,3}b", "escaped"),
        ("a{x}", "escaped"),
        ("a**", "repeated"),
        ("a*+", "repeated"),
        ("a?+", "repeated"),
        ("a{2}{3}", "repeated"),
        ("a{2}+", "repeated"),
        ("a{1000}", "too large"),
        ("((a{30}){30}){30}", "too large"),
        ("(((((((a+)+)+)+)+)+)+)+", "too large"),
        ("[[:alpha:]]", "class"),
        ("[]a]", "class"),
        ("[a&&b]", "class"),
        (r"[\b]", "class"),
        ("[a", "class"),
        ("a\nb", "control"),
        ("", "empty"),
    ],
)
def test_what_the_two_dialects_read_differently_or_is_dear_is_refused(regex, why):
    refused = OwnPattern.parse("x", regex, "y")
    assert isinstance(refused, Refused)
    assert re.search(why, refused.reason), refused.reason


def test_size_counts_repetitions():
    assert isinstance(OwnPattern.parse("x", f"a{{{LARGEST_SIZE}}}", ""), OwnPattern)
    assert isinstance(OwnPattern.parse("x", f"ba{{{LARGEST_SIZE}}}", ""), Refused)


@given(st.text(max_size=30))
def test_any_text_is_taken_or_refused(regex):
    own = OwnPattern.parse("x", regex, "y")
    if isinstance(own, OwnPattern):
        compiled, replacement = own.substitution
        re.compile(compiled, re.ASCII)
        assert replacement == "y"


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), st.text("ab -\x1a", max_size=6))
def test_what_is_taken_matches_no_empty_text_anywhere(regex, text):
    """So that a mark is never longer than the match for which it stands."""
    own = OwnPattern.parse("x", regex, "y")
    if isinstance(own, OwnPattern):
        assert all(match[0] for match in re.finditer(regex, text, re.ASCII)), regex


@given(st.text(max_size=64))
def test_a_replacement_can_not_leave_its_string(replacement):
    own = OwnPattern("x", "a", replacement)
    assert json.loads(f'"{own.substitution[1]}"') == replacement


@given(st.text(max_size=64))
def test_texts_of_patterns_stand_in_statements_as_literals_only(replacement):
    """What is left of a statement without its literals is the same, whatever is written in a pattern."""
    demand = RedactionDemand(profiles=frozenset(), patterns=(OwnPattern("x", "AC[ab]", replacement),))
    plain = RedactionDemand(profiles=frozenset(), patterns=(OwnPattern("x", "AC[ab]", "y"),))
    assert _skeleton(demand) == _skeleton(plain)


def _skeleton(demand: RedactionDemand) -> list[str]:
    literal = re.compile(r'"(?:\\.|[^\\"])*"', re.DOTALL)
    return [literal.sub('""', statement) for group in render(demand) for statement in group.statements]


def test_only_the_key_of_a_sidecar_is_an_expansion():
    assert "${env:" in PSEUDONYM_KEY
    demands = RedactionDemand(), RedactionDemand(pseudonymize=frozenset(PseudonymizedField))
    statements = [each for demand in demands for group in render(demand) for each in group.statements]
    assert not [statement for statement in statements if "${env" in statement or "${file" in statement]
