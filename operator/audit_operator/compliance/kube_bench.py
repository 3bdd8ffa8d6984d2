"""Verdicts in the form that kube-bench prints with --json, for what reads its reports.

What cannot be judged is WARN, as kube-bench has it for what a person must look at; what is about nothing here is INFO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.compliance.judgement import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.compliance.judgement import Judged, Result

_STATUS = {
    Outcome.PASS: "PASS",
    Outcome.FAIL: "FAIL",
    Outcome.CANNOT_BE_JUDGED: "WARN",
    Outcome.NOT_APPLICABLE: "INFO",
}


def to_kube_bench(results: Iterable[Result], *, version: str) -> dict[str, Any]:
    """One group of controls per framework. `version` is ours.

    Source of the names: check/controls.go and check/check.go of aquasecurity/kube-bench.
    """
    results = tuple(results)
    return {
        "Controls": [_controls(each, version) for each in results],
        "Totals": _totals(judged for result in results for judged in result.judged),
    }


def _controls(result: Result, version: str) -> dict[str, Any]:
    counts = _counted(result.judged)
    return {
        "id": result.framework.value,
        "version": f"audit-operator-{version}",
        "detected_version": "",
        "text": f"{result.framework}: what audit logs are evidence for",
        "node_type": "policies",
        "tests": [
            {
                "section": result.framework.value,
                "type": "",
                **counts,
                "desc": "Audit logs",
                "results": [_check(each) for each in result.judged],
            }
        ],
        **_totals(result.judged),
    }


def _check(judged: Judged) -> dict[str, Any]:
    by_hand = judged.outcome is Outcome.CANNOT_BE_JUDGED
    return {
        "test_number": judged.control.id,
        "test_desc": judged.control.title,
        "audit": "audit-operator compliance",
        "type": "manual" if by_hand else "",
        "remediation": judged.control.beyond,
        "test_info": [f"{each.standing}: {each.said}" for each in judged.observations],
        "status": _STATUS[judged.outcome],
        "actual_value": judged.reason,
        "scored": bool(judged.control.evidence),
        "expected_result": ", ".join(judged.control.evidence),
        "reason": judged.reason,
    }


def _counted(judged: Iterable[Judged]) -> dict[str, int]:
    outcomes = [_STATUS[each.outcome] for each in judged]
    return {name.lower(): outcomes.count(name) for name in ("PASS", "FAIL", "WARN", "INFO")}


def _totals(judged: Iterable[Judged]) -> dict[str, int]:
    return {f"total_{name}": count for name, count in _counted(judged).items()}
