from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.callers import named_callers
from audit_operator.coverage.loading import builtin_catalogue, load_catalogue
from audit_operator.coverage.merging import merge
from audit_operator.coverage.probes import probes_of
from audit_operator.coverage.recording import Situation
from audit_operator.coverage.survey import survey_cluster
from audit_operator.coverage.verdicts import MAX_FAILURES, assess
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import GroupResources, Policy, Rule
from tests.coverage.policies import (
    GROUPS,
    METADATA,
    NAMES,
    NAMESPACES,
    NOTHING_FIRST,
    POLICIES,
    REQUEST_RESPONSE,
    USERS,
    policies,
)
from tests.examples import examples

CATALOGUE = builtin_catalogue()
COVERED, PARTIAL, GAP, LEAK = Verdict.COVERED, Verdict.PARTIAL, Verdict.GAP, Verdict.LEAK
NEED_BODIES = {action.id for action in CATALOGUE.actions if action.min_level > Level.METADATA}
# Covers everything: bodies of writes, but of nothing that holds credentials.
GOOD = POLICIES["openshift-writerequestbodies"]


def core(*resources, names=()):
    return (GroupResources("", resources, names),)


def none(**fields):
    return Rule(Level.NONE, **fields)


def verdicts(policy, **options):
    return {each.action.id: each.verdict for each in assess(policy, CATALOGUE, **options).actions}


def judged(policy, action, **options):
    return {each.action.id: each for each in assess(policy, CATALOGUE, **options).actions}[action]


def before(rule, policy=METADATA):
    return replace(policy, rules=(rule, *policy.rules))


# --- extremes


@pytest.mark.parametrize("namespace", [None, "payments"])
def test_a_policy_that_begins_with_none_for_everything_covers_nothing(namespace):
    coverage = assess(NOTHING_FIRST, CATALOGUE, namespace=namespace)
    for each in coverage.actions:
        assert (each.verdict, each.level, each.satisfied, each.rule) == (GAP, Level.NONE, 0, 0)


def test_an_empty_policy_covers_nothing_and_no_rule_is_blamed():
    each = judged(Policy(()), "secrets-read")
    assert (each.verdict, each.level, each.rule) == (GAP, Level.NONE, None)
    assert "no rule matches" in each.reason


@pytest.mark.parametrize("namespace", [None, "payments"])
def test_metadata_for_everything_leaves_exactly_the_actions_that_need_bodies_as_gaps(namespace):
    found = verdicts(METADATA, namespace=namespace)
    assert {action for action, verdict in found.items() if verdict is GAP} == NEED_BODIES & found.keys()
    assert set(found.values()) == {GAP, COVERED}


def test_seven_core_actions_need_bodies():
    assert {action for action in NEED_BODIES if CATALOGUE.action(action).core} == {
        "ephemeral-containers",
        "pod-create-privileged",
        "rbac-roles-change",
        "rbac-bindings-change",
        "admission-config-change",
        "service-ingress-exposure",
        "pv-hostpath-create",
    }


def test_request_response_for_everything_shows_its_leaks():
    found = verdicts(REQUEST_RESPONSE)
    assert {action for action, verdict in found.items() if verdict is LEAK} == {
        "secrets-read",
        "secrets-write",
        "serviceaccount-token-request",
        "token-review",
        "configmaps-read",
        "serviceaccount-token-secret",
    }
    assert set(found.values()) == {LEAK, COVERED}


def test_a_leak_names_the_highest_level_found_and_the_highest_that_is_safe():
    each = judged(REQUEST_RESPONSE, "serviceaccount-token-request")
    assert (each.level, each.wanted, each.rule) == (Level.REQUEST_RESPONSE, Level.REQUEST, 0)


def test_everything_can_be_covered():
    assert set(verdicts(GOOD).values()) == {COVERED}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_blind_spots_are_always_listed_and_never_counted(policy):
    coverage = assess(policy, CATALOGUE)
    assert coverage.blind_spots == CATALOGUE.blind_spots
    assert coverage.count(Verdict.NOT_AUDITABLE) == 7
    assert sum(coverage.count(each) for each in (COVERED, PARTIAL, GAP, LEAK)) == len(coverage.actions) == 51


# --- every field counts: what one change to a policy that covers everything takes away


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(
            replace(GOOD, omit_stages=frozenset({Stage.RESPONSE_STARTED})),
            {"authn-failure-401": GAP, "pod-exec": GAP, "pod-attach": GAP, "pod-portforward": GAP, "node-proxy": GAP},
            id="response-started-omitted",
        ),
        pytest.param(
            replace(GOOD, rules=tuple(replace(r, user_groups=("system:authenticated",)) for r in GOOD.rules)),
            {"authn-failure-401": GAP, "anonymous-access": GAP},
            id="user-groups-on-every-rule",
        ),
        pytest.param(
            before(none(verbs=("get",), resources=core("pods/exec")), GOOD),
            {"pod-exec": PARTIAL, "authz-denied-403": PARTIAL, "audit-log-read": PARTIAL},
            id="exec-by-websocket",
        ),
        pytest.param(before(none(resources=core("events")), GOOD), {"events-delete": PARTIAL}, id="core-events"),
        pytest.param(
            before(none(resources=(*core("events"), GroupResources("events.k8s.io"))), GOOD),
            {"events-delete": GAP},
            id="both-groups-of-events",
        ),
        pytest.param(
            before(none(verbs=("deletecollection",), resources=core("configmaps")), GOOD),
            {"mass-delete": PARTIAL, "kube-system-configmaps": PARTIAL, "audit-system-tamper": PARTIAL},
            id="deletecollection",
        ),
        pytest.param(
            before(none(resources=core("configmaps"), namespaces=("kube-system",)), GOOD),
            {
                "kube-system-configmaps": GAP,
                "configmaps-read": PARTIAL,
                "configmaps-write": PARTIAL,
                "mass-delete": PARTIAL,
            },
            id="one-namespace",
        ),
        pytest.param(
            before(none(resources=core("secrets"), verbs=("list",), namespaces=("",)), GOOD),
            {
                "secrets-read": PARTIAL,
                "impersonation": PARTIAL,
                "anonymous-access": PARTIAL,
                "authn-failure-401": PARTIAL,
                "authz-denied-403": PARTIAL,
            },
            id="lists-across-all-namespaces",
        ),
        pytest.param(
            before(none(resources=core("secrets"), verbs=("get",), user_groups=("system:nodes",)), GOOD),
            {"secrets-read": PARTIAL, "authz-denied-403": PARTIAL},
            id="nodes",
        ),
        pytest.param(
            before(none(users=("system:kube-controller-manager",)), GOOD),
            {"serviceaccount-token-secret": PARTIAL},
            id="control-plane",
        ),
        pytest.param(
            before(none(user_groups=("system:bootstrappers",)), GOOD), {"node-join": PARTIAL}, id="bootstrap-tokens"
        ),
        pytest.param(
            before(none(resources=(GroupResources("coordination.k8s.io", ("leases",)),)), GOOD),
            {"lease-takeover": GAP},
            id="leases",
        ),
        pytest.param(
            before(none(resources=core("*/status")), GOOD), {"status-tamper": GAP}, id="status-subresources"
        ),
        pytest.param(
            before(none(resources=(GroupResources("apps", ("*/scale",)),)), GOOD),
            {"workload-scale": PARTIAL, "audit-system-tamper": PARTIAL},
            id="scale-subresources",
        ),
        pytest.param(
            before(none(resources=(GroupResources("gateway.networking.k8s.io"),)), GOOD),
            {"gateway-exposure": GAP},
            id="custom-resources",
        ),
        pytest.param(
            before(none(non_resource_urls=("/metrics", "/version")), GOOD),
            {"anonymous-access": PARTIAL, "authn-failure-401": PARTIAL, "non-resource-sensitive": PARTIAL},
            id="paths",
        ),
        pytest.param(
            before(Rule(Level.METADATA, verbs=("patch",), resources=core("pods")), GOOD),
            {"pod-create-privileged": PARTIAL},
            id="bodies-of-patches",
        ),
        pytest.param(
            before(Rule(Level.REQUEST, resources=core("secrets")), GOOD),
            {"secrets-write": LEAK, "serviceaccount-token-secret": LEAK},
            id="bodies-of-secrets",
        ),
        pytest.param(
            before(Rule(Level.REQUEST_RESPONSE, resources=core("secrets"), verbs=("get",)), GOOD),
            {"secrets-read": LEAK},
            id="responses-with-secrets",
        ),
        pytest.param(
            before(
                Rule(Level.METADATA, resources=core("pods"), omit_stages=frozenset({Stage.RESPONSE_COMPLETE})), METADATA
            ),
            dict.fromkeys(
                ("impersonation", "anonymous-access", "mass-delete", "audit-system-tamper"), PARTIAL
            ) | dict.fromkeys(NEED_BODIES, GAP),
            id="response-complete-omitted-by-a-rule",
        ),
    ],
)  # fmt: skip
def test_one_change_takes_away_just_what_it_should(policy, expected):
    found = verdicts(policy)
    assert {action: verdict for action, verdict in found.items() if verdict is not COVERED} == expected


# --- whoever and whatever a policy names


def test_an_exemption_for_one_user_is_found():
    found = verdicts(before(none(users=("mallory",)), GOOD))
    by_people = {action.id for action in CATALOGUE.actions if "human" in action.subjects}
    assert {action for action, verdict in found.items() if verdict is PARTIAL} == by_people
    assert "by mallory" in judged(before(none(users=("mallory",)), GOOD), "secrets-read").reason


def test_an_exemption_for_a_group_is_found():
    each = judged(before(none(user_groups=("contractors",)), GOOD), "secrets-read")
    assert each.verdict is PARTIAL
    assert "by a member of contractors is not recorded (rules[0])" in each.reason


def test_an_exemption_for_a_component_is_no_exemption_for_people():
    found = verdicts(before(none(users=("system:kube-scheduler",)), GOOD))
    assert set(found.values()) == {COVERED}


def test_an_exemption_for_one_object_is_found():
    each = judged(before(none(resources=core("secrets", names=("prod-db",))), GOOD), "secrets-read")
    assert each.verdict is PARTIAL
    assert "get secrets prod-db in a namespace" in each.reason


def test_an_exemption_for_one_object_is_found_beside_one_for_a_whole_resource():
    resources = (*core("events"), *core("secrets", names=("prod-db",)))
    assert judged(before(none(resources=resources), GOOD), "secrets-read").verdict is PARTIAL


def test_an_exemption_for_one_user_and_one_object_in_one_namespace_is_found():
    rule = none(users=("mallory",), resources=core("secrets", names=("prod-db",)), namespaces=("payments",))
    each = judged(before(rule, GOOD), "secrets-read")
    assert (each.verdict, each.probes - each.satisfied) == (PARTIAL, 1)
    assert "get secrets prod-db in payments by mallory is not recorded (rules[0])" in each.reason


def test_an_exemption_for_one_namespace_is_found_unless_namespaces_are_judged_one_by_one():
    policy = before(none(namespaces=("payments",)), GOOD)
    assert judged(policy, "secrets-read").verdict is PARTIAL
    assert judged(policy, "secrets-read", follow_namespaces=False).verdict is COVERED
    assert judged(policy, "secrets-read", namespace="payments").verdict is PARTIAL  # lists across all namespaces remain


def test_what_is_recorded_for_somebody_only_is_partial():
    each = judged(Policy((Rule(Level.METADATA, users=("alice",)),)), "secrets-read")
    assert each.verdict is PARTIAL


def test_nothing_is_covered_where_a_policy_names_more_than_is_asked_about():
    named = tuple(f"user{number}" for number in range(12))
    objects = tuple(f"object{number}" for number in range(12))
    first = Rule(Level.METADATA, users=named, resources=core("secrets", names=objects))
    pairs = zip(named, objects, strict=True)
    others = [Rule(Level.METADATA, users=(user,), resources=core("secrets", names=(name,))) for user, name in pairs]
    coverage = assess(Policy((first, *others, *GOOD.rules)), CATALOGUE)
    assert coverage.truncated
    assert not coverage.count(COVERED)


# --- semantics


def test_impersonation_is_judged_by_who_really_asks():
    assert judged(before(none(users=("alice",)), GOOD), "impersonation").verdict is PARTIAL


def test_a_read_has_no_request_body_that_could_leak():
    policy = before(Rule(Level.REQUEST, verbs=("get", "list", "watch"), resources=core("secrets")))
    assert judged(policy, "secrets-read").verdict is COVERED


def test_a_watch_has_no_body_at_all():
    policy = before(Rule(Level.REQUEST_RESPONSE, verbs=("watch",), resources=core("secrets")))
    assert judged(policy, "secrets-read").verdict is COVERED


def test_options_of_a_delete_are_no_secret_but_what_is_deleted_is():
    def deletes_at(level):
        return before(Rule(level, verbs=("delete", "deletecollection"), resources=core("secrets")))

    assert judged(deletes_at(Level.REQUEST), "secrets-write").verdict is COVERED
    assert judged(deletes_at(Level.REQUEST_RESPONSE), "secrets-write").verdict is LEAK


def test_connect_requests_have_no_bodies_at_any_level():
    text = """
apiVersion: catalogue.audit-operator.dev/v1alpha1
kind: CriticalActionCatalogue
actions:
- id: proxied-calls
  title: x
  tactic: discovery
  severity: low
  match:
  - {resources: [services/proxy, pods/exec], verbs: [get, create], scope: Namespaced}
  - {resources: [pods/log], verbs: [get], scope: Namespaced}
  subjects: [human]
  minLevel: Metadata
  maxLevel: Metadata
"""
    catalogue = merge(CATALOGUE, load_catalogue(text))
    (each,) = (each for each in assess(REQUEST_RESPONSE, catalogue).actions if each.action.id == "proxied-calls")
    assert each.verdict is COVERED


def test_what_leaks_leaks_whoever_asks():
    # The kubelet mints tokens for pods all day; the action is about people and applications.
    nodes = before(Rule(Level.REQUEST_RESPONSE, user_groups=("system:nodes",)), GOOD)
    each = judged(nodes, "serviceaccount-token-request")
    assert each.verdict is LEAK
    assert "create serviceaccounts/token in a namespace by a node" in each.reason
    component = before(Rule(Level.REQUEST_RESPONSE, users=("system:cloud-controller-manager",)), GOOD)
    assert judged(component, "secrets-read").verdict is LEAK


def test_a_leak_counts_what_is_missing_besides():
    rule = Rule(Level.REQUEST_RESPONSE, verbs=("get",), resources=core("secrets"))
    each = judged(Policy((rule,)), "secrets-read")
    assert each.verdict is LEAK
    assert "besides" in each.reason


def test_a_stage_that_is_left_out_is_named():
    each = judged(replace(METADATA, omit_stages=frozenset({Stage.RESPONSE_STARTED})), "authn-failure-401")
    assert each.reason.endswith(
        "by a caller whose authentication failed is recorded without stage ResponseStarted (rules[0])"
    )
    assert each.level is Level.METADATA


def test_a_body_that_is_missing_is_named():
    each = judged(METADATA, "rbac-bindings-change")
    assert "Request is needed, since only the body shows requestObject.roleRef" in each.reason


def test_failures_are_shown_one_per_operation_and_bounded():
    for each in assess(NOTHING_FIRST, CATALOGUE).actions:
        operations = [failure.operation for failure in each.failures]
        assert len(operations) == len(set(operations)) <= MAX_FAILURES


# --- one namespace


def test_only_what_can_be_done_in_a_namespace_is_judged_there():
    found = verdicts(METADATA, namespace="payments")
    everything = {action.id for action in CATALOGUE.actions}
    assert everything - found.keys() == {
        "token-review",
        "csr-create-approve",
        "node-proxy",
        "admission-config-change",
        "admission-config-delete",
        "crd-apiservice-change",
        "kube-system-configmaps",
        "pv-hostpath-create",
        "non-resource-sensitive",
        "audit-log-read",
        "node-join",
        "trust-bundle-change",
        "lease-takeover",
    }


def test_what_is_critical_in_one_namespace_only_is_judged_there():
    ordinary = verdicts(METADATA, namespace="payments").keys()
    assert verdicts(METADATA, namespace="kube-system").keys() - ordinary == {"kube-system-configmaps", "lease-takeover"}
    assert verdicts(METADATA, namespace="audit-system").keys() - ordinary == {"audit-log-read"}


def test_another_namespaces_rules_count_for_nothing():
    policy = Policy((Rule(Level.METADATA, namespaces=("web",)), none()))
    assert set(verdicts(policy, namespace="payments").values()) == {GAP}


def test_the_rule_that_decided_is_that_of_the_whole_policy():
    policy = before(none(namespaces=("web",)), before(none(namespaces=("payments", ""))))
    assert judged(policy, "secrets-read", namespace="payments").rule == 1


def test_a_none_rule_for_a_namespace_hides_its_own_deletion():
    policy = before(none(namespaces=("payments",)), GOOD)
    assert judged(policy, "namespace-lifecycle", namespace="payments").verdict is GAP
    assert judged(policy, "namespace-lifecycle", namespace="web").verdict is COVERED
    assert "patch namespaces payments by" in " ".join(f.request for f in judged(policy, "namespace-lifecycle").failures)


def test_a_rule_for_the_namespace_object_by_name_is_found():
    policy = before(none(resources=core("namespaces", "namespaces/finalize", names=("payments",))), GOOD)
    assert judged(policy, "namespace-lifecycle", namespace="payments").verdict is GAP
    assert judged(policy, "namespace-lifecycle", namespace="web").verdict is COVERED
    assert judged(policy, "namespace-lifecycle").verdict is PARTIAL


def test_the_namespaces_own_accounts_are_asked_about():
    policy = before(none(user_groups=("system:serviceaccounts:payments",)), GOOD)
    assert judged(policy, "secrets-read", namespace="payments").verdict is PARTIAL
    assert judged(before(none(user_groups=("system:serviceaccounts:kube-system",)), GOOD), "secrets-read",
                  namespace="kube-system").verdict is PARTIAL  # fmt: skip


def test_a_controllers_exemption_in_kube_system_is_no_exemption_for_its_workloads():
    policy = before(none(users=("system:serviceaccount:kube-system:endpoint-controller",)), GOOD)
    assert set(verdicts(policy, namespace="kube-system").values()) == {COVERED}


# --- against the evaluator, one probe at a time


def satisfies(policy, action, operation, situation):
    """Whether one request is recorded as an action needs it, and whether a body is recorded that must not be."""
    decision = evaluate(policy, operation.request(situation.caller.user, situation.namespace, situation.name))
    bodies = {Level.REQUEST: operation.has_request_body, Level.REQUEST_RESPONSE: operation.has_response_body}
    leaks = any(decision.level >= level > action.max_level and recorded for level, recorded in bodies.items())
    enough = decision.level >= action.min_level and decision.omit_stages.isdisjoint(action.stages)
    return enough and not leaks, leaks


@given(policies)
@settings(max_examples=examples(15), deadline=None)
def test_counts_are_those_of_the_evaluator_asked_one_by_one(policy):
    surveyed = survey_cluster(policy, CATALOGUE)
    counted = {action.id: [0, 0] for action in CATALOGUE.actions}
    for situation, recording in surveyed.recordings:
        for probes in surveyed.probes.actions:
            action = probes.action
            asked = probes.operations_at(situation.namespace) & recording.at_least(Level.NONE)
            for operation in surveyed.probes.operations.members(asked):
                satisfied, leaks = satisfies(policy, action, operation, situation)
                is_subject = situation.caller.subject in action.subjects
                counted[action.id][0] += is_subject or leaks
                counted[action.id][1] += is_subject and satisfied
    coverage = assess(policy, CATALOGUE)
    assert {each.action.id: [each.probes, each.satisfied] for each in coverage.actions} == counted


@given(policies, st.sampled_from(USERS) | st.none(), st.sampled_from(GROUPS), st.sampled_from([*NAMESPACES, "unseen"]))
@settings(max_examples=examples(100), deadline=None)
def test_what_is_called_covered_is_recorded_for_everybody_everywhere_whatever_it_is_called(
    prefix, user, group, namespace
):
    policy = replace(GOOD, rules=(*prefix.rules, *GOOD.rules))
    named = Rule(Level.NONE, users=(user,)) if user else Rule(Level.NONE, user_groups=(group,))
    (caller,) = named_callers(named)
    probes = probes_of(CATALOGUE, None)
    covered = {each.action.id for each in assess(policy, CATALOGUE).actions if each.verdict is COVERED}
    for each in probes.actions:
        if each.action.id in covered and caller.subject in each.action.subjects:
            for operation in probes.operations.members(each.operations_at(namespace)):
                for name in NAMES:
                    situation = Situation(caller, namespace, name)
                    assert satisfies(policy, each.action, operation, situation)[0], (
                        each.action.id,
                        operation,
                        situation,
                    )
