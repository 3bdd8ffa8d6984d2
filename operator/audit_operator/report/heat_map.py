"""The heat map: every action in every namespace, so that holes are seen by eye.

Colour and sign say the same. Rows that have the same verdicts are one row: a thousand namespaces are seldom more than a
few dozen of those, and where they are, a plain table is still what a browser lays out fastest.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from audit_operator.api.policy_status import Verdict
from audit_operator.report import phrasing
from audit_operator.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.report.model import Report

_CLASSES = {Verdict.COVERED: "c", Verdict.PARTIAL: "p", Verdict.GAP: "g", Verdict.LEAK: "l"}
_LISTED = 4
_NOT_CONCERNED = Markup("<td class=n>·</td>")


class _Row(NamedTuple):
    """Groups that have the same verdicts; `cluster` is never put together with others."""

    cluster: bool
    verdicts: Mapping[str, Verdict]
    names: tuple[str, ...]
    groups: tuple[int, ...]


def heat_map(report: Report) -> Markup:
    """The table, with the legend above it."""
    rows = list(_rows(report))
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for number, finding in enumerate(report.findings):
        for group in finding.groups:
            found[finding.action, group].append(number)
    table = tag(
        "table",
        tag("caption", "Each row is a namespace, or several that are alike; each column is a critical action."),
        _head(report),
        tag("tbody", *(_row(report, row, found) for row in rows)),
        class_="heat",
        role="grid",
        id="heat",
        aria_label="Verdicts by namespace and action",
    )
    return joined(
        (
            _legend(),
            tag("div", table, class_="scroll", tabindex=0, role="region", aria_label="Heat map; scrolls sideways"),
            tag("div", _HINT, id="details", class_="details", role="status", aria_live="polite"),
        )
    )


_HINT = tag("p", "Choose a cell, with the mouse or with the arrow keys, to see what stands behind it.", class_="hint")


def _legend() -> Markup:
    meanings = {
        Verdict.COVERED: "recorded as needed",
        Verdict.PARTIAL: "for some requests or people only",
        Verdict.GAP: "less than needed",
        Verdict.LEAK: "more than is safe",
    }
    entries = [
        tag("li", tag("span", phrasing.LETTERS[each], class_=f"key {_CLASSES[each]}"), f" {each.value}: {meaning}")
        for each, meaning in meanings.items()
    ]
    return tag("ul", *entries, tag("li", tag("span", "·", class_="key n"), " does not concern it"), class_="legend")


def _rows(report: Report) -> Iterator[_Row]:
    alike: defaultdict[tuple[bool, tuple[tuple[str, Verdict], ...]], list[int]] = defaultdict(list)
    for index, group in enumerate(report.groups):
        alike[group.cluster, tuple(sorted(group.verdicts.items()))].append(index)
    for (cluster, verdicts), indexes in alike.items():
        names = tuple(sorted(name for each in indexes for name in report.groups[each].namespaces))
        yield _Row(cluster, dict(verdicts), names, tuple(indexes))


def _head(report: Report) -> Markup:
    columns = [tag("th", "where", scope="col", class_="corner")]
    for severity, actions in groupby(report.actions, key=lambda each: each.severity):
        for number, each in enumerate(actions):
            label = tag("b", severity.value) if number == 0 else Markup()
            columns.append(tag("th", label, tag("span", each.id), scope="col", title=each.title, class_=severity.value))
    return tag("thead", tag("tr", *columns))


def _row(report: Report, row: _Row, found: Mapping[tuple[str, int], list[int]]) -> Markup:
    cells = [_name(row)]
    for action in report.actions:
        verdict = row.verdicts.get(action.id)
        if verdict is None:
            cells.append(_NOT_CONCERNED)
            continue
        numbers = sorted({number for group in row.groups for number in found.get((action.id, group), ())})
        # By hand, since there may be a hundred thousand; nothing in it is of a stranger's.
        behind = f' data-f="{" ".join(map(str, numbers))}"' if numbers else ""
        cells.append(Markup(f"<td class={_CLASSES[verdict]}{behind}>{phrasing.LETTERS[verdict]}</td>"))
    return tag("tr", *cells)


def _name(row: _Row) -> Markup:
    if row.cluster:
        return tag("th", phrasing.CLUSTER, scope="row", class_="whole")
    if len(row.names) <= 1:
        return tag("th", *row.names, scope="row", title="".join(row.names))
    shown = row.names[0] if len(row.names) == 1 else f"{row.names[0]} and {len(row.names) - 1:,} more"
    everyone = tag("ul", *(tag("li", each) for each in row.names), class_="names")
    return tag("th", tag("details", tag("summary", shown), everyone), scope="row")
