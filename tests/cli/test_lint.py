"""`lint` as people and scripts use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_operator.cli import main

REFERENCE = Path(__file__).parents[1] / "reference-policies"


def linted(capsys, *arguments):
    status = main(["lint", "-o", "json", *map(str, arguments)])
    return status, json.loads(capsys.readouterr().out)


def test_findings_have_the_documented_form(capsys):
    _, findings = linted(capsys, REFERENCE / "k8s-docs-example.yaml")
    assert findings
    assert {"id", "severity", "message", "file", "line", "rule"} <= set(findings[0])
    assert all(each["file"].endswith("k8s-docs-example.yaml") and each["line"] > 0 for each in findings)


def test_a_misspelt_key_is_found_with_its_line(tmp_path, capsys):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  verb: [get]\n- level: Metadata\n"
    )
    status, findings = linted(capsys, path)
    assert status == 1
    assert ("unknown-key", 5, 0) in [(each["id"], each["line"], each["rule"]) for each in findings]


def test_a_folder_is_linted_whole_and_fail_on_decides():
    assert main(["lint", str(REFERENCE), "--fail-on", "never"]) == 0
    assert main(["lint", str(REFERENCE), "--fail-on", "info"]) == 1


def test_sarif_can_be_read(capsys):
    assert main(["lint", str(REFERENCE), "-o", "sarif", "--fail-on", "never"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"


@pytest.mark.parametrize("arguments", [["lint"], ["lint", "no/such/file"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert capsys.readouterr().err


DETECTIONS = """apiVersion: audit-operator.dev/v1alpha1
kind: AuditPolicy
metadata: {name: own, namespace: web}
spec:
  rules:
  - {level: Metadata, verbs: [get]}
  detections:
  - {name: exec, preset: Exec}
  - {name: minting, preset: TokenMinting}
"""


def test_detections_that_cannot_fire_are_found_with_their_line_and_on_all_policies_together(tmp_path, capsys):
    (tmp_path / "own.yaml").write_text(DETECTIONS)
    _, findings = linted(capsys, tmp_path)
    found = {each["id"]: each for each in findings}
    assert (found["detection-cannot-fire"]["line"], found["detection-fires-in-part"]["line"]) == (9, 8)
    assert found["detection-cannot-fire"]["message"].startswith("with the policies given here, minting cannot fire: ")
    assert found["detection-cannot-fire"]["mend"].startswith("put first in spec.rules: [{level: Metadata")
    baseline = DETECTIONS.partition("metadata")[0].replace("AuditPolicy", "ClusterAuditPolicy")
    (tmp_path / "baseline.yaml").write_text(baseline + "metadata: {name: baseline}\nspec: {preset: Baseline}\n")
    _, findings = linted(capsys, tmp_path)
    assert not [each for each in findings if each["id"].startswith("detection-")]
