"""A plan is total: what is wrong is said where it is wrong, and the rest goes on."""

from __future__ import annotations

import random
from dataclasses import replace

from audit_operator.api.audit import Level
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.snapshot import InputConfigMap, InvalidObject
from audit_operator.plan.status import statuses
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import Request, User
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

SNAPSHOT = Snapshot(
    audit_policies=(audit_policy(), audit_policy("web", rules=[{"level": "RequestResponse", "verbs": ["create"]}])),
    cluster_audit_policies=(
        cluster_policy(
            rules=[{"level": "Metadata"}],
            limits=[{"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}],
        ),
    ),
    control_planes=(control_plane(kubernetesVersion="1.36"),),
    namespaces=(NamespaceFact("payments"), NamespaceFact("web")),
)
DIGEST = plan(SNAPSHOT).compiled["main"].desired.digest


def level(snapshot: Snapshot, verb: str, resource: str, namespace: str = "") -> Level:
    request = Request(User("u"), verb, resource_request=True, resource=resource, namespace=namespace)
    return evaluate(plan(snapshot).compiled["main"].policy, request).level


def conditions(snapshot: Snapshot, ref: ObjectRef, refused=()) -> dict[str, tuple[str, str]]:
    document = statuses(snapshot, plan(snapshot), {"main": tuple(refused)} if refused else {})[ref]
    return {each["type"]: (each["status"], each["reason"]) for each in document["conditions"]}


def seen(**facts) -> dict[str, tuple[ApiServerObservation, ...]]:
    defaults = {"desired_digest": DIGEST, "running_digest": DIGEST, "ready": True, "state": ApiServerState.RUNNING}
    return {"main": (ApiServerObservation("local", **{**defaults, **facts}),)}


PCI = ObjectRef("AuditPolicy", "pci", "payments")
MAIN = ObjectRef("AuditControlPlane", "main")


def test_every_policy_counts_where_it_applies():
    assert level(SNAPSHOT, "get", "pods", "payments") is Level.REQUEST
    assert level(SNAPSHOT, "create", "pods", "web") is Level.REQUEST_RESPONSE
    assert level(SNAPSHOT, "get", "pods", "web") is Level.METADATA
    assert level(SNAPSHOT, "get", "nodes") is Level.METADATA


def test_a_limit_holds_against_a_namespaced_policy():
    assert level(SNAPSHOT, "create", "secrets", "web") is Level.METADATA


def test_a_rule_that_a_limit_cuts_short_is_told_so_at_its_place():
    greedy = audit_policy(
        "web",
        rules=[
            {"level": "Metadata"},
            {"level": "RequestResponse", "resources": [{"resources": ["secrets"], "group": ""}]},
        ],
    )
    snapshot = replace(SNAPSHOT, audit_policies=(greedy,))
    [finding] = plan(snapshot).findings[greedy.ref]
    assert (finding.id, finding.severity, finding.path) == ("limited", Severity.INFO, "spec.rules[1]")
    document = statuses(snapshot, plan(snapshot), {})[greedy.ref]
    assert document["composition"]["findings"][0]["id"] == "limited"


def test_the_order_of_facts_does_not_change_the_bytes():
    shuffled = list(SNAPSHOT.audit_policies)
    random.Random(1).shuffle(shuffled)
    again = replace(SNAPSHOT, audit_policies=tuple(shuffled), namespaces=SNAPSHOT.namespaces[::-1])
    assert plan(again).compiled["main"].desired.digest == DIGEST


def test_names_of_objects_do_not_change_the_bytes():
    renamed = replace(SNAPSHOT, audit_policies=(audit_policy(name="zzz"), SNAPSHOT.audit_policies[1]))
    assert plan(renamed).compiled["main"].desired.digest == DIGEST


def test_an_invalid_object_disturbs_nothing_and_says_what_is_wrong():
    wrong = Finding("unknown-key", Severity.ERROR, "unknown key 'verb'", "write verbs", path="spec.rules[0].verb")
    broken = InvalidObject(ObjectRef("AuditPolicy", "broken", "web"), 3, (wrong,))
    snapshot = replace(SNAPSHOT, invalid=(broken,))
    assert plan(snapshot).compiled["main"].desired.digest == DIGEST
    assert conditions(snapshot, broken.ref)["Accepted"] == ("False", "Invalid")
    assert conditions(snapshot, broken.ref)["Stalled"] == ("True", "WaitingForUser")


def test_two_default_control_planes_are_said_at_both_and_neither_is_used():
    snapshot = replace(SNAPSHOT, control_planes=(control_plane(), control_plane("other")))
    assert plan(snapshot).assigned == {}
    for name in ("main", "other"):
        assert conditions(snapshot, ObjectRef("AuditControlPlane", name))["Accepted"] == ("False", "Conflicted")
    assert conditions(snapshot, PCI)["ResolvedRefs"] == ("False", "NoDefaultControlPlane")


def test_a_missing_control_plane_is_said_at_the_policy_that_names_it():
    lost = audit_policy(rules=[{"level": "Request"}], controlPlaneRef={"name": "gone"})
    snapshot = replace(SNAPSHOT, audit_policies=(lost, SNAPSHOT.audit_policies[1]))
    assert conditions(snapshot, PCI)["ResolvedRefs"] == ("False", "ControlPlaneNotFound")
    assert ObjectRef("AuditPolicy", "pci", "web") in plan(snapshot).assigned


def test_a_missing_sink_is_said_with_its_place():
    policy = audit_policy(rules=[{"level": "Request"}], sinkRefs=[{"kind": "AuditSink", "name": "gone"}])
    snapshot = replace(SNAPSHOT, audit_policies=(policy,))
    document = statuses(snapshot, plan(snapshot), {})[PCI]
    message = next(each["message"] for each in document["conditions"] if each["type"] == "ResolvedRefs")
    assert message == "spec.sinkRefs[0]: there is no AuditSink payments/gone (create it, or name another)"


def test_a_sink_that_does_not_admit_the_namespace_is_said():
    sink = parsed(
        "ClusterAuditSink",
        "vault",
        {"type": "File", "file": {"claimName": "audit"}, "allowedNamespaces": {"matchLabels": {"tier": "prod"}}},
    )
    policy = audit_policy(rules=[{"level": "Request"}], sinkRefs=[{"kind": "ClusterAuditSink", "name": "vault"}])
    snapshot = replace(SNAPSHOT, audit_policies=(policy,), cluster_audit_sinks=(sink,))
    assert conditions(snapshot, PCI)["ResolvedRefs"] == ("False", "SinkNotPermitted")
    admitted = replace(snapshot, namespaces=(NamespaceFact("payments", {"tier": "prod"}),))
    assert conditions(admitted, PCI)["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_programmed_is_true_only_while_the_running_process_has_the_digest_and_is_ready():
    def programmed(**facts):
        return conditions(replace(SNAPSHOT, observations=seen(**facts)), PCI)["Programmed"]

    assert programmed() == ("True", "Programmed")
    assert programmed(running_digest="0" * 64) == ("False", "Pending")
    assert programmed(ready=False) == ("False", "Pending")
    failed = {"running_digest": "0" * 64, "state": ApiServerState.ROLLED_BACK, "last_error": "not ready in 60 s"}
    assert programmed(**failed) == ("False", "RolledBack")
    assert conditions(SNAPSHOT, PCI)["Programmed"] == ("False", "Pending")


def after_a_change_elsewhere() -> Snapshot:
    """The API server still runs what was compiled before the policy in `web` changed."""
    changed = audit_policy("web", rules=[{"level": "Request", "verbs": ["list"]}])
    earlier = {DIGEST: plan(SNAPSHOT).compiled["main"].policy}
    policies = (SNAPSHOT.audit_policies[0], changed)
    return replace(SNAPSHOT, audit_policies=policies, observations=seen(), earlier=earlier)


def test_a_policy_stays_programmed_while_a_change_in_another_namespace_is_on_its_way():
    snapshot = after_a_change_elsewhere()
    assert conditions(snapshot, PCI)["Programmed"] == ("True", "Programmed")
    assert conditions(snapshot, ObjectRef("AuditPolicy", "pci", "web"))["Programmed"] == ("False", "Pending")
    assert conditions(snapshot, MAIN)["Programmed"] == ("False", "Pending")


def test_a_change_in_one_namespace_changes_no_status_in_another():
    before = replace(SNAPSHOT, observations=seen())
    during = after_a_change_elsewhere()
    digest = plan(during).compiled["main"].desired.digest
    after = replace(during, observations=seen(running_digest=digest, desired_digest=digest))
    said = [statuses(each, plan(each), {})[PCI] for each in (before, during, after)]
    assert said[0] == said[1] == said[2]


def test_what_an_api_server_runs_is_not_guessed_where_that_policy_is_not_known():
    snapshot = replace(after_a_change_elsewhere(), earlier={})
    assert conditions(snapshot, PCI)["Programmed"] == ("False", "Pending")


def test_ready_follows_and_reconciling_shows_only_while_true():
    done = conditions(replace(SNAPSHOT, observations=seen()), PCI)
    assert done["Ready"] == ("True", "Ready")
    assert not done.keys() & {"Reconciling", "Stalled"}
    pending = conditions(replace(SNAPSHOT, observations=seen(ready=False)), PCI)
    assert pending["Ready"] == ("False", "Pending")
    assert pending["Reconciling"] == ("True", "Progressing")


def test_a_refused_policy_is_said_and_never_called_programmed():
    refused = [Finding("preflight", Severity.ERROR, "loaded illegal policy", "mend it")]
    state = conditions(replace(SNAPSHOT, observations=seen(running_digest="0" * 64)), PCI, refused)
    assert state["Programmed"] == ("False", "PolicyRefused")


def test_a_config_map_is_delivered_and_nothing_more_is_claimed():
    plane = control_plane(
        driver="ConfigMap", configMap={"namespace": "audit", "name": "policy"}, kubernetesVersion="1.36"
    )
    observations = seen(running_digest="", ready=False, state=ApiServerState.UNKNOWN)
    snapshot = replace(SNAPSHOT, control_planes=(plane,), observations=observations)
    assert conditions(snapshot, MAIN)["Programmed"] == ("Unknown", "NotObserved")


def test_a_policy_that_ships_nowhere_claims_no_retention():
    policy = audit_policy(rules=[{"level": "Request"}], retention={"minimum": "30d"})
    state = conditions(replace(SNAPSHOT, audit_policies=(policy,), observations=seen()), PCI)
    assert state["RetentionEnforced"] == ("Unknown", "NotRequested")
    assert state["Shipping"] == ("Unknown", "NotRequested")


def test_an_old_api_server_never_gets_a_group_wildcard():
    wild = [{"level": "None", "resources": [{"group": "*", "resources": ["*/status"]}]}, {"level": "Metadata"}]
    snapshot = replace(
        SNAPSHOT, cluster_audit_policies=(cluster_policy(rules=wild),), control_planes=(control_plane(),)
    )
    assert 'group: "*"' not in plan(snapshot).compiled["main"].desired.text
    newer = replace(snapshot, server_version="v1.37.2")
    assert 'group: "*"' in plan(newer).compiled["main"].desired.text


def test_coverage_says_what_it_was_judged_on():
    def coverage(snapshot, ref):
        return statuses(snapshot, plan(snapshot), {})[ref]["coverage"]

    pending = coverage(SNAPSHOT, PCI)
    assert pending["basis"] == "Desired"
    assert coverage(replace(SNAPSHOT, observations=seen()), PCI)["basis"] == "Running"
    assert pending["covered"] + pending["partial"] + pending["gaps"] + pending["leaks"] == pending["total"]
    assert pending["score"] == f"{pending['covered']}/{pending['total']}"
    assert pending["notAuditable"]
    cluster = coverage(SNAPSHOT, ObjectRef("ClusterAuditPolicy", "baseline"))
    assert cluster["digest"] == DIGEST
    assert cluster["total"] > pending["total"]
    assert cluster["findings"][0]["verdict"] in ("Leak", "Gap")


def test_a_users_catalogue_counts_and_a_broken_one_is_said_at_the_control_plane():
    plane = control_plane(
        coverage={"catalogueRefs": [{"namespace": "audit", "name": "ours"}]}, kubernetesVersion="1.36"
    )
    snapshot = replace(SNAPSHOT, control_planes=(plane,))
    assert conditions(snapshot, MAIN)["ResolvedRefs"] == ("False", "CatalogueNotFound")
    broken = replace(snapshot, inputs=(InputConfigMap("audit", "ours", {"catalogue.yaml": "actions: 7"}),))
    assert conditions(broken, MAIN)["ResolvedRefs"] == ("False", "CatalogueInvalid")
    assert conditions(broken, PCI)["ResolvedRefs"] == ("True", "ResolvedRefs")
