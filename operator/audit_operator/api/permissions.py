"""Who is meant to have which rights, and who has them: parts of AuditControlPlane."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import ATOMIC, Constraint
from audit_operator.api.findings import Severity
from audit_operator.api.model import ApiModel
from audit_operator.api.policy_status import MAX_FINDINGS, Count
from audit_operator.api.text import Line, NamespaceName, Word


class SubjectKind(StrEnum):
    """What a binding can name."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"


class ExpectedSubject(ApiModel):
    """Somebody who is meant to have all the rights that they have."""

    kind: SubjectKind = Field(description="User, Group or ServiceAccount.")
    name: Annotated[str, Field(min_length=1, max_length=256)] = Field(description="Name, as bindings have it.")
    namespace: NamespaceName | None = Field(default=None, description="Namespace of a ServiceAccount.")

    constraints = (
        Constraint(
            rule="(self.kind == 'ServiceAccount') == has(self.namespace)",
            message="must be set for a ServiceAccount, and for nobody else",
            holds=lambda self: (self.kind == "ServiceAccount") == (self.namespace is not None),
            field="namespace",
        ),
    )


class PermissionsSpec(ApiModel):
    """How the roles and bindings of the cluster are judged."""

    expected: Annotated[tuple[ExpectedSubject, ...], Field(max_length=64), ATOMIC] = Field(
        default=(), description="Who is no finding, besides Kubernetes' own components and ours."
    )


class Holders(ApiModel):
    """Users, service accounts and groups whom bindings name; a group counts once."""

    subjects: Count = Field(description="How many have such rights.")
    unexpected: Count = Field(description="Of these, how many nobody expects.")


class PermissionFinding(ApiModel):
    """Somebody has rights that nobody expects, by one role. Names of people are personal data."""

    severity: Severity = Field(description="Warning or Error.")
    subject: Line = Field(description="Who, by kind and name.")
    may: Annotated[tuple[Word, ...], Field(max_length=10), ATOMIC] = Field(
        description="Ids of accesses, the worst first; docs/permissions.md explains them."
    )
    more: Count = Field(default=0, description="Number of further accesses.")
    where: Line = Field(description="In which namespaces, or everywhere.")
    through: Line = Field(description="By which binding and role.")
    mend: Line = Field(description="What to do about it.")


class Permissions(ApiModel):
    """Who may read records, write policies and switch auditing off, as roles and bindings say.

    Members of system:masters, of groups, and what other authorizers allow cannot be seen there.
    """

    readers: Holders | None = Field(default=None, description="Who may read what was recorded. Absent: not known.")
    writers: Holders | None = Field(
        default=None, description="Who may decide what is recorded, and where it goes. Absent: not known."
    )
    can_disable: Holders | None = Field(
        default=None, description="Who may switch auditing off, or destroy what was recorded. Absent: not known."
    )
    findings: Annotated[tuple[PermissionFinding, ...], Field(max_length=MAX_FINDINGS), ATOMIC] = Field(
        default=(), description="What nobody expects, worst first."
    )
    more: Count = Field(default=0, description="Number of further findings; `audit-operator permissions` has all.")
    message: Line = Field(default="", description="Why nothing is known.")
