from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.detections.condition import evaluate
from audit_operator.detections.enabling import enable
from audit_operator.detections.firing import Firing, judge
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.evaluate import evaluate as decide
from audit_operator.policy.model import GroupResources, Policy, Rule
from tests.coverage.policies import POLICIES, policies
from tests.detections.packs import EVERYTHING, METADATA, WITHOUT_STARTED, eql, falco, kql, sigma
from tests.examples import examples

RULES = {
    "privileged pod": falco(
        "ka.stage=ResponseComplete and ka.verb=create and ka.target.resource=pods and "
        "ka.req.pod.containers.privileged intersects (true) and not ka.req.pod.containers.image.repository in (a, b)"
    ),
    "exec": falco("ka.stage=ResponseStarted and ka.target.subresource=exec and ka.verb in (create, get)"),
    "secrets by people": falco('ka.target.resource=secrets and ka.verb=get and not ka.user.name startswith "system:"'),
    "cluster-admin": kql(
        "event.action: create and kubernetes.audit.requestObject.roleRef.name: cluster-admin and "
        "kubernetes.audit.level: RequestResponse and kubernetes.audit.annotations.authorization_k8s_io/decision: allow"
    ),
    "exec at Request": eql('kubernetes.audit.objectRef.subresource == "exec" and kubernetes.audit.level == "Request"'),
    "deleted in kube-system": sigma("    s: {verb: delete, objectRef.namespace: kube-system}\n    condition: s"),
    "impersonated": kql('kubernetes.audit.impersonatedUser.groups: "system:masters" and event.action: get'),
    "tokens": sigma("    s: {objectRef.subresource: token, verb: create, responseStatus.code: 201}\n    condition: s"),
}
USERS = {"username": "somebody", "groups": ["system:authenticated"]}


def event(verb, uri, reference, **more):
    base = {"verb": verb, "requestURI": uri, "objectRef": reference, "user": USERS, "stage": "ResponseComplete"}
    base["annotations"] = {"authorization.k8s.io/decision": "allow"}
    return {**base, "responseStatus": {"code": 200}, **more}


RBAC = {"resource": "clusterrolebindings", "apiGroup": "rbac.authorization.k8s.io", "name": "x"}
PODS = "/api/v1/namespaces/web/pods"
EXEC = {"resource": "pods", "subresource": "exec", "namespace": "web", "name": "x"}
EVENTS = [
    event("create", PODS, {"resource": "pods", "namespace": "web", "name": "x"},
          requestObject={"spec": {"containers": [{"image": "c", "securityContext": {"privileged": True}}]}}),
    event("get", f"{PODS}/x/exec?command=sh", EXEC, stage="ResponseStarted", responseStatus={"code": 101}),
    event("create", f"{PODS}/x/exec?command=sh", EXEC, responseStatus={"code": 101}),
    event("get", "/api/v1/namespaces/web/secrets/x", {"resource": "secrets", "namespace": "web", "name": "x"}),
    event("create", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", RBAC, responseStatus={"code": 201},
          requestObject={"roleRef": {"name": "cluster-admin"}}, responseObject={"roleRef": {"name": "cluster-admin"}}),
    event("delete", "/api/v1/namespaces/kube-system/pods/x", {"resource": "pods", "namespace": "kube-system"}),
    event("get", f"{PODS}/x", {"resource": "pods"}, impersonatedUser={"username": "x", "groups": ["system:masters"]}),
    event("create", "/api/v1/namespaces/web/serviceaccounts/x/token", {"resource": "serviceaccounts",
          "subresource": "token", "namespace": "web", "name": "x"}, responseStatus={"code": 201}),
]  # fmt: skip


def recorded(policy, whole):
    """The event as a policy records it; None if it does not."""
    decision = decide(policy, request_from_event(whole))
    if decision.level is Level.NONE or Stage(whole["stage"]) in decision.omit_stages:
        return None
    kept = {**whole, "level": decision.level.value}
    if decision.level < Level.REQUEST:
        kept.pop("requestObject", None)
    if decision.level < Level.REQUEST_RESPONSE:
        kept.pop("responseObject", None)
    return kept


def assert_sound(rule, policy):
    judgement = judge(rule, policy)
    assert judgement.firing is not Firing.UNJUDGED, judgement.reason
    fires = [each for each in EVENTS if (kept := recorded(policy, each)) and evaluate(rule.condition, kept) is True]
    if fires:
        assert judgement.firing in (Firing.CAN, Firing.PARTLY), (judgement.reason, fires[0])
    if judgement.witness:
        found = judgement.witness.event
        assert recorded(policy, found) == found
        assert evaluate(rule.condition, found) is True


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_event_of_ours_fires_one_rule_so_that_the_law_says_something(rule):
    everything = [recorded(Policy((Rule(level),)), each) for each in EVENTS for level in Level]
    assert any(each and evaluate(rule.condition, each) is True for each in everything)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_verdicts_on_published_policies_are_not_refuted_by_events(policy):
    for rule in RULES.values():
        assert_sound(rule, policy)


@given(policy=policies, name=st.sampled_from(sorted(RULES)))
@settings(max_examples=examples(60), deadline=None)
def test_no_recorded_event_refutes_a_verdict_and_every_witness_is_recorded(policy, name):
    assert_sound(RULES[name], policy)


@given(policy=policies, name=st.sampled_from(sorted(RULES)))
@settings(max_examples=examples(40), deadline=None)
def test_a_change_that_is_suggested_lets_the_rule_fire(policy, name):
    judgement = judge(RULES[name], policy)
    enabling = enable(judgement, policy, builtin_catalogue())
    if judgement.firing is Firing.CANNOT:
        assert enabling
    if enabling:
        after = judge(RULES[name], enabling.suggestion.apply(policy))
        assert after.able > judgement.able
        assert enabling.is_for_all is (after.firing is Firing.CAN)


def test_a_user_whom_a_policy_silences_takes_away_only_rules_about_them():
    silent = Policy((Rule(Level.NONE, users=("mallory",)), Rule(Level.METADATA)))
    assert (
        judge(falco("ka.verb=get and ka.user.name=mallory and ka.target.resource=pods"), silent).firing is Firing.CANNOT
    )
    assert judge(falco("ka.verb=get and ka.user.name=alice and ka.target.resource=pods"), silent).firing is Firing.CAN


def test_a_namespace_that_a_policy_silences_takes_away_only_rules_about_it():
    silent = Policy((Rule(Level.NONE, namespaces=("kube-system",)), Rule(Level.METADATA)))
    condition = "ka.verb=get and ka.target.resource=secrets and ka.target.namespace={}"
    assert judge(falco(condition.format("kube-system")), silent).firing is Firing.CANNOT
    assert judge(falco(condition.format("web")), silent).firing is Firing.CAN


def test_an_object_that_a_policy_silences_takes_away_only_rules_about_it():
    silenced = GroupResources("", ("configmaps",), ("aws-auth",))
    silent = Policy((Rule(Level.NONE, resources=(silenced,)), Rule(Level.METADATA)))
    condition = "ka.verb=update and ka.target.resource=configmaps and ka.target.name={}"
    assert judge(falco(condition.format("aws-auth")), silent).firing is Firing.CANNOT
    assert judge(falco(condition.format("other")), silent).firing is Firing.CAN


def test_the_suggestion_is_the_lowest_level_that_fires_the_rule():
    enabling = enable(judge(RULES["privileged pod"], METADATA), METADATA, builtin_catalogue())
    assert enabling.suggestion.rules == (
        Rule(Level.REQUEST, verbs=("create",), resources=(GroupResources("", ("pods",)),)),
    )
    assert (enabling.lowers, enabling.is_for_all) == ((), True)


def test_the_suggestion_brings_back_a_stage():
    enabling = enable(judge(RULES["exec"], WITHOUT_STARTED), WITHOUT_STARTED, builtin_catalogue())
    assert enabling.suggestion.keep_stages == {Stage.RESPONSE_STARTED}
    assert "take ResponseStarted out" in enabling.suggestion.text


def test_a_suggestion_that_records_less_or_leaks_says_so():
    less = enable(judge(RULES["exec at Request"], EVERYTHING), EVERYTHING, builtin_catalogue())
    assert less.lowers == ("pods/exec",)
    rule = falco("ka.target.resource=secrets and ka.verb=create and jevt.value[/requestObject/data] exists")
    leaking = enable(judge(rule, METADATA), METADATA, builtin_catalogue())
    assert "secrets-write" in leaking.leaks
