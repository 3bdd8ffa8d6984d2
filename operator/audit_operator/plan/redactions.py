"""What a policy wants taken out and what is not: it stays in the records, so its author must hear of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.shipping.redaction.own_pattern import (
    LARGEST_TOGETHER,
    MOST_TOGETHER,
    OwnPattern,
    Refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.redaction import Redaction

REFUSED = "redaction-pattern-refused"
SURPLUS = "redaction-pattern-surplus"
OVERRULED = "redaction-overruled"


@dataclass(frozen=True, slots=True)
class OwnPatterns:
    """Of one policy: those that are applied, and why others are not."""

    applied: tuple[OwnPattern, ...]
    findings: tuple[Finding, ...]


def own_patterns(policies: Iterable[AuditPolicy | ClusterAuditPolicy]) -> dict[ObjectRef, OwnPatterns]:
    """The patterns of each policy that has any.

    What the policies of one namespace have together is bounded as what one of them has: each pattern runs over every
    event of the namespace, in a shipper that others share. The policies come in the order of their names, so that the
    same ones count for the same objects.
    """
    found: dict[ObjectRef, OwnPatterns] = {}
    counted: defaultdict[str, set[OwnPattern]] = defaultdict(set)
    for policy in sorted(policies, key=lambda each: each.metadata.name):
        if policy.spec.redaction is not None and policy.spec.redaction.patterns:
            namespace = policy.metadata.namespace
            # Those of the platform's policies are not bounded: whoever writes them has the shippers in hand anyway.
            before = counted[namespace] if namespace else set()
            found[policy.ref] = _own_patterns(policy, policy.spec.redaction, before)
    return found


def _own_patterns(
    policy: AuditPolicy | ClusterAuditPolicy, redaction: Redaction, before: set[OwnPattern]
) -> OwnPatterns:
    applied, findings = [], []
    for number, each in enumerate(redaction.patterns):
        path = f"spec.redaction.patterns[{number}].regex"
        match OwnPattern.parse(each.name, each.regex, each.replacement):
            case Refused(reason):
                findings.append(_refused(each.name, reason, path))
            case OwnPattern() as own if own in before or _has_room(before, own):
                before.add(own)
                applied.append(own)
            case _:
                findings.append(_surplus(policy, each.name, path))
    return OwnPatterns(tuple(applied), tuple(findings))


def _has_room(before: set[OwnPattern], another: OwnPattern) -> bool:
    size = sum(each.size for each in before) + another.size
    return len(before) < MOST_TOGETHER and size <= LARGEST_TOGETHER


def _refused(name: str, reason: str, path: str) -> Finding:
    return Finding(
        REFUSED,
        Severity.ERROR,
        f"the pattern {name!r} is not applied: {reason}",
        mend="write one that is bounded and matches text; docs/redaction.md says what may stand in it",
        path=path,
    )


def _surplus(policy: AuditPolicy | ClusterAuditPolicy, name: str, path: str) -> Finding:
    return Finding(
        SURPLUS,
        Severity.ERROR,
        f"the pattern {name!r} of {policy.ref} is not applied: the policies of its namespace have more than "
        f"{MOST_TOGETHER} patterns together, or with repetitions written out more than {LARGEST_TOGETHER} characters",
        mend="put several into one, with (?:a|b), or leave some out; policies count in the order of their names",
        path=path,
    )


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
