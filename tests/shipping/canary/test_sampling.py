"""Each sink, route, redaction and list of rules is tried with one namespace at least, as far as there is room."""

from __future__ import annotations

from audit_operator.api.audit import Level
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.shipping.canary.sampling import MOST_BRIEFLY, MOST_WHOLE, sample
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import REDACTION, ROUTE, Step, build, namespace_key

EVERYBODYS = Treatment("", "everybody")


def about(resource):
    return Policy((Rule(Level.REQUEST, resources=(GroupResources("", (resource,)),)), Rule(Level.METADATA)))


def sampled(treatments, lists=(), routes=()):
    """Of namespaces with these treatments; `lists` has further rules by namespace."""
    everywhere = Reach(frozenset(treatments), cluster=True, non_resource=True, unseen_namespaces=True)
    asked = [Contribution(everywhere, Policy((Rule(Level.METADATA),)))]
    asked += [Contribution(Reach(frozenset({name})), rules) for name, rules in dict(lists).items()]
    table = build(classify(asked, treatments, treatments, EVERYBODYS))
    of_routes = {each.route: (each.route,) for each in (EVERYBODYS, *treatments.values())}
    return table, sample(table, {**of_routes, **dict(routes)})


def names(found):
    return [*found.whole, *found.briefly]


def test_every_route_redaction_and_list_has_a_namespace_among_many_that_are_alike():
    alike = {f"a{number:03}": Treatment("common", "common") for number in range(300)}
    treatments = {**alike, "route": Treatment("common", "own"), "redaction": Treatment("own", "common")}
    treatments["list"] = Treatment("common", "common")
    table, found = sampled(treatments, {"list": about("pods")})
    tried = [table.entries[namespace_key(each)] for each in names(found)]
    for what, number in ((ROUTE, 2), (REDACTION, 2), (Step.CLASS, 2)):
        assert len({each[what] for each in tried}) == number, what
    assert {"route", "redaction", "list"} <= set(names(found))
    assert len(names(found)) <= 4
    assert found.untried == ""


def test_a_sink_of_several_routes_is_tried_with_each_of_these():
    treatments = {name: Treatment(route=name) for name in "abc"}
    _, found = sampled(treatments, routes={"a": ("x", "y"), "b": ("x",), "c": ("y",)})
    assert set(names(found)) == {"a", "b", "c"}


def test_what_goes_together_in_another_way_is_tried_where_there_is_room():
    pairs = [(route, redaction) for route in "rs" for redaction in "xy"]
    _, found = sampled({f"n{number}": Treatment(redaction, route) for number, (route, redaction) in enumerate(pairs)})
    assert set(names(found)) == {"n0", "n1", "n2", "n3"}


def test_of_too_many_some_are_tried_and_the_others_are_counted_and_none_is_favoured_by_when_it_came():
    treatments = {f"n{number}": Treatment(f"x{number}", "r") for number in range(200)}
    _, found = sampled(treatments)
    _, again = sampled(dict(reversed(treatments.items())))
    assert found == again
    assert len(names(found)) == MOST_WHOLE + MOST_BRIEFLY
    assert found.untried == f"{200 - MOST_WHOLE - MOST_BRIEFLY} of 201 redactions"


def test_lists_of_rules_come_after_what_leaks_or_loses_most():
    treatments = {f"n{number:03}": Treatment("x", "r") for number in range(200)} | {"z": Treatment("y", "s")}
    lists = {f"n{number:03}": about(f"resource{number}") for number in range(200)}
    _, found = sampled(treatments, lists)
    assert "z" in found.whole
    assert "lists of rules" in found.untried


def test_a_namespace_that_is_treated_as_everybody_is_tried_all_the_same():
    _, found = sampled({"a": EVERYBODYS, "b": EVERYBODYS})
    assert names(found) == ["a"]
