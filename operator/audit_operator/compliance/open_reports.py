"""Verdicts as a Report or ClusterReport of openreports.io, for what shows such objects.

`skip` is what neither passed nor failed: a report has no word for what cannot be judged, and both `warn` and `error`
say that something is wrong. The property `verdict` has ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.compliance.judgement import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.compliance.judgement import Judged, Result

MOST_RESULTS = 500
"""Of one report: an object of the API server has its limits."""
_NAME = "audit-operator-compliance"
_RESULTS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.CANNOT_BE_JUDGED: "skip",
    Outcome.NOT_APPLICABLE: "skip",
}
_ORDER = (Outcome.FAIL, Outcome.PASS, Outcome.CANNOT_BE_JUDGED, Outcome.NOT_APPLICABLE)


def to_open_report(results: Iterable[Result], *, namespace: str, at: int) -> dict[str, Any]:
    """One object with the verdicts, failures first; of the cluster where `namespace` is empty.

    Args:
        results: the verdicts.
        namespace: that was judged.
        at: when, in seconds since 1970.
    """
    judged = sorted((each for result in results for each in result.judged), key=lambda each: _ORDER.index(each.outcome))
    outcomes = [_RESULTS[each.outcome] for each in judged]
    metadata = {"name": _NAME, "labels": {"app.kubernetes.io/managed-by": "audit-operator"}}
    return {
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "Report" if namespace else "ClusterReport",
        "metadata": {**metadata, "namespace": namespace} if namespace else metadata,
        "source": "audit-operator",
        **({"scope": {"apiVersion": "v1", "kind": "Namespace", "name": namespace}} if namespace else {}),
        "summary": {name: outcomes.count(name) for name in ("pass", "fail", "warn", "error", "skip")},
        "results": [_result(each, at) for each in judged[:MOST_RESULTS]],
    }


def _result(judged: Judged, at: int) -> dict[str, Any]:
    control = judged.control
    properties = {"verdict": judged.outcome.value, "title": control.title, "readIn": control.read_in or "unverified"}
    return {
        "policy": control.framework.value,
        "rule": control.id,
        "category": "Audit logs",
        "timestamp": {"seconds": at, "nanos": 0},
        "result": _RESULTS[judged.outcome],
        "scored": bool(control.evidence),
        "message": judged.reason,
        "properties": {**properties, **({"beyond": control.beyond} if control.beyond else {})},
    }
