"""The words of a report, the same in every format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.policy_status import Verdict
from audit_operator.compliance.facts import LiveProof, Standing
from audit_operator.compliance.judgement import Outcome
from audit_operator.report.model import Measure

if TYPE_CHECKING:
    from audit_operator.report.model import (
        Change,
        Counts,
        FigureChange,
        Group,
        Report,
        ReportedControl,
        ReportedEvidence,
        ReportedFinding,
        ReportedPolicy,
    )

CLUSTER = "the cluster as a whole"
_NAMED = 3
_DAY = 24
_YEAR = 365 * _DAY

CAVEATS = (
    "Verdicts are about the audit policy that the objects compile to; whether API servers run it, Programmed says.",
    "Whether records arrive, Shipping says. A verdict is proved only where a live probe was read back.",
    "What a status does not say is not known: it counts as neither good nor bad here.",
    "Names of namespaces, policies and sinks stand in this file, and where the holes are: keep it as you keep those.",
)
CAVEAT_GIVEN = (
    "The API servers are only observed: their audit policy is taken as it was given, and nobody has seen them run it."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the numbers on top. `good` is None where it is neither good nor bad."""

    title: str
    value: str
    note: str
    good: bool | None = None


def caveats(report: Report) -> tuple[str, ...]:
    """What a reader must know so as not to read too much into it."""
    return (CAVEAT_GIVEN, *CAVEATS) if report.given else CAVEATS


def figures(report: Report) -> tuple[Figure, ...]:
    """What matters first. Rates are rounded down: 99.96% is not 100%."""
    counts = report.counts
    return (
        Figure("Covered", share(counts.covered, counts.total), f"{counts.covered:,} of {counts.total:,} verdicts"),
        Figure("Leaks", f"{counts.leaks:,}", "more is recorded than is safe", counts.leaks == 0),
        Figure("Gaps", f"{counts.gaps:,}", "less is recorded than is needed", counts.gaps == 0),
        Figure("Partial", f"{counts.partial:,}", "recorded for some only", counts.partial == 0),
        _proved(report.policies),
        _holding("Running", ConditionType.PROGRAMMED, "policies that API servers run", report.policies),
        _arriving(report.policies),
        _holding("Kept", ConditionType.RETENTION_ENFORCED, "policies whose retention is enforced", report.policies),
    )


def _proved(policies: tuple[ReportedPolicy, ...]) -> Figure:
    current = [each for each in policies if not each.outdated]
    judged, proved = sum(each.judged or 0 for each in current), sum(each.verified or 0 for each in current)
    shown = [each.proof for each in current if each.proof is not None]
    wrong = sum(each.contradicted for each in shown)
    missing = sum(each.missing for each in shown)
    oldest = min((each.oldest for each in shown if each.oldest), default="")
    note = f"of {judged:,} verdicts in status, by live probes{f', the oldest of {oldest}' if oldest else ''}"
    if wrong or missing:
        return Figure("Proved", f"{proved:,}", f"{note}; {wrong:,} contradicted, {missing:,} not found", good=False)
    return Figure("Proved", f"{proved:,}", note)


def _arriving(policies: tuple[ReportedPolicy, ...]) -> Figure:
    lost = [each.lost for policy in policies for each in policy.shipping if each.lost]
    figure = _holding("Arriving", ConditionType.SHIPPING, "policies whose records reach their sinks", policies)
    return replace(figure, note=f"{figure.note}; {max(lost):,} or more lost", good=False) if lost else figure


def _holding(title: str, type_: ConditionType, note: str, policies: tuple[ReportedPolicy, ...]) -> Figure:
    """Of how many policies that ask for it a condition holds; a status of an earlier spec shows nothing."""
    said = [
        None if policy.outdated else next((each for each in policy.conditions if each.type is type_), None)
        for policy in policies
    ]
    asked = [each for each in said if each is None or each.reason is not Reason.NOT_REQUESTED]
    holds = sum(each is not None and each.status is ConditionStatus.TRUE for each in asked)
    return Figure(title, f"{holds}/{len(asked)}", note, holds == len(asked) if asked else None)


def share(part: int, whole: int) -> str:
    """A percentage, rounded down to a tenth; a dash of nothing."""
    if not whole:
        return "-"
    tenths = part * 1000 // whole
    return f"{tenths // 10}%" if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}%"


def place(group: Group) -> str:
    """What a group is called."""
    return CLUSTER if group.cluster else listed(group.namespaces)


def listed(names: tuple[str, ...]) -> str:
    """The first few names, and how many there are besides."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED:,} others"


def places(report: Report, finding: ReportedFinding) -> str:
    """Where a finding holds."""
    groups = [report.groups[each] for each in finding.groups]
    names = tuple(sorted(name for group in groups for name in group.namespaces))
    whole = [CLUSTER] if any(group.cluster for group in groups) else []
    return " and ".join([*whole, *([listed(names)] if names else [])])


def counted(counts: Counts) -> str:
    """Verdicts in a line."""
    return f"{counts.covered:,} covered, {counts.partial:,} partial, {counts.gaps:,} gaps, {counts.leaks:,} leaks"


def change(each: Change) -> str:
    """What became of an action."""
    return f"{each.before or 'not judged'} → {each.after or 'not judged'}"


def change_places(each: Change) -> str:
    """Where."""
    return " and ".join([*([CLUSTER] if each.cluster else []), *([listed(each.namespaces)] if each.namespaces else [])])


def standing(policy: ReportedPolicy) -> str:
    """Whether a status can be relied on at all; empty if it can."""
    if not policy.observed:
        return "no status that can be read: what follows from it is not known"
    return "its status speaks about an earlier spec" if policy.outdated else ""


def span(length: int) -> str:
    """Hours as people say them."""
    if length < _DAY:
        return f"{length} h"
    return f"{length // _DAY:,} d" if length < 2 * _YEAR else f"{length / _YEAR:.1f} y"


LETTERS = {Verdict.COVERED: "✓", Verdict.PARTIAL: "P", Verdict.GAP: "G", Verdict.LEAK: "L"}
"""Signs of verdicts, so that nobody needs to tell colours apart."""


def metrics(policy: ReportedPolicy) -> str:
    """The three numbers, as far as they are known; empty if none is."""
    known = policy.metrics
    if known is None:
        return ""
    named = (
        ("logging error rate", known.logging_error_rate),
        ("mean time to detect", known.mean_time_to_detect),
        ("compliance passing rate", known.compliance_passing_rate),
    )
    return "; ".join(f"{title} {value}" for title, value in named if value)


def proof(policy: ReportedPolicy) -> str:
    """What live probes have shown; empty where nothing was judged."""
    if policy.judged is None:
        return ""
    said = f"{policy.verified or 0} of {policy.judged} verdicts proved by live probes"
    shown = policy.proof
    if shown is None:
        return f"{said}."
    since = f" The oldest of these probes is of {shown.oldest}." if shown.oldest else ""
    counts = f"{shown.contradicted} contradicted, {shown.missing} not found, {shown.unproved} without a probe"
    return f"{said}; {counts}.{since}"


def behind(policy: ReportedPolicy) -> str:
    """What a list of controls is."""
    failed = sum(each.verdict is Outcome.FAIL for each in policy.controls)
    told = f"Evidence behind {len(policy.controls)} controls, {failed} of which failed" if policy.controls else ""
    more = (
        f"{policy.controls_left_out:,} controls are not listed, of so many policies" if policy.controls_left_out else ""
    )
    return "; ".join(filter(None, (told, more)))


def because(each: ReportedControl) -> str:
    """The reason as a sentence."""
    unverified = "" if each.read_in else " The words of this control were not read: its meaning is unverified."
    return f"{each.reason}.{unverified}"


def line_of_evidence(each: ReportedEvidence) -> str:
    """An observation, where it stands, and since when it is so."""
    where = ", ".join(filter(None, (each.source, f"since {each.seen}" if each.seen else "")))
    claimed = " Claimed: no live probe has shown it." if each.proof is LiveProof.CLAIMED else ""
    return f"{_SIGNS[each.standing]} {each.said}.{claimed}{f' ({where})' if where else ''}"


_SIGNS = {
    Standing.HOLDS: "✓",
    Standing.FAILS: "!",
    Standing.NOT_OBSERVED: "not observed:",
    Standing.NOT_APPLICABLE: "not applicable:",
}

MEASURES = {
    Measure.PROVED: "verdicts proved live",
    Measure.COMPLIANCE: "compliance passing rate",
    Measure.ERROR_RATE: "logging error rate",
    Measure.DETECTION: "mean time to detect",
    Measure.LAG: "records wait",
    Measure.LOST: "records lost",
    Measure.RETENTION: "retention",
}


def figure_place(each: FigureChange) -> str:
    """Of whom a number is."""
    about = each.policy or "all policies that both reports have"
    return f"{about}, sink {each.sink}" if each.sink else about


def figure_change(each: FigureChange) -> str:
    """What became of a number."""
    return f"{each.before or 'not known'} → {each.after or 'not known'}"


def troubles(policy: ReportedPolicy) -> tuple[str, ...]:
    """What its status says is wrong, in a few words; nothing where it says nothing."""
    wrong = [each.type.value for each in policy.conditions if each.status is ConditionStatus.FALSE]
    lost = ["records lost"] if any(each.lost for each in policy.shipping) else []
    shown = policy.proof
    return (*wrong, *lost, *(["contradicted by probes"] if shown is not None and shown.contradicted else []))
