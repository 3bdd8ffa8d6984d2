"""What all commands have in common: examples in their help, and whose usage is told."""

from __future__ import annotations

import argparse

import pytest

from audit_operator.cli import main
from audit_operator.cli.main import command_line


def commands(name="", parser=None):
    for action in (parser or command_line("audit-operator"))._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, child in action.choices.items():
                yield f"{name} {word}".strip(), child
                yield from commands(f"{name} {word}", child)


COMMANDS = dict(commands())
WITH_NAMESPACE = [
    name
    for name, parser in COMMANDS.items()
    if "--namespace" in parser._option_string_actions and name not in {"query", "tail"}  # what these ask is read later
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_of_itself(name):
    parser = COMMANDS[name]
    _, found, examples = parser.format_help().partition("\nexamples:\n")
    assert found
    typed = [line for line in examples.splitlines() if line.startswith("  ")]
    assert any(f" {name} " in f"{line} " for line in typed)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_is_not_there_is_told_with_the_usage_of_that_command(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--no-such-option"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"usage: {COMMANDS[name].prog} ")
    assert f"{COMMANDS[name].prog}: error: " in err


def test_left_over_arguments_are_named(capsys):
    with pytest.raises(SystemExit):
        main(["detections", "rules", "--presets", "--no-such-option"])
    assert "detections rules: error: unrecognized arguments: --no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("name", WITH_NAMESPACE)
@pytest.mark.parametrize("bad", ["BAD NAME", "BAD_NAME", "-", "a" * 64, "a.b"])
def test_what_can_be_no_namespace_is_wrong_usage(name, bad, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), f"--namespace={bad}"])
    assert ended.value.code == 2
    assert f"{bad!r} can be no namespace" in capsys.readouterr().err


def test_a_query_about_what_can_be_no_namespace_is_wrong_usage(tmp_path, capsys):
    assert main(["query", "-n", "BAD_NAME", "--files", str(tmp_path)]) == 2
    assert "names of namespaces" in capsys.readouterr().err


PLANE = """
apiVersion: audit-operator.dev/v1alpha1
kind: AuditControlPlane
metadata: {name: %s}
spec: {driver: Process}
---
"""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "the files have several control planes: --control-plane must be one of: a, b"),
        (["--control-plane", "c"], "the files have no control plane 'c': --control-plane must be one of: a, b"),
    ],
)
def test_a_control_plane_that_must_be_chosen_is_asked_for_with_the_reason(asked, said, tmp_path, capsys):
    (tmp_path / "planes.yaml").write_text(PLANE % "a" + PLANE % "b")
    assert main(["coverage", "-f", str(tmp_path), *asked]) == 2
    assert said in capsys.readouterr().err
