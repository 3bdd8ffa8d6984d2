"""Judgements of rules as JSON, which scripts read, and as a table, which people read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from audit_operator.api.text import printable
from audit_operator.detections.firing import Firing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.detections.enabling import Enabling
    from audit_operator.detections.firing import Judgement

Judged = tuple["Judgement", "Enabling | None"]

_WORST_FIRST = (Firing.CANNOT, Firing.NEVER, Firing.PARTLY, Firing.UNJUDGED, Firing.CAN)


def to_json(judged: Sequence[Judged]) -> dict[str, Any]:
    """Counts by verdict, and each rule; of those that can fire with an event as witness."""
    counts = Counter(judgement.firing for judgement, _ in judged)
    return {
        "summary": {each.value: counts[each] for each in _WORST_FIRST},
        "rules": [_as_json(*each) for each in judged],
    }


def _as_json(judgement: Judgement, enabling: Enabling | None) -> dict[str, Any]:
    rule = judgement.rule
    row: dict[str, Any] = {"pack": rule.pack.value, "rule": rule.name, "file": rule.file}
    row |= {"verdict": judgement.firing.value, "reason": judgement.reason}
    row |= {"recordedOperations": judgement.able, "missing": [each.reason for each in judgement.wants]}
    if judgement.unseen:
        row["unseen"] = list(judgement.unseen)
    if judgement.witness:
        row["witness"] = judgement.witness.event
    if enabling:
        row["suggestion"] = enabling.suggestion.text
        row["lowers"], row["leaks"] = list(enabling.lowers), list(enabling.leaks)
        row["suggestionIsForAll"] = enabling.is_for_all
    return row


def to_table(judged: Sequence[Judged]) -> str:
    """What cannot fire first, with changes that let it below their rows; and the counts as last line."""
    ordered = sorted(judged, key=lambda each: _WORST_FIRST.index(each[0].firing))
    width = max((len(printable(each.rule.name)) for each, _ in ordered), default=0)
    lines: list[str] = []
    for judgement, enabling in ordered:
        rule = judgement.rule
        row = f"{judgement.firing:<28}  {rule.pack:<7}  {printable(rule.name):<{width}}  {printable(judgement.reason)}"
        lines.append(row.rstrip())
        if judgement.unseen:
            places = "; ".join(map(printable, judgement.unseen))
            lines.append(f"    fires too often: what it asks for to leave out is not recorded: {places}")
        if enabling:
            lines += [f"    {each}" for each in _as_text(enabling)]
    counts = Counter(judgement.firing for judgement, _ in judged)
    summary = ", ".join(f"{counts[each]} {each}" for each in _WORST_FIRST if counts[each])
    return "\n".join([*lines, f"{len(judged)} rules: {summary or 'none'}", ""])


def _as_text(enabling: Enabling) -> list[str]:
    notes = []
    if not enabling.is_for_all:
        notes.append("# lets it fire, but not for all that it is about")
    if enabling.lowers:
        notes.append(f"# records less than now of {', '.join(enabling.lowers)}: the rule asks for no more")
    if enabling.leaks:
        notes.append(f"# would leak: {', '.join(enabling.leaks)}")
    return [*notes, *enabling.suggestion.text.splitlines()]
