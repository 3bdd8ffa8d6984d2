"""`test` as people and CI systems use it."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest

from audit_operator.cli import main
from audit_operator.cli.test import EXAMPLES

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
HEAD = "apiVersion: test.audit-operator.dev/v1alpha1\nkind: AuditPolicyTest\ncases:\n"


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


@pytest.fixture
def expectations(tmp_path):
    def write(text):
        path = tmp_path / "expectations.yaml"
        path.write_text(HEAD + text)
        return str(path)

    return write


def test_the_example_of_the_help_is_one_that_works(policy, tmp_path, capsys):
    lines = EXAMPLES.partition("A file of expectations:\n")[2].partition("\n\n")[0].split("\n")
    path = tmp_path / "example.yaml"
    path.write_text("\n".join(line[2:] for line in lines))
    assert main(["test", str(path), "--policy", policy]) == 0
    assert "3 of 3 requests are recorded as expected" in capsys.readouterr().out


def test_a_failure_is_told_with_the_rule_that_decided(policy, expectations, capsys):
    file = expectations("- {name: bodies, requests: [POST /api/v1/namespaces/web/pods], atLeast: Request}\n")
    assert main(["test", file, "--policy", policy]) == 1
    out = capsys.readouterr().out
    assert "bodies: POST /api/v1/namespaces/web/pods" in out
    assert "recorded at Metadata, expected is at least Request" in out
    assert "decided by rules[0]" in out
    assert "0 of 1" in out


def test_a_junit_report_has_every_request_and_every_failure(policy, expectations, tmp_path):
    file = expectations(
        '- {name: "bodies\\x01", requests: [POST /api/v1/namespaces/web/pods, GET /healthz], level: RequestResponse}\n'
        "- {name: fine, requests: [GET /healthz], level: Metadata}\n"
    )
    report = tmp_path / "report.xml"
    assert main(["test", file, "--policy", policy, "--junit", str(report)]) == 1
    [suite] = ET.parse(report).getroot()  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert [case.find("failure") is not None for case in suite] == [True, True, False]


def test_objects_are_compiled_and_tested(expectations, tmp_path, capsys):
    own = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "AuditPolicy"}
    own |= {"metadata": {"name": "own", "namespace": "web"}, "spec": {"rules": [{"level": "Metadata"}]}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    file = expectations(
        "- {name: own, user: {name: a}, requests: [GET /api/v1/namespaces/web/pods/x], level: Metadata}\n"
        "- {name: other, user: {name: a}, requests: [GET /api/v1/namespaces/other/pods/x], level: None}\n"
    )
    assert main(["test", file, "-f", str(tmp_path / "own.json")]) == 0
    assert "2 of 2" in capsys.readouterr().out


def test_what_is_no_expectation_is_wrong_usage_with_the_line(policy, expectations, capsys):
    assert main(["test", expectations("- {name: it}\n"), "--policy", policy]) == 2
    assert "expectations.yaml:4: error: cases[0].requests: cases[0].requests is required" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_wrong_usage(policy, expectations, tmp_path, capsys):
    file = expectations("- {name: it, requests: [GET /], level: Metadata}\n")
    assert main(["test", file, "--policy", policy, "--junit", str(tmp_path / "no" / "x.xml")]) == 2
    assert "x.xml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("{name: y, requests: [GET /], level: None}", "cases[0].name must be a valid string; found 'y' (quote it)"),
        ("{name: it, requests: [], level: None}", "cases[0].requests must have at least 1 item"),
        ("{name: it, requests: GET /, level: None}", "cases[0].requests must be a list; found 'GET /'"),
        ("{name: it, user: alice, requests: [GET /], level: None}", "cases[0].user must be a mapping; found 'alice'"),
        ("{name: '', requests: [GET /], level: None}", "cases[0].name must have at least 1 character"),
    ],
)
def test_what_is_wrong_is_said_once_and_in_words_of_yaml(policy, expectations, capsys, case, said):
    assert main(["test", expectations(f"- {case}\n"), "--policy", policy]) == 2
    error, summary = capsys.readouterr().err.splitlines()
    assert said in error
    assert "holds no expectations" in summary
    assert not re.search("tuple|array|dictionary|Input|String|instance", error)
