from __future__ import annotations

import pytest

from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import assess
from tests.coverage.policies import POLICIES
from tests.coverage.reference_table import PAGE, TABLE, table

CORE = builtin_catalogue().only_core()


def test_the_table_in_the_documentation_is_what_comes_out():
    assert TABLE.search(PAGE.read_text()).group() == table()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("metadata", (31, 0, 7, 0)),
        ("request-response", (33, 0, 0, 5)),
        ("nothing-first", (0, 0, 38, 0)),
        ("k8s-docs-example", (33, 2, 3, 0)),
        ("gce-configure-helper", (35, 3, 0, 0)),
        ("kubespray-default", (35, 3, 0, 0)),
        ("eks-published-v1", (35, 3, 0, 0)),
        ("falco-k8saudit", (32, 4, 1, 1)),
        ("aks-engine", (32, 2, 3, 1)),
        ("openshift-default", (31, 0, 7, 0)),
        ("openshift-writerequestbodies", (38, 0, 0, 0)),
        ("openshift-allrequestbodies", (37, 0, 0, 1)),
        ("openshift-none", (0, 0, 38, 0)),
        ("openshift-oauth", (0, 0, 38, 0)),
        ("rke2-cis-default", (0, 0, 38, 0)),
        ("talos-default", (31, 0, 7, 0)),
    ],
)
def test_figures_over_the_core_and_its_samples_are_those_that_are_known(name, expected):
    coverage = assess(POLICIES[name], CORE, follow_names=False)
    counted = tuple(coverage.count(v) for v in (Verdict.COVERED, Verdict.PARTIAL, Verdict.GAP, Verdict.LEAK))
    assert counted == expected


@pytest.mark.parametrize(
    ("name", "action", "verdict", "words"),
    [
        ("gce-configure-helper", "kube-system-configmaps", "Partial", "by cluster-autoscaler is not recorded"),
        ("k8s-docs-example", "kube-system-configmaps", "Partial", "update configmaps controller-leader in kube-system"),
        ("kubespray-default", "events-delete", "Partial", "delete events in a namespace"),
        ("eks-published-v1", "authn-failure-401", "Partial", "get /version by a caller whose authentication failed"),
        ("eks-published-v1", "authz-denied-403", "Partial", "get nodes by a node"),
        ("aks-engine", "secrets-write", "Leak", "create secrets in a namespace"),
        ("falco-k8saudit", "rbac-roles-change", "Partial", "create roles.rbac.authorization.k8s.io"),
        ("falco-k8saudit", "configmaps-read", "Leak", "get configmaps in a namespace"),
        ("openshift-multiplecr", "authn-failure-401", "Gap", "whose authentication failed is not recorded"),
        ("openshift-oauth", "pod-exec", "Partial", "by a person is not recorded"),
        ("talos-default", "pod-create-privileged", "Gap", "recorded at Metadata only (rules[0])"),
    ],
)
def test_known_weaknesses_of_published_policies_are_found(name, action, verdict, words):
    (each,) = (each for each in assess(POLICIES[name], CORE).actions if each.action.id == action)
    assert each.verdict == verdict
    assert words in each.reason
