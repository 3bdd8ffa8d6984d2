"""Bodies that carry credentials, found by evaluating requests and not by looking at one rule."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, found, lint_rules, the_finding


@pytest.mark.parametrize(
    ("level", "verbs"),
    [
        ("Metadata", None),
        ("Request", "create, update, patch secrets"),
        ("RequestResponse", "create, update, patch, get, list, deletecollection secrets"),
    ],
)
def test_secrets_are_exposed_as_far_as_the_level_shows_them(level: str, verbs: str | None) -> None:
    messages = [each.message for each in lint_rules(f"- level: {level}") if each.id == "secret-bodies"]
    assert [message.partition(": ")[2] for message in messages] == ([verbs] if verbs else [])


def test_reading_secrets_at_level_request_exposes_nothing() -> None:
    rules = (
        '- {level: Request, verbs: [get, list, watch], resources: [{group: "", resources: [secrets]}]}\n' + CATCH_ALL
    )
    assert found(rules, "secret-bodies") == []


def test_an_earlier_rule_that_keeps_the_level_low_protects() -> None:
    rules = """
    - {level: Metadata, resources: [{group: "", resources: [secrets]}]}
    - level: RequestResponse
    """
    assert found(rules, "secret-bodies") == []


def test_an_earlier_rule_for_some_users_protects_only_their_requests() -> None:
    rules = """
    - {level: Metadata, users: [alice], resources: [{group: "", resources: [secrets]}]}
    - level: Request
    """
    assert found(rules, "secret-bodies") == [1]


def test_exposure_by_a_rule_for_one_user_or_group_or_namespace_is_found() -> None:
    rules = """
    - {level: Request, users: ["system:serviceaccount:ci:deployer"]}
    - {level: Request, userGroups: [ops], namespaces: [vault]}
    - {level: Request, resources: [{group: "", resources: [secrets], resourceNames: [tls]}]}
    - level: Metadata
    """
    assert found(rules, "secret-bodies") == [0, 1, 2]


def test_exposure_is_reported_at_the_rule_that_decides() -> None:
    rules = """
    - {level: None, verbs: [get, list, watch]}
    - {level: RequestResponse, resources: [{group: ""}]}
    - level: RequestResponse
    """
    assert found(rules, "secret-bodies") == [1]
    assert "get" not in the_finding(rules, "secret-bodies").message


@pytest.mark.parametrize(
    ("level", "count"),
    [("Metadata", 0), ("Request", 0), ("RequestResponse", 1)],
)
def test_a_token_request_exposes_the_token_in_its_response_alone(level: str, count: int) -> None:
    rules = f'- {{level: {level}, resources: [{{group: "", resources: [serviceaccounts/token]}}]}}\n' + CATCH_ALL
    assert found(rules, "token-bodies") == [0] * count


@pytest.mark.parametrize(("level", "count"), [("Metadata", 0), ("Request", 1), ("RequestResponse", 1)])
def test_a_token_review_exposes_the_token_in_its_request(level: str, count: int) -> None:
    rules = f"- {{level: {level}, resources: [{{group: authentication.k8s.io}}]}}\n" + CATCH_ALL
    assert found(rules, "token-bodies") == [0] * count


def test_config_maps_are_a_warning_and_one_singled_out_by_name_is_meant() -> None:
    rules = """
    - {level: RequestResponse, resources: [{group: "", resources: [configmaps], resourceNames: [aws-auth]}]}
    - {level: Request, resources: [{group: "", resources: [configmaps]}]}
    - level: Metadata
    """
    finding = the_finding(rules, "configmap-bodies")
    assert (finding.rule, finding.severity) == (1, "Warning")


def test_certificate_requests_are_mentioned() -> None:
    assert the_finding("- level: Request", "certificate-request-bodies").severity == "Info"
