"""Which detections are counted: equal ones once, cluster-wide ones first, and nobody takes the place of others."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import ObjectRef
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.counting import NOT_COUNTED
from audit_operator.plan.shipping import shipping
from audit_operator.plan.snapshot import CountingLimits
from audit_operator.shipping.enforcement.table import DETECTIONS, detection_mark, namespace_key
from tests.plan.objects import audit_policy, cluster_policy, control_plane

RULES = [{"level": "Metadata"}]
EXEC = {"name": "exec", "preset": "Exec"}
BY_USER = {"groupBy": ["User"]}


def reads(verb, name="reads", **spec):
    return {"name": name, "selection": {"verbs": [verb], "users": [spec.pop("user", "*")]}, **spec}


def snapshot(policies, conditions=64, **limits):
    """Policies as lists of detections, by namespace; ``""`` stands for a cluster-wide one."""
    tenants = [audit_policy(name, rules=RULES, detections=each) for name, each in policies.items() if name]
    cluster = cluster_policy(rules=RULES, detections=policies.get("", []))
    return Snapshot(
        audit_policies=tuple(tenants),
        cluster_audit_policies=(cluster,),
        control_planes=(control_plane(),),
        namespaces=tuple(NamespaceFact(name) for name in policies if name),
        counting=CountingLimits(conditions, **limits),
    )


def counted(*arguments, **limits):
    return plan(snapshot(*arguments, **limits)).counted["main"]


def not_counted(planned, namespace):
    found = planned.findings.get(ObjectRef("AuditPolicy", "pci", namespace), ())
    return [each.path for each in found if each.id == NOT_COUNTED]


def test_without_detections_nothing_is_counted_and_nothing_ships_for_it():
    facts = snapshot({"a": []})
    assert not plan(facts).counted["main"].counting.counts
    assert shipping(facts, plan(facts), "main") is None


def test_events_are_counted_also_where_no_policy_names_a_sink():
    facts = snapshot({"": [EXEC]})
    done = shipping(facts, plan(facts), "main")
    assert len(done.counting.counts) == 1
    assert done.sinks == ()


def test_equal_detections_of_many_namespaces_are_one_condition():
    found = counted({f"n{number}": [{**EXEC, "name": f"d{number}", "threshold": number + 1}] for number in range(50)})
    [count] = found.counting.counts
    assert count.namespaced
    assert found.by_namespace == {f"n{number}": (count.id,) for number in range(50)}


def test_what_a_cluster_wide_policy_has_counted_alike_is_counted_everywhere():
    found = counted({"": [EXEC], "a": [EXEC]})
    [count] = found.counting.counts
    assert not count.namespaced
    assert found.by_namespace == {}


def test_the_decision_table_says_what_is_counted_in_a_namespace():
    facts = snapshot({"a": [reads("get")], "b": []})
    done = shipping(facts, plan(facts), "main")
    [count] = done.counting.counts
    assert done.table.entries[namespace_key("a")][DETECTIONS] == detection_mark(count.id)
    assert DETECTIONS not in done.table.entries[namespace_key("b")]


def test_cluster_wide_detections_come_first_and_the_others_are_told():
    wanted = {"": [reads("list", "one"), reads("watch", "two")], "a": [reads("get", "x"), reads("patch", "y")]}
    facts = snapshot(wanted, conditions=3)
    planned = plan(facts)
    assert len(planned.counted["main"].counting.counts) == 3
    assert not_counted(planned, "a") == ["spec.detections[1]"]
    assert len(planned.counted["main"].by_namespace["a"]) == 1


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 8), min_size=1), st.integers(0, 12))
def test_nobody_takes_the_place_of_others_by_asking_for_more(asked, conditions):
    policies = {
        name: [reads("get", f"d{index}", user=f"{name}{index}") for index in range(number)]
        for name, number in asked.items()
    }
    planned = plan(snapshot(policies, conditions=conditions))
    got = {name: number - len(not_counted(planned, name)) for name, number in asked.items()}
    assert sum(got.values()) == min(conditions, sum(asked.values()))
    for name, number in got.items():
        for other, others in got.items():
            assert others >= number - 1 or others == asked[other], (name, other)


def test_a_condition_that_is_too_large_takes_no_room_from_others():
    large = [{"path": f"requestObject.a{index}.b.c.d", "values": ["*" + "x" * 200]} for index in range(8)]
    planned = plan(snapshot({"a": [{"name": "d", "selection": {"fields": large}}, EXEC]}))
    assert not_counted(planned, "a") == ["spec.detections[0]"]
    assert len(planned.counted["main"].counting.counts) == 1


def test_a_window_that_is_longer_than_series_are_remembered_is_told():
    planned = plan(snapshot({"": [reads("list", window="1440m")], "a": [reads("get", window="61m")]}))
    assert not_counted(planned, "a") == ["spec.detections[0]"]
    [count] = planned.counted["main"].counting.counts
    assert count.kept == 24 * 3600


def test_conditions_share_the_room_for_series():
    found = counted({"": [reads("list", **BY_USER), reads("get", "other", **BY_USER)]}, series=1000)
    assert [each.most for each in found.counting.counts] == [500, 500]


def test_what_tells_only_namespaces_apart_takes_no_room_and_has_it_for_all_of_them():
    told = [reads("list", "user", **BY_USER), reads("get", "namespace", groupBy=["Namespace"]), reads("watch", "all")]
    found = counted({"": told, "a": [reads("delete"), reads("create", "other", **BY_USER)]}, series=1000)
    by_most = sorted((each.most, each.namespaced) for each in found.counting.counts)
    assert by_most == [(500, False), (500, True), *[(2**20, False)] * 2, (2**20, True)]


def test_where_nothing_is_counted_each_detection_says_who_can_change_it():
    planned = plan(snapshot({"a": [EXEC]}, conditions=0))
    [finding] = [each for each in planned.findings[ObjectRef("AuditPolicy", "pci", "a")] if each.id == NOT_COUNTED]
    assert finding.mend.startswith("have the chart's networkPolicy.metricsFrom say who may read")


def test_all_series_are_remembered_equally_long_since_they_are_shown_so():
    """Else those of a condition would pile up, where they are shown, beyond its room."""
    found = counted({"": [reads("list", window="1440m")], "a": [reads("get")]})
    assert [each.kept for each in found.counting.counts] == [24 * 3600] * 2


def test_half_of_the_series_are_those_of_the_cluster_whatever_namespaces_ask_for():
    tenants = {f"n{number}": [reads("get", user=f"u{number}", **BY_USER)] for number in range(5)}
    asked = {"": [reads("list", **BY_USER)], **tenants}
    found = counted(asked, series=1000)
    assert sorted((each.namespaced, each.most) for each in found.counting.counts) == [(False, 500), *[(True, 100)] * 5]


def test_of_one_namespace_so_many_conditions_are_counted_and_the_others_are_told():
    tenants = [
        audit_policy(
            "a",
            name=f"p{place}",
            rules=RULES,
            detections=[reads("get", f"d{n}", user=f"{place}-{n}") for n in range(8)],
        )
        for place in range(3)
    ]
    asked = replace(snapshot({"a": []}), audit_policies=tuple(tenants))
    planned = plan(asked)
    assert len(planned.counted["main"].by_namespace["a"]) == 16
    said = planned.findings.get(ObjectRef("AuditPolicy", "p2", "a"), ())
    assert [each.path for each in said if each.id == NOT_COUNTED] == [f"spec.detections[{n}]" for n in range(8)]


def test_what_a_namespace_asks_for_beyond_its_room_is_told_though_others_have_it_counted():
    fields = [{"path": f"requestObject.a{number}.b", "values": ["*x"]} for number in range(3)]
    large = [{"name": f"d{n}", "selection": {"users": [f"u{n}"], "fields": fields}} for n in range(8)]
    planned = plan(snapshot({"a": large, "b": large[-1:]}))
    assert "spec.detections[7]" in not_counted(planned, "a")
    assert not not_counted(planned, "b")
    counts = planned.counted["main"].by_namespace
    assert counts["b"][0] not in counts["a"]


def test_the_order_of_objects_makes_no_difference():
    facts = snapshot({"a": [reads("get"), EXEC], "b": [EXEC, reads("list")], "c": [reads("watch")]}, conditions=2)
    turned = replace(facts, audit_policies=facts.audit_policies[::-1])
    assert plan(facts).counted == plan(turned).counted
