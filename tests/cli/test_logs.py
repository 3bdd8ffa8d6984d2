"""`logs` as application teams use it."""

from __future__ import annotations

import gzip
import io
import json
import sys

import pytest

from audit_operator.cli import main
from tests.shipping.application.lines import line

POLICY = """
apiVersion: audit-operator.dev/v1alpha1
kind: AuditPolicy
metadata: {name: orders, namespace: shop}
spec:
  preset: Metadata
  sinkRefs: [{kind: AuditSink, name: central}]
  applicationLogs:
    files: [{volume: logs, path: "*.log"}]
    fields: {user: auth.user, correlationId: trace.id}
    timeFormat: UnixMilliseconds
---
apiVersion: audit-operator.dev/v1alpha1
kind: AuditSink
metadata: {name: central, namespace: shop}
spec: {type: Loki, loki: {url: "http://loki:80"}}
"""
MAPPED = line(user=..., correlationId=..., time=1795773600000, auth={"user": "alice"}, **{"trace.id": "x"})


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_text(f"{line()}\n\n{line(user=..., result=1)}\nno JSON\n{line()[:-1]}")
    return path


def test_each_rule_that_a_line_breaks_is_said(log, capsys):
    assert main(["logs", "check", str(log)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{log}:3: no user (looked for user)",
        f"{log}:3: result is no text",
        f"{log}:4: no JSON object",
        f"{log}:5: no JSON object",
        "4 lines; 1 keep to the standard, 3 would go to quarantine",
        "        2  no JSON object",
        "        1  no user",
        "        1  result is no text",
    ]


def test_the_fields_and_the_time_format_of_a_policy_count(tmp_path, policy, capsys):
    file = tmp_path / "app.log"
    file.write_text(f"{MAPPED}\n")
    assert main(["logs", "check", "--policy", policy, str(file)]) == 0
    assert capsys.readouterr().out == "1 lines; 1 keep to the standard, 0 would go to quarantine\n"
    file.write_text(line())
    assert main(["logs", "check", "--policy", policy, str(file)]) == 1
    assert "no user (looked for auth.user)" in capsys.readouterr().out


def test_what_a_sink_can_take_counts(tmp_path, policy, capsys):
    file = tmp_path / "app.log"
    file.write_text(MAPPED[:-1] + f',"note":"{"x" * 300_000}"}}')
    assert main(["logs", "check", "--policy", policy, str(file)]) == 1
    assert "too long" in capsys.readouterr().out
    file.write_text(line(note="x" * 300_000))
    assert main(["logs", "check", str(file)]) == 0


def test_compressed_files_and_standard_input_are_read(tmp_path, log, capsys, monkeypatch):
    packed = tmp_path / "app.log.1.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n")))
    assert main(["logs", "check", str(packed), "-"]) == 1
    out = capsys.readouterr().out
    assert f"{packed}:4: no JSON object" in out
    assert "<stdin>:1: no JSON object" in out


def test_the_schema_of_a_policy_is_printed(policy, capsys):
    assert main(["logs", "schema", "--policy", policy]) == 0
    assert "auth" in json.dumps(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "{policy}", "--name", "other", "{log}"], "must lead to one AuditPolicy"),
        (["--policy", "{policy}", "-n", "other", "{log}"], "must lead to one AuditPolicy"),
        (["nowhere.log"], "cannot read nowhere.log"),
        (["--policy", "nowhere.yaml", "{log}"], "cannot read nowhere.yaml"),
    ],
)
def test_wrong_usage_is_said(arguments, message, policy, log, capsys):
    assert main(["logs", "check", *(each.format(policy=policy, log=log) for each in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_only_begins_as_compressed_is_wrong_usage(tmp_path, capsys):
    broken = tmp_path / "app.log.gz"
    broken.write_bytes(gzip.compress(b"x" * 1000)[:-12])
    assert main(["logs", "check", str(broken)]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_policy_without_application_logs_is_wrong_usage(tmp_path, log, capsys):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.split("  applicationLogs", maxsplit=1)[0])
    assert main(["logs", "check", "--policy", str(file), str(log)]) == 2
    assert "collects no application logs" in capsys.readouterr().err
