"""The rules of RBAC, one by one; a real API server confirms them in tests/integration/test_permissions.py."""

from __future__ import annotations

import pytest

from audit_operator.permissions.aggregation import aggregated
from audit_operator.permissions.authorizer import Question, decide
from audit_operator.permissions.rbac import RbacError, rbac_of
from tests.permissions.objects import API, binding, rbac, role, rule

LOGS = Question("get", "", "pods/log", "web-1", "lab")


def may(facts, question, user="alice", groups=()):
    return decide(facts, user, groups, question) is not None


def with_rule(given, question):
    return may(rbac(role("r", given), binding("b", "r", "User alice")), question)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (rule("get", "pods/log"), True),
        (rule("get", "*/log"), True),
        (rule("get", "*"), True),
        (rule("*", "pods/log", "*"), True),
        (rule("get", "pods"), False),
        (rule("get", "pods/*"), False),
        (rule("get", "*/logs"), False),
        (rule("list", "pods/log"), False),
        (rule("get", "pods/log", "apps"), False),
        (rule("get", "pods/log", names=["web-1"]), True),
        (rule("get", "pods/log", names=["web-2"]), False),
    ],
)
def test_verbs_groups_resources_and_names(given, allowed):
    assert with_rule(given, LOGS) is allowed


def test_a_rule_with_names_is_not_about_requests_without_one():
    given = rule("create list", "secrets", names=["own"])
    assert not with_rule(given, Question("list", "", "secrets", "", "lab"))
    assert with_rule(given, Question("list", "", "secrets", "own", "lab"))


def test_a_role_binding_is_about_its_own_namespace_alone_whatever_its_role_says():
    facts = rbac(role("r", rule("*", "*", "*")), binding("b", "r", "User alice", namespace="lab"))
    assert may(facts, LOGS)
    assert not may(facts, Question("get", "", "pods/log", "web-1", "payments"))
    assert not may(facts, Question("get", "", "nodes/proxy", "node-1"))
    # A namespace lies in itself.
    assert may(facts, Question("patch", "", "namespaces", "lab", "lab"))


def test_a_role_binding_finds_a_role_in_its_own_namespace():
    theirs = role("r", rule("get", "pods/log"), namespace="payments")
    facts = rbac(theirs, binding("b", "r", "User alice", namespace="lab", kind="Role"))
    assert not may(facts, LOGS)


def test_groups_and_service_accounts():
    facts = rbac(
        role("r", rule("get", "pods/log")),
        binding("a", "r", "Group dev", "ServiceAccount robot", namespace="lab"),
        binding("b", "r", "User system:serviceaccount:lab:other", namespace="lab"),
    )
    assert may(facts, LOGS, groups=("dev",))
    assert may(facts, LOGS, user="system:serviceaccount:lab:robot")
    assert may(facts, LOGS, user="system:serviceaccount:lab:other")
    assert not may(facts, LOGS, user="dev")
    assert not may(facts, LOGS, user="system:serviceaccount:payments:robot")
    assert not may(facts, LOGS, user="robot")


def test_a_binding_to_a_role_that_does_not_exist_grants_nothing():
    assert not may(rbac(binding("b", "nowhere", "User alice")), LOGS)


def test_an_aggregated_role_has_what_is_written_in_it_until_its_controller_is_played():
    select = {"clusterRoleSelectors": [{"matchLabels": {"to-edit": "true"}}]}
    over = {"clusterRoleSelectors": [{"matchExpressions": [{"key": "to-admin", "operator": "Exists"}]}]}
    facts = rbac(
        role("part", rule("get", "pods/log"), labels={"to-edit": "true"}),
        role("edit", labels={"to-admin": ""}, aggregationRule=select),
        role("admin", rule("*", "*", "*"), aggregationRule=over),
        binding("b", "admin", "User alice"),
    )
    assert may(facts, Question("get", "", "secrets", "x", "lab"))
    filled = aggregated(facts)
    # Through two roles; and what was in it before is replaced.
    assert may(filled, LOGS)
    assert not may(filled, Question("get", "", "secrets", "x", "lab"))


def test_roles_are_aggregated_by_selectors_of_any_size():
    labels = {f"k{number}": "v" for number in range(40)}
    facts = rbac(
        role("part", rule("get", "pods/log"), labels=labels),
        role("whole", aggregationRule={"clusterRoleSelectors": [{"matchLabels": labels, "matchExpressions": None}]}),
        binding("b", "whole", "User alice"),
    )
    assert may(aggregated(facts), LOGS)


@pytest.mark.parametrize(
    "broken",
    [
        {"rules": 7},
        {"rules": [{"verbs": "get"}]},
        {"metadata": {}},
        {"aggregationRule": {"clusterRoleSelectors": [{"matchExpressions": [{"key": "x", "operator": "Is"}]}]}},
    ],
)
def test_an_object_that_no_api_server_would_take_is_named(broken):
    with pytest.raises(RbacError, match="ClusterRole"):
        rbac_of([{"apiVersion": API, "kind": "ClusterRole", "metadata": {"name": "r"}, **broken}])


def test_other_kinds_are_passed_over():
    assert not rbac_of([{"apiVersion": "v1", "kind": "Role", "metadata": {}}, {"kind": "Pod"}]).roles
