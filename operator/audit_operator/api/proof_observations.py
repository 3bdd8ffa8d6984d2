"""What live probes have shown: values between whoever sends them, and `plan`, which says it in status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.policy_status import ProofOutcome


@dataclass(frozen=True, slots=True)
class ActionProof:
    """An action that is not verified, or about which there is more to say; `sink` None where it is about no sink."""

    action: str
    outcome: ProofOutcome
    message: str
    sink: ObjectRef | None = None


@dataclass(frozen=True, slots=True)
class PlaceProof:
    """Of a namespace, or of requests without one.

    Attributes:
        verified: ids of actions whose every record was found in every sink as predicted, the last time.
        findings: of the others, the worst first; an action of which nothing is known yet is in neither.
    """

    verified: frozenset[str] = frozenset()
    findings: tuple[ActionProof, ...] = ()
