"""Rules in the shape that everybody knows from `audit.k8s.io/v1`, first match wins inside one list.

They differ from upstream's in being refused where upstream would accept them and never match: no rule that looks as if
it recorded something may record nothing.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.audit import Level, Stage
from audit_operator.api.constraints import ATOMIC, SET, Constraint, Pattern
from audit_operator.api.model import ApiModel

MAX_RULES = 64
MAX_RESOURCES = 32
MAX_STRINGS = 128


class PresetName(StrEnum):
    """Rule lists that ship with the operator, in the order of what they record."""

    METADATA = "Metadata"
    BASELINE = "Baseline"
    WRITE_BODIES = "WriteBodies"
    FORENSIC = "Forensic"


_GROUP = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$"
_VERB = "^[a-z][a-z-]*$"

_NO_WILDCARD = Constraint(
    rule="self != '*'",
    message="must be a name: '*' is no wildcard here, leave the field out to match everybody",
    holds=lambda value: value != "*",
)

UserName = Annotated[str, Field(min_length=1, max_length=512), _NO_WILDCARD]
GroupName = Annotated[str, Field(min_length=1, max_length=512), _NO_WILDCARD]
Verb = Annotated[
    str,
    Field(min_length=1, max_length=32),
    Constraint(
        rule=f"self.matches('{_VERB}')",
        message="must be a lower-case verb: '*' is no wildcard here, leave verbs out to match every verb",
        holds=lambda value: re.fullmatch(_VERB, value) is not None,
    ),
]
ApiGroup = Annotated[
    str,
    Field(max_length=253),
    Constraint(
        rule=f"self.matches(r'{_GROUP}')",
        message="must be an API group without its version (apps, not apps/v1), '' for the core group, or '*' for every "
        "group (Kubernetes 1.36 and later)",
        holds=lambda value: re.fullmatch(_GROUP, value) is not None,
    ),
]
ResourceSpelling = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Pattern(
        r"^(\*|[^ /*]+(/(\*|[^ /*]+))?|\*/[^ /*]+)$",
        "must be resource, resource/subresource, resource/*, */subresource, or * for everything; '*/*' matches nothing",
    ),
]
ResourceName = Annotated[str, Field(max_length=253)]
RuleNamespace = Annotated[
    str,
    Field(max_length=63),
    Pattern(
        "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        "must be the name of a namespace, without wildcards, or '' for requests without a namespace",
    ),
]
UrlPattern = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Constraint(
        rule="self == '*' || self.startsWith('/')",
        message="must begin with '/', or be exactly '*'",
        holds=lambda value: value == "*" or value.startswith("/"),
    ),
    Constraint(
        rule="!self.contains('*') || self.indexOf('*') == self.size() - 1",
        message="may have '*' only as its last character",
        holds=lambda value: "*" not in value[:-1],
    ),
]

StageList = Annotated[tuple[Stage, ...], Field(max_length=3), SET]
Users = Annotated[tuple[UserName, ...], Field(max_length=MAX_STRINGS), ATOMIC]
UserGroups = Annotated[tuple[GroupName, ...], Field(max_length=MAX_STRINGS), ATOMIC]
Verbs = Annotated[tuple[Verb, ...], Field(max_length=MAX_STRINGS), ATOMIC]


class GroupResources(ApiModel):
    """Resources of one API group. Without `resources` it means the whole group, subresources included."""

    group: ApiGroup = Field(
        default="",
        description="API group without its version, for example apps. '' is the core group (pods, secrets, ...); '*' "
        "is every group and needs Kubernetes 1.36 on every API server.",
    )
    resources: Annotated[tuple[ResourceSpelling, ...], Field(max_length=MAX_STRINGS), ATOMIC] = Field(
        default=(),
        description="Plural lower-case names. 'pods' is pods alone; 'pods/log' one subresource; 'pods/*' pods and all "
        "their subresources; '*/scale' that subresource of everything; '*' everything in the group. Empty: "
        "the whole group.",
    )
    resource_names: Annotated[tuple[ResourceName, ...], Field(max_length=MAX_STRINGS), ATOMIC] = Field(
        default=(),
        description="Names of objects, exactly. A create, a deletecollection and an ordinary list carry no name, so "
        "that they never match. Empty: every object.",
    )

    written_when_empty = ("group",)
    constraints = (
        Constraint(
            rule="has(self.group) || (has(self.resources) && size(self.resources) > 0)",
            message="must name a group or resources: an empty entry would mean the whole core group; write group: '' "
            "if that is meant",
            holds=lambda self: "group" in self.model_fields_set or bool(self.resources),
        ),
        Constraint(
            rule="!has(self.resourceNames) || size(self.resourceNames) == 0 || "
            "(has(self.resources) && size(self.resources) > 0)",
            message="need resources: names alone do not say what they are names of",
            holds=lambda self: not self.resource_names or bool(self.resources),
            field="resourceNames",
        ),
    )


Resources = Annotated[tuple[GroupResources, ...], Field(max_length=MAX_RESOURCES), ATOMIC]
Namespaces = Annotated[tuple[RuleNamespace, ...], Field(max_length=MAX_STRINGS), ATOMIC]
UrlPatterns = Annotated[tuple[UrlPattern, ...], Field(max_length=MAX_STRINGS), ATOMIC]

_USERS = (
    "User names, exactly; the user before impersonation. Empty: everybody, and requests whose authentication failed, "
    "which no list of users or groups takes in."
)
_GROUPS = "Group names, exactly; one of the user's groups must be listed. Empty: as for users."
_VERBS = (
    "API verbs: get, list, watch, create, update, patch, delete, deletecollection; lower-case HTTP methods for "
    "nonResourceURLs. kubectl exec, attach and port-forward arrive as get or as create. Empty: every verb."
)
_RESOURCES = "Resources; one entry must match. Empty: every resource."
_NAMESPACES = (
    "Namespaces, exactly, no wildcards; '' is requests without a namespace (cluster-scoped objects, and lists across "
    "all namespaces). Empty: all of them."
)
_URLS = (
    "Paths of requests that are not about resources, such as /metrics or /healthz*; '*' only at the end, where it "
    "stands for any continuation, or alone. Not together with resources or namespaces."
)
_OMIT_STAGES = (
    "Stages at which requests that match are not recorded, besides those of the policy. A stage is omitted only if "
    "every policy that records the request omits it. ResponseStarted is the only trace of a failed authentication."
)
_OMIT_MANAGED_FIELDS = (
    "Whether bodies are recorded without metadata.managedFields; absent: as the policy says. They are omitted only if "
    "every policy that records the request omits them."
)
_LEVEL = (
    "How much of a request that matches this policy asks for: None, Metadata (who, what, when, outcome), Request (and "
    "the request body), RequestResponse (and the response body). Other policies may ask for more; limits allow less."
)


class NamespacedPolicyRule(ApiModel):
    """Which requests in the namespace are recorded, and how much of them. Every field that is set must match."""

    level: Level = Field(description=_LEVEL)
    users: Users = Field(default=(), description=_USERS)
    user_groups: UserGroups = Field(default=(), description=_GROUPS)
    verbs: Verbs = Field(default=(), description=_VERBS)
    resources: Resources = Field(default=(), description=_RESOURCES)
    omit_stages: StageList = Field(default=(), description=_OMIT_STAGES)
    omit_managed_fields: bool | None = Field(default=None, description=_OMIT_MANAGED_FIELDS)


_ONE_SORT_OF_REQUEST = Constraint(
    rule="!has(self.nonResourceURLs) || size(self.nonResourceURLs) == 0 || "
    "((!has(self.resources) || size(self.resources) == 0) && (!has(self.namespaces) || size(self.namespaces) == 0))",
    message="cannot stand beside resources or namespaces: write two rules",
    holds=lambda self: not (self.non_resource_urls and (self.resources or self.namespaces)),
    field="nonResourceURLs",
)


class PolicyRule(ApiModel):
    """Which requests are recorded, and how much of them. Every field that is set must match."""

    level: Level = Field(description=_LEVEL)
    users: Users = Field(default=(), description=_USERS)
    user_groups: UserGroups = Field(default=(), description=_GROUPS)
    verbs: Verbs = Field(default=(), description=_VERBS)
    resources: Resources = Field(default=(), description=_RESOURCES)
    namespaces: Namespaces = Field(default=(), description=_NAMESPACES)
    non_resource_urls: UrlPatterns = Field(default=(), alias="nonResourceURLs", description=_URLS)
    omit_stages: StageList = Field(default=(), description=_OMIT_STAGES)
    omit_managed_fields: bool | None = Field(default=None, description=_OMIT_MANAGED_FIELDS)

    constraints = (_ONE_SORT_OF_REQUEST,)


class LimitRule(ApiModel):
    """What must never be recorded above a level, whoever asks for it. Every field that is set must match."""

    level: Level = Field(
        description="The highest level at which requests that match may be recorded, by any policy. None: never."
    )
    users: Users = Field(default=(), description=_USERS)
    user_groups: UserGroups = Field(default=(), description=_GROUPS)
    verbs: Verbs = Field(default=(), description=_VERBS)
    resources: Resources = Field(default=(), description=_RESOURCES)
    namespaces: Namespaces = Field(default=(), description=_NAMESPACES)
    non_resource_urls: UrlPatterns = Field(default=(), alias="nonResourceURLs", description=_URLS)

    constraints = (_ONE_SORT_OF_REQUEST,)


RuleList = Annotated[tuple[PolicyRule, ...], Field(max_length=MAX_RULES), ATOMIC]
NamespacedRuleList = Annotated[tuple[NamespacedPolicyRule, ...], Field(max_length=MAX_RULES), ATOMIC]
LimitList = Annotated[tuple[LimitRule, ...], Field(max_length=MAX_RULES), ATOMIC]
