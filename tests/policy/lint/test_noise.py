"""The top talkers, and bodies that are large and useless."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, found, lint_rules, the_finding


def severities(rules: str, check: str) -> list[str]:
    return [finding.severity for finding in lint_rules(rules) if finding.id == check]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("None", []), ("Metadata", ["Info"]), ("Request", ["Warning"]), ("RequestResponse", ["Warning"])],
)
def test_lease_renewals_are_noise_at_any_level(level: str, expected: list[str]) -> None:
    rules = f"- {{level: {level}, resources: [{{group: coordination.k8s.io}}]}}\n" + CATCH_ALL
    assert severities(rules, "noise-leases") == expected


@pytest.mark.parametrize(("level", "expected"), [("Metadata", []), ("Request", ["Warning"])])
def test_events_are_noise_with_bodies(level: str, expected: list[str]) -> None:
    assert severities(f"- level: {level}", "noise-events") == expected


def test_events_dropped_in_the_core_group_alone_are_reported() -> None:
    rules = '- {level: None, resources: [{group: "", resources: [events]}]}\n' + CATCH_ALL
    assert found(rules, "noise-events-group") == [0]
    both = '- {level: None, resources: [{group: "", resources: [events]}, {group: events.k8s.io}]}\n' + CATCH_ALL
    assert found(both, "noise-events-group") == []


def test_health_checks_that_are_recorded_are_named() -> None:
    rules = "- {level: None, nonResourceURLs: [/healthz*]}\n" + CATCH_ALL
    finding = the_finding(rules, "noise-health-checks")
    assert finding.rule == 1
    assert "/livez, /readyz, although /healthz is dropped" in finding.message


def test_health_checks_dropped_for_authenticated_users_alone_are_still_recorded() -> None:
    urls = "nonResourceURLs: [/healthz, /livez, /readyz]"
    authenticated = f'- {{level: None, userGroups: ["system:authenticated"], {urls}}}\n' + CATCH_ALL
    assert found(authenticated, "noise-health-checks") == [1]
    assert found(f"- {{level: None, {urls}}}\n" + CATCH_ALL, "noise-health-checks") == []


def test_node_status_is_noise_with_responses() -> None:
    assert severities("- level: Request", "noise-node-status") == []
    assert severities("- level: RequestResponse", "noise-node-status") == ["Warning"]


def test_routine_work_of_components_is_noise_with_bodies() -> None:
    assert severities("- level: Metadata", "noise-components") == []
    assert severities("- level: RequestResponse", "noise-components") == ["Info"] * 3


def test_leader_election_silenced_where_it_no_longer_happens_is_reported() -> None:
    rules = """
    - level: None
      users: ["system:kube-scheduler", "system:kube-controller-manager"]
      verbs: [get, update]
      resources: [{group: "", resources: [endpoints]}]
    - level: Metadata
    """
    assert found(rules, "former-leader-election") == [0]
    assert (
        found(rules.replace('""', "coordination.k8s.io").replace("endpoints", "leases"), "former-leader-election") == []
    )


def test_lists_with_every_object_in_them_are_reported_at_the_rule_that_decides() -> None:
    rules = """
    - {level: RequestResponse, resources: [{group: "", resources: [pods]}]}
    - {level: Request, verbs: [get, list, watch]}
    - level: RequestResponse
    """
    finding = the_finding(rules, "full-lists")
    assert finding.rule == 0
    assert finding.message.endswith(": pods")
