"""What is unexpected: who, what, where, through what, and how bad."""

from __future__ import annotations

from dataclasses import replace

from audit_operator.api.findings import ObjectRef, Severity
from audit_operator.permissions.evaluation import evaluate
from audit_operator.permissions.findings import unexpected
from audit_operator.permissions.rbac import Subject
from tests.permissions.objects import EXPECTED, PLACES, binding, rbac, role, rule

EVERYTHING = rule("*", "*", "*")
READ_LOGS = rule("get", "pods/log")
POLICIES = rule("create", "auditpolicies", "audit-operator.dev")


def found(*documents, expected=EXPECTED):
    return unexpected(evaluate(rbac(*documents), PLACES, expected))


def test_somebody_with_every_right_is_one_finding_and_not_forty():
    [only] = found(role("admin", EVERYTHING), binding("b", "admin", "User alice"))
    assert only.severity is Severity.ERROR
    assert (only.where, only.through) == ("everywhere", "ClusterRoleBinding b to ClusterRole admin")
    assert len(only.accesses) > 30


def test_bindings_of_one_role_that_lead_to_the_same_are_one_finding():
    documents = [binding("b", "r", "Group dev", namespace=each) for each in ("logs", "audit-operator")]
    [only] = found(role("r", READ_LOGS), *documents)
    assert only.namespaces == ("audit-operator", "logs")
    assert only.through == "RoleBinding audit-operator/b and 1 more to ClusterRole r"
    assert only.severity is Severity.WARNING


def test_the_worst_is_first():
    results = found(
        role("logs", READ_LOGS),
        role("admin", EVERYTHING),
        binding("a", "logs", "User alice", namespace="logs"),
        binding("b", "admin", "User bob", namespace="audit-operator"),
        binding("c", "admin", "User carol"),
        binding("d", "logs", "Group system:authenticated", namespace="logs"),
    )
    assert [each.subject.name for each in results] == ["system:authenticated", "carol", "bob", "alice"]
    # A harmless right of everybody is none.
    assert results[0].severity is Severity.ERROR


def test_writing_policies_in_a_namespace_is_its_owners_business_and_nobody_elses():
    owners = ("Group payments", "ServiceAccount payments/robot", "Group system:serviceaccounts:payments")
    others = ("ServiceAccount lab/robot", "Group system:serviceaccounts:lab", "Group system:authenticated")
    results = found(role("r", POLICIES), binding("b", "r", *owners, *others, namespace="payments"))
    assert {str(each.subject) for each in results} == set(others)
    [everywhere] = found(role("r", POLICIES), binding("b", "r", "Group payments"))
    assert everywhere.severity is Severity.WARNING


def test_kubernetes_and_the_operator_are_expected_as_far_as_they_are_what_they_say():
    admin = role("cluster-admin", EVERYTHING)
    assert found(admin, binding("cluster-admin", "cluster-admin", "Group system:masters")) == ()
    controller = "system:controller:job-controller"
    account = "ServiceAccount kube-system/job-controller"
    documents = role(controller, EVERYTHING), binding(controller, controller, account)
    assert found(*documents) == ()
    assert len(found(*documents, binding("more", controller, account))) == 1
    ours = "ServiceAccount audit-operator/audit-operator"
    read = role("r", rule("get", "secrets"))
    assert found(read, binding("b", "r", ours)) == ()
    # An account of ours that was given more is not what the chart made.
    [only] = found(admin, binding("b", "cluster-admin", ours))
    assert "control-planes" in {each.id for each in only.accesses}
    assert "secrets" not in {each.id for each in only.accesses}


def test_the_api_server_may_use_kubelets_by_the_binding_that_kubeadm_makes():
    name, user = "system:kubelet-api-admin", "User kube-apiserver-kubelet-client"
    kubelets = role(name, rule("*", "nodes/proxy"))
    assert found(kubelets, binding("kubeadm:apiserver-kubelet-client", name, user)) == ()
    assert len(found(kubelets, binding("another", name, user))) == 1


def test_those_whom_an_administrator_names_are_expected():
    documents = role("admin", EVERYTHING), binding("b", "admin", "Group platform", "Group dev")
    declared = replace(EXPECTED, declared=frozenset({Subject("Group", "platform")}))
    assert [each.subject.name for each in found(*documents, expected=declared)] == ["dev"]


def test_names_are_said_where_everything_is_about_names():
    [only] = found(
        role("r", rule("patch", "leases", "coordination.k8s.io", ["audit-operator"])),
        binding("b", "r", "User alice", namespace="audit-operator"),
    )
    assert only.names == ("audit-operator",)
    assert only.bindings == (ObjectRef("RoleBinding", "b", "audit-operator"),)
