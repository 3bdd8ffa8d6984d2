"""The report as Markdown, for wikis, tickets and pull requests.

Names and messages are of people whom nobody trusts: they are shown, and never become markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionStatus
from audit_operator.api.text import printable
from audit_operator.compliance.judgement import Outcome
from audit_operator.report import phrasing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from audit_operator.report.model import Report, ReportedPolicy, ReportedRetention, Trend

_MARKUP = re.compile(r"[\\`*_{}\[\]>#|~]|(?<=:)//|(?<=www)\.", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;"}


def to_markdown(report: Report) -> str:
    """GitHub-flavoured Markdown. Namespaces that are alike share a row."""
    return "\n".join([*_head(report), *_trend(report), *_coverage(report), *_status(report), *_end(report), ""])


def plain(text: str) -> str:
    """Any text as text: one line, no markup, no invisible characters."""
    escaped = _MARKUP.sub(lambda found: f"\\{found[0]}", printable(text))
    return "".join(_ENTITIES.get(each, each) for each in escaped)


def fenced(text: str) -> Iterator[str]:
    """A block of code, whatever stands in it."""
    longest = max((len(each) for each in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}yaml"
    yield from map(printable, text.rstrip("\n").split("\n"))
    yield fence


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(map(plain, row))} |"


def _head(report: Report) -> Iterator[str]:
    about = phrasing.listed(report.namespaces) or "all namespaces"
    yield "# Audit coverage"
    yield ""
    yield plain(f"{report.control_plane}, {about}; {report.made}, {report.by}; audit policy {report.digest[:12]}")
    yield ""
    yield from _table(("", "", ""), ((each.title, each.value, each.note) for each in phrasing.figures(report)))
    yield ""


def _trend(report: Report) -> Iterator[str]:
    if report.trend is not None:
        yield from _changes(report.trend)


def _changes(trend: Trend) -> Iterator[str]:
    yield f"## Since {plain(trend.since)}"
    yield ""
    yield f"{phrasing.counted(trend.before)} → {phrasing.counted(trend.after)}"
    for title, names in (("New", trend.added), ("Gone", trend.removed)):
        if names:
            yield ""
            yield plain(f"{title}, and not compared: {phrasing.listed(names)}")
    yield ""
    if trend.figures:
        marks = {True: "worse", False: "better", None: ""}
        yield from _table(
            ("", "of", "what", "before and now"),
            (
                (
                    marks[each.worse],
                    phrasing.figure_place(each),
                    phrasing.MEASURES[each.measure],
                    phrasing.figure_change(each),
                )
                for each in trend.figures
            ),
        )
        yield ""
    if not trend.changes:
        yield "No verdict has changed."
        yield ""
        return
    yield from _table(
        ("", "action", "verdict", "where"),
        (
            ("worse" if each.is_worse else "better", each.action, phrasing.change(each), phrasing.change_places(each))
            for each in trend.changes
        ),
    )
    yield ""


def _coverage(report: Report) -> Iterator[str]:
    yield "## Coverage"
    yield ""
    rows = []
    for group in report.groups:
        verdicts = list(group.verdicts.values())
        numbers = [str(verdicts.count(each)) for each in phrasing.LETTERS]
        rows.append((phrasing.place(group), str(group.size), *numbers))
    yield from _table(("where", "places", *(each.value for each in phrasing.LETTERS)), rows)
    yield ""
    yield "## Gaps and leaks"
    yield ""
    if not report.findings:
        yield "None."
        yield ""
    for each in report.findings:
        yield f"### {each.verdict}: {plain(each.action)}"
        yield ""
        yield plain(
            f"In {phrasing.places(report, each)}. Recorded at {each.level}, wanted {each.wanted}: {each.reason}."
        )
        if each.rule:
            yield plain(f"Decided by the rule {each.rule}.")
        if each.mend:
            yield ""
            yield from fenced(each.mend)
        yield ""


def _status(report: Report) -> Iterator[str]:
    yield "## Policies"
    yield ""
    for policy in report.policies:
        yield f"### {plain(policy.title)}"
        yield ""
        for line in _said(policy):
            yield plain(line)
            yield ""
        yield from _tables(policy)
    if not report.policies:
        yield "None."
        yield ""


def _said(policy: ReportedPolicy) -> Iterator[str]:
    if note := phrasing.standing(policy):
        yield f"{note[0].upper()}{note[1:]}."
    if shown := phrasing.proof(policy):
        yield shown
    if said := phrasing.metrics(policy):
        yield said
    for each in policy.conditions:
        if each.status is not ConditionStatus.TRUE:
            yield f"{each.type} {each.status} ({each.reason}): {each.message}"


def _tables(policy: ReportedPolicy) -> Iterator[str]:
    if policy.proof is not None and policy.proof.findings:
        yield from _table(
            ("not proved", "why", "sink", ""),
            ((each.action, each.outcome, each.sink, each.message) for each in policy.proof.findings),
        )
        yield ""
    if policy.shipping:
        yield from _table(
            ("sink", "records", "waiting", "lost", ""),
            (
                (each.sink.name, each.state, each.lag, "" if each.lost is None else f"{each.lost:,}", each.message)
                for each in policy.shipping
            ),
        )
        yield ""
    if policy.retention:
        yield from _table(("sink", "kept", "asked", "the sink says", "oldest", ""), map(_retention, policy.retention))
        yield ""
    if policy.compliance:
        yield from _table(
            ("framework", "passed", "failed", "not judged", "not applicable", "which failed"),
            (
                (
                    each.framework,
                    str(each.passed),
                    str(each.failed),
                    str(each.not_judged),
                    str(each.not_applicable),
                    ", ".join(each.failing),
                )
                for each in policy.compliance
            ),
        )
        yield ""
    yield from _evidence(policy)


def _evidence(policy: ReportedPolicy) -> Iterator[str]:
    """What failed with all that it rests on, of the other controls why."""
    if not policy.controls:
        if policy.controls_left_out:
            yield f"{plain(phrasing.behind(policy))}."
            yield ""
        return
    yield f"{plain(phrasing.behind(policy))}:"
    yield ""
    for each in policy.controls:
        proof = f", {each.proof}" if each.proof else ""
        yield f"- {plain(f'{each.framework} {each.id}: {each.verdict}{proof}. {each.title}. {phrasing.because(each)}')}"
        if each.verdict is Outcome.FAIL:
            yield from (f"  - {plain(phrasing.line_of_evidence(line))}" for line in each.evidence)
            if each.left_out:
                yield f"  - And {each.left_out:,} more."
    yield ""


def _retention(each: ReportedRetention) -> tuple[str, ...]:
    said, age = each.status, "" if each.oldest_hours is None else phrasing.span(each.oldest_hours)
    return said.sink.name, said.state, said.desired, said.effective, age, said.reason


def _end(report: Report) -> Iterator[str]:
    if report.remarks:
        yield "## About the objects"
        yield ""
        for each in report.remarks:
            mend = f" ({each.mend})" if each.mend else ""
            yield f"- {each.severity}: {plain(f'{each.object}: {each.message}{mend}')}"
        yield ""
    yield "## What no audit policy can record"
    yield ""
    yield from (f"- {plain(f'{each.title}. {each.mitigate}'.strip())}" for each in report.not_auditable)
    yield ""
    yield "## How to read this"
    yield ""
    yield from (f"- {plain(each)}" for each in phrasing.caveats(report))
