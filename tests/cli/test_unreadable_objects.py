"""An object that cannot be read is left out of every answer: no command that left it out ends as if all were well."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from audit_operator.cli import main
from tests.replay.logs import event, line

OWN = (
    "apiVersion: audit-operator.dev/v1alpha1\nkind: ClusterAuditPolicy\nmetadata: {name: own}\n"
    "spec:\n  rules: [{level: Metadata}]\n  detections: [{name: exec, preset: Exec}]\n"
)
TESTS = (
    "apiVersion: test.audit-operator.dev/v1alpha1\nkind: AuditPolicyTest\ncases:\n"
    "- {name: it, user: {name: a}, requests: [GET /healthz], level: Metadata}\n"
)
BROKEN = {
    "no YAML": ("kind: [\n", "broken.yaml:2: error: "),
    "no object of ours": (OWN.replace("own", "other").replace("level", "levle"), "broken.yaml:5: "),
    "a policy of the API server": ("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n", "[raw-policy]"),
}
COMMANDS = [
    "test TESTS -f FOLDER",
    "coverage -f FOLDER",
    "coverage -f FOLDER -o json --fail-on never",
    "compliance -f FOLDER",
    "report -f FOLDER -o json",
    "diff --from GOOD --to FOLDER",
    "diff --from FOLDER --to GOOD",
    "replay LOG -f FOLDER",
    "replay LOG -f GOOD --from FOLDER",
    "detections check -f FOLDER",
    "detections test LOG -f FOLDER",
    "detections rules -f FOLDER",
    "compile -f FOLDER",
    "lint FOLDER",
]


@pytest.fixture
def places(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in (("folder/own.yaml", OWN), ("good.yaml", OWN), ("tests.yaml", TESTS)):
        (tmp_path / name).write_text(content)
    (tmp_path / "audit.log").write_bytes(line(event()))
    names = {"FOLDER": folder, "GOOD": "good.yaml", "TESTS": "tests.yaml", "LOG": "audit.log"}
    return {key: str(tmp_path / name) for key, name in names.items()}


def run(command, places):
    return main([places.get(each, each) for each in command.split()])


@pytest.mark.parametrize(
    ("command", "broken"),
    [*((each, "no YAML") for each in COMMANDS), *(("coverage -f FOLDER", each) for each in list(BROKEN)[1:])],
)
def test_whatever_is_printed_of_the_others_the_command_fails(command, broken, places, tmp_path, capsys):
    content, said = BROKEN[broken]
    assert run(command, places) == 0
    (tmp_path / "folder" / "broken.yaml").write_text(content)
    capsys.readouterr()
    assert run(command, places) == 1
    output = capsys.readouterr()
    assert output.out
    if not command.startswith("lint"):
        assert said in output.err


def test_where_nothing_is_left_without_it_the_object_is_blamed_and_not_the_user(tmp_path, capsys):
    (tmp_path / "broken.yaml").write_text("kind: [\n")
    assert main(["detections", "check", "-f", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "broken.yaml:2: error: " in output.err
    assert "pass some with" not in output.err
    assert main(["shipper", "render", "-f", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "broken.yaml:2: error: " in capsys.readouterr().err


def test_a_junit_report_has_what_could_not_be_read_as_an_error(places, tmp_path):
    (tmp_path / "folder" / "broken.yaml").write_text("kind: [\n")
    report = tmp_path / "report.xml"
    assert run(f"test TESTS -f FOLDER --junit {report}", places) == 1
    tried, objects = ET.parse(report).getroot()  # noqa: S314 - our own file
    assert (tried.get("tests"), tried.get("failures")) == ("1", "0")
    assert (objects.get("tests"), objects.get("errors")) == ("1", "1")
    error = objects.find("testcase/error")
    assert error is not None
    assert "broken.yaml:2: error: " in error.get("message", "")
