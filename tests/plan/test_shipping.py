"""What the shippers are told: every event gets to whoever asked for it, and to nobody else."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from audit_operator.api.audit import Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.collector_files import Places, collector_files
from audit_operator.plan.credentials import ACCESS_KEY, SinkCredentials
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Request, User
from audit_operator.retention.folders import Layout, Place
from audit_operator.shipping.collector.attributes import LONGEST
from audit_operator.shipping.enforcement.table import (
    FOLDERS,
    POLICIES,
    REDACTION,
    ROUTE,
    URL_KEY,
    decide,
    namespace_key,
)
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

CENTRAL = ObjectRef("ClusterAuditSink", "central")
OWN = ObjectRef("AuditSink", "own", "payments")
TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
TO_OWN = [{"kind": "AuditSink", "name": "own"}]
STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs.audit:9428"}}


def sink(kind, name, namespace="", **spec):
    return parsed(kind, name, {**STORE, **spec}, namespace)


SNAPSHOT = Snapshot(
    audit_policies=(audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN),),
    cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL),),
    audit_sinks=(sink("AuditSink", "own", "payments"),),
    cluster_audit_sinks=(sink("ClusterAuditSink", "central"),),
    control_planes=(control_plane(),),
    namespaces=(NamespaceFact("payments"), NamespaceFact("web")),
)


def shipped(snapshot):
    return shipping(snapshot, plan(snapshot), "main")


def sinks_for(snapshot, first):
    """The sinks that get what is found under this first key of the table."""
    done = shipped(snapshot)
    return set(done.routes[done.table.entries.get(first, {}).get(ROUTE, "")])


def sinks_of_namespace(snapshot, namespace):
    return sinks_for(snapshot, namespace_key(namespace))


def test_without_a_sink_there_is_nothing_to_ship():
    nowhere = replace(
        SNAPSHOT,
        audit_policies=(audit_policy(rules=[{"level": "Request"}]),),
        cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}]),),
    )
    assert shipped(nowhere) is None


def test_a_namespaces_events_go_to_every_sink_that_its_policies_name():
    assert sinks_of_namespace(SNAPSHOT, "payments") == {OWN, CENTRAL}


def test_records_name_the_policies_that_ask_for_those_of_their_namespace():
    entries = shipped(SNAPSHOT).table.entries
    named = {name: entries[namespace_key(name)][POLICIES] for name in ("payments", "web", "")}
    assert list(named.values()) == ["baseline,payments/pci", "baseline", "baseline"]
    assert entries[URL_KEY][POLICIES] == "baseline"
    assert entries[namespace_key("payments")]["class"] != entries[namespace_key("web")]["class"]


def test_policies_that_are_too_many_to_name_end_with_dots():
    spec = {"rules": [{"level": "Metadata"}], "sinkRefs": TO_CENTRAL}
    many = tuple(cluster_policy(f"{'x' * 200}{number}", **spec) for number in range(9))
    said = shipped(replace(SNAPSHOT, cluster_audit_policies=many)).table.entries[namespace_key("web")][POLICIES]
    assert said.endswith("xxx4,...")
    assert len(said) <= LONGEST


def test_a_name_of_a_policy_alone_makes_no_class_of_its_own():
    """There may be one for each namespace: the table would hold the same states as many times."""
    own = audit_policy("web", rules=[{"level": "Request"}], sinkRefs=TO_CENTRAL)
    same = replace(SNAPSHOT, audit_policies=(audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_CENTRAL), own))
    entries = shipped(same).table.entries
    web, payments = (entries[namespace_key(name)] for name in ("web", "payments"))
    assert web[POLICIES] != payments[POLICIES]
    assert web["class"] == payments["class"]


def test_a_tenants_sink_gets_nothing_of_others():
    assert sinks_of_namespace(SNAPSHOT, "web") == {CENTRAL}
    assert sinks_of_namespace(SNAPSHOT, "") == {CENTRAL}
    assert sinks_for(SNAPSHOT, "url|") == {CENTRAL}


def test_events_of_a_namespace_that_nobody_has_seen_go_where_cluster_wide_policies_say():
    assert sinks_of_namespace(SNAPSHOT, "new") == {CENTRAL}


def test_a_sink_that_does_not_admit_the_namespace_gets_nothing():
    closed = sink("ClusterAuditSink", "central", allowedNamespaces={"matchLabels": {"team": "ops"}})
    snapshot = replace(
        SNAPSHOT,
        audit_policies=(audit_policy(rules=[{"level": "Request"}], sinkRefs=[*TO_OWN, *TO_CENTRAL]),),
        cluster_audit_policies=(),
        cluster_audit_sinks=(closed,),
    )
    assert sinks_of_namespace(snapshot, "payments") == {OWN}


def test_a_sink_that_does_not_exist_harms_no_other():
    missing = [{"kind": "ClusterAuditSink", "name": "gone"}, *TO_CENTRAL]
    snapshot = replace(
        SNAPSHOT, cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=missing),)
    )
    assert sinks_of_namespace(snapshot, "web") == {CENTRAL}


def test_policies_of_another_control_plane_count_for_nothing():
    elsewhere = audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN, controlPlaneRef={"name": "other"})
    snapshot = replace(
        SNAPSHOT,
        audit_policies=(elsewhere,),
        control_planes=(control_plane(), control_plane("other", default=False)),
    )
    assert sinks_of_namespace(snapshot, "payments") == {CENTRAL}
    assert shipping(snapshot, plan(snapshot), "other").sinks == (OWN,)


def test_each_namespace_gets_its_own_level():
    table = shipped(SNAPSHOT).table
    request = Request(User("u"), "get", resource_request=True, resource="pods", namespace="payments")
    levels = [
        decide(table, replace(request, namespace=each), Stage.RESPONSE_COMPLETE)["level"]
        for each in ("payments", "web")
    ]
    assert levels == ["Request", "Metadata"]


def test_the_order_of_facts_makes_no_difference():
    names = [NamespaceFact(f"n{index}") for index in range(20)]
    one = replace(SNAPSHOT, namespaces=(*SNAPSHOT.namespaces, *names))
    random.Random(1).shuffle(names)
    other = replace(SNAPSHOT, namespaces=(*names, *SNAPSHOT.namespaces[::-1]))
    assert shipped(one) == shipped(other)


def test_what_is_too_large_for_the_table_is_said_at_the_control_plane():
    rules = [
        {"level": "Metadata", "userGroups": [f"g{index}"], "resources": [{"group": "", "resources": [f"r{index}"]}]}
        for index in range(16)
    ]
    snapshot = replace(
        SNAPSHOT, audit_policies=(audit_policy(rules=rules, sinkRefs=TO_OWN),), cluster_audit_policies=()
    )
    missing, finding = shipped(snapshot).findings
    assert missing.id == "no-cluster-wide-sink"
    assert "stay in the API servers' files" in missing.message
    assert "post to a gateway they are kept nowhere" in missing.message
    assert (finding.id, "payments" in finding.message) == ("shipped-as-recorded", True)


def redaction_for(snapshot, namespace):
    done = shipped(snapshot)
    return done.redactions[done.table.entries.get(namespace_key(namespace), {}).get(REDACTION, "")]


def test_what_any_policy_of_a_namespace_wants_taken_out_is_taken_out_there_and_nowhere_else():
    pii = audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN, redaction={"profiles": ["PII"]})
    names = cluster_policy(
        rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, redaction={"profiles": [], "pseudonymize": ["Username"]}
    )
    snapshot = replace(SNAPSHOT, audit_policies=(pii,), cluster_audit_policies=(names,))
    payments, web = redaction_for(snapshot, "payments"), redaction_for(snapshot, "web")
    assert (payments.profiles, payments.pseudonymize) == ({"PII"}, {"Username"})
    assert (web.profiles, web.pseudonymize) == (set(), {"Username"})
    assert redaction_for(snapshot, "new") == web


def test_without_a_word_about_redaction_secrets_and_tokens_are_taken_out():
    assert redaction_for(SNAPSHOT, "payments").profiles == {"Secrets", "Tokens"}
    assert redaction_for(SNAPSHOT, "").profiles == {"Secrets", "Tokens"}


def test_a_pattern_that_is_not_applied_is_said_at_its_place():
    patterns = [{"name": "good", "regex": "[0-9]{4}"}, {"name": "anchored", "regex": "^a"}]
    policy = audit_policy(rules=[{"level": "Request"}], redaction={"patterns": patterns})
    snapshot = replace(SNAPSHOT, audit_policies=(policy,))
    finding = next(each for each in plan(snapshot).findings[policy.ref] if each.id == "redaction-pattern-refused")
    assert finding.path == "spec.redaction.patterns[1].regex"
    assert "'anchored' is not applied" in finding.message


def test_no_tenant_blanks_what_a_cluster_wide_policy_ships_and_it_is_told_so():
    own = {"profiles": ["PII"], "patterns": [{"name": "all", "regex": "[^x]"}], "pseudonymize": ["Username"]}
    tenant = audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN, redaction=own)
    snapshot = replace(SNAPSHOT, audit_policies=(tenant,))
    demand = redaction_for(snapshot, "payments")
    assert (demand.profiles, demand.own, demand.pseudonymize) == ({"PII", "Secrets", "Tokens"}, (), set())
    found = {(each.id, each.path) for each in plan(snapshot).findings[tenant.ref]}
    assert found == {
        ("redaction-overruled", "spec.redaction.patterns"),
        ("redaction-overruled", "spec.redaction.pseudonymize"),
    }
    alone = replace(snapshot, cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}]),))
    assert redaction_for(alone, "payments").tenants
    assert not plan(alone).findings.get(tenant.ref)


def test_a_cluster_wide_policy_that_ships_nowhere_overrules_nobody():
    tenant = audit_policy(
        rules=[{"level": "Request"}], sinkRefs=TO_OWN, redaction={"patterns": [{"name": "all", "regex": "[^x]"}]}
    )
    lost = cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=[{"kind": "ClusterAuditSink", "name": "nowhere"}])
    snapshot = replace(SNAPSHOT, audit_policies=(tenant,), cluster_audit_policies=(lost,))
    assert redaction_for(snapshot, "payments").tenants
    assert not plan(snapshot).findings.get(tenant.ref)


def test_patterns_of_cluster_wide_policies_are_told_from_those_of_tenants():
    given = {"patterns": [{"name": "order", "regex": "ACME-[0-9]{4}"}, {"name": "x", "regex": "both"}]}
    mine = {"patterns": [{"name": "ticket", "regex": "T-[0-9]{4}"}, {"name": "x", "regex": "both"}]}
    tenant = audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN, redaction=mine)
    alone = cluster_policy(rules=[{"level": "Metadata"}], redaction=given)
    snapshot = replace(SNAPSHOT, audit_policies=(tenant,), cluster_audit_policies=(alone,))
    demand = redaction_for(snapshot, "payments")
    assert [each.name for each in demand.patterns] == ["order", "x"]
    assert [each.name for each in demand.tenants] == ["ticket"]


def test_the_patterns_of_a_namespace_are_not_larger_together_than_a_shipper_can_bear():
    patterns = [{"name": f"p{number}", "regex": f"[a-z]{{{size}}}"} for number, size in enumerate((500, 499, 2, 1))]
    policy = audit_policy(rules=[{"level": "Request"}], sinkRefs=TO_OWN, redaction={"patterns": patterns})
    alone = (cluster_policy(rules=[{"level": "Metadata"}]),)
    snapshot = replace(SNAPSHOT, audit_policies=(policy,), cluster_audit_policies=alone)
    assert [each.name for each in redaction_for(snapshot, "payments").tenants] == ["p0", "p1", "p3"]
    [finding] = plan(snapshot).findings[policy.ref]
    assert (finding.id, finding.path) == ("redaction-pattern-surplus", "spec.redaction.patterns[2].regex")


def patterned(name, numbers, namespace="payments"):
    patterns = [{"name": f"p{number}", "regex": f"X{number}-[0-9]{{4}}"} for number in numbers]
    return audit_policy(
        namespace, name, rules=[{"level": "Request"}], sinkRefs=TO_OWN, redaction={"patterns": patterns}
    )


def test_the_policies_of_a_namespace_have_no_more_patterns_together_than_one_may_have():
    first, second = patterned("a", range(20)), patterned("b", range(10, 40))
    other = patterned("c", range(100, 132), "web")
    alone = (cluster_policy(rules=[{"level": "Metadata"}]),)
    sinks = (*SNAPSHOT.audit_sinks, sink("AuditSink", "own", "web"))
    for policies in ((first, second, other), (other, second, first)):
        snapshot = replace(SNAPSHOT, audit_policies=policies, cluster_audit_policies=alone, audit_sinks=sinks)
        applied = {each.name for each in redaction_for(snapshot, "payments").tenants}
        assert applied == {f"p{number}" for number in range(32)}
        assert len(redaction_for(snapshot, "web").tenants) == 32
        found = plan(snapshot).findings
        assert not found.get(first.ref)
        assert not found.get(other.ref)
        assert [each.path for each in found[second.ref]] == [
            f"spec.redaction.patterns[{number}].regex" for number in range(22, 30)
        ]
        assert {each.id for each in found[second.ref]} == {"redaction-pattern-surplus"}
        assert "'p32' of AuditPolicy payments/b" in found[second.ref][0].message


BUCKET = {"type": "S3", "s3": {"bucket": "audit"}}
KEYS = {"credentials": {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": "keys"}}}
MONTH = Place("main", "max30d")
LAYOUT = Layout({("main", "web"): MONTH, ("main", ""): MONTH, ("elsewhere", "payments"): MONTH})


def in_folders(**spec):
    """What is shipped to a bucket of which it is remembered who writes where."""
    made = replace(SNAPSHOT, cluster_audit_sinks=(parsed("ClusterAuditSink", "central", {**BUCKET, **KEYS, **spec}),))
    return replace(made, layouts={CENTRAL: LAYOUT})


def test_records_lie_in_the_folder_that_is_remembered_and_others_in_none():
    done = shipped(in_folders())
    [name] = done.folders
    assert done.folders == {name: {CENTRAL: "cluster=main/class=max30d"}}
    first = {namespace: done.table.entries[namespace_key(namespace)] for namespace in ("web", "payments", "")}
    assert {namespace: each.get(FOLDERS) for namespace, each in first.items()} == {
        "web": name,
        "payments": None,
        "": name,
    }


def test_where_the_operator_may_change_nothing_all_records_lie_in_one_place():
    assert shipped(in_folders(retentionEnforcement="Report")).folders == {}
    assert shipped(in_folders(credentials=None)).folders == {}
    assert shipped(replace(in_folders(), layouts={})).folders == {}


def test_the_exporter_finds_folders_in_the_table_that_was_made_for_its_configuration():
    places = Places(config="/etc/shipper", table="table-{}.yaml")

    def files(snapshot):
        key = SinkCredentials({ACCESS_KEY: b"[default]"})
        return collector_files(shipped(snapshot), snapshot, "main", places, {CENTRAL: key})

    made = files(in_folders())
    told = json.loads(made.config.split('? "exporters"\n: ')[1].splitlines()[0])["awss3/clusterauditsink.central"]
    assert told["folders"] == {"table": f"/etc/shipper/{made.table_file}", "sink": "clusterauditsink.central"}
    assert '{"clusterauditsink.central": "sink=central/cluster=main/class=max30d"}' in made.table
    # Another layout is another table, and restarts nothing.
    other = files(replace(in_folders(), layouts={CENTRAL: Layout()}))
    assert (other.config, other.table == made.table) == (made.config, False)
    assert "folders" not in files(in_folders(retentionEnforcement="Report")).config
