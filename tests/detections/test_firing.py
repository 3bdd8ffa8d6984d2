from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.api.detection import Detection, FieldTest, Selection
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.restriction import restrict
from audit_operator.detections.condition import evaluate
from audit_operator.detections.enabling import enable
from audit_operator.detections.firing import TOO_MUCH, Firing, judge
from audit_operator.detections.own import condition_of, in_namespace, preset_detections, resolve
from audit_operator.detections.recording import Recording
from audit_operator.detections.rule import DetectionRule, Pack
from audit_operator.detections.universe import Universe
from audit_operator.detections.work import Work
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.evaluate import evaluate as decide
from audit_operator.policy.model import GroupResources, Policy, Rule
from tests.coverage.policies import POLICIES, policies
from tests.detections.hostile import SELECTIONS
from tests.detections.packs import EVERYTHING, METADATA, WITHOUT_STARTED, eql, esql, falco, kql, sigma
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


def test_bodies_that_are_recorded_in_one_namespace_alone_are_seen_in_part():
    policy = Policy((Rule(Level.REQUEST, namespaces=("kube-system",)), Rule(Level.METADATA)))
    written = "ka.verb=create and ka.target.resource=services and ka.req.service.type=ExternalName"
    judgement = judge(falco(written), policy)
    assert (judgement.firing, judgement.able) == (Firing.PARTLY, 0)
    assert "create services in namespaces such as sample by somebody is recorded at Metadata" in judgement.reason
    enabling = enable(judgement, policy, builtin_catalogue())
    assert enabling.is_for_all
    assert judge(falco(written), enabling.suggestion.apply(policy)).firing is Firing.CAN
    there = judge(falco(f"{written} and ka.target.namespace=kube-system"), policy)
    assert (there.firing, there.able) == (Firing.CAN, 1)


def test_a_namespace_that_is_recorded_less_does_not_matter_where_the_rule_needs_no_more():
    policy = Policy((Rule(Level.METADATA, namespaces=("kube-system",)), Rule(Level.REQUEST)))
    assert judge(falco("ka.verb=delete and ka.target.resource=services"), policy).firing is Firing.CAN


def test_a_spec_that_is_sent_along_with_a_status_is_not_worth_recording():
    status = Rule(Level.METADATA, resources=(GroupResources("", ("pods/status",)),))
    rule = kql("kubernetes.audit.objectRef.resource: pods and kubernetes.audit.requestObject.spec.hostUsers: false")
    assert judge(rule, Policy((status, Rule(Level.REQUEST)))).firing is Firing.CAN
    asked = falco("ka.target.subresource=status and ka.target.resource=pods and ka.req.pod.host_ipc intersects (true)")
    assert judge(asked, METADATA).firing is Firing.CANNOT


@pytest.mark.parametrize(
    ("policy", "rest"),
    [
        (METADATA, "; all that is understood can be seen"),
        (Policy((Rule(Level.NONE, verbs=("delete",)), Rule(Level.METADATA))), "delete leases.coordination.k8s.io"),
    ],
)
def test_what_is_understood_of_a_rule_that_is_not_judged_is_said(policy, rest):
    rule = esql(
        'where kubernetes.audit.objectRef.resource == "leases" and kubernetes.audit.verb in ("get", "delete")'
        "| stats times = count() by user.name"
    )
    judgement = judge(rule, policy)
    assert judgement.firing is Firing.UNJUDGED
    assert judgement.reason.startswith("STATS: what comes after it is not judged; ")
    assert rest in judgement.reason


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


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("preset", ["exec", "secret-enumeration", "cluster-admin-binding"])
def test_about_one_namespace_the_same_is_found_as_with_a_test_of_the_namespace(policy, preset):
    own = next(each for each in preset_detections() if each.name == preset)
    within = judge(own.rule(""), restrict(policy, "web").policy, namespace=SAMPLE_NAMESPACE)
    among_all = judge(in_namespace(own, "web").rule(""), policy)
    assert (within.firing, within.able, len(within.wants)) == (
        among_all.firing,
        among_all.able,
        len(among_all.wants),
    )


@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS)
def test_the_worst_conditions_end_with_their_steps_and_each_time_with_the_same_verdict(selection):
    rule = DetectionRule(Pack.OWN, "it", "", condition_of(selection))
    works = [Work(50_000), Work(50_000)]
    once, again = (judge(rule, METADATA, namespace=SAMPLE_NAMESPACE, work=each) for each in works)
    assert (once.firing, once.reason, once.able) == (again.firing, again.reason, again.able)
    assert works[0].spent == works[1].spent
    if works[0].spent > 50_000:
        assert (once.firing, once.reason) == (Firing.UNJUDGED, TOO_MUCH)


def test_names_that_nothing_tells_apart_are_asked_about_once():
    listed = tuple(f"user-{number}" for number in range(1_000))
    there = tuple(f"team-{number}" for number in range(1_000))
    policy = Policy((Rule(Level.NONE, users=listed, namespaces=there), Rule(Level.METADATA)))
    work = Work()
    assert judge(RULES["exec"], policy, work=work).firing is Firing.CAN
    universe = Universe.of(RULES["exec"].condition, Recording(policy))
    assert len(universe.users) < 20
    assert len(universe.namespaces) == 2
    assert work.spent < 20_000


@pytest.mark.parametrize(
    ("selection", "firing"),
    [
        ({"slower_than": "500ms"}, Firing.CAN),
        ({"slower_than": "5s"}, Firing.CAN),
        ({"slower_than": "5s", "verbs": ("watch",), "stages": (Stage.RESPONSE_STARTED,)}, Firing.NEVER),
        ({"slower_than": "5s", "stages": (Stage.PANIC,)}, Firing.NEVER),
        ({"fields": (FieldTest(path="annotations.apiserver.latency.k8s.io/total", values=("700ms",)),)}, Firing.CAN),
        ({"fields": (FieldTest(path="annotations.apiserver.latency.k8s.io/total", values=("7ms",)),)}, Firing.NEVER),
        ({"fields": (FieldTest(path="annotations.apiserver.latency.k8s.io/etcd", values=("7ms",)),)}, Firing.CAN),
    ],
)
def test_the_time_of_a_request_is_noted_at_its_end_and_above_half_a_second(selection, firing):
    own = resolve(Detection(name="d", selection=Selection(**selection)))
    assert judge(own.rule(""), Policy((Rule(Level.REQUEST_RESPONSE),))).firing is firing
