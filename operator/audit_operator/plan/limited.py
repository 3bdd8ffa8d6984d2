"""Which rules ask for more than a limit allows: their author should hear it from status, not from a missing record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.predicate import Predicate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.policy.contribution import Contribution
    from audit_operator.policy.model import Rule

_MOST = 10
"""Findings per policy; a rule list that is limited everywhere needs no more to be understood."""


def limits_in(namespace: str, contributions: Iterable[Contribution]) -> tuple[tuple[Rule, ...], ...]:
    """The lists of limits that reach a namespace."""
    return tuple(each.limits for each in contributions if each.limits and namespace in each.reach.namespaces)


def limited(rules: tuple[Rule, ...], limits: tuple[tuple[Rule, ...], ...], namespace: str) -> tuple[Finding, ...]:
    """A finding for each rule of which a limit takes something away."""
    relevant = tuple(
        tuple(rule for rule in each if not rule.namespaces or namespace in rule.namespaces) for each in limits
    )
    return _limited(rules, relevant)


@lru_cache(maxsize=1024)  # most policies are alike, and most limits are everybody's
def _limited(rules: tuple[Rule, ...], limits: tuple[tuple[Rule, ...], ...]) -> tuple[Finding, ...]:
    return tuple(_findings(rules, limits))[:_MOST]


def _findings(rules: tuple[Rule, ...], limits: tuple[tuple[Rule, ...], ...]) -> Iterator[Finding]:
    for index, rule in enumerate(rules):
        wanted = Predicate.from_rule(rule)
        for each in limits:
            lower = next((limit for limit in each if _cuts(limit, rule, wanted)), None)
            if lower is not None:
                yield Finding(
                    id="limited",
                    severity=Severity.INFO,
                    message=f"a cluster-wide limit allows {lower.level} at most for some of what this rule records at "
                    f"{rule.level}",
                    mend="ask whoever owns the ClusterAuditPolicy, or lower the level here",
                    path=f"spec.rules[{index}]",
                    rule=index,
                )
                break


def _cuts(limit: Rule, rule: Rule, wanted: Predicate) -> bool:
    return limit.level < rule.level and wanted.intersect(Predicate.from_rule(limit)) is not None
