"""The operator on a real API server says which controls were seen to hold, and the command line says the same."""

from __future__ import annotations

import json

import pytest

from audit_operator.cli import main
from audit_operator.report.schema import report_schema
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import MAIN, USER, OperatorProcess, eventually, thing
from tests.report.json_schema import faults

FRAMEWORKS = ["CIS", "NIST800-53", "PCI-DSS-4"]
POLICY = thing("ClusterAuditPolicy", "baseline", {"preset": "Baseline", "compliance": {"frameworks": FRAMEWORKS}})
COUNTS = ("framework", "passed", "failed", "notApplicable", "notJudged")


@pytest.fixture
def operator(private_control_plane):
    mine = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(mine)
    operator = OperatorProcess(mine)
    yield operator
    operator.stop_all()


def counts(found):
    return [{name: each.get(name, 0) for name in COUNTS} for each in found]


def test_controls_pass_once_the_api_server_runs_with_the_policy_and_the_command_line_agrees(operator, capsys, tmp_path):
    control_plane = operator.control_plane
    control_plane.apply(MAIN, POLICY)
    operator.start(permission_seconds="1")
    operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")

    def rights_are_judged():
        return operator.status("auditcontrolplanes", "main").get("permissions", {}).get("readers")

    def agreed():
        said = operator.status("clusterauditpolicies", "baseline")["compliance"]
        assert main(["compliance", "--kubeconfig", str(control_plane.kubeconfig()), "-o", "json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert counts(said) == counts(printed["frameworks"])
        return said, printed

    eventually(rights_are_judged, "rights to be judged")
    said, printed = eventually(agreed, "status and command line to say the same")
    verdicts = {each["id"]: each for framework in printed["frameworks"] for each in framework["controls"]}
    assert {verdicts[each]["verdict"] for each in ("3.2.1", "3.2.2", "10.2.1.5", "AU-2", "AC-6(9)")} == {"Pass"}
    assert {each["verdict"] for each in verdicts.values()} >= {"CannotBeJudged"}
    # Nobody ships, and nobody keeps or seals.
    assert {verdicts[each]["verdict"] for each in ("10.3.4", "10.5.1", "AU-11")} == {"CannotBeJudged"}
    # Who operates is cluster-admin in this test, which nobody expects.
    assert verdicts["10.3.1"]["verdict"] == "Fail"
    assert "10.3.1" in next(each for each in said if each["framework"] == "PCI-DSS-4")["failing"]
    in_force = next(each for each in verdicts["3.2.1"]["evidence"])
    assert in_force["seen"]
    rate = operator.status("clusterauditpolicies", "baseline")["metrics"]["compliancePassingRate"]
    assert rate == printed["passingRate"]
    reported(control_plane, verdicts, capsys, tmp_path)


def reported(control_plane, verdicts, capsys, tmp_path):
    """A report of the cluster has the verdicts that `compliance` prints, and what they rest on; and so has the next."""
    earlier, page = tmp_path / "earlier.json", tmp_path / "report.html"
    of_cluster = ["report", "--kubeconfig", str(control_plane.kubeconfig())]
    assert main([*of_cluster, "-o", "json", "--output", str(earlier)]) == 0
    report = json.loads(earlier.read_text())
    assert list(faults(json.loads(report_schema()), report)) == []
    [policy] = report["policies"]
    assert policy["observed"]
    assert {each["id"]: each["verdict"] for each in policy["controls"]} == {
        name: each["verdict"] for name, each in verdicts.items()
    }
    roles = next(each for each in policy["controls"] if each["id"] == "10.2.1.5")
    assert (roles["verdict"], roles["proof"]) == ("Pass", "Claimed")
    programmed = next(each for each in roles["evidence"] if "Programmed" in each["source"])
    assert (programmed["standing"], bool(programmed["seen"])) == ("Holds", True)
    assert main([*of_cluster, "--since-report", str(earlier), "--output", str(page)]) == 0
    assert capsys.readouterr().err == ""
    assert "No verdict has changed." in page.read_text()
    assert "Evidence behind" in page.read_text()
