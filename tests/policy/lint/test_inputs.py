"""Policy files, ConfigMaps that hold one, and our own kinds; each finding on its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.policy.lint import lint_text
from audit_operator.policy.lint.inputs import split_documents

if TYPE_CHECKING:
    from audit_operator.api.findings import Finding

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Request
  verbs: [create, "*"]
- level: Metadata
"""

NAMESPACED = """\
apiVersion: audit-operator.dev/v1alpha1
kind: AuditPolicy
metadata: {name: pci, namespace: payments}
spec:
  rules:
  - level: RequestResponse
    resources:
    - group: ""
      resources: [secrets, nodes]
  - level: Metadata
"""

CLUSTER = """\
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditPolicy
metadata: {name: base}
spec:
  rules:
  - level: Metadata
  - level: None
    verbs: [get]
  limits:
  - level: Metadata
    resources:
    - group: ""
      resources: [secret]
"""


def lint(text: str) -> tuple[Finding, ...]:
    return lint_text(text, file="f.yaml")


def at(findings: tuple[Finding, ...], check: str) -> list[tuple[int, int | None, str]]:
    """Line, rule and path of what one check has found."""
    return [(each.location.line, each.rule, each.path) for each in findings if each.id == check]


def test_a_finding_about_a_policy_file_has_the_line_of_the_value() -> None:
    findings = lint(POLICY)
    assert at(findings, "impossible-verb") == [(5, 0, "rules[0].verbs[1]")]
    assert {each.location.file for each in findings} == {"f.yaml"}


def test_what_the_api_server_drops_silently_is_an_error() -> None:
    findings = lint(POLICY.replace("verbs:", "verb:") + "  level: None\n")
    assert {each.id: each.severity for each in findings if each.id.endswith("-key")} == {
        "unknown-key": "Error",
        "duplicate-key": "Error",
    }


def test_a_policy_that_the_api_server_refuses_is_reported_with_its_reason() -> None:
    assert [each.id for each in lint(POLICY.replace("Request", "Requests"))] == ["validation"]
    assert [each.id for each in lint("apiVersion: audit.k8s.io/v1\nkind: Policy\n")] == ["no-rules"]
    assert [each.id for each in lint("a: [\n")] == ["decode"]
    assert "version" in {each.id for each in lint("rules: [{level: None}]\n")}


def test_a_policy_of_a_former_version_is_linted_all_the_same() -> None:
    findings = lint(POLICY.replace("/v1", "/v1beta1"))
    assert at(findings, "version") == [(1, None, "apiVersion")]
    assert at(findings, "impossible-verb") == [(5, 0, "rules[0].verbs[1]")]


def test_json_is_linted_as_well() -> None:
    text = json.dumps(yaml.safe_load(POLICY), indent=1)
    ((line, rule, _),) = at(lint(text), "impossible-verb")
    assert rule == 0
    assert text.splitlines()[line - 1].strip() == '"*"'


def test_a_policy_in_a_config_map_has_the_lines_of_the_outer_file() -> None:
    block = "".join(f"    {line}\n" for line in POLICY.splitlines())
    text = f"# header\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: audit}}\ndata:\n  policy.yaml: |\n{block}"
    findings = lint(text)
    ((line, rule, path),) = at(findings, "impossible-verb")
    assert (rule, path) == (0, "data[policy.yaml]: rules[0].verbs[1]")
    assert text.splitlines()[line - 1].strip() == 'verbs: [create, "*"]'
    assert str(findings[0].object) == "ConfigMap audit"


def test_a_policy_in_a_quoted_value_has_the_line_of_its_key() -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: audit}}\ndata:\n  p: {json.dumps(POLICY)}\n"
    assert {each.location.line for each in lint(text)} == {5}


def test_a_config_map_without_a_policy_is_nothing_to_lint() -> None:
    assert [each.id for each in lint("apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n")] == ["nothing-to-lint"]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "apiVersion: v1\nkind: Pod\n", "apiVersion: kyverno.io/v1\nkind: Policy\n"]
)
def test_silence_means_that_a_policy_was_looked_at(text: str) -> None:
    assert [each.id for each in lint(text)] == ["nothing-to-lint"]


def test_an_audit_policy_is_linted_for_its_namespace() -> None:
    findings = lint(NAMESPACED)
    assert at(findings, "secret-bodies") == [(6, 0, "spec.rules[0].level")]
    ((line, rule, path),) = at(findings, "scope-mismatch")
    assert (line, rule, path) == (9, 0, "spec.rules[0].resources[0].resources[1]")
    assert "ClusterAuditPolicy" in next(each.mend for each in findings if each.id == "scope-mismatch")
    assert {str(each.object) for each in findings} == {"AuditPolicy payments/pci"}


def test_one_policy_of_many_need_not_record_everything() -> None:
    ids = {each.id for each in lint(NAMESPACED.replace("  - level: Metadata\n", ""))}
    assert not ids & {"missing-catch-all", "failed-authentication-lost", "noise-leases", "records-nothing"}


def test_rules_and_limits_of_a_cluster_audit_policy_are_linted_apart() -> None:
    findings = lint(CLUSTER)
    assert at(findings, "shadowed-rule") == [(7, 1, "spec.rules[1]")]
    assert at(findings, "singular-resource") == [(13, 0, "spec.limits[0].resources[0].resources[0]")]
    assert at(findings, "dead-rule") == [(10, 0, "spec.limits[0]")]


def test_a_limit_that_cannot_match_is_an_error_at_any_level() -> None:
    findings = lint(CLUSTER.replace("limits:\n  - level: Metadata", "limits:\n  - level: None"))
    assert [each.severity for each in findings if each.id == "dead-rule"] == ["Error"]


def test_an_object_of_ours_that_is_wrong_is_reported_and_the_next_one_linted() -> None:
    findings = lint(NAMESPACED.replace("rules:", "rulez:") + "---\n" + POLICY)
    assert "unknown-key" in {each.id for each in findings}
    assert at(findings, "impossible-verb") == [(16, 0, "rules[0].verbs[1]")]


def test_the_items_of_a_list_are_linted() -> None:
    items = [yaml.safe_load(NAMESPACED), yaml.safe_load(CLUSTER)]
    findings = lint(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert {str(each.object) for each in findings} == {"AuditPolicy payments/pci", "ClusterAuditPolicy base"}


def test_documents_after_a_policy_are_linted_and_said_to_be_ignored_by_the_api_server() -> None:
    findings = lint(POLICY + "---\n# next\n" + POLICY)
    assert [line for line, _, _ in at(findings, "impossible-verb")] == [5, 13]
    assert at(findings, "further-document") == [(7, None, "")]


def test_documents_are_split_at_separators_in_the_first_column_only() -> None:
    text = "---\n# only a comment\n---\na: |\n  ---\n  x\n--- # two\nb: 1\n---\n"
    assert [(part.before, part.content) for part in split_documents(text)] == [
        (2, "---\na: |\n  ---\n  x\n"),
        (6, "--- # two\nb: 1\n"),
    ]


@given(st.text() | st.text(alphabet="-|{}[]:,\n\r \u2028ab\"'&*#", max_size=60).map(lambda text: POLICY + text))
def test_no_text_makes_it_fail(text: str) -> None:
    assert isinstance(lint(text), tuple)
