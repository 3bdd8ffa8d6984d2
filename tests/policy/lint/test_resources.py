"""Entries of `resources` that match nothing, or not what they seem to."""

from __future__ import annotations

import pytest

from audit_operator.api.audit import Level
from audit_operator.policy.known_resources import KnownResource, known_resources
from audit_operator.policy.lint import lint_policy
from audit_operator.policy.lint.resource_names import mistake_in
from audit_operator.policy.model import GroupResources, Policy, Rule
from tests.policy.lint.linting import CATCH_ALL, found, lint_rules, the_finding


@pytest.mark.parametrize(
    ("group", "spelling", "check", "mend"),
    [
        ("", "deployments", "wrong-group", '"apps"'),
        ("", "endpointslices", "wrong-group", '"discovery.k8s.io"'),
        ("apps", "pods", "wrong-group", 'group: ""'),
        ("", "deployment", "wrong-group", '"deployments"'),
        ("", "deployments.apps", "wrong-group", '"apps"'),
        ("extensions", "deployments.apps", "wrong-group", '"apps"'),
        ("", "pod", "singular-resource", '"pods"'),
        ("", "configmap", "singular-resource", '"configmaps"'),
        ("networking.k8s.io", "networkpolicy", "singular-resource", '"networkpolicies"'),
        ("", "pod/exec", "singular-resource", '"pods/exec"'),
        ("", "po", "short-resource-name", '"pods"'),
        ("apps", "deploy", "short-resource-name", '"deployments"'),
        ("", "Pods", "wrong-case-resource", '"pods"'),
        ("", "configMaps", "wrong-case-resource", '"configmaps"'),
        ("crd.example.com", "Widgets", "wrong-case-resource", '"widgets"'),
        ("", "pods.exec", "subresource-spelling", '"pods/exec"'),
        ("", "pods:exec", "subresource-spelling", '"pods/exec"'),
        ("", "pods/exec/", "subresource-spelling", '"pods/exec"'),
        ("", "pods/", "subresource-spelling", '"pods"'),
        ("", "/exec", "subresource-spelling", '"exec"'),
        ("", "pods/exec/stream", "subresource-spelling", '"pods/exec"'),
        ("", "exec", "subresource-spelling", '"pods/exec"'),
        ("", "status", "subresource-spelling", '"*/status"'),
        ("", "", "subresource-spelling", "remove"),
        ("", "*/*", "resource-wildcard", '"*"'),
        ("", "pod*", "resource-wildcard", "list the names"),
        ("", "pods/ex*", "resource-wildcard", "list the names"),
        ("core", "pods", "unknown-group", 'group: ""'),
        ("v1", "pods", "unknown-group", 'group: ""'),
        ("rbac", "roles", "unknown-group", '"rbac.authorization.k8s.io"'),
        ("app", "deployments", "unknown-group", '"apps"'),
        ("", "users", "authorization-only", "remove"),
        ("certificates.k8s.io", "signers", "authorization-only", "remove"),
        ("", "nodes/metrics", "authorization-only", "nodes/proxy"),
        ("", "secretes", "unknown-resource", '"secrets"'),
        ("authentication.k8s.io", "tokenrequests", "unknown-resource", "serviceaccounts/token"),
        ("", "pods/logs", "unknown-subresource", '"pods/log"'),
        ("", "*/statuses", "unknown-subresource", '"*/status"'),
    ],
)
def test_a_mistake_in_a_name_is_told_by_its_kind_with_what_to_write(
    group: str, spelling: str, check: str, mend: str
) -> None:
    mistake = mistake_in(group, spelling, known_resources())
    assert mistake is not None
    assert mistake.id == check
    assert mend in mistake.mend


@pytest.mark.parametrize(
    ("group", "spelling"),
    [
        ("", "*"),
        ("", "pods"),
        ("", "pods/*"),
        ("", "*/status"),
        ("", "endpoints"),
        ("", "serviceaccounts/token"),
        ("events.k8s.io", "events"),
        ("crd.example.com", "widget"),
        ("crd.example.com", "widgets/exec"),
        ("gateway.networking.k8s.io", "httproutes"),
        ("metrics.k8s.io", "pods"),
        ("machineconfiguration.openshift.io", "machineconfigs"),
        ("extensions", "deployments"),
        ("policy", "podsecuritypolicies"),
        ("*", "widgets"),
        ("*", "pods"),
        ("*", "*/scale"),
    ],
)
def test_what_exists_or_may_exist_is_never_called_wrong(group: str, spelling: str) -> None:
    assert mistake_in(group, spelling, known_resources()) is None


def test_every_resource_that_an_api_server_serves_is_right() -> None:
    known = known_resources()
    for each in known.served:
        for spelling in (each.name, f"{each.name}/*", *(f"{each.name}/{sub}" for sub in each.subresources)):
            assert mistake_in(each.group, spelling, known) is None, spelling


def test_custom_resources_can_be_made_known() -> None:
    rule = Rule(Level.REQUEST, resources=(GroupResources("crd.example.com", ("widget",)),))
    policy = Policy((rule, Rule(Level.METADATA)))
    known = known_resources().including([KnownResource("crd.example.com", "widgets", "Widget")])
    assert "singular-resource" not in {each.id for each in lint_policy(policy)}
    assert "singular-resource" in {each.id for each in lint_policy(policy, known=known)}


def test_a_group_that_cannot_exist_is_reported_where_the_entry_takes_in_all_of_it() -> None:
    finding = the_finding(f"- {{level: Request, resources: [{{group: core}}]}}\n{CATCH_ALL}", "unknown-group")
    assert finding.path == "rules[0].resources[0].group"


def test_what_is_not_served_any_more_is_reported_unless_the_api_server_is_older() -> None:
    rules = """
    - level: Request
      resources: [{group: extensions}, {group: policy, resources: [podsecuritypolicies]}]
    - level: Metadata
    """
    now = [each for each in lint_rules(rules) if each.id == "removed-api"]
    then = [each for each in lint_rules(rules, version=(1, 20)) if each.id == "removed-api"]
    assert [each.severity for each in now] == ["Info", "Info"]
    assert then == []


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ('namespaces: [web], resources: [{group: "", resources: [nodes, pods]}]', 1),
        ("namespaces: [web], resources: [{group: rbac.authorization.k8s.io, resources: [clusterroles, roles]}]", 1),
        ('namespaces: [""], verbs: [create, delete], resources: [{group: "", resources: [pods, nodes]}]', 1),
        ('namespaces: [""], verbs: [delete], resources: [{group: "", resources: [namespaces]}]', 1),
        ('namespaces: [web], verbs: [create], resources: [{group: "", resources: [namespaces]}]', 1),
        ('namespaces: [web], verbs: [delete], resources: [{group: "", resources: [namespaces]}]', 0),
        ('namespaces: [""], verbs: [list], resources: [{group: "", resources: [pods]}]', 0),
        ("namespaces: [web], resources: [{group: crd.example.com, resources: [widgets]}]", 0),
    ],
)
def test_a_resource_that_is_never_in_the_namespaces_is_reported(rule: str, count: int) -> None:
    assert found(f"- {{level: Request, {rule}}}\n{CATCH_ALL}", "scope-mismatch") == [0] * count


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ('verbs: [watch], resources: [{group: "", resources: [services, services/status]}]', 1),
        ("verbs: [get, list], resources: [{group: authentication.k8s.io, resources: [tokenreviews]}]", 1),
        ('verbs: [get, create], resources: [{group: "", resources: [pods/log, pods]}]', 0),
        ("verbs: [watch], resources: [{group: crd.example.com, resources: [widgets/status]}]", 0),
    ],
)
def test_a_resource_that_is_not_served_with_the_verbs_is_reported(rule: str, count: int) -> None:
    assert found(f"- {{level: Request, {rule}}}\n{CATCH_ALL}", "unserved-verb") == [0] * count


@pytest.mark.parametrize(
    ("verbs", "severities"),
    [
        ("[create]", ["Error"]),
        ("[create, update]", ["Warning"]),
        ("[get, list]", ["Info"]),
        ("[deletecollection, watch, get]", ["Warning", "Info"]),
        ("[get, update, patch, delete]", []),
        ("[]", []),
    ],
)
def test_object_names_beside_verbs_without_names_are_reported(verbs: str, severities: list[str]) -> None:
    rules = f"""
    - level: Request
      verbs: {verbs}
      resources: [{{group: "", resources: [configmaps], resourceNames: [aws-auth]}}]
    - level: Metadata
    """
    assert [each.severity for each in lint_rules(rules) if each.id == "names-without-requests"] == severities


def test_creating_a_subresource_carries_the_name_of_its_parent() -> None:
    rules = """
    - level: Request
      verbs: [create]
      resources: [{group: "", resources: [pods/exec], resourceNames: [db-0]}]
    - level: Metadata
    """
    assert found(rules, "names-without-requests") == []


def test_a_parent_taken_in_with_its_subresources_is_reported_unless_it_is_named_too() -> None:
    rules = """
    - {level: None, resources: [{group: "", resources: [pods/*]}]}
    - {level: Request, resources: [{group: "", resources: [services/*]}]}
    - {level: Request, resources: [{group: "", resources: [secrets, secrets/*, "*/status"]}]}
    - level: Metadata
    """
    findings = [each for each in lint_rules(rules) if each.id == "parent-included"]
    assert [(each.rule, each.severity) for each in findings] == [(0, "Warning"), (1, "Info")]


@pytest.mark.parametrize(
    ("rule", "severities"),
    [
        ('namespaces: [""], resources: [{group: "", resources: [namespaces, nodes]}]', ["Warning"]),
        ('namespaces: [""], resources: [{group: "", resources: [pods, secrets]}]', ["Warning"]),
        ('namespaces: [""]', ["Info"]),
        ('namespaces: ["", web], resources: [{group: "", resources: [pods]}]', []),
        ('namespaces: [""], resources: [{group: "", resources: [nodes]}]', []),
        ('namespaces: [""], resources: [{group: crd.example.com, resources: [widgets]}]', []),
    ],
)
def test_the_empty_namespace_is_explained_where_it_misleads(rule: str, severities: list[str]) -> None:
    findings = lint_rules(f"- {{level: Request, {rule}}}\n{CATCH_ALL}")
    assert [each.severity for each in findings if each.id == "empty-namespace"] == severities
