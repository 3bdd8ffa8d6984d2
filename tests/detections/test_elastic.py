from __future__ import annotations

import pytest

from audit_operator.detections.condition import evaluate
from audit_operator.detections.elastic import elastic_rules
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.rule import NotUnderstoodError
from tests.detections.packs import EVERYTHING, METADATA, REQUEST, elastic, eql, esql, kql

EVENT = {
    "verb": "create",
    "level": "Request",
    "user": {"username": "system:serviceaccount:web:it", "groups": ["a", "b"]},
    "userAgent": "curl/8",
    "annotations": {"authorization.k8s.io/decision": "allow"},
    "objectRef": {"resource": "pods"},
    "requestURI": "/api/v1/namespaces/web/pods",
    "requestObject": {"spec": {"hostNetwork": True, "containers": [{"image": "x/a:1"}, {"image": "y"}]}},
}


@pytest.mark.parametrize(
    ("query", "truth"),
    [
        ('data_stream.dataset: "kubernetes.audit_logs"', True),
        ("kubernetes.audit.verb: (get or create) and not kubernetes.audit.level: Metadata", True),
        (r"user.name: system\:serviceaccount\:*", True),
        ('user.name: "system:serviceaccount:*"', False),
        ("user_agent.original: (* and not curl*)", False),
        ("kubernetes.audit.user.groups: b", True),
        ("not kubernetes.audit.objectRef.name: *", True),
        ("kubernetes.audit.annotations.authorization_k8s_io/decision: allow", True),
        ("kubernetes.audit.requestObject.spec.hostNetwork: true", True),
        ("kubernetes.audit.requestObject.spec.containers.image: x/*", True),
        ("kubernetes.audit.verb: get or kubernetes.audit.verb: create and event.action: list", False),
    ],
)
def test_kql_holds_as_kibana_says(query, truth):
    assert evaluate(kql(query).condition, EVENT) is truth


@pytest.mark.parametrize(
    ("query", "truth"),
    [
        ('kubernetes.audit.verb in ("get", "create") and user_agent.original like "curl*"', True),
        ('`kubernetes.audit.annotations.authorization_k8s_io/decision` == "allow"', True),
        ('kubernetes.audit.verb == "CREATE"', False),
        ('kubernetes.audit.verb : "CREA*"', True),
        ("kubernetes.audit.objectRef.name == null", True),
        ('not kubernetes.audit.verb != "create" /* twice */', True),
        ('kubernetes.audit.requestURI like "/api/v?/*"', True),
        ('not kubernetes.audit.objectRef.name == "x"', None),
    ],
)
def test_eql_holds_as_elastic_says(query, truth):
    assert evaluate(eql(query).condition, EVENT) is truth


@pytest.mark.parametrize(
    ("query", "truth"),
    [
        ('where starts_with(user.name, "system:") and event.action IN ("create") // why', True),
        ('where user.name rlike """system:(serviceaccount|node):.*""" | keep user.name', True),
        ("where kubernetes.audit.objectRef.name IS NULL and user.name is not null", True),
        ('where kubernetes.audit.objectRef.name NOT IN ("x")', None),
        ('where not to_string(source.ip) in ("::1")', None),
        ('where KQL(""" kubernetes.audit.verb:create """)', True),
        ('where event.action == "create | get"', False),
    ],
)
def test_esql_holds_as_elastic_says(query, truth):
    assert evaluate(esql(query).condition, EVENT) is truth


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (kql("host.name: x"), "the field host.name is not known"),
        (kql("(kubernetes.audit.verb: get"), "not understood"),
        (eql('length(kubernetes.audit.verb) == "4"'), "the function is not known"),
        (elastic('process where kubernetes.audit.verb == "a"', "eql", "eql"), "only `any where`"),
        (elastic("kubernetes.audit.verb: x", "lucene"), "rules of type query in lucene"),
        (esql('where event.action == "get" | stats n = count() by user.name | where n > 3'), "STATS"),
        (esql('where event.action == "get" | grok user.name "%{DATA:x}"'), "GROK"),
    ],
)
def test_what_is_not_understood_is_not_judged_and_named(rule, said):
    judgement = judge(rule, EVERYTHING)
    assert judgement.firing is Firing.UNJUDGED
    assert said in judgement.reason


def test_what_is_understood_can_be_enough_to_know_that_a_rule_cannot_fire():
    rule = esql('where kubernetes.audit.level == "Request" | stats n = count()')
    assert judge(rule, METADATA).firing is Firing.CANNOT


def test_rules_about_other_things_are_left_out_and_no_toml_is_said():
    assert elastic_rules('[rule]\nname = "x"\nquery = "process.name: x"\n', "f") == []
    with pytest.raises(NotUnderstoodError, match="no TOML"):
        elastic_rules("[", "f")


def test_the_rule_about_exec_that_asks_for_level_request_fires_at_no_other():
    query = 'kubernetes.audit.objectRef.subresource == "exec" and kubernetes.audit.level == "Request" and '
    rule = eql(query + 'kubernetes.audit.stage in ("ResponseStarted", "ResponseComplete")')
    assert judge(rule, REQUEST).firing is Firing.CAN
    assert judge(rule, METADATA).firing is Firing.CANNOT
    fuller = judge(rule, EVERYTHING)
    assert fuller.firing is Firing.CANNOT
    assert "is recorded at RequestResponse (rules[0]); it needs at level Request, no more" in fuller.reason


def test_fields_that_a_kind_does_not_have_are_in_no_event():
    rule = kql("kubernetes.audit.requestObject.spec.serviceAccountName: * and event.action: create and "
               "kubernetes.audit.objectRef.resource: rolebindings")  # fmt: skip
    assert judge(rule, EVERYTHING).firing is Firing.NEVER


def test_a_rule_that_depends_on_what_absent_fields_amount_to_is_not_judged():
    rule = eql('kubernetes.audit.verb == "list" and not kubernetes.audit.objectRef.subresource == "x"')
    assert judge(rule, METADATA).firing is Firing.UNJUDGED


def test_a_sequence_cannot_fire_if_one_of_its_events_does_not_come():
    start = 'sequence by user.name with maxspan=5m [any where kubernetes.audit.verb == "create"]'
    can = elastic(f'{start} [any where kubernetes.audit.verb == "delete"]', "eql", "eql")
    cannot = elastic(f'{start} [any where kubernetes.audit.level == "Request"]', "eql", "eql")
    assert judge(can, METADATA).firing is Firing.UNJUDGED
    assert judge(cannot, METADATA).firing is Firing.CANNOT
