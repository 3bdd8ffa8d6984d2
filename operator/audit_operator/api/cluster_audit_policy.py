"""ClusterAuditPolicy: what must, and what must never, be recorded across namespaces and beyond them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from audit_operator.api.constraints import SET, Constraint
from audit_operator.api.policy_spec import POLICY_COLUMNS, PolicySpec
from audit_operator.api.policy_status import AuditPolicyStatus
from audit_operator.api.resource import KindInfo, Resource
from audit_operator.api.rules import LimitList, RuleList
from audit_operator.api.selector import LabelSelector


class RequestScope(StrEnum):
    """The three sorts of request."""

    NAMESPACED = "Namespaced"
    CLUSTER = "Cluster"
    NON_RESOURCE = "NonResource"


class ClusterAuditPolicySpec(PolicySpec):
    """What must be recorded, and what never, for the requests that namespaceSelector and scopes pick."""

    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces that the policy is about, by their labels. Absent or empty: every namespace, also "
        "those that do not exist yet. It never filters requests that have no namespace.",
    )
    scopes: Annotated[tuple[RequestScope, ...], Field(min_length=1, max_length=3), SET] = Field(
        default=(RequestScope.NAMESPACED, RequestScope.CLUSTER, RequestScope.NON_RESOURCE),
        description="Sorts of request that the policy is about. Namespaced: in a namespace. Cluster: about objects "
        "without a namespace, and lists across all namespaces. NonResource: about URLs such as /metrics.",
    )
    rules: RuleList = Field(
        default=(),
        description="Which requests are recorded, and how much of them. The first rule that matches decides; what no "
        "rule of rules and preset matches, this policy does not ask for.",
    )
    limits: LimitList = Field(
        default=(),
        description="What must never be recorded above a level, whichever policy asks for it. The first limit that "
        "matches decides; the lowest of all policies' limits counts.",
    )

    constraints = (
        Constraint(
            rule="(has(self.rules) && size(self.rules) > 0) || has(self.preset) || "
            "(has(self.limits) && size(self.limits) > 0)",
            message="needs rules, a preset or limits: without any it would do nothing",
            holds=lambda self: bool(self.rules or self.limits) or self.preset is not None,
        ),
        Constraint(
            rule="!has(self.namespaceSelector) || 'Namespaced' in self.scopes",
            message="picks among namespaces, so that scopes must hold Namespaced",
            holds=lambda self: self.namespace_selector is None or RequestScope.NAMESPACED in self.scopes,
            field="namespaceSelector",
        ),
        Constraint(
            rule="!has(self.sinkRefs) || self.sinkRefs.all(sink, sink.kind == 'ClusterAuditSink')",
            message="must name ClusterAuditSinks: a cluster-wide policy has no namespace to look for an AuditSink in",
            holds=lambda self: all(sink.kind == "ClusterAuditSink" for sink in self.sink_refs),
            field="sinkRefs",
        ),
    )


class ClusterAuditPolicy(Resource):
    """ClusterAuditPolicy says what must, and what must never, be recorded across namespaces and beyond them.

    Status says what is really covered.
    """

    info: ClassVar[KindInfo] = KindInfo(
        plural="clusterauditpolicies",
        singular="clusterauditpolicy",
        short_name="caup",
        namespaced=False,
        columns=POLICY_COLUMNS,
    )

    kind: Literal["ClusterAuditPolicy"] = Field(default="ClusterAuditPolicy", description="ClusterAuditPolicy.")
    spec: ClusterAuditPolicySpec = Field(description="What is wanted.")
    status: AuditPolicyStatus | None = Field(default=None, description="What is true.")
