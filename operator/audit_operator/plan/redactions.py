"""What a policy wants taken out and what is not: it stays in the records, so its author must hear of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.shipping.redaction.own_pattern import OwnPattern, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.redaction import Redaction

REFUSED = "redaction-pattern-refused"
OVERRULED = "redaction-overruled"


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


def without_own(redaction: Redaction) -> Redaction:
    """What counts of a tenant's wishes where a cluster-wide policy ships the same events: the built-in profiles."""
    return redaction.model_copy(update={"patterns": (), "pseudonymize": ()})


def overruled(policy: AuditPolicy | ClusterAuditPolicy, shared: frozenset[str]) -> Iterator[Finding]:
    """A finding for each wish that does not count; `shared` has the namespaces that cluster-wide policies ship."""
    redaction = policy.spec.redaction
    if redaction is None or policy.metadata.namespace not in shared:
        return
    for field, wished in (("patterns", redaction.patterns), ("pseudonymize", redaction.pseudonymize)):
        if wished:
            yield Finding(
                OVERRULED,
                Severity.WARNING,
                "it is not applied: a cluster-wide policy ships the same records, and nobody may blank those",
                mend="ask its owner to take it up there; the profiles of this policy do count",
                path=f"spec.redaction.{field}",
            )
