"""Roles and bindings as facts.

Only what decides about a request is kept. Non-resource URLs are left out: nothing that this package asks about is
reached by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import ObjectRef
from audit_operator.api.selector import foreign_selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.selector import LabelSelector

GROUP = "rbac.authorization.k8s.io"
KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")

USER, GROUP_OF_USERS, SERVICE_ACCOUNT = "User", "Group", "ServiceAccount"
NOTHING = "audit-operator-prober-NOTHING"
"""The only object that the prober may change, and there is none: see `proof/bodies`."""
_ACCOUNT_PREFIX = "system:serviceaccount:"


class RbacError(ValueError):
    """An object has not the shape of its kind; the message names it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule of a role allows; without `names`, it is about every object."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Role:
    """A Role or a ClusterRole. `aggregates` picks the ClusterRoles whose rules it is to have, in place of its own."""

    ref: ObjectRef
    rules: tuple[Rule, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    aggregates: tuple[LabelSelector, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Who is bound: a User, a Group or a ServiceAccount, which alone has a namespace."""

    kind: str
    name: str
    namespace: str = ""

    @classmethod
    def of(cls, kind: str, name: str, namespace: str = "") -> Subject:
        """The subject; a User with the name of a service account is that service account."""
        if kind == USER and name.startswith(_ACCOUNT_PREFIX):
            where, _, account = name.removeprefix(_ACCOUNT_PREFIX).partition(":")
            if where and account and ":" not in account:
                return cls(SERVICE_ACCOUNT, account, where)
        return cls(kind, name, namespace if kind == SERVICE_ACCOUNT else "")

    @property
    def user(self) -> str:
        """The name of the user that it is; empty for a group."""
        if self.kind == SERVICE_ACCOUNT:
            return f"{_ACCOUNT_PREFIX}{self.namespace}:{self.name}"
        return self.name if self.kind == USER else ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding or a ClusterRoleBinding: `subjects` have `role`, in its own namespace or everywhere."""

    ref: ObjectRef
    role: ObjectRef
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Rbac:
    """All roles and bindings of a cluster, as they are stored; bindings in a fixed order."""

    roles: Mapping[ObjectRef, Role]
    bindings: tuple[Binding, ...]

    def rules_of(self, binding: Binding) -> tuple[Rule, ...]:
        """What a binding grants; nothing where its role does not exist."""
        role = self.roles.get(binding.role)
        return role.rules if role is not None else ()


def rbac_of(documents: Iterable[Mapping[str, Any]]) -> Rbac:
    """The roles and bindings among some objects (decoded JSON); other kinds are passed over.

    Raises:
        RbacError: one of them has not the shape of its kind.
    """
    roles: dict[ObjectRef, Role] = {}
    bindings: dict[ObjectRef, Binding] = {}
    for document in documents:
        kind = str(document.get("kind", ""))
        if kind not in KINDS or not str(document.get("apiVersion", "")).startswith(f"{GROUP}/"):
            continue
        try:
            ref = _ref(kind, document["metadata"])
            if kind.endswith("Binding"):
                bindings[ref] = _binding(ref, document)
            else:
                roles[ref] = _role(ref, document)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            named = (document.get("metadata") or {}).get("name", "") if isinstance(document, dict) else ""
            raise RbacError(f"{kind} {named!r} is not as the API server would take it: {error}") from error
    return Rbac(roles, tuple(bindings[ref] for ref in sorted(bindings)))


def _ref(kind: str, metadata: Mapping[str, Any]) -> ObjectRef:
    namespaced = not kind.startswith("Cluster")
    # As kubectl would, of a file that names no namespace.
    return ObjectRef(kind, str(metadata["name"]), str(metadata.get("namespace") or "default") if namespaced else "")


def _role(ref: ObjectRef, document: Mapping[str, Any]) -> Role:
    selectors = (document.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    return Role(
        ref,
        tuple(_rule(each) for each in document.get("rules") or ()),
        dict(document["metadata"].get("labels") or {}),
        tuple(foreign_selector(each) for each in selectors),
    )


def _rule(document: Mapping[str, Any]) -> Rule:
    return Rule(*(_words(document.get(key)) for key in ("verbs", "apiGroups", "resources", "resourceNames")))


def _words(value: Any) -> frozenset[str]:
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return frozenset(map(str, value or ()))


def _binding(ref: ObjectRef, document: Mapping[str, Any]) -> Binding:
    role = document["roleRef"]
    kind = str(role["kind"])
    return Binding(
        ref,
        ObjectRef(kind, str(role["name"]), ref.namespace if kind == "Role" else ""),
        # A service account without a namespace is one of the binding's
        # (plugin/pkg/auth/authorizer/rbac/rbac.go, appliesToUser).
        tuple(
            Subject.of(str(each["kind"]), str(each["name"]), str(each.get("namespace") or ref.namespace))
            for each in document.get("subjects") or ()
        ),
    )
