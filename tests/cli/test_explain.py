"""`explain` as people and scripts use it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from audit_operator.cli import main
from tests.policy.conformance import read_lines

POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver"]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: Request
  userGroups: [dev]
"""
REQUESTS = (
    '{"user":{"name":"alice","groups":["dev"]},"verb":"get","resourceRequest":true,"resource":"secrets"}\n'
    '{"user":{"name":"alice","groups":["dev"]},"verb":"get","resourceRequest":true,"resource":"pods"}\n'
    '{"user":null,"verb":"get","path":"/api"}\n'
)


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def test_one_line_comes_out_for_each_request(policy, tmp_path, capsys):
    requests = tmp_path / "requests.jsonl"
    requests.write_text(REQUESTS)
    assert main(["explain", "--policy", policy, "--requests", str(requests), "-o", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["level"], each["rule"]) for each in lines] == [("Metadata", 1), ("Request", 2), ("None", None)]
    assert lines[0] == {"level": "Metadata", "omitStages": ["RequestReceived"], "omitManagedFields": False, "rule": 1}


def test_all_conformance_labels_come_out_of_the_command(tmp_path, capsys):
    """The fixed form that others script against, with the labels of the API server's own evaluator."""
    checked = 0
    for case in read_lines("oracle_cases.jsonl.gz"):
        if "loadError" in case:
            continue
        policy, requests = tmp_path / "policy.yaml", tmp_path / "requests.jsonl"
        policy.write_bytes(case["policy"].encode())
        requests.write_text("".join(f"{json.dumps(each)}\n" for each in case["requests"]))
        arguments = ["explain", "--policy", str(policy), "--requests", str(requests), "-o", "jsonl"]
        assert main([*arguments, "--kubernetes-version", "1.36"]) == 0, case["id"]
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        answers = [[each["level"], each["omitStages"], each["omitManagedFields"]] for each in lines]
        assert answers == [[level, sorted(stages), omit] for level, stages, omit in case["results"]], case["id"]
        checked += len(lines)
    assert checked == 2830


def test_requests_may_come_on_standard_input(policy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(REQUESTS.encode())))
    assert main(["explain", "--policy", policy, "--requests", "-", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_a_person_asks_about_a_url_and_hears_why(policy, capsys):
    url = "/api/v1/namespaces/web/secrets?watch=true"
    assert main(["explain", "--policy", policy, "--user", "alice", "--group", "dev", "GET", url]) == 0
    output = capsys.readouterr().out
    assert "Metadata" in output
    assert "rules[1]" in output


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "no JSON"),
        ('{"verbs": "get"}', "verbs"),
        ('{"user": 7}', "user"),
        ('{"resourceRequest": "yes"}', "true or"),
    ],
)
def test_a_line_that_is_no_request_is_named(policy, tmp_path, capsys, line, expected):
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"verb":"get"}\n' + line + "\n")
    assert main(["explain", "--policy", policy, "--requests", str(requests), "-o", "jsonl"]) == 2
    error = capsys.readouterr().err
    assert "requests.jsonl:2" in error
    assert expected in error


def test_something_must_be_asked(policy, capsys):
    assert main(["explain", "--policy", policy, "GET"]) == 2
    assert "METHOD and URL" in capsys.readouterr().err
