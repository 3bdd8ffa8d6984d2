"""The heat map: every action in every namespace, so that holes are seen by eye.

Colour and sign say the same. Rows that have the same verdicts are one row: a thousand namespaces are seldom more than a
few dozen of those, and where they are, a plain table is still what a browser lays out fastest.
"""

from __future__ import annotations

from collections import defaultdict
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from audit_operator.api.policy_status import Verdict
from audit_operator.report import phrasing
from audit_operator.report.markup import Markup, joined, tag
from audit_operator.report.proofs import CLUSTER, proofs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.report.model import Report
    from audit_operator.report.proofs import Proved

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
    rows, proofs = list(_rows(report)), proofs_of(report.policies)
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for number, finding in enumerate(report.findings):
        for group in finding.groups:
            found[finding.action, group].append(number)
    table = tag(
        "table",
        tag("caption", "Each row is a namespace, or several that are alike; each column is a critical action."),
        _head(report),
        tag("tbody", *(_row(report, row, found, proofs) for row in rows)),
        class_="heat",
        data_probed="" if proofs else None,
        role="grid",
        id="heat",
        aria_label="Verdicts by namespace and action",
    )
    return joined(
        (
            _legend(probed=bool(proofs)),
            tag("div", table, class_="scroll", tabindex=0, role="region", aria_label="Heat map; scrolls sideways"),
            tag("div", _HINT, id="details", class_="details", role="status", aria_live="polite"),
        )
    )


_HINT = tag("p", "Choose a cell, with the mouse or with the arrow keys, to see what stands behind it.", class_="hint")


def _legend(*, probed: bool) -> Markup:
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
    entries.append(tag("li", tag("span", "·", class_="key n"), " does not concern it"))
    if probed:
        entries.append(tag("li", tag("span", "•", class_="key"), " proved by live probes"))
        entries.append(tag("li", tag("span", "!", class_="key"), " a live probe says otherwise"))
    return tag("ul", *entries, class_="legend")


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


def _row(report: Report, row: _Row, found: Mapping[tuple[str, int], list[int]], proofs: Mapping[str, Proved]) -> Markup:
    cells = [_name(row)]
    known = [proofs.get(name) for name in ((CLUSTER,) if row.cluster else row.names)]
    for action in report.actions:
        verdict = row.verdicts.get(action.id)
        if verdict is None:
            cells.append(_NOT_CONCERNED)
            continue
        numbers = sorted({number for group in row.groups for number in found.get((action.id, group), ())})
        # By hand, since there may be a hundred thousand; nothing in it is of a stranger's.
        behind = f' data-f="{" ".join(map(str, numbers))}"' if numbers else ""
        mark, proved = _proof(action.id, known)
        class_ = f'"{_CLASSES[verdict]} {mark}"' if mark else _CLASSES[verdict]
        cells.append(Markup(f"<td class={class_}{behind}{proved}>{phrasing.LETTERS[verdict]}</td>"))
    return tag("tr", *cells)


def _proof(action: str, known: list[Proved | None]) -> tuple[str, str]:
    """The class of a cell and what the script reads: what probes have shown of an action in all places of a row."""
    there = [each for each in known if each is not None]
    if any(action in each.contradicted for each in there):
        return "x", " data-p=x"
    if any(action in each.missing for each in there):
        return "x", " data-p=m"
    proved = [each for each in there if action in each.verified]
    if not proved:
        return "", ""
    day = min((each.oldest for each in proved if each.oldest), default="")
    return ("v" if len(proved) == len(known) else ""), f' data-p="{len(proved)}/{len(known)} {escape(day)}"'


def _name(row: _Row) -> Markup:
    if row.cluster:
        return tag("th", phrasing.CLUSTER, scope="row", class_="whole")
    if len(row.names) <= 1:
        return tag("th", *row.names, scope="row", title="".join(row.names))
    shown = row.names[0] if len(row.names) == 1 else f"{row.names[0]} and {len(row.names) - 1:,} more"
    everyone = tag("ul", *(tag("li", each) for each in row.names), class_="names")
    return tag("th", tag("details", tag("summary", shown), everyone), scope="row")
