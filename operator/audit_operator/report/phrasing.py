"""The words of a report, the same in every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionStatus, ConditionType
from audit_operator.api.policy_status import Verdict

if TYPE_CHECKING:
    from audit_operator.report.model import Change, Counts, Group, Report, ReportedFinding, ReportedPolicy

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
    counts, policies = report.counts, report.policies
    judged = sum(each.judged or 0 for each in policies)
    proved = sum(each.verified or 0 for each in policies)
    programmed = _true(policies, ConditionType.PROGRAMMED)
    shipping = _true(policies, ConditionType.SHIPPING)
    lost = [each.lost for policy in policies for each in policy.shipping if each.lost]
    return (
        Figure("Covered", share(counts.covered, counts.total), f"{counts.covered:,} of {counts.total:,} verdicts"),
        Figure("Leaks", f"{counts.leaks:,}", "more is recorded than is safe", counts.leaks == 0),
        Figure("Gaps", f"{counts.gaps:,}", "less is recorded than is needed", counts.gaps == 0),
        Figure("Partial", f"{counts.partial:,}", "recorded for some only", counts.partial == 0),
        Figure("Proved", f"{proved:,}", f"of {judged:,} verdicts in status, by live probes"),
        Figure("Running", f"{programmed}/{len(policies)}", "policies that are Programmed", _all(programmed, policies)),
        Figure(
            "Arriving",
            f"{shipping}/{len(policies)}",
            f"policies whose records reach their sinks; {max(lost):,} or more lost" if lost else
            "policies whose records reach their sinks",
            False if lost else _all(shipping, policies),
        ),
    )  # fmt: skip


def _all(number: int, policies: tuple[ReportedPolicy, ...]) -> bool | None:
    return number == len(policies) if policies else None


def _true(policies: tuple[ReportedPolicy, ...], type_: ConditionType) -> int:
    """A status that speaks about an earlier spec shows nothing about this one."""
    return sum(
        each.type is type_ and each.status is ConditionStatus.TRUE
        for policy in policies
        if not policy.outdated
        for each in policy.conditions
    )


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
