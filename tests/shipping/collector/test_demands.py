"""The configuration of a shipper does not grow with what namespaces ask of redaction."""

from __future__ import annotations

from itertools import combinations

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.collector.configuration import render
from audit_operator.shipping.collector.demands import entries, gates
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.table import Shape
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern

FEATURES = (*RedactionProfile, *PseudonymizedField)
MIXES = [
    RedactionDemand(frozenset(some) & frozenset(RedactionProfile), (), frozenset(some) & frozenset(PseudonymizedField))
    for number in range(len(FEATURES) + 1)
    for some in combinations(FEATURES, number)
]


def pattern(number):
    return OwnPattern(f"p{number}", f"secret-{number}-[0-9]+", f"gone-{number}")


def tenants(number):
    return [RedactionDemand(tenants=(pattern(each),)) for each in range(number)]


def config(*demands):
    pipeline = AuditPipeline(
        cluster="test",
        source=AuditFiles(("/in.log",)),
        shape=Shape(),
        table="/table.yaml",
        state="/state",
        routes={"": ()},
        quarantine=(),
        exporters=(),
        redactions=named(*demands),
    )
    return yaml_text(render(pipeline))


def named(*demands):
    return {"": RedactionDemand(), **{each.id: each for each in demands}}


def test_the_configuration_is_the_same_for_one_tenant_with_a_pattern_and_for_two_hundred():
    one, many = config(*tenants(1)), config(*tenants(200))
    assert one == many
    assert "secret-" not in one
    assert "gone-" not in one
    table = yaml_text(entries(named(*tenants(200))))
    assert all(f"secret-{each}-" in table for each in range(200))


def test_the_configuration_is_the_same_for_three_mixes_of_profiles_and_for_all():
    assert len({each.id for each in MIXES}) == 64
    assert config(MIXES[0], MIXES[-1]) == config(*MIXES)


def test_what_all_ask_for_alike_has_neither_gates_nor_look_ups():
    alike = {"": RedactionDemand(), "x": RedactionDemand()}
    assert not gates(alike)
    assert not entries(alike)
    assert config(*alike.values()) == config()


def test_patterns_of_cluster_wide_policies_that_go_together_have_one_gate():
    some, others = (tuple(map(pattern, numbers)) for numbers in (range(3), range(3, 5)))
    demands = named(RedactionDemand(patterns=some), RedactionDemand(patterns=(*some, *others)))
    assert len(set(gates(demands).values())) == 2
    assert set(gates(demands)) == {*some, *others}
