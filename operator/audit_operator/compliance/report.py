"""Verdicts as JSON, which scripts read, and as a table, which people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.compliance.judgement import Outcome, passing_rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.compliance.facts import Observation
    from audit_operator.compliance.judgement import Judged, Result

_ORDER = (Outcome.FAIL, Outcome.PASS, Outcome.CANNOT_BE_JUDGED, Outcome.NOT_APPLICABLE)
_LONGEST = 160
AS_WRITTEN = "judged on a policy as it is written: Pass says what it would record, not that any API server runs it"


def to_json(results: Iterable[Result], *, namespace: str, as_written: bool) -> dict[str, Any]:
    """What was judged, the rate over all frameworks, and for each framework counts and controls in the list's order.

    `namespace` is empty for the cluster; `asWritten` is true where no cluster was looked at.
    """
    results = tuple(results)
    return {
        "namespace": namespace,
        "asWritten": as_written,
        "passingRate": passing_rate(results),
        "notJudged": sum(each.count(Outcome.CANNOT_BE_JUDGED) for each in results),
        "frameworks": [_framework(each) for each in results],
    }


def _framework(result: Result) -> dict[str, Any]:
    return {
        "framework": result.framework.value,
        "passed": result.count(Outcome.PASS),
        "failed": result.count(Outcome.FAIL),
        "notApplicable": result.count(Outcome.NOT_APPLICABLE),
        "notJudged": result.count(Outcome.CANNOT_BE_JUDGED),
        "passingRate": passing_rate([result]),
        "controls": [_control(each) for each in result.judged],
    }


def _control(judged: Judged) -> dict[str, Any]:
    control = judged.control
    return {
        "id": control.id,
        "title": control.title,
        "verdict": judged.outcome.value,
        "reason": judged.reason,
        "beyond": control.beyond,
        "verified": control.verified,
        "readIn": control.read_in,
        **({"proof": judged.proof.value} if judged.proof else {}),
        **({"provedOn": judged.proved_on} if judged.proved_on else {}),
        "evidence": [_observation(each) for each in judged.observations],
    }


def _observation(each: Observation) -> dict[str, Any]:
    said = {"standing": each.standing.value, "said": each.said, "source": each.source, "seen": each.seen}
    return {**said, "proof": each.proof.value} if each.proof else said


def to_table(results: Iterable[Result], *, as_written: bool) -> str:
    """Controls of each framework, failures first, with the reason; then the counts."""
    text = [f"{AS_WRITTEN}\n"] if as_written else []
    for result in results:
        lines = sorted(result.judged, key=lambda each: _ORDER.index(each.outcome))
        width = max(len(_id(each)) for each in lines)
        text.append(f"{result.framework}: {_counts(result)}")
        text.extend(f"  {each.outcome:<14}  {_id(each):<{width}}  {_said(each)}" for each in lines)
        text.append("")
    return "\n".join(
        [*text, "Pass is about the evidence that was observed, and is no certificate; see docs/compliance.md.", ""]
    )


def _id(judged: Judged) -> str:
    return judged.control.id + ("" if judged.control.verified else " (unverified)")


def _said(judged: Judged) -> str:
    reason = judged.reason if len(judged.reason) <= _LONGEST else f"{judged.reason[:_LONGEST]}..."
    reason += f", the oldest on {judged.proved_on}" if judged.proved_on and judged.outcome is Outcome.PASS else ""
    beyond = f" Not judged: {judged.control.beyond}" if judged.control.beyond and judged.outcome is Outcome.PASS else ""
    return f"{judged.control.title}: {reason}.{beyond}"


def _counts(result: Result) -> str:
    rate = passing_rate([result])
    return (
        f"{result.count(Outcome.PASS)} passed, {result.count(Outcome.FAIL)} failed"
        f"{f' ({rate})' if rate else ''}; {result.count(Outcome.CANNOT_BE_JUDGED)} cannot be judged, "
        f"{result.count(Outcome.NOT_APPLICABLE)} not applicable"
    )
