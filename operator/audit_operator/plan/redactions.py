"""Patterns of a policy that cannot be used: what they were to take out stays in, so their author must hear of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.shipping.redaction.own_pattern import OwnPattern, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy

REFUSED = "redaction-pattern-refused"


def refused_patterns(policy: AuditPolicy | ClusterAuditPolicy) -> Iterator[Finding]:
    """A finding for each pattern that the shipper leaves out."""
    if policy.spec.redaction is None:
        return
    for number, each in enumerate(policy.spec.redaction.patterns):
        match OwnPattern.parse(each.name, each.regex, each.replacement):
            case Refused(reason):
                yield Finding(
                    REFUSED,
                    Severity.ERROR,
                    f"the pattern {each.name!r} is not applied: {reason}",
                    mend="write one that is bounded and matches text; docs/redaction.md says what may stand in it",
                    path=f"spec.redaction.patterns[{number}].regex",
                )
