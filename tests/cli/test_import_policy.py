"""`import`: what was recorded before is recorded afterwards, neither more nor less."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from audit_operator.cli import main
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.json_lines import request_from_json
from audit_operator.policy.loading import load_policy
from tests.policy.conformance import read_lines

REFERENCE = sorted((Path(__file__).parents[1] / "reference-policies").glob("*.yaml"))
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
REQUESTS = [
    request_from_json(each) for case in read_lines("oracle_cases.jsonl.gz") for each in case.get("requests", ())
]


def imported(file, capsys, *arguments):
    status = main(["import", str(file), *arguments])
    return status, capsys.readouterr()


@pytest.mark.parametrize("file", REFERENCE, ids=lambda file: file.stem)
def test_published_policies_record_the_same_once_they_are_objects(file, tmp_path, capsys):
    original = load_policy(file.read_text()).policy
    status, printed = imported(file, capsys)
    if status:
        assert "error" in printed.err  # it has rules that can never match, and says which
        return
    path = tmp_path / "baseline.yaml"
    path.write_text(printed.out)
    assert main(["compile", "-f", str(path)]) == 0
    compiled = load_policy(capsys.readouterr().out).policy
    for request in REQUESTS:
        before, after = evaluate(original, request), evaluate(compiled, request)
        assert before.level is after.level, request
        if before.level != "None":
            assert (before.omit_stages, before.omit_managed_fields) == (after.omit_stages, after.omit_managed_fields)


def test_most_published_policies_can_be_imported(capsys):
    assert sum(imported(file, capsys)[0] == 0 for file in REFERENCE) >= len(REFERENCE) - 3


def test_name_and_control_plane_are_what_is_asked_for(tmp_path, capsys):
    file = tmp_path / "p.yaml"
    file.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"
    )
    _, printed = imported(file, capsys, "--name", "company", "--control-plane", "main")
    assert yaml.safe_load(printed.out) == {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "ClusterAuditPolicy",
        "metadata": {"name": "company"},
        "spec": {
            "controlPlaneRef": {"name": "main"},
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        },
    }


def test_names_that_yaml_could_take_for_numbers_are_read_back_as_names(tmp_path, capsys):
    file = tmp_path / "p.yaml"
    names = '["1e3", "0o17"]'
    file.write_text(f'{HEAD}rules: [{{level: Metadata, namespaces: {names}, users: ["1E5", "on", "a: b"]}}]\n')
    status, printed = imported(file, capsys)
    assert status == 0
    (tmp_path / "object.yaml").write_text(printed.out)
    assert main(["diff", "--from-policy", str(file), "--to", str(tmp_path / "object.yaml"), "--fail-on", "worse"]) == 0


def test_a_rule_that_can_never_match_is_refused_with_its_field(tmp_path, capsys):
    file = tmp_path / "p.yaml"
    file.write_text(f"{HEAD}rules: [{{level: Metadata, verbs: ['*']}}]\n")
    status, printed = imported(file, capsys)
    assert (status, printed.out) == (2, "")
    assert "spec.rules[0].verbs" in printed.err
