"""Where API servers that are only observed record less than a policy asks for: nothing here can mend it, so it is said.

Errs on the side of saying too much: two rules count as meeting unless it is clear that no request reaches both.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.explanation_text import describe_rule
from audit_operator.policy.model import Rule
from audit_operator.policy.predicate import ALL_RESOURCES, ALL_URLS, Predicate, ResourceTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.policy.contribution import Reach
    from audit_operator.policy.model import Policy

SHORTFALL = "recorded-below-asked"
_MOST = 10
"""Rules per policy that are named one by one."""

_MEND = "their policy is somebody else's: ask whoever owns it, or do without"

Limits = tuple[tuple[Rule, ...], ...]


def shortfalls(asked: Policy, own_rules: int, reach: Reach, limits: Limits, given: Policy) -> tuple[Finding, ...]:
    """A finding for each rule of `asked` of which `given` records less, and one for what is left out of the records.

    Args:
        asked: the rules of one object, with those of its preset.
        own_rules: how many of them the author has written; the others are the preset's.
        reach: the requests that the object is about.
        limits: what cluster-wide policies forbid there; nobody falls short by obeying them.
        given: the policy of the API servers.
    """
    return _shortfalls(asked, own_rules, tuple(_universes(reach)), limits, given)


@lru_cache(maxsize=1024)  # most policies are alike
def _shortfalls(
    asked: Policy, own_rules: int, universes: tuple[Predicate, ...], limits: Limits, given: Policy
) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    left_out: set[str] = set()
    earlier: list[Predicate] = []
    for index, rule in enumerate(asked.rules):
        reached = [both for each in universes if (both := each.intersect(Predicate.from_rule(rule)))]
        lower: tuple[Level, Rule | None] | None = None
        for requests, actual in (pair for each in reached for pair in _meeting(each, earlier, given)):
            level = actual.level if actual else Level.NONE
            if level < _allowed(requests, rule.level, limits) and (lower is None or level < lower[0]):
                lower = level, actual
            if actual and Level.NONE not in (level, rule.level):
                left_out |= _left_out(asked, rule, given, actual)
        if lower is not None:
            findings.append(_below(index, own_rules, rule.level, *lower))
        earlier.extend(reached)
    if len(findings) > _MOST:
        findings[_MOST:] = [_more(len(findings) - _MOST)]
    if left_out:
        findings.append(_incomplete(left_out))
    return tuple(findings)


def _universes(reach: Reach) -> Iterator[Predicate]:
    """The sets of requests that a policy is about."""
    namespaces = reach.namespaces | ({""} if reach.cluster else frozenset())
    if reach.unseen_namespaces:
        yield Predicate(target=ALL_RESOURCES)
    elif namespaces:
        yield Predicate(target=ResourceTarget(namespaces))
    if reach.non_resource:
        yield Predicate(target=ALL_URLS)


def _meeting(
    requests: Predicate, earlier: Iterable[Predicate], given: Policy
) -> Iterator[tuple[Predicate, Rule | None]]:
    """The parts into which the given rules divide a set of requests, and the rule that decides about each part.

    None stands for no rule, which records nothing.
    """
    before = list(earlier)
    for rule in given.rules:
        both = requests.intersect(Predicate.from_rule(rule))
        if both is None:
            continue
        if not any(both.is_within(each) for each in before):
            yield both, rule
        if both == requests:
            return
        before.append(both)
    if not any(requests.is_within(each) for each in before):
        yield requests, None


def _allowed(requests: Predicate, level: Level, limits: Limits) -> Level:
    """The level that is asked for, or a lower one where limits surely forbid more."""
    for each in limits:
        for rule in each:
            both = requests.intersect(Predicate.from_rule(rule))
            if both is None:
                continue
            if both == requests:
                level = min(level, rule.level)
            break
    return level


def _left_out(asked: Policy, rule: Rule, given: Policy, actual: Rule) -> set[str]:
    """What records of both rules would hold, and those of the given one do not."""
    missing = {str(each) for each in (given.omit_stages | actual.omit_stages) - asked.omit_stages - rule.omit_stages}
    return {f"the stage {each}" for each in missing}


def _below(index: int, own_rules: int, wanted: Level, level: Level, actual: Rule | None) -> Finding:
    decides = f"rule: {describe_rule(actual)}" if actual else "no rule matches"
    return Finding(
        id=SHORTFALL,
        severity=Severity.WARNING,
        message=f"asks for {wanted}, and those API servers record some of it at {level} ({decides})",
        mend=_MEND,
        path=f"spec.rules[{index}]" if index < own_rules else "spec.preset",
        rule=index if index < own_rules else None,
    )


def _more(number: int) -> Finding:
    return Finding(
        id=SHORTFALL,
        severity=Severity.WARNING,
        message=f"those API servers record less than {number} more rules ask for",
        mend=_MEND,
        path="spec.rules",
    )


def _incomplete(left_out: Iterable[str]) -> Finding:
    return Finding(
        id=SHORTFALL,
        severity=Severity.INFO,
        message=f"those API servers leave out of some records: {', '.join(sorted(left_out))}",
        mend="write omitStages if you can do without",
        path="spec.omitStages",
    )
