"""What people want to be told of: requests that should not happen, or not so often, in the words of audit events."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import ATOMIC, Constraint, Pattern
from audit_operator.api.model import ApiModel
from audit_operator.api.rules import GroupResources, StageList, Verb
from audit_operator.api.text import ObjectName, Timeout

MAX_PATTERNS = 16

NamePattern = Annotated[str, Field(min_length=1, max_length=256)]
NamePatterns = Annotated[tuple[NamePattern, ...], Field(max_length=MAX_PATTERNS), ATOMIC]
SelectedVerbs = Annotated[tuple[Verb, ...], Field(max_length=16), ATOMIC]
SelectedResources = Annotated[tuple[GroupResources, ...], Field(max_length=4), ATOMIC]
StatusCode = Annotated[int, Field(ge=100, le=599)]
FieldPath = Annotated[
    str,
    Field(max_length=256),
    Pattern(
        "^(requestObject|responseObject|annotations|impersonatedUser|responseStatus|userAgent)([.][^.]+)*$",
        "must begin with requestObject, responseObject, annotations, impersonatedUser, responseStatus or userAgent",
    ),
]
Latency = Annotated[
    str,
    Field(max_length=7),
    # The API server notes the time of slower requests alone.
    Pattern(
        "^(([5-9][0-9]{2}|[1-9][0-9]{3,4})ms|[1-9][0-9]{0,4}s)$",
        "must be a whole number with ms or s, such as 800ms, and 500ms at the least",
    ),
]


class DetectionSeverity(StrEnum):
    """How bad it is; ordered Low < Medium < High < Critical by `rank`."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"

    @property
    def rank(self) -> int:
        """Position on the scale, 0 for Low to 3 for Critical."""
        return list(DetectionSeverity).index(self)


class DetectionKey(StrEnum):
    """What events are told apart by."""

    USER = "User"
    SOURCE = "Source"
    """The address that the API server saw; those before it in sourceIPs are what the client says."""
    NAMESPACE = "Namespace"
    RESOURCE = "Resource"
    OBJECT = "Object"
    VERB = "Verb"
    USER_AGENT = "UserAgent"


class DetectionPreset(StrEnum):
    """Detections that ship with the operator."""

    UNAUTHENTICATED_BURST = "UnauthenticatedBurst"
    FORBIDDEN_BURST = "ForbiddenBurst"
    SECRET_ENUMERATION = "SecretEnumeration"  # noqa: S105 - a name, and no secret
    EXEC = "Exec"
    CLUSTER_ADMIN_BINDING = "ClusterAdminBinding"
    TOKEN_MINTING = "TokenMinting"  # noqa: S105 - a name, and no secret
    AUDIT_TAMPERING = "AuditTampering"
    ANONYMOUS_ACCESS = "AnonymousAccess"
    DELETE_COLLECTION_STORM = "DeleteCollectionStorm"
    SLOW_ENDPOINT = "SlowEndpoint"
    FAILING_ENDPOINT = "FailingEndpoint"


class FieldTest(ApiModel):
    """A field of an event that must be there."""

    path: FieldPath = Field(description="With dots: requestObject.roleRef.name. Lists on the way are gone through.")
    values: NamePatterns = Field(default=(), description="One must fit; '*' is anything. Empty: any value.")


class Selection(ApiModel):
    """Which events count. Every field that is set must match."""

    users: NamePatterns = Field(default=(), description="User names, before impersonation; '*' is anything.")
    except_users: NamePatterns = Field(default=(), description="User names that do not count; '*' is anything.")
    user_groups: NamePatterns = Field(default=(), description="One of the user's groups must fit; '*' is anything.")
    verbs: SelectedVerbs = Field(default=(), description="API verbs. kubectl exec arrives as get or as create.")
    resources: SelectedResources = Field(default=(), description="One entry must match, as in rules.")
    namespaces: NamePatterns = Field(default=(), description="'*' is anything. Empty: also requests without one.")
    except_namespaces: NamePatterns = Field(default=(), description="Namespaces that do not count.")
    status_codes: Annotated[tuple[StatusCode, ...], Field(max_length=MAX_PATTERNS), ATOMIC] = Field(
        default=(), description="HTTP status codes of the response."
    )
    slower_than: Latency | None = Field(
        default=None,
        description="Least time that the request took, by the annotation apiserver.latency.k8s.io/total, which the API "
        "server makes of requests above 500ms.",
    )
    fields: Annotated[tuple[FieldTest, ...], Field(max_length=8), ATOMIC] = Field(
        default=(), description="Other fields of the event, such as those of bodies. All must match."
    )
    stages: StageList = Field(
        default=(),
        description="Stages whose events count. Empty: the end of each request, so that each counts once.",
    )


class Detection(ApiModel):
    """Something to be told of: what, and how often within which time. What is absent is as the preset says."""

    name: ObjectName = Field(description="What it is called in results.")
    preset: DetectionPreset | None = Field(default=None, description="A detection that ships with the operator.")
    selection: Selection | None = Field(default=None, description="Which events count; in place of the preset's.")
    threshold: int | None = Field(default=None, ge=1, le=10_000, description="How many events it takes. Default: 1.")
    distinct: DetectionKey | None = Field(
        default=None,
        description="Count different values of this, and not events: how many Secrets, not how many reads.",
    )
    window: Timeout | None = Field(default=None, description="Within which time. Default: 5m.")
    group_by: Annotated[tuple[DetectionKey, ...], Field(max_length=4), ATOMIC] = Field(
        default=(), description="What is counted separately: each user, each source. Empty: as the preset says, or all."
    )
    severity: DetectionSeverity | None = Field(default=None, description="How bad it is. Default: Medium.")

    constraints = (
        Constraint(
            rule="has(self.preset) || has(self.selection)",
            message="must have a preset or a selection: without either, nothing is looked for",
            holds=lambda self: self.preset is not None or self.selection is not None,
        ),
    )
