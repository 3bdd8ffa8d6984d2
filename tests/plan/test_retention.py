import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import ObjectRef
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.retention import CONFLICT, NO_MAXIMUM, OVERRULED, store_of
from audit_operator.plan.snapshot import InvalidObject
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

CENTRAL = ObjectRef("ClusterAuditSink", "central")
SHIPS = {"rules": [{"level": "Metadata"}], "sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}]}


def sink(name="central", url="http://logs:9428", kind="ClusterAuditSink", namespace="", **section):
    spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": url, **section}}
    return parsed(kind, name, spec, namespace)


def tenants(namespace, name="own", frameworks=(), **retention):
    more = {"compliance": {"frameworks": list(frameworks)}} if frameworks else {}
    return audit_policy(namespace, name, **SHIPS, retention=retention, **more)


def everybodys(name="baseline", **retention):
    return cluster_policy(name, **SHIPS, **({"retention": retention} if retention else {}))


def planned(*policies, **more):
    return planned_of(*policies, **more)[1]


def planned_of(*policies, sinks=None, namespaces=("payments", "web"), invalid=(), planes=None):
    snapshot = Snapshot(
        audit_policies=tuple(each for each in policies if each.kind == "AuditPolicy"),
        cluster_audit_policies=tuple(each for each in policies if each.kind == "ClusterAuditPolicy"),
        audit_sinks=tuple(each for each in sinks or () if each.kind == "AuditSink"),
        cluster_audit_sinks=tuple(each for each in sinks or (sink(),) if each.kind == "ClusterAuditSink"),
        control_planes=tuple(planes or (control_plane(),)),
        namespaces=tuple(map(NamespaceFact, namespaces)),
        invalid=tuple(invalid),
    )
    return snapshot, plan(snapshot)


def classes(made, of=CENTRAL):
    return {each.name: each.namespaces for each in made.retention.sinks[of].classes}


def told(made, policy, of):
    return [each for each in made.findings.get(policy.ref, ()) if each.id == of]


def test_namespaces_of_equal_demands_share_a_class_and_those_without_any_have_none():
    made = planned(tenants("payments", maximum="30d"), tenants("web", maximum="30d"), tenants("dev"))
    assert classes(made) == {"max30d": ("payments", "web")}
    assert made.retention.sinks[CENTRAL].clusters == ("main",)


def test_where_nobody_asks_for_anything_no_sink_is_concerned():
    assert planned(audit_policy("payments", **SHIPS), everybodys()).retention.sinks == {}


def test_a_cluster_wide_policy_also_keeps_the_records_of_no_namespace():
    made = planned(everybodys(minimum="1y", maximum="2y"))
    assert classes(made) == {"min365d-max730d": ("", "payments", "web")}
    made = planned(cluster_policy(**SHIPS, scopes=["Namespaced"], retention={"minimum": "1y"}))
    assert classes(made) == {"min365d": ("payments", "web")}


def test_a_conflict_is_told_to_both_policies_with_the_article_and_the_minimum_wins():
    keeps = tenants("payments", "keeps", frameworks=["PCI-DSS-4"])
    deletes = tenants("payments", "deletes", maximum="30d")
    made = planned(keeps, deletes)
    for policy, path in ((keeps, "spec.retention.minimum"), (deletes, "spec.retention.maximum")):
        [finding] = told(made, policy, CONFLICT)
        assert finding.path == path
        for part in (str(keeps.ref), str(deletes.ref), "PCI-DSS-4 10.5.1", "366d", "30d"):
            assert part in finding.message
    [only] = made.retention.sinks[CENTRAL].classes
    assert (only.demand.minimum, only.demand.maximum, only.conflicting) == (366 * 24, 366 * 24, True)


def test_no_tenant_deletes_what_a_cluster_wide_policy_ships_without_a_word_about_how_long():
    mine, theirs = tenants("payments", maximum="1h", confirmDeletion="1h"), everybodys()
    made = planned(mine, theirs)
    assert made.retention.sinks == {}
    [finding] = told(made, mine, OVERRULED)
    assert str(theirs.ref) in finding.message

    made = planned(mine, everybodys(minimum="90d"))
    assert classes(made)["min90d-max90d"] == ("payments",)
    [both] = [each for each in made.retention.sinks[CENTRAL].classes if each.demand.maximum]
    assert both.conflicting
    assert planned(mine).retention.sinks[CENTRAL].classes[0].confirmed == {"payments"}


def test_a_store_that_two_sinks_lead_to_keeps_what_either_was_promised():
    other = sink("archive", url="http://LOGS:9428/")
    ships = {"rules": [{"level": "Metadata"}], "sinkRefs": [{"kind": "ClusterAuditSink", "name": "archive"}]}
    long = audit_policy("payments", "long", **ships, retention={"minimum": "1y"})
    made = planned(tenants("payments", maximum="30d"), long, sinks=(sink(), other))
    assert list(classes(made)) == ["min365d-max365d"]
    # And the maximum of one sink deletes nothing of the other's.
    assert classes(made, ObjectRef("ClusterAuditSink", "archive")) == {"min365d": ("payments",)}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (sink(), sink("b", url="http://logs:9428/"), True),
        (sink(url="http://logs"), sink("b", url="http://Logs:80"), True),
        (sink(), sink("b", kind="AuditSink", namespace="web"), True),
        (sink(), sink("b", accountID=7), False),
        (sink(), sink("b", url="http://other:9428"), False),
    ],
)
def test_stores_are_told_apart_by_their_address_and_tenant(one, other, same):
    assert (store_of(one) == store_of(other)) == same


def test_nothing_is_deleted_where_a_policy_cannot_be_read():
    both = (tenants("payments", maximum="30d"), tenants("web", maximum="30d"))
    broken = InvalidObject(ObjectRef("AuditPolicy", "broken", "payments"), 1, ())
    assert planned(*both, invalid=[broken]).retention.sinks[CENTRAL].classes[0].unclear == {"payments"}
    broken = InvalidObject(ObjectRef("ClusterAuditPolicy", "broken"), 1, ())
    assert planned(*both, invalid=[broken]).retention.sinks[CENTRAL].classes[0].unclear == {"payments", "web"}


@pytest.mark.parametrize(
    ("ref", "where"),
    [
        (ObjectRef("ClusterAuditSink", "archive"), {"payments", "web"}),
        (ObjectRef("AuditControlPlane", "east"), {"payments", "web"}),
        (ObjectRef("AuditSink", "own", "payments"), {"payments"}),
    ],
)
def test_nothing_is_deleted_where_a_sink_or_a_control_plane_cannot_be_read(ref, where):
    made = planned(
        tenants("payments", maximum="30d"), tenants("web", maximum="30d"), invalid=[InvalidObject(ref, 1, ())]
    )
    assert made.retention.sinks[CENTRAL].classes[0].unclear == where


@pytest.mark.parametrize("planes", [(("east", True), ("west", True)), (("east", False), ("west", False))])
def test_nothing_is_deleted_while_a_policy_that_ships_there_belongs_to_no_control_plane(planes):
    mine = audit_policy("payments", **SHIPS, controlPlaneRef={"name": "east"}, retention={"maximum": "30d"})
    made = planned(mine, everybodys(), planes=[control_plane(name, default=marked) for name, marked in planes])
    assert made.retention.sinks[CENTRAL].classes[0].unclear == {"payments"}
    lost = audit_policy("web", **SHIPS, controlPlaneRef={"name": "gone"}, retention={"minimum": "1y"})
    made = planned(tenants("payments", maximum="30d"), lost)
    assert made.retention.sinks[CENTRAL].classes[0].unclear == set()
    also = audit_policy("payments", "lost", **SHIPS, controlPlaneRef={"name": "gone"}, retention={"minimum": "1y"})
    made = planned(tenants("payments", maximum="30d"), also)
    assert made.retention.sinks[CENTRAL].classes[0].unclear == {"payments"}


def test_a_framework_that_asks_for_an_end_gets_a_finding_where_there_is_none():
    endless = tenants("payments", frameworks=["GDPR"])
    [finding] = told(planned(endless), endless, NO_MAXIMUM)
    assert "article 5(1)(e)" in finding.message
    ends = tenants("payments", frameworks=["GDPR"], maximum="90d")
    assert not told(planned(ends), ends, NO_MAXIMUM)


PERIODS = st.sampled_from(["1d", "30d", "90d", "1y"])


@st.composite
def policies(draw):
    made = []
    for number in range(draw(st.integers(1, 5))):
        retention = {}
        if draw(st.booleans()):
            retention["maximum"] = draw(PERIODS)
        elif draw(st.booleans()):
            retention["minimum"] = draw(PERIODS)
        if draw(st.booleans()):
            retention["legalHold"] = True
        namespace = draw(st.sampled_from(["payments", "web", ""]))
        name = f"p{number}"
        made.append(everybodys(name, **retention) if not namespace else tenants(namespace, name, **retention))
    return made


@given(policies(), st.randoms(use_true_random=False))
def test_the_order_of_objects_and_unrelated_ones_make_no_difference(these, shuffle: random.Random):
    before = planned(*these).retention
    shuffle.shuffle(these)
    assert planned(*these).retention == before
    more = tenants("elsewhere", "unrelated", minimum="6y")
    after = planned(*these, more).retention
    for ref, demands in before.sinks.items():
        kept = {each.name: set(each.namespaces) - {"elsewhere"} for each in after.sinks[ref].classes}
        assert {name: names for name, names in kept.items() if names} == {
            each.name: set(each.namespaces) for each in demands.classes
        }


@given(policies())
def test_whatever_policies_say_no_record_is_deleted_before_any_minimum_or_under_any_hold(these):
    made = planned(*these).retention.sinks
    for one in made[CENTRAL].classes if CENTRAL in made else ():
        after = one.demand.delete_after
        for policy in these:
            reaches = policy.metadata.namespace in {*one.namespaces, ""} and set(one.namespaces) & {
                policy.metadata.namespace or one.namespaces[0]
            }
            if not reaches:
                continue
            asked = policy.spec.retention
            if asked is not None and asked.legal_hold:
                assert after is None
            if asked is not None and asked.minimum and after is not None:
                assert after >= {"1d": 24, "30d": 720, "90d": 2160, "1y": 8760}[asked.minimum]
