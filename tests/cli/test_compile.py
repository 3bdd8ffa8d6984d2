"""`compile` as scripts use it: a policy on standard output, findings on standard error, an exit status."""

from __future__ import annotations

import io
import json
import sys

import pytest
import yaml

from audit_operator.api.observations import DesiredPolicy
from audit_operator.cli import main
from audit_operator.controlplane.fragments import Platform, render_fragment
from audit_operator.controlplane.static_pod.audit_flags import LogSettings

HEADER = "apiVersion: audit-operator.dev/v1alpha1\n"
PCI = HEADER + "kind: AuditPolicy\nmetadata: {name: pci, namespace: payments}\nspec:\n  rules:\n  - level: Request\n"
BASELINE = HEADER + "kind: ClusterAuditPolicy\nmetadata: {name: base}\nspec:\n  rules:\n  - level: Metadata\n"
MISSPELT = (
    HEADER
    + "kind: AuditPolicy\nmetadata: {name: web, namespace: web}\nspec:\n  rules:\n  - level: None\n    verb: [get]\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pci.yaml").write_text(PCI)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.yml").write_text("# a comment\n---\n" + BASELINE)
    (tmp_path / "notes.txt").write_text("not YAML: {")
    return tmp_path


def test_a_folder_becomes_one_policy(folder, capsys):
    assert main(["compile", "-f", str(folder)]) == 0
    output = capsys.readouterr()
    assert yaml.safe_load(output.out) == {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "rules": [{"level": "Request", "namespaces": ["payments"]}, {"level": "Metadata"}],
    }
    assert output.err == ""


def test_standard_input_may_hold_a_list(monkeypatch, capsys):
    items = yaml.safe_dump(
        {"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(PCI), yaml.safe_load(BASELINE)]}
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(items.encode())))
    assert main(["compile", "-f", "-"]) == 0
    assert "payments" in capsys.readouterr().out


def test_a_misspelt_key_is_named_with_file_and_line_and_the_others_go_on(folder, capsys):
    (folder / "web.yaml").write_text("---\n" + BASELINE + "---\n" + MISSPELT)
    assert main(["compile", "-f", str(folder)]) == 1
    output = capsys.readouterr()
    assert "payments" in output.out
    assert f"{folder / 'web.yaml'}:15:" in output.err
    assert "spec.rules[0].verb" in output.err
    assert "verbs" in output.err


def test_an_envelope_names_no_namespaces(folder, capsys):
    assert main(["compile", "-f", str(folder), "--precision", "Envelope"]) == 0
    assert "namespaces" not in capsys.readouterr().out


def test_namespace_labels_decide_what_a_selector_picks(folder, capsys):
    (folder / "ns.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: lab, labels: {tier: dev}}\n")
    selector = "  namespaceSelector: {matchLabels: {tier: dev}}\n  scopes: [Namespaced]\n"
    (folder / "more" / "base.yml").write_text(BASELINE + selector)
    assert main(["compile", "-f", str(folder)]) == 0
    rules = yaml.safe_load(capsys.readouterr().out)["rules"]
    assert {"level": "Metadata", "namespaces": ["lab"]} in rules


def test_an_old_version_gets_no_group_wildcard(folder, capsys):
    wild = "  - level: None\n    resources: [{group: '*', resources: ['*/status']}]\n  - level: Metadata\n"
    (folder / "more" / "base.yml").write_text(BASELINE.replace("  - level: Metadata\n", wild))
    assert main(["compile", "-f", str(folder), "--kubernetes-version", "1.34"]) == 0
    assert 'group: "*"' not in capsys.readouterr().out
    assert main(["compile", "-f", str(folder), "--kubernetes-version", "v1.36.2"]) == 0
    assert 'group: "*"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "-f", "no/such/file.yaml"],
        ["compile", "--kubeconfig", "no/such/kubeconfig"],
        ["compile", "-f", "-", "--kubernetes-version", "newest"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert capsys.readouterr().err


def test_the_policy_comes_as_json_too(folder, capsys):
    assert main(["compile", "-f", str(folder), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][-1] == {"level": "Metadata"}


@pytest.mark.parametrize("platform", list(Platform))
def test_the_policy_comes_as_what_a_platform_takes_with_the_log_settings_asked_for(platform, folder, capsys):
    (folder / "plane.yaml").write_text(
        HEADER + "kind: AuditControlPlane\nmetadata: {name: main}\n"
        "spec: {driver: ConfigMap, configMap: {namespace: audit, name: policy}, log: {maxAge: 77}}\n"
    )
    assert main(["compile", "-f", str(folder), "--for", platform.value]) == 0
    text = capsys.readouterr().out
    assert main(["compile", "-f", str(folder)]) == 0
    policy = DesiredPolicy(capsys.readouterr().out)
    log = LogSettings(max_age=77)
    assert text == render_fragment(platform, policy, log)
    assert text != render_fragment(platform, policy, LogSettings()) or platform is Platform.GARDENER


def test_crds_are_printed_in_both_forms(capsys):
    assert main(["crds"]) == 0
    documents = list(yaml.load_all(capsys.readouterr().out, Loader=yaml.CSafeLoader))
    assert main(["crds", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == documents
    assert len(documents) == 5


@pytest.mark.parametrize("command", ["compile", "lint", "explain", "coverage", "diff", "crds", "run", "demo"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "examples:" in capsys.readouterr().out
