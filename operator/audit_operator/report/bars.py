"""Bars: how old the oldest record is beside how long records must and may be kept, and how many controls passed.

Drawn as SVG with numbers alone, and told in words to whoever does not see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.report.markup import Markup, tag
from audit_operator.report.phrasing import span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.policy_status import FrameworkResult
    from audit_operator.report.model import ReportedRetention

_WIDTH, _HEIGHT = 1000, 16
_MARK = 8


def retention_bar(each: ReportedRetention) -> Markup:
    """The age of the oldest record, the time that must be kept, and the end that must not be exceeded, to scale."""
    known = [length for length in (each.minimum_hours, each.maximum_hours, each.oldest_hours) if length is not None]
    words = [
        *(
            [f"oldest record {span(each.oldest_hours)}"]
            if each.oldest_hours is not None
            else ["oldest record not known"]
        ),
        *([f"must be kept {span(each.minimum_hours)}"] if each.minimum_hours is not None else []),
        *([f"must be gone after {span(each.maximum_hours)}"] if each.maximum_hours is not None else []),
    ]
    said = "; ".join(words)
    if not known or not max(known):
        return tag("span", said)
    scale = max(known) * 1.04

    def at(length: int) -> int:
        return round(length / scale * _WIDTH)

    parts = [_rect("track", 0, _WIDTH)]
    if each.minimum_hours is not None:
        parts.append(_rect("keep", 0, at(each.minimum_hours)))
    if each.oldest_hours is not None:
        parts.append(_rect("age", 0, at(each.oldest_hours), 4))
    if each.maximum_hours is not None:
        parts.append(_rect("end", at(each.maximum_hours), _MARK))
    return tag("div", _drawn(parts, said), tag("span", said, class_="note"), class_="drawn")


def compliance_bar(each: FrameworkResult) -> Markup:
    """Controls that passed, failed, and that no tool can judge."""
    numbers = {"pass": each.passed, "fail": each.failed, "open": each.not_judged}
    whole, start, parts = sum(numbers.values()), 0, []
    for name, number in numbers.items():
        width = number * _WIDTH // whole if whole else 0
        parts.append(_rect(name, start, width))
        start += width
    said = f"{each.passed} passed, {each.failed} failed, {each.not_judged} not judged"
    return tag("div", _drawn(parts, said), class_="drawn")


def _drawn(parts: Iterable[Markup], said: str) -> Markup:
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    return tag("svg", *parts, viewBox=box, preserveAspectRatio="none", class_="bar", role="img", aria_label=said)


def _rect(name: str, start: int, width: int, inset: int = 0) -> Markup:
    return tag("rect", class_=name, x=start, y=inset, width=width, height=_HEIGHT - 2 * inset)
