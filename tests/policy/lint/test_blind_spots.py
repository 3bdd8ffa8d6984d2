"""Exec streams, failed authentications, mass deletions and erased traces."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, found, lint_rules, the_finding

EXEC = '{group: "", resources: [pods/exec]}'


def test_exec_with_create_alone_is_an_error_if_get_is_not_recorded() -> None:
    finding = the_finding(
        f"- {{level: Request, verbs: [create], resources: [{EXEC}]}}\n- level: None", "exec-verb-missing"
    )
    assert (finding.rule, finding.severity) == (0, "Error")
    assert "get" in finding.mend


def test_exec_with_create_alone_is_a_warning_if_get_is_recorded_at_a_lower_level() -> None:
    finding = the_finding(
        f"- {{level: Request, verbs: [create], resources: [{EXEC}]}}\n{CATCH_ALL}", "exec-verb-missing"
    )
    assert finding.severity == "Warning"


def test_exec_with_get_alone_misses_spdy_clients() -> None:
    rules = f"- {{level: Request, verbs: [get], resources: [{EXEC}]}}\n- level: None"
    assert "create" in the_finding(rules, "exec-verb-missing").mend


@pytest.mark.parametrize(
    "rules",
    [
        f"- {{level: Request, verbs: [create, get], resources: [{EXEC}]}}\n- level: None",
        f"- {{level: Request, resources: [{EXEC}]}}\n- level: None",
        f"- {{level: Metadata, verbs: [create], resources: [{EXEC}]}}\n{CATCH_ALL}",
        f"- {{level: Metadata, verbs: [create], resources: [{EXEC}]}}\n- {{level: Request, verbs: [get]}}\n{CATCH_ALL}",
        "- {level: RequestResponse, verbs: [create, update], resources: [{group: ''}]}\n" + CATCH_ALL,
    ],
)
def test_exec_is_fine_if_both_verbs_are_recorded_alike(rules: str) -> None:
    assert found(rules, "exec-verb-missing") == []


def test_dropping_reads_before_exec_hides_exec() -> None:
    rules = f"""
    - {{level: None, verbs: [get, list, watch]}}
    - {{level: Request, resources: [{EXEC}]}}
    - level: Metadata
    """
    finding = the_finding(rules, "exec-dropped")
    assert (finding.rule, finding.severity) == (0, "Error")
    assert "get pods/exec" in finding.message
    assert "create" not in finding.message.partition("dropped:")[2]


def test_dropping_all_that_service_accounts_read_hides_their_exec() -> None:
    rules = '- {level: None, userGroups: ["system:serviceaccounts"], verbs: [get]}\n' + CATCH_ALL
    assert found(rules, "exec-dropped") == [0]


@pytest.mark.parametrize(
    "rules",
    [
        f"- {{level: Metadata, resources: [{EXEC}, {{group: '', resources: [pods/attach, pods/portforward]}}]}}\n"
        "- {level: None, verbs: [get, list, watch]}\n" + CATCH_ALL,
        '- {level: None, users: ["system:kube-controller-manager"], verbs: [get]}\n' + CATCH_ALL,
        '- {level: None, userGroups: ["system:nodes"], verbs: [get]}\n' + CATCH_ALL,
        "- {level: Metadata, resources: [{group: '', resources: [secrets]}]}\n- level: None",
    ],
)
def test_exec_is_not_called_dropped_where_no_rule_singles_it_out(rules: str) -> None:
    assert found(rules, "exec-dropped") == []


def test_dropping_reads_hides_who_reads_secrets() -> None:
    finding = the_finding("- {level: None, verbs: [get, list, watch]}\n" + CATCH_ALL, "secrets-dropped")
    assert (finding.rule, finding.severity) == (0, "Error")
    assert finding.message.endswith(": get, list, watch")


@pytest.mark.parametrize(
    "rules",
    [
        "- {level: Metadata, resources: [{group: '', resources: [secrets]}]}\n- {level: None, verbs: [get]}\n"
        + CATCH_ALL,
        '- {level: None, users: ["system:apiserver"], verbs: [get]}\n' + CATCH_ALL,
        "- {level: None, namespaces: [ci], resources: [{group: ''}]}\n" + CATCH_ALL,
        "- level: None",
    ],
)
def test_secrets_are_not_called_dropped_where_no_rule_singles_them_out(rules: str) -> None:
    assert found(rules, "secrets-dropped") == []


def test_dropping_kube_system_hides_exec_and_secrets_there() -> None:
    ids = {each.id for each in lint_rules("- {level: None, namespaces: [kube-system]}\n" + CATCH_ALL)}
    assert {"exec-dropped", "secrets-dropped", "namespace-object-hidden"} <= ids


def test_omitting_response_started_loses_failed_authentications() -> None:
    finding = the_finding("- level: Metadata", "failed-authentication-lost", "omitStages: [ResponseStarted]")
    assert (finding.rule, finding.severity, finding.path) == (None, "Error", "omitStages")
    assert finding.location.line == 3


def test_omitting_response_started_in_the_rule_that_decides_loses_them_too() -> None:
    assert found("- {level: Metadata, omitStages: [ResponseStarted]}", "failed-authentication-lost") == [0]


def test_a_catch_all_with_groups_loses_failed_authentications() -> None:
    rules = '- {level: Metadata, userGroups: ["system:authenticated", "system:unauthenticated"]}'
    assert found(rules, "failed-authentication-lost") == [None]


@pytest.mark.parametrize(
    "rules",
    [
        "- {level: Metadata, omitStages: [RequestReceived]}",
        '- {level: None, userGroups: ["system:authenticated"], nonResourceURLs: [/api*]}\n' + CATCH_ALL,
        "- level: None",
    ],
)
def test_failed_authentications_are_not_called_lost_if_recorded_or_if_nothing_is(rules: str) -> None:
    assert found(rules, "failed-authentication-lost") == []


def test_delete_without_deletecollection_is_reported() -> None:
    rules = """
    - {level: Request, verbs: [create, update, patch, delete], resources: [{group: ""}, {group: apps}]}
    - level: Metadata
    """
    finding = the_finding(rules, "deletecollection-missing")
    assert (finding.rule, finding.severity) == (0, "Warning")


def test_delete_without_deletecollection_is_an_error_if_nothing_records_it() -> None:
    rules = """
    - {level: Metadata, verbs: [create, update, patch, delete]}
    - level: None
    """
    assert the_finding(rules, "deletecollection-missing").severity == "Error"


@pytest.mark.parametrize(
    "rule",
    [
        "level: Request, verbs: [delete, deletecollection]",
        "level: None, verbs: [delete]",
        'level: Request, verbs: [delete], resources: [{group: "", resources: [namespaces]}]',
        'level: Request, verbs: [delete], resources: [{group: "", resources: [configmaps], resourceNames: [a]}]',
        "level: Metadata, verbs: [delete]",
    ],
)
def test_deletecollection_is_not_missed_where_it_does_not_exist_or_is_recorded_alike(rule: str) -> None:
    assert found(f"- {{{rule}}}\n{CATCH_ALL}", "deletecollection-missing") == []


def test_dropping_a_namespace_hides_the_deletion_of_the_namespace() -> None:
    finding = the_finding("- {level: None, namespaces: [ci]}\n" + CATCH_ALL, "namespace-object-hidden")
    assert finding.rule == 0
    assert "delete ci" in finding.message


@pytest.mark.parametrize(
    "rules",
    [
        "- {level: Request, resources: [{group: '', resources: [namespaces]}]}\n- {level: None, namespaces: [ci]}\n"
        + CATCH_ALL,
        "- {level: None, namespaces: [ci], resources: [{group: '', resources: [pods]}]}\n" + CATCH_ALL,
        "- {level: None, namespaces: [ci], verbs: [get, list, watch]}\n" + CATCH_ALL,
        "- {level: Metadata, namespaces: [ci]}\n" + CATCH_ALL,
    ],
)
def test_a_namespace_object_is_not_called_hidden_if_it_is_recorded(rules: str) -> None:
    assert found(rules, "namespace-object-hidden") == []


def test_dropping_events_hides_their_deletion() -> None:
    rules = '- {level: None, resources: [{group: "", resources: [events]}]}\n' + CATCH_ALL
    assert found(rules, "event-deletion-hidden") == [0]


def test_dropping_the_writing_of_events_hides_nothing() -> None:
    rules = '- {level: None, verbs: [create, patch], resources: [{group: "", resources: [events]}]}\n' + CATCH_ALL
    assert found(rules, "event-deletion-hidden") == []


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ("- {level: Metadata, resources: [{group: ''}]}", "resources and URLs"),
        ('- {level: Metadata, nonResourceURLs: ["*"]}', "resources that"),
        ('- {level: Metadata, resources: [{group: "*"}]}', "URLs that"),
    ],
)
def test_rules_that_leave_something_undecided_are_reported(rules: str, what: str) -> None:
    assert what in the_finding(rules, "missing-catch-all").message


@pytest.mark.parametrize(
    "rules",
    [
        CATCH_ALL,
        "- {level: Metadata, resources: [{group: ''}]}\n- level: None",
        '- {level: Request, resources: [{group: "*"}]}\n- {level: Metadata, nonResourceURLs: ["*"]}',
    ],
)
def test_rules_that_decide_on_everything_are_fine(rules: str) -> None:
    assert found(rules, "missing-catch-all") == []


@pytest.mark.parametrize(
    "rules",
    [
        "- level: None",
        "- level: None\n- {level: Metadata, users: [alice]}",
        '- {level: Metadata, verbs: ["*"]}\n- level: None',
        "- {level: Metadata, omitStages: [RequestReceived, ResponseComplete]}",
    ],
)
def test_a_policy_that_records_nothing_is_reported(rules: str) -> None:
    assert found(rules, "records-nothing") == [None]


def test_a_rule_without_any_stage_of_ordinary_requests_is_reported() -> None:
    rules = "- {level: Request, omitStages: [ResponseComplete], resources: [{group: apps}]}\n" + CATCH_ALL
    assert found(rules, "stages-omitted", "omitStages: [RequestReceived]") == [0]
    assert "stages-omitted" not in {each.id for each in lint_rules(rules)}
