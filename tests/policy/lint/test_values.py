"""Verbs, namespaces, users, groups and URLs that no request has."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, found, the_finding


@pytest.mark.parametrize(
    ("rule", "mend"),
    [
        ('verbs: ["*"]', "leave verbs out"),
        ("verbs: [GET]", '"get"'),
        ("verbs: [deleteCollection]", '"deletecollection"'),
        ("verbs: [impersonate]", "of the request itself"),
        ("verbs: [bind]", "of the request itself"),
        ("verbs: [exec]", "pods/exec"),
        ("verbs: [proxy]", "pods/proxy"),
        ('verbs: [post], resources: [{group: ""}]', '"create"'),
        ('verbs: [PUT], resources: [{group: ""}]', '"update"'),
        ("verbs: [list], nonResourceURLs: [/metrics]", '"get"'),
        ("verbs: [creat]", '"create"'),
        ("verbs: [frobnicate]", "watch"),
    ],
)
def test_a_verb_that_no_request_has_is_reported_with_what_to_write(rule: str, mend: str) -> None:
    finding = the_finding(f"- {{level: Metadata, {rule}}}\n{CATCH_ALL}", "impossible-verb")
    assert (finding.rule, finding.severity) == (0, "Error")
    assert finding.path == "rules[0].verbs[0]"
    assert mend in finding.mend


@pytest.mark.parametrize(
    "rule",
    [
        "verbs: [get, list, watch, create, update, patch, delete, deletecollection]",
        "verbs: [get, head, post, put, options], nonResourceURLs: [/metrics]",
        "verbs: [post, create]",
    ],
)
def test_verbs_of_requests_are_fine(rule: str) -> None:
    assert found(f"- {{level: Metadata, {rule}}}\n{CATCH_ALL}", "impossible-verb") == []


def test_a_slip_in_a_rule_that_drops_is_less_bad() -> None:
    assert the_finding('- {level: None, verbs: ["*"]}\n- level: Metadata', "impossible-verb").severity == "Warning"


def test_namespaces_have_no_wildcards() -> None:
    rules = '- {level: Request, namespaces: ["kube-*", payments, "", Team]}\n' + CATCH_ALL
    assert found(rules, "impossible-namespace") == [0, 0]


def test_users_and_groups_have_no_wildcards() -> None:
    rules = """
    - {level: None, users: ["system:serviceaccount:kube-system:*"]}
    - {level: None, userGroups: ["system:serviceaccounts:*"]}
    - {level: None, users: ["system:node:*", alice]}
    - level: Metadata
    """
    assert found(rules, "wildcard-user") == [0, 1, 2]


def test_a_pattern_of_service_accounts_is_mended_with_their_group() -> None:
    rules = '- {level: None, users: ["system:serviceaccount:kube-system:*"]}\n' + CATCH_ALL
    assert "system:serviceaccounts:kube-system" in the_finding(rules, "wildcard-user").mend


def test_groups_among_users_and_users_among_groups_are_reported() -> None:
    rules = """
    - {level: Request, users: ["system:masters", "system:serviceaccounts:web"]}
    - {level: Request, userGroups: ["system:node:n1", "system:serviceaccount:web:app", "system:anonymous"]}
    - {level: Request, users: ["system:serviceaccount:app"]}
    - {level: Request, users: ["system:serviceaccount:web:app", alice], userGroups: ["system:nodes", dev]}
    - level: Metadata
    """
    assert found(rules, "user-group-mixup") == [0, 0, 1, 1, 1, 2]


def test_users_of_former_components_are_reported() -> None:
    rules = '- {level: None, users: [kubelet, "system:unsecured", alice]}\n' + CATCH_ALL
    assert found(rules, "former-user") == [0, 0]


@pytest.mark.parametrize(
    "url",
    ["/api/v1/pods", "/api/v1/*", "/apis/apps/v1/deployments*", "/api/v1/namespaces/web/secrets/a", "/metrics?x=y"],
)
def test_a_url_of_a_resource_or_with_a_query_is_reported(url: str) -> None:
    assert found(f'- {{level: Request, nonResourceURLs: ["{url}"]}}\n{CATCH_ALL}', "impossible-url") == [0]


@pytest.mark.parametrize("url", ["*", "/api*", "/api/v1", "/apis/apps/*", "/apis/apps/v1", "/metrics", "/healthz/etcd"])
def test_other_urls_are_fine(url: str) -> None:
    assert found(f'- {{level: Request, nonResourceURLs: ["{url}"]}}\n{CATCH_ALL}', "impossible-url") == []


def test_values_listed_twice_are_reported_once() -> None:
    rules = """
    - level: Request
      verbs: [get, list, get, get]
      resources: [{group: "", resources: [pods, pods]}]
    - level: Metadata
    """
    assert found(rules, "duplicate-value") == [0, 0]
