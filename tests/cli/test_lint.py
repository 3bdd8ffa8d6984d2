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
