"""Redaction as the processor reads it that says whether it ran."""

from __future__ import annotations

from itertools import pairwise

from audit_operator.shipping.collector.ottl import Attempt, Statements
from audit_operator.shipping.collector.proving import proved
from audit_operator.shipping.redaction.parts import Part
from audit_operator.shipping.redaction.rendering import apply_listed, render
from tests.shipping.redaction.corpus import EVERYTHING


def test_statements_that_may_fail_are_named_by_their_places():
    made = proved([Statements(("a", Attempt("b"), "c"), ("x", "y"), "part"), Statements(())], [Statements(("d",))])
    assert made["steps"] == [
        {"name": "part", "condition": "(x) and (y)", "statements": ["a", "b", "c"], "attempts": [1]}
    ]
    assert made["otherwise"] == [{"name": "", "statements": ["d"]}]


def test_every_group_of_redaction_names_its_part_in_the_order_in_which_they_run():
    groups = (*render(EVERYTHING), *apply_listed("log.attributes"))
    parts = [Part(each.name) for each in groups]
    assert all(second is first or second in first.later for first, second in pairwise(parts))
