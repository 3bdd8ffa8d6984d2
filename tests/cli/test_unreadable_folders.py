"""No command takes what it cannot list for empty: its answer would be about less than it was asked."""

from __future__ import annotations

import pytest

from audit_operator.cli import main
from tests.folders import lock
from tests.replay.logs import event, line

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
OWN = (
    "apiVersion: audit-operator.dev/v1alpha1\nkind: AuditPolicy\nmetadata: {name: own, namespace: web}\n"
    "spec: {rules: [{level: Metadata}]}\n"
)
FALCO = "- {rule: Read, source: k8s_audit, condition: ka.verb=get}\n"
SIGMA = "title: Read\nlogsource: {product: kubernetes}\ndetection: {s: {verb: get}, condition: s}\n"
ELASTIC = '[rule]\nname="Read"\ntype="query"\nlanguage="kuery"\nquery="kubernetes.audit.verb: get"\n'
TESTS = (
    "apiVersion: test.audit-operator.dev/v1alpha1\nkind: AuditPolicyTest\ncases:\n"
    "- {name: it, requests: [GET /healthz], level: Metadata}\n"
)
COMMANDS = {
    "replay FOLDER --policy POLICY": ("audit.log", line(event()).decode()),
    "replay LOG -f FOLDER": ("own.yaml", OWN),
    "detections test FOLDER": ("audit.log", line(event()).decode()),
    "detections test LOG -f FOLDER": ("own.yaml", OWN),
    "detections check --policy POLICY --falco FOLDER": ("rules.yaml", FALCO),
    "detections check --policy POLICY --sigma FOLDER": ("rules.yml", SIGMA),
    "detections check --policy POLICY --elastic FOLDER": ("rules.toml", ELASTIC),
    "compile -f FOLDER": ("own.yaml", OWN),
    "lint FOLDER": ("own.yaml", OWN),
    "coverage -f FOLDER": ("own.yaml", OWN),
    "report -f FOLDER -o json": ("own.yaml", OWN),
    "test FOLDER --policy POLICY": ("tests.yaml", TESTS),
}


@pytest.mark.parametrize("below", [".", "sub"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_listed_is_named_and_is_wrong_usage(command, below, tmp_path, monkeypatch, capsys):
    name, content = COMMANDS[command]
    folder = tmp_path / "folder"
    for each in (folder, folder / "sub"):
        each.mkdir()
        (each / name).write_text(content)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "audit.log").write_bytes(line(event()))
    places = {"FOLDER": folder, "POLICY": tmp_path / "policy.yaml", "LOG": tmp_path / "audit.log"}
    lock(folder / below, monkeypatch)
    assert main([str(places.get(each, each)) for each in command.split()]) == 2
    assert f"cannot read {folder / below}: Permission denied" in capsys.readouterr().err
