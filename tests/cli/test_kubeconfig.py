"""A kubeconfig that cannot be used is wrong usage for every command that reads one, and never a traceback."""

from __future__ import annotations

import pytest

from audit_operator.cli import main

COMMANDS = {
    "compile": [],
    "coverage": [],
    "compliance": [],
    "report": [],
    "detections check": ["--presets"],
    "replay": ["--sink", "central"],
    "incident": ["--user", "jane", "-o", "case"],
    "query": ["--sink", "central"],
    "tail": ["--sink", "central"],
    "permissions": [],
    "sinks check": [],
    "sinks overrides": ["central"],
    "rollout status": [],
}


BROKEN = {
    "missing": (None, "config.yaml: no such file"),
    "empty": ("", "config.yaml: it is empty"),
    "no YAML": ("a: [\n", "config.yaml:2: it is no YAML"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_kubeconfig_that_cannot_be_used_is_wrong_usage(command, broken, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content, said = BROKEN[broken]
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    assert main([*command.split(), *COMMANDS[command], "--kubeconfig", "config.yaml"]) == 2
    assert f"kubeconfig {said}" in capsys.readouterr().err
    assert not (tmp_path / "case").exists()
