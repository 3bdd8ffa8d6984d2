"""The report as one HTML file: for a screen, a phone and paper, and with nothing to fetch.

The page may load nothing and run nothing but the one style and the one script in it: its Content-Security-Policy names
them by their hashes. So what strangers write could do no harm even if it became markup.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionStatus
from audit_operator.api.policy_status import ProofOutcome, RetentionState, ShippingState
from audit_operator.compliance.judgement import Outcome
from audit_operator.report import phrasing
from audit_operator.report.bars import compliance_bar, retention_bar
from audit_operator.report.heat_map import heat_map
from audit_operator.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from audit_operator.report.model import (
        Change,
        FigureChange,
        Report,
        ReportedControl,
        ReportedFinding,
        ReportedPolicy,
        ReportedRetention,
        Trend,
    )

_CHANGES = 200
_UNFOLDED = 8
_TITLE = "Audit coverage"
_WORSE, _BETTER = tag("span", "▼ worse", class_="bad-text"), tag("span", "▲ better", class_="good-text")


def to_html(report: Report) -> str:
    """The page."""
    body = tag(
        "body",
        tag("header", tag("h1", _TITLE), tag("p", _about(report), class_="about"), _tiles(report)),
        tag("main", *_sections(report)),
        tag("footer", *(tag("p", each) for each in phrasing.caveats(report))),
        tag("script", _file("page.js")),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{_head(report)}{body}</html>\n'


@cache
def _file(name: str) -> Markup:
    content = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return Markup(content)


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _head(report: Report) -> Markup:
    allowed = (
        f"default-src 'none'; style-src {_hash(_file('page.css'))}; script-src {_hash(_file('page.js'))}; "
        "base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="robots", content="noindex"),
        tag("title", f"{_TITLE}: {report.control_plane}, {report.made[:10]}"),
        tag("style", _file("page.css")),
    )


def _about(report: Report) -> str:
    about = phrasing.listed(report.namespaces) or "all namespaces"
    return f"{report.control_plane}, {about} · {report.made} · {report.by} · audit policy {report.digest[:12]}"


def _tiles(report: Report) -> Markup:
    marks = {True: "tile good", False: "tile bad", None: "tile"}
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("span", each.title, class_="name"),
                tag("b", each.value),
                tag("span", each.note, class_="note"),
                class_=marks[each.good],
            )
            for each in phrasing.figures(report)
        ),
        class_="tiles",
    )


def _sections(report: Report) -> Iterator[Markup]:
    if report.trend is not None:
        yield _section("trend", f"Since {report.trend.since[:10]}", *_trend(report.trend))
    yield _section("map", "Where are the holes?", _filter(), heat_map(report))
    found = [_finding(report, number, each) for number, each in enumerate(report.findings)]
    yield _section("findings", "Gaps and leaks", *(found or [tag("p", "None.")]))
    unfolded = len(report.policies) <= _UNFOLDED
    ordered = sorted(report.policies, key=lambda each: (not phrasing.troubles(each), not phrasing.standing(each)))
    policies = [_policy(each, unfolded=unfolded) for each in ordered]
    yield _section("policies", "Delivered, kept, proved", *(policies or [tag("p", "There is no policy.")]))
    if report.remarks:
        yield _section(
            "remarks",
            "About the objects",
            _table(
                ("", "object", "what", "mend"),
                ((each.severity, each.object, each.message, each.mend) for each in report.remarks),
            ),
        )
    blind = (tag("li", tag("b", each.title), f". {each.mitigate}") for each in report.not_auditable)
    yield _section("blind", "What no audit policy can record", tag("ul", *blind, class_="plain"))


def _section(name: str, title: str, *content: str) -> Markup:
    return tag("section", tag("h2", title, id=f"{name}-title"), *content, id=name, aria_labelledby=f"{name}-title")


def _filter() -> Markup:
    return tag(
        "div",
        tag("label", "Namespace ", tag("input", type="search", id="search", autocomplete="off")),
        tag("label", tag("input", type="checkbox", id="only"), " only where something is missing"),
        id="filter",
        class_="filter",
        hidden="",
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table that is a list of cards on a phone: each cell has its head with it."""
    head = tag("tr", *(tag("th", each, scope="col") if each else tag("td") for each in header))
    body = (
        tag("tr", *(tag("td", cell, data_head=name or None) for name, cell in zip(header, row, strict=True)))
        for row in rows
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), class_="list"), class_="wide")


def _badge(verdict: str) -> Markup:
    return tag("span", verdict, class_=f"badge {verdict[:1].lower()}")


def _trend(trend: Trend) -> Iterator[Markup]:
    yield tag("p", f"{phrasing.counted(trend.before)} → {phrasing.counted(trend.after)}")
    for title, names in (("New", trend.added), ("Gone", trend.removed)):
        if names:
            yield tag("p", f"{title}, and not compared: {phrasing.listed(names)}", class_="note")
    if trend.figures:
        yield _table(("", "of", "what", "before and now"), map(_figure, trend.figures[:_CHANGES]))
    if not trend.changes:
        yield tag("p", "No verdict has changed.")
        return
    yield _table(("", "action", "verdict", "where"), map(_change, trend.changes[:_CHANGES]))
    if len(trend.changes) > _CHANGES:
        yield tag("p", f"And {len(trend.changes) - _CHANGES:,} others; the report as JSON has them all.")


def _figure(each: FigureChange) -> tuple[str, ...]:
    marks = {True: _WORSE, False: _BETTER, None: tag("span", "·", class_="note")}
    return marks[each.worse], phrasing.figure_place(each), phrasing.MEASURES[each.measure], phrasing.figure_change(each)


def _change(each: Change) -> tuple[str, ...]:
    return _WORSE if each.is_worse else _BETTER, each.action, phrasing.change(each), phrasing.change_places(each)


def _finding(report: Report, number: int, each: ReportedFinding) -> Markup:
    said = [
        tag("p", f"{each.reason[:1].upper()}{each.reason[1:]}."),
        tag("p", f"Recorded at {each.level}, wanted {each.wanted}.", class_="note"),
    ]
    if each.rule:
        said.append(tag("p", "Decided by ", tag("code", each.rule), class_="note"))
    if each.mend:
        lines = joined(part for line in each.mend.rstrip("\n").split("\n") for part in (line, Markup("\n")))
        said.append(tag("p", "These rules close it, put first:"))
        said.append(tag("pre", lines))
    return tag(
        "details",
        tag(
            "summary",
            _badge(each.verdict),
            tag("span", each.action, class_="what"),
            tag("span", phrasing.places(report, each), class_="where"),
        ),
        tag("div", *said, class_="body"),
        class_="finding",
        id=f"f{number}",
    )


def _policy(policy: ReportedPolicy, *, unfolded: bool) -> Markup:
    if troubles := phrasing.troubles(policy):
        state = _state(", ".join(troubles), good=False)
    elif phrasing.standing(policy):
        state = tag("span", "not known", class_="note")
    else:
        state = tag("span", "✓", class_="good-text")
    return tag(
        "details",
        tag("summary", tag("h3", policy.title), state),
        *_said(policy),
        class_="policy",
        open="" if unfolded else None,
    )


def _said(policy: ReportedPolicy) -> Iterator[Markup]:
    if note := phrasing.standing(policy):
        yield tag("p", f"{note[0].upper()}{note[1:]}.", class_="note")
    if shown := phrasing.proof(policy):
        yield tag("p", shown)
    if said := phrasing.metrics(policy):
        yield tag("p", said)
    if policy.proof is not None and policy.proof.findings:
        yield _table(
            ("not proved", "why", "sink", "what was asked and found"),
            ((each.action, _outcome(each.outcome), each.sink, each.message) for each in policy.proof.findings),
        )
    yield from _observed(policy)


def _outcome(outcome: ProofOutcome) -> Markup:
    neutral = outcome in (ProofOutcome.UNKNOWN, ProofOutcome.UNPROVED)
    return tag("span", outcome, class_="note") if neutral else _state(outcome, good=False)


def _observed(policy: ReportedPolicy) -> Iterator[Markup]:
    if policy.conditions:
        yield _table(
            ("condition", "holds", "why", "since"),
            (
                (each.type, _holds(each.status), f"{each.reason}: {each.message}", each.last_transition_time[:10])
                for each in policy.conditions
            ),
        )
    if policy.shipping:
        yield _table(
            ("sink", "records", "waiting", "lost", "what mends it"),
            (
                (
                    each.sink.name,
                    _state(each.state, good=each.state is ShippingState.DELIVERING),
                    each.lag,
                    "" if each.lost is None else f"{each.lost:,}",
                    each.message,
                )
                for each in policy.shipping
            ),
        )
    if policy.retention:
        yield _table(("sink", "kept", "how old, how long", "asked", "the sink says"), map(_retention, policy.retention))
    if policy.compliance:
        yield _table(
            ("framework", "controls", "passed", "failed", "not judged", "n/a", "which failed"),
            (
                (
                    each.framework,
                    compliance_bar(each),
                    str(each.passed),
                    str(each.failed),
                    str(each.not_judged),
                    str(each.not_applicable),
                    ", ".join(each.failing),
                )
                for each in policy.compliance
            ),
        )
    if policy.controls:
        yield tag(
            "details",
            tag("summary", phrasing.behind(policy)),
            *map(_control, policy.controls),
            class_="evidence",
        )
    elif policy.controls_left_out:
        yield tag("p", f"{phrasing.behind(policy)}.", class_="note")


def _control(each: ReportedControl) -> Markup:
    said = [tag("p", phrasing.because(each))]
    if each.beyond:
        said.append(tag("p", f"Not judged: {each.beyond}", class_="note"))
    said.append(tag("ul", *(tag("li", phrasing.line_of_evidence(line)) for line in each.evidence)))
    if each.left_out:
        said.append(tag("p", f"And {each.left_out:,} more.", class_="note"))
    return tag(
        "details",
        tag(
            "summary",
            tag("span", each.verdict, class_=f"badge {_OF_CONTROLS[each.verdict]}"),
            tag("span", f"{each.framework} {each.id}", class_="what"),
            tag("span", each.title, class_="where"),
            *([tag("span", each.proof, class_="note")] if each.proof else []),
        ),
        tag("div", *said, class_="body"),
        class_="control",
    )


_OF_CONTROLS = {
    Outcome.PASS: "c",
    Outcome.FAIL: "g",
    Outcome.NOT_APPLICABLE: "n",
    Outcome.CANNOT_BE_JUDGED: "n",
}


def _holds(status: ConditionStatus) -> Markup:
    return tag("span", status, class_="note") if status is ConditionStatus.UNKNOWN else _state(
        status, good=status is ConditionStatus.TRUE
    )  # fmt: skip


def _state(word: str, *, good: bool) -> Markup:
    return tag("span", f"✓ {word}" if good else f"! {word}", class_="good-text" if good else "bad-text")


def _retention(each: ReportedRetention) -> tuple[str, ...]:
    said = each.status
    effective = "; ".join(filter(None, (said.effective, said.reason)))
    state = _state(said.state, good=said.state is RetentionState.ENFORCED)
    return said.sink.name, state, retention_bar(each), said.desired, effective
