from __future__ import annotations

from pathlib import Path

import pytest

from audit_operator.api.audit import Level
from audit_operator.api.kinds import KINDS
from audit_operator.coverage.catalogue import OPERATOR_NAMESPACE, Scope
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.schema import catalogue_schema
from audit_operator.coverage.suggestions import suggest
from audit_operator.policy.known_resources import known_resources
from audit_operator.policy.model import Policy, Rule

CATALOGUE = builtin_catalogue()
NOT_SERVED_BY_KUBERNETES = {"gateway.networking.k8s.io"}

# Published figures are "of 38": these, for ever.
CORE = [
    "secrets-read",
    "secrets-write",
    "serviceaccount-token-request",
    "token-review",
    "csr-create-approve",
    "pod-exec",
    "pod-attach",
    "pod-portforward",
    "pod-service-proxy",
    "node-proxy",
    "ephemeral-containers",
    "pod-logs-read",
    "pod-create-privileged",
    "workload-controller-change",
    "cronjob-job-change",
    "node-change",
    "rbac-roles-change",
    "rbac-bindings-change",
    "serviceaccount-change",
    "impersonation",
    "rbac-self-recon",
    "anonymous-access",
    "authn-failure-401",
    "authz-denied-403",
    "admission-config-change",
    "crd-apiservice-change",
    "kube-system-configmaps",
    "configmaps-read",
    "namespace-lifecycle",
    "events-delete",
    "networkpolicy-change",
    "service-ingress-exposure",
    "pv-hostpath-create",
    "quota-priority-change",
    "mass-delete",
    "non-resource-sensitive",
    "audit-system-tamper",
    "audit-log-read",
]


def resource_matches():
    return [
        pytest.param(match, resource, id=f"{action.id}-{resource}")
        for action in CATALOGUE.actions
        for match in action.match
        for resource in match.resources
    ]


def test_the_core_never_changes():
    assert [action.id for action in CATALOGUE.actions if action.core] == CORE
    assert [action.id for action in CATALOGUE.only_core().actions] == CORE


@pytest.mark.parametrize(("match", "resource"), resource_matches())
def test_every_request_is_one_that_the_api_server_serves(match, resource):
    if match.api_group in NOT_SERVED_BY_KUBERNETES | {"audit-operator.dev"}:
        return
    name, _, subresource = resource.partition("/")
    known = known_resources().find(match.api_group, name)
    assert known is not None
    assert known.namespaced == (match.scope is Scope.NAMESPACED)
    assert set(match.verbs) <= (known.subresources[subresource] if subresource else known.verbs)


def test_tampering_with_the_audit_system_means_each_of_our_kinds_and_its_status():
    action = CATALOGUE.action("audit-system-tamper")
    guarded = {
        (resource, match.scope is Scope.NAMESPACED)
        for match in action.match
        if match.api_group == "audit-operator.dev"
        for resource in match.resources
    }
    kinds = {(kind.info.plural, kind.info.namespaced) for kind in KINDS.values()}
    assert guarded == kinds | {(f"{plural}/status", namespaced) for plural, namespaced in kinds}


def test_every_action_says_where_it_comes_from():
    for action in CATALOGUE.actions:
        assert action.mitre, action.id
        assert action.core or action.sources, action.id
        assert action.best_level, action.id


def test_every_subject_is_described_and_used():
    used = {subject for action in CATALOGUE.actions for subject in action.subjects}
    assert used == {subject.name for subject in CATALOGUE.subjects}


def test_no_action_needs_what_another_must_not_have():
    silent = Policy((Rule(Level.NONE),))
    assert set(suggest(silent, CATALOGUE)) == {action.id for action in CATALOGUE.actions}


def test_control_ids_are_marked_as_unverified():
    assert not CATALOGUE.framework_ids_verified


def test_the_blind_spots_are_known():
    assert [blind_spot.id for blind_spot in CATALOGUE.blind_spots] == [
        "kubelet-direct",
        "static-pods",
        "etcd-direct",
        "exec-stream-content",
        "aggregated-apiservers",
        "node-os",
        "audit-backend-drop",
    ]


def test_the_operators_namespace_is_guarded_wherever_it_is():
    elsewhere = builtin_catalogue("observability")
    assert OPERATOR_NAMESPACE not in elsewhere.named_namespaces
    assert elsewhere.named_namespaces == CATALOGUE.named_namespaces - {OPERATOR_NAMESPACE} | {"observability"}
    assert len(elsewhere.actions) == len(CATALOGUE.actions)


def test_what_is_cached_in_a_catalogue_is_not_inherited_by_another():
    assert CATALOGUE.action("pod-resize")
    with pytest.raises(KeyError):
        CATALOGUE.only_core().action("pod-resize")


def test_the_published_schema_is_that_of_the_models():
    published = Path(__file__).parents[2] / "docs" / "catalogue.schema.json"
    assert published.read_text() == catalogue_schema()
