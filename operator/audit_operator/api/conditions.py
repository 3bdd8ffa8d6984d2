"""Conditions: what is true about an object now, in the vocabulary of the Gateway API.

Every reason that the operator can give is listed here with its meaning, so that documentation and tests can walk them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from audit_operator.api.constraints import ListType
from audit_operator.api.model import ApiModel
from audit_operator.api.text import Timestamp


class ConditionType(StrEnum):
    """What a condition is about, in the order in which status shows them."""

    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"
    SHIPPING = "Shipping"
    RETENTION_ENFORCED = "RetentionEnforced"
    SEALED = "Sealed"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition has its status; `meaning` says it in a sentence for the reference."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:  # noqa: D102 - the class docstring says what the parts are
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # Accepted
    ACCEPTED = "Accepted", "The spec is valid and takes part in the policy."
    INVALID = "Invalid", "The spec breaks a rule that the message names with the field; the object takes no part."
    CONFLICTED = "Conflicted", "Another object claims the same role, such as a second default control plane."

    # ResolvedRefs
    RESOLVED_REFS = "ResolvedRefs", "Everything that the spec names exists and may be used."
    CONTROL_PLANE_NOT_FOUND = "ControlPlaneNotFound", "controlPlaneRef names an AuditControlPlane that does not exist."
    NO_DEFAULT_CONTROL_PLANE = "NoDefaultControlPlane", "No controlPlaneRef is set and no control plane is the default."
    SINK_NOT_FOUND = "SinkNotFound", "A sinkRef names a sink that does not exist."
    SINK_NOT_PERMITTED = "SinkNotPermitted", "A sink may not be used by this policy; the message says why."
    CATALOGUE_NOT_FOUND = "CatalogueNotFound", "A catalogueRef names a ConfigMap that does not exist."
    CATALOGUE_INVALID = "CatalogueInvalid", "A catalogue of critical actions cannot be read; the message says why."

    GIVEN_POLICY_NOT_FOUND = (
        "GivenPolicyNotFound",
        "spec.observe.policyRef names a ConfigMap, or a key in it, that does not exist or lacks the label.",
    )
    GIVEN_POLICY_INVALID = (
        "GivenPolicyInvalid",
        "The policy that spec.observe.policyRef names is none that an API server loads; the message says why.",
    )

    # Programmed
    PROGRAMMED = "Programmed", "Every API server runs, ready, with the digest that this object is part of."
    PENDING = (
        "Pending",
        "The policy is on its way, not every API server runs with it; or a deletion of records is due or announced.",
    )
    NOT_OBSERVED = (
        "NotObserved",
        "The policy was handed over, and nobody can see yet whether an API server runs with it.",
    )
    GIVEN = (
        "Given",
        "The API servers run a policy of somebody else; it is taken as given, and nobody has seen that it runs.",
    )
    POLICY_REFUSED = (
        "PolicyRefused",
        "The compiled policy was refused before delivery; the last good one stays in force.",
    )
    TOO_LARGE = (
        "TooLarge",
        "The compiled policy exceeds a bound of the control plane; the last good one stays in force.",
    )
    ROLLED_BACK = "RolledBack", "An API server did not become ready with the policy and runs with its last good one."
    PAUSED = "Paused", "spec.rollout.paused is true; API servers stay as they are."
    PINNED = "Pinned", "spec.rollout.pinnedDigest keeps the API servers on an earlier policy."
    ADOPTION_REQUIRED = (
        "AdoptionRequired",
        "An API server has an audit policy of somebody else; spec.adopt: true lets it be replaced.",
    )
    FOREIGN_CHANGE = "ForeignChange", "Somebody else has changed our part of an API server's manifest; nothing is done."
    UNENROLLED = "Unenrolled", "spec.staticPod.enrolled is false: the nodes have back what was there before."
    NODE_BLOCKED = "NodeBlocked", "A node cannot be changed until somebody does what the message says."
    DELIVERY_FAILED = "DeliveryFailed", "The policy could not be handed over; the message says where and why."
    NO_POLICY = "NoPolicy", "No accepted policy asks for anything, so that there is nothing to deliver."

    # Shipping
    SHIPPING = "Shipping", "Every shipper runs as planned, and every sink takes what is sent to it."
    NOTHING_YET = "NothingYet", "The shippers run as planned, and nothing has been sent to the sink yet."
    SINK_NOT_USABLE = "SinkNotUsable", "The shippers cannot write to the sink as it is; the message says why."
    SHIPPER_DOWN = "ShipperDown", "A shipper does not run or does not answer; what it has not sent waits on its disk."
    SHIPPER_OUTDATED = (
        "ShipperOutdated",
        "A shipper runs an earlier configuration: the new one is on its way, or was refused, as the message says.",
    )
    BACKLOG = (
        "Backlog",
        "Records wait: the sink takes none, or too few, or a shipper reads too few; the message says what to look at.",
    )
    LOSSY = (
        "Lossy",
        "Within the last hour, records were given up, not kept, or thrown away by the store; see the message.",
    )
    PROBE_CONTRADICTED = (
        "ProbeContradicted",
        "What a sink has of a live probe is not what the policies ask for; the message says in what it differs.",
    )
    PROBE_MISSING = (
        "ProbeMissing",
        "Records of a live probe were not found in a sink in time; the message says which.",
    )
    SINK_UNREACHABLE = (
        "SinkUnreachable",
        "The operator, which asks the store itself, gets no answer; what was proved before, if anything, stays.",
    )
    SINK_UNAUTHENTICATED = (
        "SinkUnauthenticated",
        "Nothing has been sent to the sink yet, and the store does not accept its credentials, or there are none.",
    )
    SINK_REFUSING = (
        "SinkRefusing",
        "The store answers, and takes no records at the sink's address; the message says what it does.",
    )
    SIDECARS_MISSING = (
        "SidecarsMissing",
        "Not all application logs are collected: pods carry no sidecar, or it cannot send; see status.sidecars.",
    )
    SIDECARS_SILENT = (
        "SidecarsSilent",
        "The sidecars were asked what they have counted, and none answers: nobody knows whether they ship.",
    )

    # Accepted, Ready, Stalled
    INTERNAL_ERROR = (
        "InternalError",
        "A defect of the operator: it cannot work with this; what was in force stays, and its log says more.",
    )

    # RetentionEnforced
    ENFORCED = "Enforced", "Every sink was asked, keeps records as long as asked, and has none that are older."
    PARTIAL = "Partial", "A sink keeps records shorter, or longer, than asked; the message says what mends it."
    UNSUPPORTED = (
        "Unsupported",
        "A sink cannot do what is asked, or cannot be asked about it: its owner has to declare it there by hand.",
    )
    DRIFTED = "Drifted", "A sink kept records as asked, and its settings were changed by somebody else."
    CONFLICT = "Conflict", "Policies contradict each other; the longer minimum counts until a person decides."
    NOT_VERIFIED = "NotVerified", "The sink, or the one that has its seals, has not been asked yet."

    # Sealed
    SEALED = "Sealed", "Every interval that is over is sealed, and no verification speaks against the store."
    SEAL_MISSING = (
        "SealMissing",
        "An interval that is long over has no seal, or a seal is gone; the message says which.",
    )
    SEAL_INVALID = "SealInvalid", "A seal is not what a trusted key has signed, or was deleted or written again."
    SEAL_REPLACED = "SealReplaced", "A seal is another than the one that was there: it was deleted and made anew."
    VERIFY_FAILED = "VerifyFailed", "A verification found records or seals that are not as they were sealed."
    VERIFY_OVERDUE = (
        "VerifyOverdue",
        "Not everything that must be there was compared with its seals in time, or a report of that is gone.",
    )

    # Shipping, RetentionEnforced, Sealed
    NOT_REQUESTED = "NotRequested", "The spec does not ask for it."
    NOT_IMPLEMENTED = "NotImplemented", "This release of the operator does not do it yet, and does not claim to."

    # Ready, Reconciling, Stalled
    READY = "Ready", "Everything that the spec asks for, and that this release does, is true."
    PROGRESSING = "Progressing", "The operator is working towards the spec."
    WAITING_FOR_USER = "WaitingForUser", "Nothing more will happen until somebody changes what the message names."


class Condition(ApiModel):
    """One condition, in the shape of `metav1.Condition`."""

    type: ConditionType = Field(description="What the condition is about.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Reason = Field(description="Why, as one word; the reference lists them.")
    message: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Why, as a sentence, with the object concerned and what mends it."
    )
    observed_generation: int | None = Field(
        default=None, description="Generation of the object that the condition speaks about."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed between True, False and Unknown.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=8), ListType("map", ("type",))]
