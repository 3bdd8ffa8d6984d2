"""`compliance` over files, as people and scripts use it."""

from __future__ import annotations

import json

import pytest

from audit_operator.cli import main
from tests.compliance.oscal_structure import faults


@pytest.fixture
def objects(tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text(
        "apiVersion: audit-operator.dev/v1alpha1\nkind: ClusterAuditPolicy\nmetadata: {name: base}\n"
        "spec: {preset: Baseline, compliance: {frameworks: [PCI-DSS-4]}}\n"
    )
    return str(path)


def judged(capsys, *arguments):
    status = main(["compliance", "-o", "json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_objects_are_judged_by_the_frameworks_that_they_name_and_nothing_is_claimed_of_a_cluster(objects, capsys):
    status, found = judged(capsys, "-f", objects)
    assert status == 0
    assert found["asWritten"] is True
    [pci] = found["frameworks"]
    verdicts = {each["id"]: each["verdict"] for each in pci["controls"]}
    assert verdicts["10.2.1.5"] == "Pass"
    assert {verdicts[each] for each in ("10.2.1", "10.2.2", "10.3.2", "10.5.1")} == {"CannotBeJudged"}
    assert found["notJudged"] == pci["notJudged"] == list(verdicts.values()).count("CannotBeJudged")


def test_a_policy_file_is_judged_by_every_framework_unless_some_are_named(tmp_path, capsys):
    path = tmp_path / "policy.yaml"
    path.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n")
    _, found = judged(capsys, "--policy", str(path))
    assert len(found["frameworks"]) == 8
    status, found = judged(capsys, "--policy", str(path), "--framework", "CIS", "--fail-on", "fail")
    assert status == 1
    assert [each["id"] for each in found["frameworks"][0]["controls"] if each["verdict"] == "Fail"] == ["3.2.2"]


def test_controls_of_the_cluster_are_about_nothing_in_a_namespace(objects, capsys):
    _, found = judged(capsys, "-f", objects, "-n", "payments")
    verdicts = {each["id"]: each["verdict"] for each in found["frameworks"][0]["controls"]}
    assert found["namespace"] == "payments"
    assert verdicts["10.2.1.6"] == "NotApplicable"


def test_a_framework_that_nobody_knows_is_wrong_usage(objects, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["compliance", "-f", objects, "--framework", "PCI"])
    assert refused.value.code == 2
    assert "PCI-DSS-4" in capsys.readouterr().err


def test_the_other_forms_are_printed_whole(objects, capsys):
    assert main(["compliance", "-f", objects, "-o", "oscal"]) == 0
    assert list(faults(json.loads(capsys.readouterr().out))) == []
    assert main(["compliance", "-f", objects, "-o", "kube-bench"]) == 0
    assert json.loads(capsys.readouterr().out)["Totals"]["total_pass"] > 0
    assert main(["compliance", "-f", objects]) == 0
    assert "as it is written" in capsys.readouterr().out
