"""What was observed, as values: what a verdict may rest on, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.compliance.controls import EvidenceKind
    from audit_operator.coverage.verdicts import Coverage


class Standing(StrEnum):
    """What an observation says about the evidence that is asked for."""

    HOLDS = "Holds"
    FAILS = "Fails"
    NOT_OBSERVED = "NotObserved"
    NOT_APPLICABLE = "NotApplicable"


class LiveProof(StrEnum):
    """Whether a live probe has shown that the verdict on an action is true of the cluster."""

    VERIFIED = "Verified"
    CONTRADICTED = "Contradicted"
    MISSING = "Missing"
    CLAIMED = "Claimed"


@dataclass(frozen=True, slots=True)
class Shown:
    """What live probes have shown of one action.

    Attributes:
        proof: what it comes to.
        said: what was found instead, where something was.
        seen: when, in RFC 3339; empty where nobody has noted it.
    """

    proof: LiveProof
    said: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One line of evidence.

    Attributes:
        standing: what it says.
        said: the observation in a sentence.
        source: where it stands: an action of the catalogue, or a line of an object's status.
        seen: when it was observed, or since when it is so, in RFC 3339; empty where nobody has noted it.
        proof: what live probes have shown of it; None where it is about no action of a cluster.
    """

    standing: Standing
    said: str
    source: str
    seen: str = ""
    proof: LiveProof | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a namespace, or about the cluster.

    Attributes:
        namespace: the namespace; empty: the cluster.
        coverage: verdicts on the critical actions there; None where the policy is not known.
        observed: the other evidence, by kind; what is absent was not observed.
        asked: hours for which every policy concerned asks stores to keep records, and to have them searchable at once;
            None where none ships.
        shown: what live probes have shown, by action; one that is absent is claimed, and nobody has proved it.
        as_written: whether a policy in a file is judged, which is in force nowhere: a pass then says what it would
            record wherever it is.
    """

    namespace: str
    coverage: Coverage | None
    observed: Mapping[EvidenceKind, tuple[Observation, ...]] = field(default_factory=dict)
    asked: tuple[int, int] | None = None
    shown: Mapping[str, Shown] = field(default_factory=dict)
    as_written: bool = False
