"""Findings as text, JSON and SARIF."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_operator.api.findings import Finding, Location, ObjectRef, Severity
from audit_operator.policy.lint import CHECKS, as_json, as_sarif, as_text

FINDINGS = (
    Finding(
        "dead-rule",
        Severity.ERROR,
        "the rule never matches",
        "remove it",
        path="rules[3]",
        rule=3,
        location=Location("a dir/policy.yaml", 12),
    ),
    Finding("records-nothing", Severity.INFO, "the policy records nothing", object=ObjectRef("AuditPolicy", "p", "ns")),
    Finding(
        "unknown-key", Severity.ERROR, "rules[0].verb is unknown", path="rules[0].verb", location=Location("p.yaml", 4)
    ),
)


def test_text_says_where_how_bad_what_and_how_to_mend() -> None:
    assert as_text(FINDINGS) == (
        "a dir/policy.yaml:12: error dead-rule: rules[3]: the rule never matches\n"
        "    mend: remove it\n"
        "info records-nothing: AuditPolicy ns/p: the policy records nothing\n"
        "p.yaml:4: error unknown-key: rules[0].verb is unknown\n"
        "2 errors, 1 info\n"
    )
    assert as_text(()) == "no findings\n"


def test_text_of_a_user_cannot_break_a_line() -> None:
    finding = Finding("impossible-verb", Severity.ERROR, 'verb "\n\x1b[31m\udc80" matches nothing')
    assert as_text([finding]).splitlines()[0] == 'error impossible-verb: verb "\\n\\x1b[31m\\udc80" matches nothing'


def test_json_has_the_fixed_keys() -> None:
    first, second, _ = json.loads(as_json(FINDINGS))
    assert first == {
        "id": "dead-rule",
        "severity": "Error",
        "message": "the rule never matches",
        "file": "a dir/policy.yaml",
        "line": 12,
        "rule": 3,
        "mend": "remove it",
        "path": "rules[3]",
        "object": None,
    }
    assert (second["rule"], second["line"], second["object"]) == (None, 0, "AuditPolicy ns/p")
    assert json.loads(as_json(())) == []


@pytest.fixture
def run() -> dict[str, Any]:
    sarif = json.loads(as_sarif(FINDINGS))
    assert sarif.keys() == {"$schema", "version", "runs"}
    assert sarif["version"] == "2.1.0"
    (run,) = sarif["runs"]
    assert isinstance(run, dict)
    return run


def test_sarif_describes_every_check(run: dict[str, Any]) -> None:
    driver = run["tool"]["driver"]
    assert driver["name"] == "audit-operator"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    assert {check.id for check in CHECKS} <= set(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}


def test_sarif_results_refer_to_rules_by_id_and_index(run: dict[str, Any]) -> None:
    rules = run["tool"]["driver"]["rules"]
    assert [result["ruleId"] for result in run["results"]] == [finding.id for finding in FINDINGS]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]


def test_sarif_locations_are_relative_uris_with_lines_from_one(run: dict[str, Any]) -> None:
    located, unlocated, _ = run["results"]
    physical = located["locations"][0]["physicalLocation"]
    assert physical == {"artifactLocation": {"uri": "a%20dir/policy.yaml"}, "region": {"startLine": 12}}
    assert located["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "rules[3]"}]
    assert "locations" not in unlocated
