"""What live probes have shown, place by place: of namespaces by their own policies, of the cluster by the cluster-wide.

A cluster-wide policy says what was verified anywhere, which proves nothing of one namespace.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.policy_status import Proof
    from audit_operator.report.model import ReportedPolicy

CLUSTER = ""


@dataclass(frozen=True, slots=True)
class Proved:
    """Of one place, ids of actions; `oldest` is the day of the oldest probe that counts, or empty."""

    verified: frozenset[str]
    contradicted: frozenset[str]
    missing: frozenset[str]
    oldest: str

    @classmethod
    def of(cls, proofs: Iterable[Proof]) -> Proved:
        """What several policies of a place say together: what one of them says against an action counts."""
        proofs = tuple(proofs)
        contradicted = frozenset(action for each in proofs for action in each.contradicted_actions)
        missing = frozenset(action for each in proofs for action in each.missing_actions) - contradicted
        verified = frozenset(action for each in proofs for action in each.verified_actions) - contradicted - missing
        return cls(verified, contradicted, missing, min((each.oldest for each in proofs if each.oldest), default=""))


def proofs_of(policies: Iterable[ReportedPolicy]) -> Mapping[str, Proved]:
    """By namespace, and for the cluster; places of which nothing is known are absent."""
    found: defaultdict[str, list[Proof]] = defaultdict(list)
    for each in policies:
        if each.proof is not None and not each.outdated:
            found[each.namespace or CLUSTER].append(each.proof)
    return {place: Proved.of(proofs) for place, proofs in found.items()}
