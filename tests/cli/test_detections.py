"""`detections check` as people and scripts use it."""

from __future__ import annotations

import json

import pytest

from audit_operator.cli import main

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
FALCO = """
- rule: Privileged pod
  source: k8s_audit
  condition: ka.verb=create and ka.target.resource=pods and ka.req.pod.containers.privileged intersects (true)
- rule: Secret read
  source: k8s_audit
  condition: ka.verb=get and ka.target.resource=secrets
"""
SIGMA = """
title: Odd
logsource: {product: kubernetes, service: audit}
detection:
    s: {nothing: x}
    condition: s
"""
ELASTIC = """
[rule]
name = "Denied"
type = "query"
language = "kuery"
query = "kubernetes.audit.annotations.authorization_k8s_io/decision: forbid and kubernetes.audit.verb: delete"
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "falco.yaml").write_text(FALCO)
    for name, text in (("sigma/a/odd.yml", SIGMA), ("elastic/denied.toml", ELASTIC)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    packs = ["--falco", "falco.yaml", "--sigma", "sigma", "--elastic", "elastic"]
    paths = [each if each.startswith("--") else str(tmp_path / each) for each in packs]
    return ["detections", "check", "--policy", str(tmp_path / "policy.yaml"), *paths]


def test_rules_are_judged_and_changes_are_suggested(command, capsys):
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cannot fire ")
    assert (
        "Privileged pod  create pods by somebody is recorded at Metadata (rules[0]); it needs level Request" in lines[0]
    )
    assert lines[1] == "    - level: Request"
    assert lines[-1] == "4 rules: 1 cannot fire, 1 cannot be judged, 2 can fire"


def test_scripts_get_the_witness_and_the_change(command, capsys):
    assert main([*command, "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["summary"]["cannot fire"] == 1
    rules = {each["rule"]: each for each in report["rules"]}
    assert rules["Secret read"]["witness"]["objectRef"]["resource"] == "secrets"
    assert rules["Privileged pod"]["suggestion"].startswith("- level: Request")
    assert rules["Odd"]["reason"] == "s: nothing: audit events have no field nothing"


def test_ci_can_fail_on_what_cannot_fire(command):
    assert main([*command, "--fail-on", "cannot"]) == 1
    assert main([*command, "--fail-on", "never"]) == 0


def test_no_rules_and_no_yaml_are_wrong_usage(command, tmp_path, capsys):
    assert main(command[:4]) == 2
    assert "pass some with --falco" in capsys.readouterr().err
    (tmp_path / "bad.yaml").write_text("- [")
    assert main([*command, "--falco", str(tmp_path / "bad.yaml")]) == 2
    assert "bad.yaml holds no rules of Falco: no YAML" in capsys.readouterr().err
