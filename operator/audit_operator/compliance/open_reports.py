"""Verdicts as a Report or ClusterReport of openreports.io, for what shows such objects.

`skip` is what neither passed nor failed: a report has no word for what cannot be judged, and both `warn` and `error`
say that something is wrong. The property `verdict` has ours.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from audit_operator.api.policy_status import CoverageBasis, Verdict
from audit_operator.compliance.facts import LiveProof, Shown
from audit_operator.compliance.judgement import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit_operator.compliance.judgement import Judged, Result
    from audit_operator.coverage.verdicts import ActionCoverage, Coverage

MOST_RESULTS = 500
"""Of one report: an object of the API server has its limits."""
MOST_BYTES = 256 * 1024
"""Of the results of one report together, as JSON: etcd takes 1.5 MiB, and thousands of namespaces add up."""
SOURCE = "audit-operator"
_NAME = "audit-operator-compliance"
_LONGEST = 1024
_CATEGORY = "Audit logs"
_COVERAGE = "audit-coverage"
_RESULTS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.CANNOT_BE_JUDGED: "skip",
    Outcome.NOT_APPLICABLE: "skip",
}
_OF_ACTIONS = {Verdict.COVERED: "pass", Verdict.PARTIAL: "warn", Verdict.GAP: "fail", Verdict.LEAK: "fail"}
_ORDER = ("fail", "warn", "pass", "skip")


def to_open_report(results: Iterable[Result], *, namespace: str, at: int) -> dict[str, Any]:
    """One object with the verdicts on controls, failures first; of the cluster where `namespace` is empty.

    Args:
        results: the verdicts.
        namespace: that was judged.
        at: when, in seconds since 1970.
    """
    metadata = {"name": _NAME, "labels": {"app.kubernetes.io/managed-by": SOURCE}}
    return {
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "Report" if namespace else "ClusterReport",
        "metadata": {**metadata, "namespace": namespace} if namespace else metadata,
        "source": SOURCE,
        **content([{**each, "timestamp": {"seconds": at, "nanos": 0}} for each in of_controls(results)], namespace),
    }


def content(results: Iterable[Mapping[str, Any]], namespace: str) -> dict[str, Any]:
    """Scope, summary and results, failures first and no more than an object can hold; the summary counts all."""
    ordered = sorted(results, key=lambda each: _ORDER.index(each["result"]))
    found = [each["result"] for each in ordered]
    return {
        **({"scope": {"apiVersion": "v1", "kind": "Namespace", "name": namespace}} if namespace else {}),
        "summary": {name: found.count(name) for name in ("pass", "fail", "warn", "error", "skip")},
        "results": _bounded(ordered),
    }


def _bounded(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kept: list[Mapping[str, Any]] = []
    room = MOST_BYTES
    for each in results[:MOST_RESULTS]:
        room -= len(json.dumps(each).encode())
        if room < 0:
            break
        kept.append(each)
    return kept


def of_controls(results: Iterable[Result]) -> list[dict[str, Any]]:
    """The verdicts on the controls of all these frameworks, without a time."""
    return [_of_control(each) for result in results for each in result.judged]


def _of_control(judged: Judged) -> dict[str, Any]:
    control = judged.control
    properties = {"verdict": judged.outcome.value, "title": control.title, "readIn": control.read_in or "unverified"}
    if control.beyond:
        properties["beyond"] = control.beyond
    if judged.proof:
        properties["proof"] = judged.proof.value
    if judged.proved_on:
        properties["provedOn"] = judged.proved_on
    return {
        "policy": control.framework.value,
        "rule": control.id,
        "category": _CATEGORY,
        "result": _RESULTS[judged.outcome],
        "scored": bool(control.evidence),
        "message": judged.reason[:_LONGEST],
        "properties": properties,
    }


def of_actions(coverage: Coverage, shown: Mapping[str, Shown], basis: CoverageBasis) -> list[dict[str, Any]]:
    """The verdicts on critical actions, and what live probes have shown of each, without a time.

    One that is contradicted fails whatever the policy says; of one whose record was not found, `warn` says so. Where
    not every API server was seen to run with the policy (`basis`), an action passes only if a probe has proved it.
    """
    claimed = Shown(LiveProof.CLAIMED)
    return [_of_action(each, shown.get(each.action.id, claimed), basis) for each in coverage.actions]


def _of_action(found: ActionCoverage, shown: Shown, basis: CoverageBasis) -> dict[str, Any]:
    result = _OF_ACTIONS.get(found.verdict, "skip")
    if shown.proof is LiveProof.CONTRADICTED:
        result = "fail"
    elif shown.proof is LiveProof.MISSING and result == "pass":
        result = "warn"
    said = [found.action.title] if found.verdict is Verdict.COVERED else [found.action.title, found.reason]
    if result == "pass" and basis is not CoverageBasis.RUNNING and shown.proof is not LiveProof.VERIFIED:
        result = "skip"
        said.append("the policy covers it, but not every API server was seen to run with that policy")
    message = ": ".join([*said, *([f"a live probe found otherwise: {shown.said}"] if shown.said else [])])
    return {
        "policy": _COVERAGE,
        "rule": found.action.id,
        "category": _CATEGORY,
        "result": result,
        "severity": found.action.severity.value,
        "scored": True,
        "message": message[:_LONGEST],
        "properties": {
            "verdict": found.verdict.value,
            "basis": basis.value,
            "proof": shown.proof.value,
            **({"provedOn": shown.seen} if shown.seen else {}),
        },
    }
