"""AuditPolicy: what must be recorded in one namespace, where it goes and how long it is kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from audit_operator.api.constraints import Constraint
from audit_operator.api.policy_spec import POLICY_COLUMNS, PolicySpec
from audit_operator.api.policy_status import AuditPolicyStatus
from audit_operator.api.resource import KindInfo, Resource
from audit_operator.api.rules import NamespacedRuleList


class AuditPolicySpec(PolicySpec):
    """What must be recorded in this namespace. It adds to what other policies record and can take nothing away."""

    rules: NamespacedRuleList = Field(
        default=(),
        description="Which requests in this namespace are recorded, and how much of them. The first rule that matches "
        "decides; what no rule of rules and preset matches, this policy does not ask for.",
    )

    constraints = (
        Constraint(
            rule="(has(self.rules) && size(self.rules) > 0) || has(self.preset)",
            message="needs rules or a preset: without either it would record nothing",
            holds=lambda self: bool(self.rules) or self.preset is not None,
        ),
    )


class AuditPolicy(Resource):
    """AuditPolicy says what must be recorded in its namespace, where the records go, and how long they are kept.

    Status says what is really covered. Whoever may create one can read whatever it records.
    """

    info: ClassVar[KindInfo] = KindInfo(
        plural="auditpolicies", singular="auditpolicy", short_name="aup", namespaced=True, columns=POLICY_COLUMNS
    )

    kind: Literal["AuditPolicy"] = Field(default="AuditPolicy", description="AuditPolicy.")
    spec: AuditPolicySpec = Field(description="What is wanted.")
    status: AuditPolicyStatus | None = Field(default=None, description="What is true.")
