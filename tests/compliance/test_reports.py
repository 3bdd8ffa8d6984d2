"""What programs read: JSON of ours, of kube-bench, and of OSCAL."""

from __future__ import annotations

import json
import re

import pytest

from audit_operator.api.compliance import Framework
from audit_operator.api.policy_status import CoverageBasis
from audit_operator.compliance.controls import builtin_controls
from audit_operator.compliance.facts import LiveProof, Shown
from audit_operator.compliance.judgement import Outcome, judge
from audit_operator.compliance.kube_bench import to_kube_bench
from audit_operator.compliance.open_reports import MOST_BYTES, MOST_RESULTS, content, of_actions, to_open_report
from audit_operator.compliance.oscal import control_id, to_oscal
from audit_operator.compliance.report import AS_WRITTEN, to_json, to_table
from tests.compliance.oscal_structure import faults
from tests.compliance.policies import facts

AT = "2026-11-28T12:00:00Z"


@pytest.fixture(scope="module")
def results():
    return judge(
        [Framework.PCI_DSS_4, Framework.NIST_800_53], facts("- {level: None, verbs: [get]}\n- level: Metadata")
    )


def test_counts_and_verdicts_agree_in_every_form(results):
    ours = to_json(results, namespace="", as_written=False)
    bench = to_kube_bench(results, version="1")
    assert ours["frameworks"][0]["framework"] == "NIST800-53"
    for mine, result, theirs in zip(ours["frameworks"], results, bench["Controls"], strict=True):
        assert mine["passed"] == result.count(Outcome.PASS) == theirs["total_pass"] > 0
        assert mine["failed"] == result.count(Outcome.FAIL) == theirs["total_fail"] > 0
        assert mine["notJudged"] == result.count(Outcome.CANNOT_BE_JUDGED) == theirs["total_warn"] > 0
    assert bench["Totals"]["total_fail"] == sum(each["failed"] for each in ours["frameworks"])


def test_the_evidence_behind_a_verdict_stands_beside_it(results):
    pci = to_json(results, namespace="", as_written=False)["frameworks"][1]
    control = next(each for each in pci["controls"] if each["id"] == "10.2.1.3")
    assert control["verdict"] == "Fail"
    failing = next(each for each in control["evidence"] if each["source"] == "coverage/pod-logs-read")
    assert failing["standing"] == "Fails"
    assert "pod-logs-read is Gap" in failing["said"]
    assert control["evidence"][-1]["seen"] == AT


def test_every_form_says_what_live_probes_have_shown():
    shown = {"pod-logs-read": Shown(LiveProof.CONTRADICTED, "found at None", AT)}
    results = judge([Framework.PCI_DSS_4], facts("- level: Metadata", shown=shown))
    assert "10.2.1.3" in next(line for line in to_table(results, as_written=False).splitlines() if "found at" in line)
    [pci] = to_json(results, namespace="", as_written=False)["frameworks"]
    control = next(each for each in pci["controls"] if each["id"] == "10.2.1.3")
    assert (control["verdict"], control["proof"]) == ("Fail", "Contradicted")
    [failing] = [each for each in control["evidence"] if each.get("proof") == "Contradicted"]
    assert (failing["source"], failing["seen"]) == ("coverage/pod-logs-read", AT)
    result = next(each for each in to_open_report(results, namespace="", at=1)["results"] if each["rule"] == "10.2.1.3")
    assert (result["result"], result["properties"]["proof"]) == ("fail", "Contradicted")
    document = to_oscal(results, about="the cluster", at=AT, version="1")
    assert list(faults(document)) == []
    assert json.dumps(document).count('"name": "proof"') > 1
    assert "found at None" in json.dumps(to_kube_bench(results, version="1"))


def test_every_form_says_when_the_oldest_proof_was():
    shown = {
        each.action.id: Shown(LiveProof.VERIFIED, seen=f"2026-11-{20 + number % 5}")
        for number, each in enumerate(facts("- level: Metadata").coverage.actions)
    }
    known = facts("- level: Metadata", shown=shown)
    results = judge([Framework.PCI_DSS_4], known)
    passed = next(each for each in results[0].judged if each.outcome is Outcome.PASS and each.proof)
    day = min(each.seen for each in passed.observations if each.proof)
    assert f"proved live, the oldest on {day}" in to_table(results, as_written=False)
    [pci] = to_json(results, namespace="", as_written=False)["frameworks"]
    control = next(each for each in pci["controls"] if each["id"] == passed.control.id)
    assert (control["proof"], control["provedOn"]) == ("Verified", day)
    report = to_open_report(results, namespace="", at=1)["results"]
    assert next(each for each in report if each["rule"] == passed.control.id)["properties"]["provedOn"] == day
    document = to_oscal(results, about="the cluster", at=AT, version="1")
    assert list(faults(document)) == []
    assert '"proved-on"' in json.dumps(document)
    assert {
        each["properties"].get("provedOn") for each in of_actions(known.coverage, shown, CoverageBasis.RUNNING)
    } == {f"2026-11-{day}" for day in range(20, 25)}


def test_what_is_contradicted_or_not_found_is_no_pass_whatever_the_policy_says():
    shown = {
        "pod-exec": Shown(LiveProof.CONTRADICTED, "found at None"),
        "pod-logs-read": Shown(LiveProof.MISSING, "found none in time"),
    }
    coverage = facts("- level: Metadata").coverage
    found = {each["rule"]: each for each in of_actions(coverage, shown, CoverageBasis.RUNNING)}
    assert (found["pod-exec"]["result"], found["pod-exec"]["properties"]["proof"]) == ("fail", "Contradicted")
    assert "found at None" in found["pod-exec"]["message"]
    assert found["pod-logs-read"]["result"] == "warn"
    assert found["pod-attach"]["result"] == "pass"


def test_an_action_of_a_policy_that_no_api_server_was_seen_to_run_passes_only_where_it_is_proved():
    coverage = facts("- {level: None, verbs: [list]}\n- level: Metadata").coverage
    shown = {"pod-exec": Shown(LiveProof.VERIFIED), "pod-attach": Shown(LiveProof.MISSING, "found none in time")}
    for basis in (CoverageBasis.DESIRED, CoverageBasis.GIVEN):
        found = {each["rule"]: each for each in of_actions(coverage, shown, basis)}
        assert {each["rule"] for each in found.values() if each["result"] == "pass"} == {"pod-exec"}
        assert found["pod-attach"]["result"] == "warn"
        assert found["pod-portforward"]["result"] == "skip"
        assert found["pod-portforward"]["properties"] == {
            "verdict": "Covered",
            "basis": basis.value,
            "proof": "Claimed",
        }
        assert "not every API server was seen to run" in found["pod-portforward"]["message"]
        # What speaks against it does so whoever runs the policy.
        assert "fail" in {each["result"] for each in found.values()}


def test_results_beyond_what_an_object_holds_are_counted_and_left_out():
    many = [
        {"policy": "p", "rule": str(number), "result": "pass" if number else "fail", "message": "m" * 1000}
        for number in range(999, -1, -1)
    ]
    made = content(many, "payments")
    assert made["summary"] == {"pass": 999, "fail": 1, "warn": 0, "error": 0, "skip": 0}
    assert made["results"][0]["result"] == "fail"
    assert 200 < len(made["results"]) < MOST_RESULTS
    assert len(json.dumps(made["results"])) < MOST_BYTES + 1000


def test_a_table_says_what_it_does_not_claim(results):
    text = to_table(results, as_written=True)
    assert text.startswith(AS_WRITTEN)
    assert "(unverified)" in text
    assert "Not judged: " in text
    assert "no certificate" in text


def test_a_report_object_calls_nothing_wrong_that_could_not_be_judged(results):
    report = to_open_report(results, namespace="", at=1)
    assert report["kind"] == "ClusterReport"
    assert report["summary"]["pass"] == sum(each.count(Outcome.PASS) for each in results)
    assert report["summary"]["fail"] == sum(each.count(Outcome.FAIL) for each in results)
    assert report["summary"]["warn"] == report["summary"]["error"] == 0
    assert report["results"][0]["result"] == "fail"
    assert {each["properties"]["verdict"] for each in report["results"] if each["result"] == "skip"} == {
        "CannotBeJudged"
    }


def test_all_controls_of_all_frameworks_have_room_in_one_report_object():
    report = to_open_report(judge(Framework, facts("- level: Metadata", "payments")), namespace="payments", at=1)
    assert report["metadata"]["namespace"] == report["scope"]["name"] == "payments"
    assert len(report["results"]) == len(builtin_controls()) <= MOST_RESULTS


def test_oscal_has_the_structure_of_the_published_schema(results):
    document = json.loads(json.dumps(to_oscal(results, about="the cluster", at=AT, version="1")))
    assert list(faults(document)) == []


def test_the_structure_check_finds_faults(results):
    document = to_oscal(results, about="the cluster", at=AT, version="1")
    result = document["assessment-results"]["results"][0]
    result["findings"][0]["target"]["status"]["state"] = "maybe"
    del result["observations"][0]["collected"]
    result["extra"] = 1
    assert len(list(faults(document))) == 3


def test_oscal_calls_nothing_satisfied_that_did_not_pass(results):
    document = to_oscal(results, about="the cluster", at=AT, version="1")["assessment-results"]
    for result, mine in zip(document["results"], results, strict=True):
        assert [each["target"]["status"]["state"] for each in result["findings"]].count("satisfied") == mine.count(
            Outcome.PASS
        )
        assert len(result["findings"]) == mine.count(Outcome.PASS) + mine.count(Outcome.FAIL)
        assert len(result["observations"]) == len(mine.judged)


def test_oscal_of_equal_verdicts_is_the_same_document(results):
    assert to_oscal(results, about="x", at=AT, version="1") == to_oscal(results, about="x", at=AT, version="1")


def test_where_nothing_was_decided_oscal_has_no_findings():
    results = judge([Framework.SOC2], facts("- level: Metadata"))
    document = to_oscal(results, about="the cluster", at=AT, version="1")
    assert "findings" not in document["assessment-results"]["results"][0]
    assert list(faults(document)) == []


@pytest.mark.parametrize(
    ("framework", "identity", "token"),
    [
        (Framework.NIST_800_53, "AC-6(9)", "ac-6.9"),
        (Framework.PCI_DSS_4, "10.2.1.2", "pci-dss-4-10.2.1.2"),
        (Framework.HIPAA, "164.308(a)(5)(ii)(C)", "hipaa-164.308_a_5_ii_c"),
    ],
)
def test_ids_are_tokens(framework, identity, token):
    assert control_id(framework, identity) == token
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", token)
