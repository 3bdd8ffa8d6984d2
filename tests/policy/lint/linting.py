"""Short ways to lint a few rules and to name what was found."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from audit_operator.policy.lint import lint_text

if TYPE_CHECKING:
    from audit_operator.api.findings import Finding

CATCH_ALL = "- level: Metadata\n"


def policy_text(rules: str, head: str = "") -> str:
    """A policy with these rules, and with these lines above them."""
    lines = ["apiVersion: audit.k8s.io/v1", "kind: Policy", *textwrap.dedent(head).strip().splitlines(), "rules:"]
    return "\n".join(lines) + "\n" + textwrap.dedent(rules).strip() + "\n"


def lint_rules(rules: str, head: str = "", version: tuple[int, int] | None = None) -> tuple[Finding, ...]:
    """The findings about a policy with these rules."""
    return lint_text(policy_text(rules, head), file="policy.yaml", version=version)


def found(rules: str, check: str, head: str = "") -> list[int | None]:
    """The rules at which one check reports something, in order."""
    return [finding.rule for finding in lint_rules(rules, head) if finding.id == check]


def the_finding(rules: str, check: str, head: str = "") -> Finding:
    """The only finding of one check."""
    (finding,) = [finding for finding in lint_rules(rules, head) if finding.id == check]
    return finding
