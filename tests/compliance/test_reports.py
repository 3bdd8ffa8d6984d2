"""What programs read: JSON of ours, of kube-bench, and of OSCAL."""

from __future__ import annotations

import json
import re

import pytest

from audit_operator.api.compliance import Framework
from audit_operator.compliance.controls import builtin_controls
from audit_operator.compliance.judgement import Outcome, judge
from audit_operator.compliance.kube_bench import to_kube_bench
from audit_operator.compliance.open_reports import MOST_RESULTS, to_open_report
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
