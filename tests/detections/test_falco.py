from __future__ import annotations

import pytest

from audit_operator.detections.condition import evaluate
from audit_operator.detections.falco import falco_rules
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.rule import NotUnderstoodError
from tests.coverage.policies import FOLDER, read_policy
from tests.detections.packs import EVERYTHING, METADATA, WITHOUT_STARTED, falco

FALCOS_OWN = read_policy((FOLDER / "falco-k8saudit.yaml").read_text())
POD = {
    "verb": "create",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/web/pods?dryRun=All",
    "objectRef": {"resource": "pods", "namespace": "web"},
    "requestObject": {
        "spec": {
            "containers": [
                {"image": "docker.io/a/b:1", "securityContext": {"privileged": True}},
                {"image": "c@sha256:1", "securityContext": {}},
            ],
            "volumes": [{"hostPath": {"path": "/etc"}}, {"name": "x"}],
        }
    },
}


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        ("ka.verb=create", True),
        ("ka.verb = get", False),
        ('ka.verb in (get, "create")', True),
        ("not ka.verb in (get, update)", True),
        ("ka.target.subresource exists", False),
        ("not ka.target.subresource exists", True),
        ("ka.target.namespace != kube-system", True),
        ("ka.verb=get or ka.verb=list or ka.verb=create and ka.target.resource=pods", True),
        ("(ka.verb=get or ka.verb=create) and ka.target.resource=secrets", False),
        ("ka.req.pod.containers.privileged intersects (true)", True),
        ("ka.req.pod.containers.image.repository in (docker.io/a/b, c)", True),
        ("ka.req.pod.containers.image.repository in (docker.io/a/b)", False),
        ("ka.req.pod.containers.image.repository intersects (docker.io/a/b)", True),
        ("ka.req.pod.volumes.hostpath intersects (/, /etc)", True),
        ("ka.uri.param[dryRun]=All", True),
        ("jevt.value[/requestObject/spec/tls] exists", False),
        ("jevt.value[/stage] in (ResponseComplete)", True),
        ("jevt.rawtime exists", True),
        ("ka.uri startswith /api/v1/ and ka.uri contains pods", True),
        ("ka.verb intersects ()", False),
    ],
)
def test_conditions_hold_as_falco_says(condition, truth):
    assert evaluate(falco(condition).condition, POD) is truth


def test_macros_and_lists_are_followed_and_appended_to():
    extra = (
        "- list: verbs\n  items: [get, more]\n- list: more\n  items: [create]\n"
        "- macro: write\n  condition: ka.verb in (verbs)\n"
        "- macro: write\n  append: true\n  condition: and ka.target.resource=pods\n"
    )
    assert evaluate(falco("write", extra).condition, POD) is True
    assert evaluate(falco("write and not write", extra).condition, POD) is False


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("nowhere", "no such macro: 'nowhere'"),
        ("ka.unheard=1", "the field ka.unheard is not known"),
        ("ka.verb pmatch (a)", "the operator pmatch is not known"),
        ("(ka.verb=get", "not understood: 'the end'"),
        ("ka.verb=get ka.verb", "not understood: 'ka.verb'"),
        ("jevt.rawtime > 5", "the time of an event is not judged"),
    ],
)
def test_what_is_not_understood_is_not_judged_and_named(condition, said):
    judgement = judge(falco(condition), METADATA)
    assert judgement.firing is Firing.UNJUDGED
    assert said in judgement.reason


def test_macros_in_a_circle_and_exceptions_are_not_judged():
    circle = "- macro: a\n  condition: b\n- macro: b\n  condition: a\n"
    assert "circle" in falco("a", circle).problem
    text = "- {rule: it, source: k8s_audit, condition: ka.verb=get, exceptions: [{name: x}]}"
    assert falco_rules(text, "f")[0].problem == "exceptions are not followed"


def test_rules_about_system_calls_are_left_out_and_no_list_is_no_file_of_rules():
    assert falco_rules("- {rule: it, condition: evt.type=open}", "f") == []
    for text in ("a: b", "- ["):
        with pytest.raises(NotUnderstoodError):
            falco_rules(text, "f")


def test_rules_that_are_switched_off_never_fire():
    [rule] = falco_rules("- {rule: it, source: k8s_audit, condition: ka.verb=get, enabled: false}", "f")
    assert judge(rule, EVERYTHING).firing is Firing.NEVER
    assert (
        judge(falco("ka.verb=get and jevt.rawtime=0"), EVERYTHING).reason == "its condition is false whatever happens"
    )


def test_on_falcos_own_policy_rules_about_roles_cannot_fire_and_those_about_clusterroles_can():
    condition = 'ka.verb=create and ka.target.resource={} and ka.req.role.rules.verbs intersects ("*")'
    assert judge(falco(condition.format("clusterroles")), FALCOS_OWN).firing is Firing.CAN
    roles = judge(falco(condition.format("roles")), FALCOS_OWN)
    assert roles.firing is Firing.CANNOT
    assert "is recorded at Metadata (rules[10]); it needs level Request" in roles.reason
    both = falco(
        'ka.verb=create and ka.target.resource in (roles, clusterroles) and ka.req.role.rules.verbs intersects ("*")'
    )
    partly = judge(both, FALCOS_OWN)
    assert (partly.firing, partly.able, len(partly.wants)) == (Firing.PARTLY, 1, 1)


def test_on_falcos_own_policy_an_ingress_without_tls_cannot_be_told_from_one_with_it():
    rule = falco("ka.verb=create and ka.target.resource=ingresses and not jevt.value[/requestObject/spec/tls] exists")
    own = judge(rule, FALCOS_OWN)
    assert own.firing is Firing.CAN
    assert own.unseen == ("jevt.value[/requestObject/spec/tls] exists",)
    assert judge(rule, EVERYTHING).unseen == ()


def test_exec_at_the_start_of_its_response_needs_that_stage():
    rule = falco("ka.stage=ResponseStarted and ka.target.subresource in (exec, attach) and ka.verb in (create, get)")
    assert judge(rule, METADATA).firing is Firing.CAN
    assert judge(rule, WITHOUT_STARTED).firing is Firing.CANNOT
    assert "without stage ResponseStarted" in judge(rule, WITHOUT_STARTED).reason


def test_an_event_of_a_get_has_no_stage_at_which_a_response_starts():
    rule = falco("ka.stage=ResponseStarted and ka.verb=get and ka.target.resource=secrets and ka.response.code=200")
    assert judge(rule, EVERYTHING).firing is Firing.NEVER


def test_a_word_in_a_configmap_is_put_into_the_witness():
    rule = falco('ka.target.resource=configmaps and ka.req.configmap.obj contains "password"')
    judgement = judge(rule, EVERYTHING)
    assert judgement.firing is Firing.CAN
    assert "password" in judgement.witness.event["requestObject"]["data"]
