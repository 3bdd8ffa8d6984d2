"""The tables decide what the composition rule says, whatever the policies are."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User
from audit_operator.shipping.enforcement import table as tables
from audit_operator.shipping.enforcement.classes import classify
from audit_operator.shipping.enforcement.table import URLS, build, decide
from tests.examples import examples
from tests.policy.law import asked
from tests.policy.strategies import NAMESPACES, contributions, requests

KNOWN = frozenset(NAMESPACES)
some_contributions = st.lists(contributions(), min_size=1, max_size=4)
some_requests = st.lists(requests(), min_size=10, max_size=30)


def expected(each, request, stage):
    """What the rule of composition says of an event; empty where nobody has seen the namespace."""
    if request.resource_request and request.namespace not in {*KNOWN, ""}:
        return {}
    outcome = asked(each, request, KNOWN)
    if outcome.level is Level.NONE or stage in outcome.omit_stages:
        return {"level": "None"}
    return {"level": str(outcome.level)} | ({"managedFields": "omit"} if outcome.omit_managed_fields else {})


@settings(max_examples=examples(80))
@given(some_contributions, some_requests, st.sampled_from(list(Stage)))
def test_every_event_gets_what_the_rule_of_composition_says(each, wanted, stage):
    table = build(classify(each, NAMESPACES))
    assert not table.unenforced
    for request in wanted:
        assert decide(table, request, stage) == expected(each, request, stage), request


@settings(max_examples=examples(25))
@given(some_contributions)
def test_the_order_of_objects_does_not_matter(each):
    assert build(classify(each, NAMESPACES)) == build(classify(reversed(each), reversed(NAMESPACES)))


def test_a_thousand_namespaces_cost_one_entry_each():
    rules = (Rule(Level.REQUEST, resources=(GroupResources("", ("secrets",)),)), Rule(Level.METADATA))

    def sizes(number):
        names = [f"n{index}" for index in range(number)]
        contribution = Contribution(Reach(frozenset(names)), Policy(rules))
        return len(build(classify([contribution], names)).entries)

    assert sizes(1000) - sizes(10) == 990


def crowded():
    """A list in which every combination of groups leads elsewhere, and an ordinary one."""
    rules = tuple(
        Rule(Level.METADATA, user_groups=(f"g{index}",), resources=(GroupResources("", (f"r{index}",)),))
        for index in range(16)
    )
    return [
        Contribution(Reach(frozenset({"crowded"})), Policy(rules)),
        Contribution(Reach(frozenset({"quiet"})), Policy((Rule(Level.METADATA, user_groups=("g3",)),))),
    ]


def test_a_list_with_too_many_states_is_left_out_and_said_and_harms_no_other():
    table = build(classify(crowded(), ["crowded", "quiet"]))
    assert table.unenforced == (("crowded",),)
    request = Request(User("x", ("g3",)), "get", resource_request=True, resource="pods", namespace="quiet")
    assert decide(table, request, Stage.RESPONSE_COMPLETE) == {"level": "Metadata"}
    assert decide(table, replace(request, namespace="crowded"), Stage.RESPONSE_COMPLETE) == {}


def test_a_list_that_was_left_out_leaves_nothing_behind():
    alone = build(classify(crowded()[1:], ["quiet"]))
    beside = build(classify(crowded(), ["crowded", "quiet"]))
    assert len(beside.entries) == len(alone.entries) + 2  # the namespace and its class


def test_non_resource_requests_may_be_too_many_states_as_well(monkeypatch):
    monkeypatch.setattr(tables, "MOST_STATES", 5)
    rules = tuple(Rule(Level.METADATA, users=(f"u{index}",), non_resource_urls=(f"/{index}",)) for index in range(9))
    table = build(classify([Contribution(Reach(non_resource=True), Policy(rules))], []))
    assert table.unenforced == (URLS,)


@settings(max_examples=examples(50))
@given(some_contributions, some_contributions, some_requests, st.sampled_from(list(Stage)), st.integers(0, 12))
def test_a_table_that_is_replaced_between_two_look_ups_never_leads_to_a_third_answer(one, other, wanted, stage, after):
    before, then = build(classify(one, NAMESPACES)), build(classify(other, NAMESPACES))
    for request in wanted:
        answer = decide(replace(before, entries=Replaced(before.entries, then.entries, after)), request, stage)
        assert answer in ({}, decide(before, request, stage), decide(then, request, stage))


class Replaced(dict):
    """Entries that are those of another table after some look-ups."""

    def __init__(self, before, then, after):
        super().__init__(before)
        self.then, self.left = then, after

    def get(self, key, default=None):
        self.left -= 1
        return (super() if self.left >= 0 else self.then).get(key, default)
