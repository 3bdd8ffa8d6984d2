"""Seals of a store: where they are and who signs them, and what its sink's status says about them.

What status says of the last seal is also what the operator remembers: a restart forgets nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import ATOMIC, Constraint, Pattern
from audit_operator.api.findings import Severity
from audit_operator.api.model import ApiModel
from audit_operator.api.retention import Lifetime
from audit_operator.api.text import Digest, Line, ObjectName, Timestamp, Word, cel_hours, hours

MOST_FINDINGS = 32
_MOST_KEYS = 8
_MOST_ACCEPTED = 32

PublicKey = Annotated[
    str,
    Field(max_length=128),
    Pattern(
        r"^-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA[A-Za-z0-9+/]{43}=\n-----END PUBLIC KEY-----\n?$",
        "must be a public key of type Ed25519 in PEM, as audit-operator seal --new-key writes it into FILE.pub",
    ),
]
PublicKeys = Annotated[tuple[PublicKey, ...], Field(min_length=1, max_length=_MOST_KEYS), ATOMIC]
SealDigest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)]
Ordinal = Annotated[int, Field(ge=0)]


class SealState(StrEnum):
    """What is true of a chain of seals, the worst last.

    Sealed: every interval that is over has a seal, and nothing speaks against the store.
    VerifyOverdue: not everything that must be there was compared with the store lately, or a report of that is gone.
    VerifyFailed: records, or seals, are not as they were sealed.
    SealMissing: an interval that is long over has no seal, or a seal is gone.
    SealInvalid: a seal is not what a trusted key has signed, or was meddled with.
    SealReplaced: a seal is another than the one that was there.
    """

    SEALED = "Sealed"
    VERIFY_OVERDUE = "VerifyOverdue"
    VERIFY_FAILED = "VerifyFailed"
    SEAL_MISSING = "SealMissing"
    SEAL_INVALID = "SealInvalid"
    SEAL_REPLACED = "SealReplaced"


class ArchiveRef(ApiModel):
    """Names a ClusterAuditSink."""

    name: ObjectName = Field(description="Name of a ClusterAuditSink of type S3.")


class SealVerification(ApiModel):
    """Who verifies, and how often."""

    public_keys: PublicKeys = Field(
        description="Public keys (PEM, Ed25519) of whoever runs audit-operator verify --report-key. Reports that none "
        "of them has signed do not count."
    )
    kept_for: Lifetime = Field(
        default="30d", description="Age up to which records must be there; --since of audit-operator verify."
    )
    everything_within: Lifetime = Field(
        default="7d",
        description="Time within which all of that must have been compared with its seals once; shorter than keptFor.",
    )

    constraints = (
        Constraint(
            rule=f"{cel_hours('self.everythingWithin')} < {cel_hours('self.keptFor')}",
            message="must be shorter than keptFor: records that are gone by then are never compared",
            holds=lambda self: hours(self.everything_within) < hours(self.kept_for),
            field="everythingWithin",
        ),
    )


class Seals(ApiModel):
    """Seals that somebody makes of the store, which the operator looks at; it makes none itself."""

    sink_ref: ArchiveRef = Field(
        description="The sink in whose bucket they are. The operator only reads there, with that sink's credentials."
    )
    public_keys: PublicKeys = Field(description="Public keys (PEM, Ed25519) of whoever signs seals.")
    cluster: Word = Field(default="", description="Value of --cluster of audit-operator seal.")
    namespace: Word = Field(default="", description="Value of --namespace of audit-operator seal.")
    within: Lifetime = Field(default="3h", description="For how long after its end an interval may be without a seal.")
    verification: SealVerification | None = Field(
        default=None, description="Absent: nobody is expected to verify, and nothing is said about the records."
    )
    accepted: Annotated[tuple[SealDigest, ...], Field(max_length=_MOST_ACCEPTED), ATOMIC] = Field(
        default=(),
        description="Digests of seals that are taken for good, though others had their numbers before; and of reports "
        "of verifications: one that is gone, or that took its place.",
    )


class RememberedSeal(ApiModel):
    """The last seal that was seen."""

    sequence: Ordinal = Field(description="Its number in the chain.")
    digest: Digest = Field(description="SHA-256 of its bytes. Another one in its place is a finding.")
    made_at: Timestamp = Field(description="When it was made, as it says.")
    until: Timestamp = Field(description="Up to when everything is sealed.")


class LastVerification(ApiModel):
    """The last verification of which there is a report that counts."""

    sequence: Ordinal = Field(description="Number of the report.")
    digest: Digest = Field(description="SHA-256 of its bytes. Another one in its place, or none, is told.")
    made_at: Timestamp = Field(description="When it was made, as it says.")
    since: Timestamp | None = Field(default=None, description="From when on records were compared with their seals.")
    until: Timestamp | None = Field(default=None, description="Up to when. Absent: none were compared.")
    records: Ordinal = Field(default=0, description="How many there were.")
    failure: Line = Field(default="", description="Why it ended early. Absent: it did not.")


class SealFinding(ApiModel):
    """Findings of one kind about one interval."""

    id: Word = Field(description="What it is; docs/integrity.md lists them.")
    severity: Severity = Field(description="Error or Warning.")
    since: Timestamp | None = Field(default=None, description="Begin of the interval. Absent: not known.")
    until: Timestamp | None = Field(default=None, description="End of the interval.")
    seal: Ordinal = Field(default=0, description="Number of the seal concerned. Absent: none.")
    count: Ordinal = Field(default=1, description="How many there are.")
    message: Line = Field(default="", description="That of the first.")


class SealsOfSink(ApiModel):
    """What was last seen of the seals of one sink."""

    chain: Line = Field(description="Where the seals are that this speaks about.")
    last: RememberedSeal | None = Field(default=None, description="The last seal; remembered to find it replaced.")
    verified: LastVerification | None = Field(default=None, description="The last verification.")
    findings: Annotated[tuple[SealFinding, ...], Field(max_length=MOST_FINDINGS), ATOMIC] = Field(
        default=(),
        description="What is wrong with seals, and with records as verifications found them; the worst first.",
    )
