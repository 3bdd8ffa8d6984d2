"""What several policies ask for together."""

from __future__ import annotations

from itertools import permutations

from audit_operator.api.redaction import PseudonymizedField, Redaction, RedactionPattern, RedactionProfile
from audit_operator.shipping.redaction.demand import RedactionDemand, together, union
from audit_operator.shipping.redaction.own_pattern import OwnPattern

FIRST = Redaction(profiles=(RedactionProfile.PII,), patterns=(RedactionPattern(name="a", regex="A[0-9]+"),))
SECOND = Redaction(profiles=(), pseudonymize=(PseudonymizedField.USERNAME,))
THIRD = Redaction(patterns=(RedactionPattern(name="b", regex="B"), RedactionPattern(name="a", regex="C")))


def test_everything_that_some_policy_names_is_taken_out_in_any_order():
    demands = {union(order) for order in permutations((FIRST, SECOND, THIRD))}
    [demand] = demands
    assert demand.profiles == {RedactionProfile.SECRETS, RedactionProfile.TOKENS, RedactionProfile.PII}
    assert [pattern.regex for pattern in demand.patterns] == ["A[0-9]+", "C", "B"]
    assert demand.pseudonymize == {PseudonymizedField.USERNAME}


def test_what_cannot_be_used_is_left_out():
    bad = Redaction(patterns=(RedactionPattern(name="bad", regex="(a"), RedactionPattern(name="good", regex="b")))
    assert [pattern.name for pattern in union([bad]).patterns] == ["good"]


def test_ids_tell_demands_apart_and_names_of_patterns_do_not():
    demands = [union([]), union([FIRST]), union([SECOND]), union([THIRD]), union([FIRST, THIRD]), RedactionDemand()]
    assert len({demand.id for demand in demands}) == len(demands)
    assert union([FIRST]).id == union([FIRST, FIRST]).id
    assert union([FIRST]).id.isalnum()


def test_a_pattern_that_both_have_is_applied_once():
    given, mine = (OwnPattern(name, name, "x") for name in ("given", "mine"))
    demand = together([RedactionDemand(tenants=(mine, given)), RedactionDemand(patterns=(given,))])
    assert demand.own == (given, mine)
    assert demand.id != RedactionDemand(patterns=(given, mine)).id
