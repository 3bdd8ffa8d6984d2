"""Coverage as JSON, which scripts read, and as a table, which people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.policy_status import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.coverage.catalogue import BlindSpot
    from audit_operator.coverage.suggestions import Suggestion
    from audit_operator.coverage.verdicts import ActionCoverage, Coverage, Failure

_WORST_FIRST = (Verdict.LEAK, Verdict.GAP, Verdict.PARTIAL, Verdict.COVERED)
_HEADER = ("VERDICT", "SEVERITY", "ACTION", "LEVEL", "WANTED", "RULE", "REASON")


def worst_first(actions: Iterable[ActionCoverage]) -> list[ActionCoverage]:
    """Covered actions last; before that by severity, then leaks, gaps and partial ones; else in catalogue order."""

    def order(each: ActionCoverage) -> tuple[bool, int, int]:
        return each.verdict is Verdict.COVERED, -each.action.severity.rank, _WORST_FIRST.index(each.verdict)

    return sorted(actions, key=order)


def to_json(coverage: Coverage, suggestions: Mapping[str, Suggestion] | None = None) -> dict[str, Any]:
    """The form that the command line prints: counts, then the actions in the catalogue's order, then the blind spots.

    `rule` is an index from 0, null where no rule matched. A blind spot has no level, no rule and no probes.
    """
    return {
        "summary": {
            "covered": coverage.count(Verdict.COVERED),
            "partial": coverage.count(Verdict.PARTIAL),
            "gaps": coverage.count(Verdict.GAP),
            "leaks": coverage.count(Verdict.LEAK),
            "notAuditable": coverage.count(Verdict.NOT_AUDITABLE),
        },
        "actions": [
            *(_action(each, (suggestions or {}).get(each.action.id)) for each in coverage.actions),
            *(_blind_spot(each) for each in coverage.blind_spots),
        ],
    }


def _action(each: ActionCoverage, suggestion: Suggestion | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": each.action.id,
        "title": each.action.title,
        "severity": each.action.severity.value,
        "verdict": each.verdict.value,
        "level": each.level.value,
        "wanted": each.wanted.value,
        "reason": each.reason,
        "rule": each.rule,
        "probes": each.probes,
        "satisfied": each.satisfied,
    }
    if each.failures:
        row["failing"] = [_failure(failure) for failure in each.failures]
    if suggestion:
        row["suggestion"] = suggestion.text
    return row


def _failure(failure: Failure) -> dict[str, Any]:
    row: dict[str, Any] = {"request": failure.request, "level": failure.level.value, "rule": failure.rule}
    if failure.leaks:
        row["leaks"] = True
    if failure.missing_stages:
        row["missingStages"] = sorted(failure.missing_stages)
    return row


def _blind_spot(each: BlindSpot) -> dict[str, Any]:
    return {
        "id": each.id,
        "title": each.title,
        "verdict": Verdict.NOT_AUDITABLE.value,
        "level": None,
        "wanted": None,
        "reason": f"no audit policy can record this. {each.mitigate}".strip(),
        "rule": None,
    }


def to_table(coverage: Coverage, suggestions: Mapping[str, Suggestion] | None = None) -> str:
    """What is not covered first, with suggestions below their rows; the blind spots; and the counts as last line."""
    lines = [_HEADER, *(_row(each) for each in worst_first(coverage.actions))]
    lines.extend(
        (Verdict.NOT_AUDITABLE, "-", each.id, "-", "-", "-", f"{each.title}. {each.mitigate}".strip())
        for each in coverage.blind_spots
    )
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER) - 1)]
    text: list[str] = []
    for line in lines:
        text.append("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))
        if suggestions and line[2] in suggestions:
            text.extend(f"    {each}" for each in suggestions[line[2]].text.splitlines())
    return "\n".join([*text, _counts(coverage), ""])


def _row(each: ActionCoverage) -> tuple[str, ...]:
    rule = "-" if each.rule is None else str(each.rule)
    return each.verdict, each.action.severity, each.action.id, each.level, each.wanted, rule, each.reason


def _counts(coverage: Coverage) -> str:
    return (
        f"{coverage.score} covered, {coverage.count(Verdict.PARTIAL)} partial, {coverage.count(Verdict.GAP)} gaps, "
        f"{coverage.count(Verdict.LEAK)} leaks; {coverage.count(Verdict.NOT_AUDITABLE)} that no audit policy can record"
    )
