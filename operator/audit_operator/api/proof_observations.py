"""What live probes have shown: values between whoever sends them, and `plan`, which says it in status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003  # pydantic reads the annotations where proof is remembered

from audit_operator.api.findings import ObjectRef  # noqa: TC001  # as above
from audit_operator.api.policy_status import ProofOutcome  # noqa: TC001  # as above


@dataclass(frozen=True, slots=True)
class ActionProof:
    """An action that is not verified, or about which there is more to say; `sink` None where it is about no sink."""

    action: str
    outcome: ProofOutcome
    message: str
    sink: ObjectRef | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """The last probe of each request in one sink: how many could be judged, and how many were wrong or missing.

    Attributes:
        verified: ids of those verified actions of which some request was judged in this sink.
    """

    sink: ObjectRef
    judged: int
    wrong: int
    verified: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlaceProof:
    """Of a namespace, or of requests without one.

    Attributes:
        verified: ids of actions whose every record was found in every sink as predicted, the last time.
        findings: of the others, the worst first; an action of which nothing is known yet is in neither.
        tallies: by sink, in order.
        oldest: day, in UTC, on which the oldest of these probes was sent; None where none was.
    """

    verified: frozenset[str] = frozenset()
    findings: tuple[ActionProof, ...] = ()
    tallies: tuple[Tally, ...] = ()
    oldest: date | None = None
