"""The catalogue of critical actions: what an auditor wants to find in the log, as data.

An action is a set of requests (which resources, which verbs, by whom), the level that is needed to reconstruct it, the
level above which the log itself would hold credentials, and the stages that carry it. The built-in catalogue and those
that users bring in a ConfigMap have the same shape; `catalogue.yaml` beside this module is the reference for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError, core_schema

from audit_operator.api.audit import Level, Stage
from audit_operator.api.compliance import Framework
from audit_operator.api.model import ApiModel
from audit_operator.api.text import Line, NamespaceName, Word

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

OPERATOR_NAMESPACE = "audit-system"
"""How the built-in catalogue calls the namespace of the operator and its shippers."""


class Scope(StrEnum):
    """Whether a resource lives in namespaces."""

    NAMESPACED = "Namespaced"
    CLUSTER = "Cluster"


class ActionSeverity(StrEnum):
    """How much it matters that the action is recorded; ordered low < medium < high < critical by `rank`."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position on the scale, 0 for low to 3 for critical."""
        return list(ActionSeverity).index(self)


class Tactic(StrEnum):
    """The tactic of MITRE ATT&CK that the action mainly serves."""

    RECONNAISSANCE = "reconnaissance"
    RESOURCE_DEVELOPMENT = "resource-development"
    INITIAL_ACCESS = "initial-access"
    EXECUTION = "execution"
    PERSISTENCE = "persistence"
    PRIVILEGE_ESCALATION = "privilege-escalation"
    DEFENSE_EVASION = "defense-evasion"
    CREDENTIAL_ACCESS = "credential-access"
    DISCOVERY = "discovery"
    LATERAL_MOVEMENT = "lateral-movement"
    COLLECTION = "collection"
    COMMAND_AND_CONTROL = "command-and-control"
    EXFILTRATION = "exfiltration"
    IMPACT = "impact"


_VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete", "options"})
_AUTHORIZATION_ONLY = frozenset({"bind", "escalate", "impersonate", "use", "approve", "sign", "attest"})


def _violation(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("constraint", "{reason}", {"reason": sentence})


@dataclass(frozen=True)
class _Spelling:
    """A regular expression that a whole string matches, told to people in words."""

    pattern: str
    meaning: str

    def check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise _violation(f"must be {self.meaning}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "pattern": f"^{self.pattern}$"}


Id = Annotated[str, Field(max_length=63), _Spelling("[a-z0-9]+(-[a-z0-9]+)*", "lower-case words joined by dashes")]
ResourceName = Annotated[
    str,
    Field(max_length=128),
    _Spelling("[a-z0-9.-]+(/[a-z0-9.-]+)?", "a resource, or resource/subresource, without wildcards"),
]
UrlPath = Annotated[
    str, Field(max_length=256), _Spelling("/[^*?]*", 'a path that starts with "/", without wildcards and query')
]
Words = Annotated[tuple[Word, ...], Field(max_length=50)]


class Match(ApiModel):
    """Requests: every verb on every resource, or every method on every path.

    A list or watch of a namespaced resource also means the one across all namespaces, unless `namespaces` is set.
    """

    api_group: Annotated[str, Field(max_length=253)] = Field(default="", description='API group; "" is core.')
    resources: Annotated[tuple[ResourceName, ...], Field(max_length=50)] = Field(
        default=(), description="Resources, or resource/subresource."
    )
    scope: Scope | None = Field(default=None, description="Whether the resources live in namespaces.")
    namespaces: Annotated[tuple[NamespaceName, ...], Field(max_length=20)] = Field(
        default=(), description="The only namespaces in which the requests are critical; absent means any."
    )
    non_resource_urls: Annotated[tuple[UrlPath, ...], Field(max_length=50)] = Field(
        default=(), alias="nonResourceURLs", description="Paths that are no resources, without query."
    )
    verbs: Annotated[tuple[Word, ...], Field(min_length=1, max_length=8)] = Field(
        description="Verbs as audit events carry them; for paths, HTTP methods in lower case."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.resources) == bool(self.non_resource_urls):
            raise _violation("needs either resources or nonResourceURLs")
        if self.non_resource_urls and (self.api_group or self.scope or self.namespaces):
            raise _violation("paths have no apiGroup, scope and namespaces")
        if self.resources and not self.scope:
            raise _violation("resources need a scope: Namespaced or Cluster")
        if self.namespaces and self.scope is Scope.CLUSTER:
            raise _violation("resources of the cluster are in no namespace: leave namespaces out")
        for verb in self.verbs:
            if verb in _AUTHORIZATION_ONLY:
                raise _violation(f'"{verb}" is a verb of authorization only: no audit event ever carries it')
            if verb not in (_METHODS if self.non_resource_urls else _VERBS):
                raise _violation(f'"{verb}" is no verb of such requests')
        return self


class Subject(ApiModel):
    """A sample of the people and programs that an action must be recorded for.

    ``{namespace}`` in user and groups stands for the namespace that is looked at, or for one that no policy names.
    """

    name: Id = Field(description="How actions refer to it.")
    title: Word = Field(default="", description="How reports call it; absent: the user name.")
    user: Word | None = Field(description="User name; null is a request whose authentication failed.")
    groups: Words = Field(default=(), description="Groups of the user.")

    @model_validator(mode="after")
    def _nobody_has_no_groups(self) -> Self:
        if self.user is None and self.groups:
            raise _violation("a request whose authentication failed has no groups")
        return self


class Sender(StrEnum):
    """As whom a live probe is sent."""

    PROBER = "Prober"
    IMPERSONATING = "Impersonating"
    ANONYMOUS = "Anonymous"
    BAD_TOKEN = "BadToken"  # noqa: S105 - a way to fail


class Probe(ApiModel):
    """How the action is proved live: by requests of `match` that are refused, and recorded all the same."""

    sender: Sender = Field(
        default=Sender.PROBER,
        description="Prober: our own ServiceAccount, which has no rights. Impersonating: the same, as somebody else. "
        "Anonymous: without credentials. BadToken: with a token that is none.",
    )
    verbs: Annotated[tuple[Word, ...], Field(max_length=8)] = Field(
        default=(), description="Of the verbs of match, those that are sent; absent: whichever."
    )
    never: Line = Field(
        default="", description="Why no request would be harmless: none is sent, and the action stays unproved."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.never and self.verbs:
            raise _violation("verbs are of no use where never says that nothing is sent")
        return self


class Detections(ApiModel):
    """Names of published detection rules that need the events of the action."""

    falco: Words = Field(default=(), description="Rules of falcosecurity/plugins, k8saudit.")
    sigma: Words = Field(default=(), description="Rules of SigmaHQ/sigma.")
    elastic: Words = Field(default=(), description="Rules of elastic/detection-rules.")
    stratus: Words = Field(default=(), description="Attack techniques of Stratus Red Team.")


class Action(ApiModel):
    """One critical action."""

    id: Id = Field(description="Stable name.")
    title: Line = Field(description="What somebody does.")
    tactic: Tactic = Field(description="What it serves.")
    severity: ActionSeverity = Field(description="How much it matters.")
    core: bool = Field(
        default=False, description="One of the 38 actions that published figures of other tools' policies are over."
    )
    match: Annotated[tuple[Match, ...], Field(min_length=1, max_length=20)] = Field(
        description="The requests; any of them is the action."
    )
    subjects: Annotated[tuple[Id, ...], Field(min_length=1, max_length=10)] = Field(
        description="Names of the subjects that it must be recorded for."
    )
    min_level: Level = Field(description="Below it the action cannot be reconstructed or detected.")
    max_level: Level = Field(
        default=Level.REQUEST_RESPONSE, description="Above it the log itself holds credentials or personal data."
    )
    best_level: Level | None = Field(default=None, description="What is recommended where volume allows.")
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=4)] = Field(
        default=(Stage.RESPONSE_COMPLETE,), description="Stages that must not be omitted."
    )
    probe: Probe | None = Field(
        default=None, description="How it is proved live; absent: it is not, and stays unproved."
    )
    body_needed: Words = Field(default=(), description="Paths in the bodies that tell what was really done.")
    notes: Annotated[str, Field(max_length=2000)] = Field(default="", description="What one should know about it.")
    mitre: Words = Field(default=(), description="Techniques of MITRE ATT&CK.")
    sources: Words = Field(default=(), description="Why it is critical: advisories, issues, proposals.")
    detections: Detections = Field(default=Detections(), description="Detection rules that need its events.")
    frameworks: dict[Framework, Words] = Field(
        default={}, description="Controls that its events are evidence for. See frameworkIdsVerified."
    )

    @model_validator(mode="after")
    def _levels_in_order(self) -> Self:
        if self.min_level is Level.NONE:
            raise _violation("minLevel None asks for nothing")
        if not self.min_level <= self.max_level:
            raise _violation("minLevel is above maxLevel")
        if self.best_level and not self.min_level <= self.best_level <= self.max_level:
            raise _violation("bestLevel is not between minLevel and maxLevel")
        return self

    @model_validator(mode="after")
    def _probe_is_of_the_action(self) -> Self:
        known = {verb for match in self.match for verb in match.verbs}
        for verb in self.probe.verbs if self.probe else ():
            if verb not in known:
                raise _violation(f'a probe cannot be "{verb}", which no match of the action has')
        return self


class BlindSpot(ApiModel):
    """Something that no audit policy of an API server can record."""

    id: Id = Field(description="Stable name.")
    title: Line = Field(description="What cannot be seen.")
    mitre: Words = Field(default=(), description="Techniques of MITRE ATT&CK.")
    mitigate: Line = Field(default="", description="What sees it instead.")


class Catalogue(ApiModel):
    """Critical actions, the subjects that they name, and what cannot be audited at all."""

    api_version: Literal["catalogue.audit-operator.dev/v1alpha1"] = Field(description="Version of this format.")
    kind: Literal["CriticalActionCatalogue"] = Field(description="Name of this format.")
    framework_ids_verified: bool = Field(
        default=False, description="Whether the control ids were compared with the published frameworks."
    )
    subjects: Annotated[tuple[Subject, ...], Field(max_length=50)] = Field(default=(), description="Samples of users.")
    actions: Annotated[tuple[Action, ...], Field(max_length=200)] = Field(default=(), description="Critical actions.")
    blind_spots: Annotated[tuple[BlindSpot, ...], Field(max_length=50)] = Field(
        default=(), description="What no audit policy can see."
    )

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(action.id for action in self.actions))

    def __hash__(self) -> int:
        # Compiled forms are remembered per catalogue: hashing must not walk all of it each time.
        return self._hash

    def action(self, identity: str) -> Action:
        """The action of that id; KeyError if there is none."""
        return self._by_id[identity]

    @cached_property
    def _by_id(self) -> dict[str, Action]:
        return {action.id: action for action in self.actions}

    @cached_property
    def named_namespaces(self) -> frozenset[str]:
        """The namespaces that some action is about alone."""
        return frozenset(name for action in self.actions for match in action.match for name in match.namespaces)

    def only_core(self) -> Catalogue:
        """The same catalogue with nothing but the 38 core actions."""
        return self.replace(actions=tuple(action for action in self.actions if action.core))

    def for_operator_in(self, namespace: str) -> Catalogue:
        """The same catalogue with the actions that guard the operator's namespace aimed at that namespace."""
        if namespace == OPERATOR_NAMESPACE:
            return self

        def aim(match: Match) -> Match:
            aimed = tuple(namespace if each == OPERATOR_NAMESPACE else each for each in match.namespaces)
            return match.model_copy(update={"namespaces": aimed})

        return self.replace(
            actions=tuple(action.model_copy(update={"match": tuple(map(aim, action.match))}) for action in self.actions)
        )

    def replace(
        self,
        *,
        subjects: tuple[Subject, ...] | None = None,
        actions: tuple[Action, ...] | None = None,
        blind_spots: tuple[BlindSpot, ...] | None = None,
    ) -> Catalogue:
        """The same catalogue with other parts. Not a copy: what is cached in this one does not fit that one."""
        return Catalogue(
            api_version=self.api_version,
            kind=self.kind,
            framework_ids_verified=self.framework_ids_verified,
            subjects=self.subjects if subjects is None else subjects,
            actions=self.actions if actions is None else actions,
            blind_spots=self.blind_spots if blind_spots is None else blind_spots,
        )
