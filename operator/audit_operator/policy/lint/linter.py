"""All checks, and running them on one policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding
from audit_operator.policy.document import format_path
from audit_operator.policy.known_resources import KnownResources, KubernetesVersion, known_resources
from audit_operator.policy.lint import (
    blind_spots,
    bodies,
    idle_rules,
    noise,
    resources,
    urls,
    values,
    versions,
    written,
)
from audit_operator.policy.lint.check import Check, Report, Role, Subject

if TYPE_CHECKING:
    from audit_operator.policy.document import JsonValue
    from audit_operator.policy.model import Policy

CHECKS: tuple[Check, ...] = (
    *written.CHECKS,
    *values.CHECKS,
    *resources.CHECKS,
    *urls.CHECKS,
    *idle_rules.CHECKS,
    *blind_spots.CHECKS,
    *bodies.CHECKS,
    *noise.CHECKS,
    *versions.CHECKS,
)


def lint_policy(
    policy: Policy,
    *,
    version: KubernetesVersion | None = None,
    known: KnownResources | None = None,
    role: Role = Role.WHOLE,
    written: JsonValue = None,
) -> tuple[Finding, ...]:
    """Run every check that applies; findings by rule, those about the policy as a whole first.

    Args:
        policy: the rules.
        version: oldest Kubernetes version that is to read the policy; None if unknown.
        known: the resources that exist, by default those built into Kubernetes.
        role: what the rules are for.
        written: the policy as written (the mapping that holds `rules`), for checks of what the model cannot show.
    """
    subject = Subject(policy, known or known_resources(), version, role, written)
    findings = [_finding(check, report) for check in CHECKS if role in check.roles for report in check.run(subject)]
    return tuple(sorted(findings, key=lambda each: -1 if each.rule is None else each.rule))


def _finding(check: Check, report: Report) -> Finding:
    path = report.path if report.rule is None else ("rules", report.rule, *report.path)
    return Finding(
        id=check.id,
        severity=report.severity or check.severity,
        message=report.message,
        mend=report.mend,
        path=format_path(path),
        rule=report.rule,
    )
