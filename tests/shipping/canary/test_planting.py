"""The lines that a configuration is tried with: of everything a few, and never too many."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

from audit_operator.api.audit import Level
from audit_operator.api.redaction import PseudonymizedField
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.shipping.canary.events import GONE, IN_NAMESPACE
from audit_operator.shipping.canary.planted import EPOCH, Canary
from audit_operator.shipping.canary.planting import MOST_CONDITIONS, plant
from audit_operator.shipping.canary.sampling import MOST_BRIEFLY, MOST_WHOLE
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline, Counting, EventCount
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from audit_operator.shipping.redaction.pseudonyms import pseudonym

LOG = "/var/log/audit.log"
EVERYTHING = Policy((Rule(Level.REQUEST_RESPONSE),))


def planted(rules=EVERYTHING, treatments=None, holds=lambda _id, _event: False, **changes):
    """Of a cluster whose namespaces are those of `treatments`, with an exporter for each route, named as the route."""
    treatments = treatments or {"a": Treatment(route="r")}
    everywhere = Reach(frozenset(treatments), cluster=True, non_resource=True, unseen_namespaces=True)
    everybodys = Treatment(route="everybody")
    table = build(classify([Contribution(everywhere, rules)], treatments, treatments, everybodys))
    routes = {each.route: (each.route,) for each in [everybodys, *treatments.values()]}
    pipeline = AuditPipeline(
        cluster="main",
        source=AuditFiles.of_log(LOG),
        shape=table.shape,
        table="table",
        state="state",
        routes={"": ("everybody",), **routes},
        quarantine=("everybody",),
        exporters=(),
        redactions={"": RedactionDemand()},
    )
    return plant(replace(pipeline, **changes), table, LOG, holds)


def of(canary, what, namespace="a"):
    [found] = [each for each in canary.planted if each.name == f"{what} in namespace {namespace}"]
    return found


def test_every_record_can_be_told_from_all_others():
    canary = planted(treatments={name: Treatment(route=name) for name in "abc"})
    keys = [each.key for each in canary.planted]
    assert len(keys) == len(set(keys)) > 20
    assert {each for one in canary.planted for each in one.exporters} == {"everybody", "a", "b", "c"}


def test_it_is_the_same_text_for_the_same_facts_and_is_read_again():
    first, second = planted().encoded(), planted().encoded()
    assert first == second
    assert Canary.decoded(first) == planted()


def test_what_is_not_understood_is_nothing_to_try():
    assert Canary.decoded("") is None
    assert Canary.decoded("{") is None
    assert Canary.decoded(planted().encoded().replace('"version":1', '"version":2')) is None


def test_of_many_routes_a_few_are_tried_and_what_is_everybodys_always():
    canary = planted(treatments={f"n{number}": Treatment(route=f"r{number}") for number in range(300)})
    routes = {each for one in canary.planted for each in one.exporters}
    assert len(routes) == MOST_WHOLE + MOST_BRIEFLY + 1
    assert "everybody" in routes
    assert canary.untried == f"{300 - MOST_WHOLE - MOST_BRIEFLY} of 301 sinks, 204 of 301 routes"
    assert len(canary.planted) < 300
    assert len(gzip.compress(canary.encoded().encode())) < 40_000


def test_what_no_parser_reads_is_salvaged_without_its_bodies_and_counted():
    canary = planted()
    line = of(canary, "a Secret that is created, with bodies that cannot be read,")
    assert "1e999" in line.line
    assert {"requestObject", "responseObject"}.isdisjoint(line.event)
    assert (line.attributes["unreadable"], line.attributes["cut"]) == ("bodies", str(len(line.line)))
    # A line that is no event, one that was cut, and two that are salvaged.
    assert canary.unreadable == 4
    quiet = planted(Policy((Rule(Level.NONE),)))
    assert of(quiet, "a Secret that is created, with bodies that cannot be read,").exporters == ()
    assert quiet.unreadable == 2


def test_an_event_keeps_what_its_level_holds():
    levels = Policy(
        (
            Rule(Level.METADATA, resources=(GroupResources("", ("secrets",)),)),
            Rule(Level.REQUEST, resources=(GroupResources("apps"),)),
        )
    )
    canary = planted(levels)
    secret, deployment = (of(canary, sent.what) for sent in IN_NAMESPACE[:2])
    assert secret.attributes["level"] == "Metadata"
    assert {"requestObject", "responseObject"}.isdisjoint(secret.event)
    assert "requestObject" in deployment.event
    assert "responseObject" not in deployment.event
    assert of(canary, "a refused exec").exporters == ()


def test_of_something_nothing_is_to_arrive_wherever_that_can_be():
    quiet = Policy((Rule(Level.NONE, resources=(GroupResources("", ("endpoints",)),)), *EVERYTHING.rules))
    assert all(each.exporters for each in planted().planted)
    silent = [each.name for each in planted(quiet).planted if not each.exporters]
    assert silent == ["a read", "a read in namespace a"]


def test_records_say_who_asked_for_them_as_far_as_an_attribute_is_long():
    canary = planted(treatments={"a": Treatment(route="r", policies="p" * 2000), "b": Treatment(route="s")})
    assert of(canary, "a Secret that is created").attributes["policies"] == "p" * 1024
    assert of(canary, "an event that was cut").attributes["policies"] == "p" * 1024
    assert "policies" not in of(canary, "a Secret that is created", "b").attributes


def test_what_a_secret_holds_is_gone_from_every_record():
    canary = planted()
    for each in canary.planted:
        assert each.gone == GONE
        assert not any(gone in json.dumps(each.event) for gone in GONE)
    assert all(gone in of(canary, "a Secret that is created").line for gone in GONE)


def test_pseudonyms_are_made_with_keys_of_the_trial_alone():
    hidden = RedactionDemand(pseudonymize=frozenset(PseudonymizedField))
    redactions = {"": RedactionDemand(), "h": hidden}
    canary = planted(treatments={"a": Treatment("h", "r"), "b": Treatment(route="r")}, redactions=redactions)
    assert canary.pseudonymous == ("a",)
    secret = of(canary, "a Secret that is created")
    assert secret.attributes["username"] == pseudonym(EPOCH.present("a"), "a", "jane@example.com")


NEVER_ENDS = OwnPattern.parse("own", "(?:[^!]|[^!])*!", "y")
"""In Python, on any text without an exclamation mark; RE2 is done with it at once."""


def test_bodies_are_not_compared_where_a_cluster_wide_pattern_works_and_no_pattern_is_run_here():
    """It may match anything: nobody's records are to wait for that. Those of tenants take no part in a trial."""
    everybodys = RedactionDemand(patterns=(NEVER_ENDS,))
    tenants = RedactionDemand(tenants=(NEVER_ENDS,))
    canary = planted(
        treatments={"a": Treatment("e", "r"), "b": Treatment("t", "s"), "c": Treatment()},
        redactions={"": RedactionDemand(), "e": everybodys, "t": tenants},
        counting=Counting((EventCount("c1", "", {}, namespaced=False, kept=1, most=1),)),
    )
    assert of(canary, "a Secret that is created").loose == ("requestObject", "responseObject")
    assert [of(canary, "a Secret that is created", namespace).loose for namespace in ("b", "c")] == [(), ()]
    assert not canary.counts


def test_events_are_counted_for_conditions_of_everybody_alone():
    counts = [EventCount(f"c{number}", "", {}, namespaced=number == 0, kept=1, most=1) for number in range(30)]
    asked = set()

    def holds(condition, event):
        asked.add(condition)
        return condition == "c1" and event["verb"] == "create"

    quiet = Policy((Rule(Level.NONE, resources=(GroupResources("", ("pods/exec",)),)), *EVERYTHING.rules))
    canary = planted(quiet, holds=holds, counting=Counting(tuple(counts)))
    assert asked == set(canary.counts) == {f"c{number}" for number in range(1, MOST_CONDITIONS + 1)}
    # A binding and a Secret, each with bodies that can be read and with others, and a Secret where nobody has seen the
    # namespace; of the exec nothing is recorded.
    assert canary.counts["c1"] == 5
    assert canary.counts["c2"] == 0
