"""Rules that decide nothing, and rules without which nothing would change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from audit_operator.api.audit import Level
from audit_operator.policy.evaluate import evaluate, rule_matches
from audit_operator.policy.known_resources import known_resources
from audit_operator.policy.lint.reach import MAX_RULES, analyse
from audit_operator.policy.lint.served import can_match
from tests.examples import examples
from tests.policy.lint.linting import found, lint_rules, policy_text, the_finding
from tests.policy.lint.served_requests import SERVED, policies, rules_about_known_things

if TYPE_CHECKING:
    from audit_operator.policy.model import Policy, Request, Rule


def recorded(policy: Policy, request: Request) -> object:
    """What of a decision shows in the log."""
    decision = evaluate(policy, request)
    if decision.level is Level.NONE:
        return Level.NONE
    return decision.level, decision.omit_stages, decision.omit_managed_fields


@settings(max_examples=examples(150))
@given(policies)
def test_a_dead_or_shadowed_rule_never_decides_a_request(policy: Policy) -> None:
    reach = analyse(policy, known_resources())
    for request in SERVED:
        rule = evaluate(policy, request).rule
        assert rule is None or reach.decides(rule), request


@settings(max_examples=examples(150))
@given(policies)
def test_removing_a_redundant_rule_changes_nothing(policy: Policy) -> None:
    for index in analyse(policy, known_resources()).redundant:
        without = replace(policy, rules=policy.rules[:index] + policy.rules[index + 1 :])
        for request in SERVED:
            assert recorded(without, request) == recorded(policy, request), (index, request)


@settings(max_examples=examples(150))
@given(policies)
def test_the_rules_that_shadow_another_match_all_it_matches(policy: Policy) -> None:
    for index, covering in analyse(policy, known_resources()).shadowed.items():
        for request in SERVED:
            if rule_matches(policy.rules[index], request):
                assert any(rule_matches(policy.rules[each], request) for each in covering), request


@settings(max_examples=examples(300))
@given(rules_about_known_things)
def test_a_rule_about_known_things_is_dead_exactly_if_it_matches_nothing(rule: Rule) -> None:
    matches = any(rule_matches(rule, request) for request in SERVED)
    assert can_match(rule, known_resources()) == matches


@pytest.mark.parametrize(
    "rule",
    [
        'verbs: ["*"]',
        "verbs: [GET, Create]",
        "verbs: [bind, escalate, impersonate, approve]",
        'verbs: [post], resources: [{group: "", resources: [pods]}]',
        "verbs: [list], nonResourceURLs: [/metrics]",
        'resources: [{group: "", resources: ["*/*"]}]',
        'resources: [{group: "", resources: [deployments, endpointslices]}]',
        "resources: [{group: apps, resources: [pods]}]",
        'resources: [{group: "", resources: [pod/exec, pods.exec, pods/exec/, exec]}]',
        'resources: [{group: "", resources: [secret, Secrets, Secret]}]',
        "resources: [{group: core}]",
        'namespaces: ["team-*"]',
        'namespaces: [kube-system], resources: [{group: "", resources: [nodes]}]',
        'namespaces: [""], verbs: [get, create], resources: [{group: "", resources: [pods]}]',
        'verbs: [create], resources: [{group: "", resources: [secrets], resourceNames: [a]}]',
        'users: ["system:node:*"]',
        'userGroups: ["system:serviceaccounts:*"]',
        "nonResourceURLs: [/api/v1/pods, /apis/apps/v1/deployments*]",
        "verbs: [get], resources: [{group: authentication.k8s.io, resources: [tokenreviews]}]",
    ],
)
def test_a_rule_that_cannot_match_is_dead(rule: str) -> None:
    assert found(f"- {{level: Request, {rule}}}\n- level: Metadata", "dead-rule") == [0]


@pytest.mark.parametrize(
    "rule",
    [
        "verbs: [get, GET]",
        "verbs: [post]",
        "verbs: [head], nonResourceURLs: [/healthz]",
        'resources: [{group: "", resources: [pods, deployments]}]',
        "resources: [{group: crd.example.com, resources: [widget]}]",
        'resources: [{group: "*", resources: [widget]}]',
        "resources: [{group: extensions}]",
        'resources: [{group: "", resources: [newthings]}]',
        'namespaces: [payments], resources: [{group: "", resources: [namespaces]}]',
        'namespaces: [""], verbs: [list], resources: [{group: "", resources: [pods]}]',
        'verbs: [create], resources: [{group: "", resources: [pods/exec], resourceNames: [a]}]',
        'verbs: [list], resources: [{group: "", resources: [secrets], resourceNames: [a]}]',
        "nonResourceURLs: [/api/v1]",
    ],
)
def test_a_rule_that_can_match_is_not_dead(rule: str) -> None:
    assert found(f"- {{level: Request, {rule}}}\n- level: Metadata", "dead-rule") == []


def test_a_dead_rule_that_only_drops_is_less_bad() -> None:
    severities = {
        level: the_finding(f'- {{level: {level}, verbs: ["*"]}}\n- level: Request', "dead-rule").severity
        for level in ("None", "Metadata")
    }
    assert severities == {"None": "Warning", "Metadata": "Error"}


def test_a_rule_behind_a_wider_one_is_shadowed() -> None:
    rules = """
    - {level: Request, resources: [{group: ""}]}
    - {level: Metadata, resources: [{group: "", resources: [secrets]}]}
    - level: Metadata
    """
    finding = the_finding(rules, "shadowed-rule")
    assert (finding.rule, finding.severity) == (1, "Error")
    assert "rule 0" in finding.message
    assert "Request" in finding.message


def test_a_rule_covered_by_several_others_together_is_shadowed() -> None:
    rules = """
    - {level: None, resources: [{group: "", resources: [pods]}, {group: apps}]}
    - {level: Request, verbs: [get, list], resources: [{group: "", resources: [secrets, configmaps]}]}
    - {level: Request, verbs: [create], resources: [{group: "", resources: [secrets, configmaps, services]}]}
    - {level: Metadata, verbs: [create, get], resources: [{group: "", resources: [secrets, pods]}]}
    - level: Metadata
    """
    finding = the_finding(rules, "shadowed-rule")
    assert finding.rule == 3
    assert "rules 0, 1, 2" in finding.message


def test_everything_is_covered_by_all_resources_and_all_urls() -> None:
    rules = """
    - {level: Request, resources: [{group: "*"}]}
    - {level: Metadata, nonResourceURLs: ["*"]}
    - {level: None, users: [alice]}
    """
    assert found(rules, "shadowed-rule") == [2]


def test_a_rule_that_is_covered_in_part_is_no_finding() -> None:
    rules = """
    - {level: None, users: [alice], resources: [{group: ""}]}
    - {level: Request, resources: [{group: "", resources: [pods]}]}
    - level: Metadata
    """
    assert found(rules, "shadowed-rule") == []


def test_a_shadowed_rule_with_the_same_result_is_less_bad() -> None:
    rules = """
    - {level: Metadata, resources: [{group: ""}]}
    - {level: Metadata, resources: [{group: "", resources: [secrets]}]}
    - level: Metadata
    """
    assert the_finding(rules, "shadowed-rule").severity == "Warning"


def test_a_rule_is_redundant_if_a_later_one_decides_the_same() -> None:
    rules = """
    - {level: Request, resources: [{group: "", resources: [configmaps]}]}
    - {level: None, users: [alice], resources: [{group: apps}]}
    - {level: Request, resources: [{group: ""}]}
    - level: Metadata
    """
    assert found(rules, "redundant-rule") == [0]


def test_a_rule_is_needed_if_another_comes_between() -> None:
    rules = """
    - {level: Request, resources: [{group: "", resources: [configmaps]}]}
    - {level: None, users: [alice], resources: [{group: ""}]}
    - {level: Request, resources: [{group: ""}]}
    - level: Metadata
    """
    assert found(rules, "redundant-rule") == []


def test_a_rule_that_keeps_another_from_coming_alive_is_needed() -> None:
    rules = """
    - {level: None, users: [alice]}
    - {level: Metadata, users: [alice]}
    """
    assert found(rules, "redundant-rule") == []


def test_dropping_what_nothing_records_is_redundant_but_saying_so_at_the_end_is_not() -> None:
    rules = """
    - {level: Metadata, resources: [{group: "", resources: [secrets]}]}
    - {level: None, resources: [{group: "", resources: [pods]}]}
    - level: None
    """
    assert found(rules, "redundant-rule") == [1]


def test_stages_and_managed_fields_count() -> None:
    rules = """
    - {level: Request, omitStages: [RequestReceived], resources: [{group: "", resources: [pods]}]}
    - {level: Request, omitManagedFields: true, resources: [{group: "", resources: [secrets]}]}
    - level: Request
    """
    assert found(rules, "redundant-rule") == []


def test_rules_beyond_the_limit_are_said_to_be_unsearched() -> None:
    rules = "\n".join(f"- {{level: Request, users: [u{number}]}}" for number in range(MAX_RULES + 1))
    findings = lint_rules(rules)
    assert "too-many-rules" in {finding.id for finding in findings}
    assert policy_text(rules).count("level") == MAX_RULES + 1
