"""The algebra agrees with the evaluator on every request."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from audit_operator.api.audit import Level
from audit_operator.policy.evaluate import rule_matches
from audit_operator.policy.model import GroupResources, Rule
from audit_operator.policy.predicate import ALL_RESOURCES, Predicate, intersect_spelling
from tests.examples import examples
from tests.policy.strategies import requests, rules


def _matches(predicate, request_):
    """All resource requests have no spelling of their own: see `Predicate.to_rule`."""
    if predicate.target == ALL_RESOURCES and not request_.resource_request:
        return False
    return rule_matches(predicate.to_rule(Level.METADATA), request_)


@settings(max_examples=examples(300))
@given(rules(), requests())
def test_a_rule_survives_the_way_through_its_predicate(rule, request_):
    assert _matches(Predicate.from_rule(rule), request_) == rule_matches(rule, request_)


@settings(max_examples=examples(500))
@given(rules(), rules(), requests())
def test_an_intersection_matches_what_both_rules_match(one, other, request_):
    both = Predicate.from_rule(one).intersect(Predicate.from_rule(other))
    expected = rule_matches(one, request_) and rule_matches(other, request_)
    if both is None:
        assert not expected
    elif both.is_expressible():
        assert _matches(both, request_) == expected


@settings(max_examples=examples(500))
@given(rules(), rules(), requests())
def test_containment_is_never_claimed_in_vain(one, other, request_):
    if Predicate.from_rule(one).is_within(Predicate.from_rule(other)) and rule_matches(one, request_):
        assert rule_matches(other, request_)


@given(rules())
def test_every_rule_lies_within_itself(rule):
    predicate = Predicate.from_rule(rule)
    assert predicate.is_within(predicate)
    assert predicate.intersect(predicate) == predicate


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("*", "pods", "pods"),
        ("pods/*", "*/log", "pods/log"),
        ("pods/*", "pods", "pods"),
        ("*/log", "pods", None),
        ("*/log", "*/status", None),
        ("pods/*", "secrets", None),
        ("*/*", "*/log", None),
        ("*/*", "*", "*/*"),
        ("pods/log/x", "pods/*", None),
    ],
)
def test_spellings_meet(one, other, both):
    assert intersect_spelling(one, other) == both
    assert intersect_spelling(other, one) == both


def test_two_group_lists_need_two_clauses_unless_one_implies_the_other():
    dev = Predicate.from_rule(Rule(Level.NONE, user_groups=("dev",)))
    ops = Predicate.from_rule(Rule(Level.NONE, user_groups=("ops",)))
    either = Predicate.from_rule(Rule(Level.NONE, user_groups=("dev", "ops")))
    assert not dev.intersect(ops).is_expressible()
    assert dev.intersect(either) == dev


def test_entries_that_another_takes_in_are_dropped():
    rule = Rule(
        Level.NONE, resources=(GroupResources("", ("pods", "*", "pods/log")), GroupResources("", ("pods",), ("a",)))
    )
    assert Predicate.from_rule(rule).to_rule(Level.NONE).resources == (GroupResources(""),)
