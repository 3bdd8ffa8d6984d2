"""`redact` as people use it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from audit_operator.cli import main
from tests.shipping.redaction.corpus import event, line_of, pod, secret_object

SECRET = event("secrets", requestObject=secret_object(stringData={"password": "hunter2"}))
MAIL = event(requestObject=pod(args=["dora@example.com", "ACME-1234"]))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "audit.log"
    path.write_text(f"{line_of(SECRET)}\n\n{line_of(MAIL)}\n")
    return path


def test_events_come_out_as_they_leave_the_node(file, capsys):
    assert main(["redact", str(file)]) == 0
    secret, mail = map(json.loads, capsys.readouterr().out.splitlines())
    assert secret["requestObject"]["stringData"] == {"password": "[REDACTED]"}
    assert mail == MAIL


def test_a_test_says_what_is_taken_out_and_prints_no_event(file, capsys):
    assert main(["redact", "--test", "--profile", "Secrets", "--profile", "PII", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"{file}:1: requestObject.stringData.password: secret" in out
    assert f"{file}:3: requestObject: e-mail" in out
    assert out.endswith("2 events; taken out:\n        1  e-mail\n        1  secret\n")
    assert "hunter2" not in out
    assert "dora" not in out


def test_own_patterns_and_pseudonyms(file, capsys):
    arguments = [
        "redact",
        str(file),
        "--profile",
        "none",
        "--pattern",
        "order=ACME-[0-9]+",
        "--pseudonymize",
        "Username",
    ]
    assert main(arguments) == 0
    mail = json.loads(capsys.readouterr().out.splitlines()[1])
    assert mail["requestObject"]["spec"]["containers"][0]["args"] == ["dora@example.com", "[REDACTED]"]
    assert mail["user"]["username"].startswith("p-")


def test_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line_of(SECRET).encode())))
    assert main(["redact", "-"]) == 0
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("{hunter2", ()),
        ("[]", ()),
        ("{}", ("--pattern", "x=(a")),
        ("{}", ("--pattern", "x")),
        ("{}", ("--pattern", "x=a*")),
    ],
)
def test_wrong_usage_exits_with_2_and_repeats_nothing(content, arguments, tmp_path, capsys):
    path = tmp_path / "audit.log"
    path.write_text(content)
    assert main(["redact", str(path), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err
    assert "hunter2" not in captured.err + captured.out
