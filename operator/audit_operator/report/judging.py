"""Every namespace judged, those that are alike once, and put together so that thousands can be looked at."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.restriction import Restriction, Restrictions
from audit_operator.coverage.suggestions import suggest
from audit_operator.coverage.verdicts import assess, assess_restriction
from audit_operator.policy.explanation_text import describe_rule
from audit_operator.report.model import Counts, Group, ReportedAction, ReportedFinding, badness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from audit_operator.api.audit import Level
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.coverage.suggestions import Suggestion
    from audit_operator.coverage.verdicts import ActionCoverage, Coverage
    from audit_operator.policy.model import Policy


class _Cell(NamedTuple):
    """The verdict on an action in one place; the rest is empty where it is covered."""

    action: str
    verdict: Verdict
    level: Level | None = None
    wanted: Level | None = None
    reason: str = ""
    rule: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts, as a report has them."""

    actions: tuple[ReportedAction, ...]
    groups: tuple[Group, ...]
    findings: tuple[ReportedFinding, ...]
    counts: Counts


@dataclass(slots=True)
class _Judge:
    """One policy judged in many namespaces; equal restrictions are judged once."""

    policy: Policy
    catalogue: Catalogue
    ours: bool
    _by_content: dict[tuple[Policy, str], tuple[_Cell, ...]] = field(default_factory=dict)
    # Hashing a policy costs more than judging most namespaces; the policies are kept, so that ids stay theirs.
    _by_identity: dict[tuple[int, str], tuple[Policy, tuple[_Cell, ...]]] = field(default_factory=dict)

    def cluster(self) -> tuple[_Cell, ...]:
        coverage = assess(self.policy, self.catalogue, follow_namespaces=False)
        mends = suggest(self.policy, self.catalogue, follow_namespaces=False) if self.ours else {}
        return tuple(_cells(coverage, self.policy, mends))

    def namespace(self, restricted: Policy, namespace: str) -> tuple[_Cell, ...]:
        special = namespace if namespace in self.catalogue.named_namespaces else ""
        known = self._by_identity.get((id(restricted), special))
        if known is None:
            if (restricted, special) not in self._by_content:
                self._by_content[restricted, special] = self._judge(restricted, special)
            known = restricted, self._by_content[restricted, special]
            self._by_identity[id(restricted), special] = known
        return known[1]

    def _judge(self, restricted: Policy, special: str) -> tuple[_Cell, ...]:
        restriction = Restriction(restricted, tuple(range(len(restricted.rules))))
        coverage = assess_restriction(restriction, self.catalogue, special)
        mends = suggest(restricted, self.catalogue, namespace=special or SAMPLE_NAMESPACE) if self.ours else {}
        return tuple(_cells(coverage, restricted, mends))


def judge(policy: Policy, catalogue: Catalogue, namespaces: Iterable[str], *, cluster: bool, ours: bool) -> Judged:
    """Judge a policy in each of the namespaces and, if asked, the cluster as a whole.

    `ours` says whether it is compiled from our objects, so that a rule more can close a gap.
    """
    one, restrictions = _Judge(policy, catalogue, ours), Restrictions(policy)
    alike: defaultdict[tuple[_Cell, ...], list[str]] = defaultdict(list)
    for namespace in sorted(set(namespaces)):
        alike[one.namespace(restrictions.to(namespace).policy, namespace)].append(namespace)
    rows: list[tuple[tuple[_Cell, ...], list[str]]] = [(one.cluster(), [])] if cluster else []
    # The worst first, and among equals the largest: what a reader should see without scrolling.
    rows += sorted(alike.items(), key=lambda each: ([-number for number in _weights(each[0])], -len(each[1]), each[1]))
    groups = tuple(
        Group(cluster=not names, namespaces=tuple(names), verdicts={each.action: each.verdict for each in cells})
        for cells, names in rows
    )
    found = _findings([cells for cells, _ in rows], catalogue)
    return Judged(_actions(catalogue, groups), groups, found, count(groups))


def count(groups: Iterable[Group]) -> Counts:
    """The verdicts of groups, each as often as it has namespaces."""
    counted = dict.fromkeys(Verdict, 0)
    for group in groups:
        for verdict in group.verdicts.values():
            counted[verdict] += group.size
    return Counts(
        covered=counted[Verdict.COVERED],
        partial=counted[Verdict.PARTIAL],
        gaps=counted[Verdict.GAP],
        leaks=counted[Verdict.LEAK],
    )


def _weights(cells: Iterable[_Cell]) -> tuple[int, int, int]:
    """How many leaks, gaps and partial ones."""
    verdicts = [each.verdict for each in cells]
    return verdicts.count(Verdict.LEAK), verdicts.count(Verdict.GAP), verdicts.count(Verdict.PARTIAL)


def _cells(coverage: Coverage, policy: Policy, mends: Mapping[str, Suggestion]) -> Iterator[_Cell]:
    for each in coverage.actions:
        if each.verdict is Verdict.COVERED:
            yield _Cell(each.action.id, each.verdict)
            continue
        rule = None if each.rule is None else policy.rules[each.rule]
        mend = mends.get(each.action.id)
        yield _Cell(
            each.action.id,
            each.verdict,
            each.level,
            each.wanted,
            _reason(each),
            f"{rule.level}: {describe_rule(rule)}" if rule else "",
            mend.text if mend else "",
        )


def _reason(each: ActionCoverage) -> str:
    # The number would be that of a rule among those of one namespace, which nobody can look up; the rule stands beside.
    return each.reason.replace(f" (rules[{each.rule}])", "")


def _findings(rows: Sequence[tuple[_Cell, ...]], catalogue: Catalogue) -> tuple[ReportedFinding, ...]:
    groups: defaultdict[_Cell, list[int]] = defaultdict(list)
    for index, cells in enumerate(rows):
        for cell in cells:
            if cell.verdict is not Verdict.COVERED:
                groups[cell].append(index)
    made = [
        ReportedFinding(
            action=cell.action,
            verdict=cell.verdict,
            level=cell.level,
            wanted=cell.wanted,
            reason=cell.reason,
            rule=cell.rule,
            mend=cell.mend,
            groups=tuple(indexes),
        )
        for cell, indexes in groups.items()
        if cell.level is not None and cell.wanted is not None
    ]

    def order(each: ReportedFinding) -> tuple[int, int, str, tuple[int, ...]]:
        return -badness(each.verdict), -catalogue.action(each.action).severity.rank, each.action, each.groups

    return tuple(sorted(made, key=order))


def _actions(catalogue: Catalogue, groups: Iterable[Group]) -> tuple[ReportedAction, ...]:
    judged = {action for group in groups for action in group.verdicts}
    listed = sorted(catalogue.actions, key=lambda each: -each.severity.rank)
    return tuple(
        ReportedAction(id=each.id, title=each.title, severity=each.severity) for each in listed if each.id in judged
    )
