"""`detections rules` as people and scripts use it."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from audit_operator.api.detection import DetectionPreset
from audit_operator.api.findings import ObjectRef
from audit_operator.cli import main
from audit_operator.cli.main import command_line
from audit_operator.detections.alert_rules import rule_group
from audit_operator.detections.own import preset_detections

POLICIES = """
apiVersion: audit-operator.dev/v1alpha1
kind: AuditPolicy
metadata: {name: web, namespace: shop}
spec:
  preset: Metadata
  detections: [{name: exec, preset: Exec}]
---
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditPolicy
metadata: {name: base}
spec:
  preset: Metadata
  detections: [{name: exec, preset: Exec}, {name: tokens, preset: TokenMinting, threshold: 3}]
"""
OWN = """
apiVersion: detections.audit-operator.dev/v1alpha1
kind: AuditDetections
detections: [{name: mine, preset: Exec}]
"""


@pytest.fixture
def printed(tmp_path, capsys):
    (tmp_path / "policies.yaml").write_text(POLICIES)
    (tmp_path / "own.yaml").write_text(OWN)

    def run(*words, status=0):
        paths = [str(tmp_path / each) if each.endswith(".yaml") else each for each in words]
        assert main(["detections", "rules", *paths]) == status
        return list(yaml.safe_load_all(capsys.readouterr().out))

    return run


def told(group):
    """The rules of what is told apart; what had no room for that has one more of each."""
    return [each for each in group["rules"] if "told_apart" not in each["labels"]]


def test_a_file_of_rules_has_a_group_for_each_policy(printed):
    [document] = printed("-f", "policies.yaml", "--runbook-url", "https://r/x")
    named = {each["name"]: [rule["labels"]["detection_name"] for rule in told(each)] for each in document["groups"]}
    assert named == {
        "audit-detections AuditPolicy shop/web": ["exec"],
        "audit-detections ClusterAuditPolicy base": ["exec", "tokens"],
    }
    assert document["groups"][0]["rules"][0]["annotations"]["runbook_url"] == "https://r/x#auditdetection"


def test_objects_are_one_for_each_policy(printed):
    found = printed("-f", "policies.yaml", "-o", "prometheusrule", "-n", "audit-system")
    assert [(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]) for each in found] == [
        ("PrometheusRule", "shop", "audit-detections.web"),
        ("PrometheusRule", "audit-system", "audit-detections-of-cluster.base"),
    ]


def test_detections_of_files_and_presets_have_rules_too(printed):
    [document] = printed("--own", "own.yaml", "--presets")
    [group] = document["groups"]
    assert len(told(group)) == 1 + len(DetectionPreset)


def test_nothing_to_make_rules_of_is_wrong_usage(printed, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert printed(status=2) == []
    assert printed("-f", "own.yaml", status=2) == []


def test_without_files_the_objects_of_the_cluster_are_asked_for(tmp_path, capsys):
    assert main(["detections", "rules", "--kubeconfig", str(tmp_path / "config")]) == 2
    assert "config: no such file; name files with -f" in capsys.readouterr().err


def test_an_object_that_cannot_be_used_ends_with_1(tmp_path, capsys):
    (tmp_path / "p.yaml").write_text(POLICIES.replace("threshold: 3", "threshold: -3"))
    assert main(["detections", "rules", "-f", str(tmp_path / "p.yaml")]) == 1
    assert "threshold" in capsys.readouterr().err


def commands():
    for holder in (ObjectRef("ClusterAuditPolicy", "base"), ObjectRef("AuditPolicy", "web", "shop")):
        for rule in rule_group(holder, preset_detections())["rules"]:
            text = rule["annotations"]["query"]
            for chosen in (r"\1", r"\2"):
                case = re.sub(r"\{\{ if [^}]*\}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}", chosen, text)
                yield re.sub(r"'\{\{ \$labels\.(\w+) \|[^}]*\}\}'", r"\1", case)


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_the_command_that_shows_the_events_of_an_alert_is_one_that_there_is(command):
    program, *words = shlex.split(command)
    assert program == "audit-operator"
    assert command_line("audit-operator").parse_args(words).since
