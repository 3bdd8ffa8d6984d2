"""Report objects on a real API server, with the CRDs as their projects publish them."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import MAIN, USER, OperatorProcess, eventually, thing

FOLDER = Path(__file__).parent / "open_reports"
OPEN, FORMER = "/apis/openreports.io/v1alpha1", "/apis/wgpolicyk8s.io/v1alpha2"
POLICY = thing("ClusterAuditPolicy", "baseline", {"preset": "Baseline", "compliance": {"frameworks": ["CIS"]}})
PCI = thing("AuditPolicy", "pci", {"preset": "Baseline", "compliance": {"frameworks": ["PCI-DSS-4"]}}, "payments")
LAB = thing("AuditPolicy", "lab", {"rules": [{"level": "Metadata"}]}, "lab")


@pytest.fixture
def operator(private_control_plane):
    mine = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(mine, "payments", "lab")
    operator = OperatorProcess(mine)
    yield operator
    operator.stop_all()


def install(control_plane, folder):
    control_plane.kubectl("apply", "--server-side", "-f", str(folder))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder))


def former_kinds(folder):
    """CRDs of wgpolicyk8s.io/v1alpha2: what openreports.io has come from, which knows no source of a whole report."""
    folder.mkdir()
    for path in FOLDER.glob("*.yaml"):
        [crd] = yaml.safe_load_all(path.read_text())
        made, names = copy.deepcopy(crd), crd["spec"]["names"]
        kind = names["kind"].replace("Report", "PolicyReport")
        plural = f"{kind.lower()}s"
        made["metadata"]["name"] = f"{plural}.wgpolicyk8s.io"
        made["spec"]["group"] = "wgpolicyk8s.io"
        made["spec"]["names"] = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
        [version] = made["spec"]["versions"]
        version["name"] = "v1alpha2"
        for name in ("source", "configuration"):
            del version["schema"]["openAPIV3Schema"]["properties"][name]
        (folder / path.name).write_text(yaml.safe_dump(made))
    return folder


def test_reports_follow_policies_and_kinds_and_are_not_written_for_nothing(operator, tmp_path):
    control_plane = operator.control_plane
    control_plane.apply(MAIN, POLICY, PCI, LAB)
    operator.start(report_seconds="1", permission_seconds="0")
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
    install(control_plane, FOLDER)
    of_payments = f"{OPEN}/namespaces/payments/reports/audit-operator"

    def settled():
        report = control_plane.get(of_payments)
        found = {(each["policy"], each["rule"]): each for each in report["results"]}
        # It passes only once every API server was seen to run with the policy.
        assert found["PCI-DSS-4", "10.2.1.5"]["result"] == "pass"
        assert found["audit-coverage", "pod-exec"]["properties"] == {
            "verdict": "Covered",
            "basis": "Running",
            "proof": "Claimed",
        }
        said = operator.status("auditpolicies", "pci", "payments")["compliance"][0]
        verdicts = [each["properties"]["verdict"] for each in report["results"] if each["policy"] == "PCI-DSS-4"]
        assert (said["passed"], said["notJudged"]) == (verdicts.count("Pass"), verdicts.count("CannotBeJudged"))
        return report

    report = eventually(settled, "a report on payments")
    [managed] = [each for each in report["metadata"]["managedFields"] if "f:results" in json.dumps(each)]
    assert (managed["manager"], managed["operation"]) == ("audit-operator-reports", "Apply")
    assert report["summary"]["pass"] == sum(each["result"] == "pass" for each in report["results"])
    [owner] = report["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("AuditPolicy", "pci")
    assert eventually(lambda: control_plane.get(f"{OPEN}/clusterreports/audit-operator"), "one on the cluster")

    def versions():
        found = control_plane.get(f"{OPEN}/reports")["items"]
        return {each["metadata"]["namespace"]: each["metadata"]["resourceVersion"] for each in found}

    def nothing_is_written():
        before = versions()
        time.sleep(4)  # several rounds: nothing that could be waited for must happen
        return set(before) == {"payments", "lab"} and versions() == before

    eventually(nothing_is_written, "nothing to be written where nothing changes")

    control_plane.kubectl("delete", "auditpolicy", "lab", "-n", "lab")
    eventually(lambda: set(versions()) == {"payments"}, "the report on lab to go with its policy")

    install(control_plane, former_kinds(tmp_path / "former"))
    control_plane.kubectl("delete", "-f", str(FOLDER))

    def as_before():
        # Without the policy of lab the API server runs with another one, and nothing passes until that was seen.
        former = control_plane.get(f"{FORMER}/namespaces/payments/policyreports/audit-operator")
        return former if former["summary"] == report["summary"] else None

    former = eventually(as_before, "a report of a former kind that says the same")
    assert {each["source"] for each in former["results"]} == {"audit-operator"}
