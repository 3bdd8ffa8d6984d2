"""`coverage` and `diff` as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_operator.cli import main

REFERENCE = Path(__file__).parents[1] / "reference-policies"
HEADER = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"


@pytest.fixture
def metadata(tmp_path):
    path = tmp_path / "metadata.yaml"
    path.write_text(HEADER + "- level: Metadata\n")
    return str(path)


def judged(capsys, *arguments):
    status = main(["coverage", "-o", "json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_a_policy_file_is_judged_in_the_documented_form(metadata, capsys):
    status, result = judged(capsys, "--policy", metadata)
    assert status == 0
    assert set(result["summary"]) == {"covered", "partial", "gaps", "leaks", "notAuditable"}
    assert result["summary"]["gaps"] > 0
    assert {"id", "verdict", "level", "wanted", "reason", "rule"} <= set(result["actions"][0])
    assert sum(result["summary"].values()) == len(result["actions"])


def test_a_policy_that_begins_with_none_for_everything_covers_nothing(tmp_path, capsys):
    path = tmp_path / "none.yaml"
    path.write_text(HEADER + "- level: None\n- level: RequestResponse\n")
    _, result = judged(capsys, "--policy", str(path))
    assert result["summary"]["covered"] == result["summary"]["partial"] == 0


def test_objects_are_judged_as_they_compile(tmp_path, capsys):
    (tmp_path / "p.yaml").write_text(
        "apiVersion: audit-operator.dev/v1alpha1\nkind: ClusterAuditPolicy\nmetadata: {name: base}\n"
        "spec: {preset: Baseline}\n"
    )
    _, result = judged(capsys, "-f", str(tmp_path))
    assert result["summary"]["gaps"] == result["summary"]["leaks"] == result["summary"]["partial"] == 0
    _, one = judged(capsys, "-f", str(tmp_path), "-n", "payments")
    assert 0 < one["summary"]["covered"] < result["summary"]["covered"]


@pytest.mark.parametrize(("fail_on", "expected"), [("never", 0), ("leak", 0), ("gap", 1), ("partial", 1)])
def test_the_exit_status_follows_the_worst_verdict(metadata, capsys, fail_on, expected):
    status, _ = judged(capsys, "--policy", metadata, "--fail-on", fail_on)
    assert status == expected


def test_the_table_shows_what_is_missing_and_how_to_mend_it(metadata, capsys):
    assert main(["coverage", "--policy", metadata]) == 0
    output = capsys.readouterr().out
    assert "Gap" in output
    assert "level: Request" in output


def test_a_file_that_no_api_server_loads_is_wrong_usage(capsys):
    assert main(["coverage", "--policy", str(REFERENCE / "eks-published.yaml")]) == 2
    assert "eks-published.yaml" in capsys.readouterr().err


def test_a_users_catalogue_is_added(metadata, tmp_path, capsys):
    broken = tmp_path / "broken.yaml"
    broken.write_text("actions: 7\n")
    assert main(["coverage", "--policy", metadata, "--catalogue", str(broken)]) == 2
    assert "broken.yaml" in capsys.readouterr().err


def test_diff_names_actions_that_get_worse_and_the_rules_that_differ(metadata, tmp_path, capsys):
    less = tmp_path / "less.yaml"
    less.write_text(HEADER + "- level: None\n  resources: [{group: '', resources: [secrets]}]\n- level: Metadata\n")
    assert main(["diff", "--from-policy", metadata, "--to-policy", str(less), "--fail-on", "worse"]) == 1
    output = capsys.readouterr().out
    assert "worse secrets-read: Covered -> Gap" in output
    assert "+- level: None" in output
    assert main(["diff", "--from-policy", metadata, "--to-policy", metadata, "--fail-on", "any"]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_diff_as_json(metadata, tmp_path, capsys):
    more = tmp_path / "more.yaml"
    more.write_text(HEADER + "- level: RequestResponse\n")
    assert main(["diff", "--from-policy", metadata, "--to-policy", str(more), "-o", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert any(each["after"] == "Leak" and each["worse"] for each in result["actions"])
    assert result["rules"]


def test_api_servers_that_are_only_observed_are_judged_on_their_own_policy(tmp_path, capsys):
    objects = "apiVersion: audit-operator.dev/v1alpha1\nkind: {}\nmetadata: {{name: main}}\nspec: {}\n---\n"
    observe = "{driver: Observe, observe: {provider: Custom, policyRef: {namespace: audit, name: theirs}}}"
    file = tmp_path / "objects.yaml"
    file.write_text(
        objects.format("ClusterAuditPolicy", "{preset: Baseline}") + objects.format("AuditControlPlane", observe)
    )
    assert main(["coverage", "-f", str(file)]) == 2
    assert "pass it with --policy" in capsys.readouterr().err
    with file.open("a") as more:
        more.write(
            "apiVersion: v1\nkind: ConfigMap\n"
            "metadata: {namespace: audit, name: theirs, labels: {audit-operator.dev/input: ''}}\n"
            "data:\n  policy.yaml: |\n    apiVersion: audit.k8s.io/v1\n    kind: Policy\n    rules: [{level: None}]\n"
        )
    _, result = judged(capsys, "-f", str(file))
    assert result["summary"]["covered"] == 0
