"""What is unexpected, in sentences: who may do what, where, through which binding and role, and what mends it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.findings import Severity
from audit_operator.permissions.accesses import Effect
from audit_operator.permissions.evaluation import ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED
from audit_operator.permissions.rbac import GROUP_OF_USERS, SERVICE_ACCOUNT, USER, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.findings import ObjectRef
    from audit_operator.permissions.accesses import Access
    from audit_operator.permissions.evaluation import Grant, Holding

EVERYBODY = frozenset(
    {
        Subject(GROUP_OF_USERS, AUTHENTICATED),
        Subject(GROUP_OF_USERS, UNAUTHENTICATED),
        Subject(GROUP_OF_USERS, SERVICE_ACCOUNTS),
        Subject(USER, ANONYMOUS),
    }
)
"""Subjects that are everybody, or every workload."""


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Somebody has accesses that nobody expects, by one role.

    Attributes:
        accesses: at least one, the worst first.
        namespaces: where; empty: everywhere.
        bindings: through which, in order.
        names: the only objects that this is about, as far as the role says so.
    """

    subject: Subject
    role: ObjectRef
    accesses: tuple[Access, ...]
    namespaces: tuple[str, ...]
    bindings: tuple[ObjectRef, ...]
    names: tuple[str, ...]

    @property
    def severity(self) -> Severity:
        """As severe as the worst access; whatever everybody may do is an error."""
        return Severity.ERROR if self.subject in EVERYBODY else self.accesses[0].severity

    @property
    def effects(self) -> frozenset[Effect]:
        """What it amounts to."""
        return frozenset(effect for each in self.accesses for effect in each.effects)

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the worst first: severity, everybody, everywhere, how much."""
        return (
            -self.severity.rank,
            self.subject not in EVERYBODY,
            bool(self.namespaces),
            Effect.DISABLE not in self.effects,
            -len(self.accesses),
            self.subject,
            self.role,
        )

    @property
    def where(self) -> str:
        """Where, in a few words; a long list is cut."""
        if not self.namespaces:
            return "everywhere"
        said = ", ".join(self.namespaces[:_NAMED])
        more = len(self.namespaces) - _NAMED
        return f"in {said} and {more} more" if more > 0 else f"in {said}"

    @property
    def through(self) -> str:
        """By which binding and role."""
        more = f" and {len(self.bindings) - 1} more" if len(self.bindings) > 1 else ""
        return f"{self.bindings[0]}{more} to {self.role}"


_NAMED = 5


def unexpected(holdings: Iterable[Holding]) -> tuple[Unexpected, ...]:
    """What is unexpected, the worst first; bindings of one role that lead to the same are one."""
    by_binding: defaultdict[tuple[Subject, ObjectRef, ObjectRef, str], dict[Access, Grant]] = defaultdict(dict)
    for holding in holdings:
        for grant in holding.grants:
            if not grant.expected and not _their_own(holding, grant):
                where = holding.subject, grant.role, grant.binding, grant.namespace
                by_binding[where][holding.access] = grant
    same: defaultdict[tuple[object, ...], list[tuple[str, ObjectRef]]] = defaultdict(list)
    found: dict[tuple[object, ...], tuple[Subject, ObjectRef, dict[Access, Grant]]] = {}
    for (subject, role, binding, namespace), accesses in by_binding.items():
        key = subject, role, not namespace, tuple(each.id for each in accesses)
        same[key].append((namespace, binding))
        found[key] = subject, role, accesses
    return tuple(
        sorted(
            (_together(*found[key], sorted(places)) for key, places in same.items()),
            key=lambda each: each.rank,
        )
    )


def _together(
    subject: Subject, role: ObjectRef, accesses: dict[Access, Grant], places: list[tuple[str, ObjectRef]]
) -> Unexpected:
    names = {name for grant in accesses.values() for name in grant.names}
    return Unexpected(
        subject,
        role,
        tuple(sorted(accesses, key=lambda each: (-each.severity.rank, Effect.DISABLE not in each.effects))),
        tuple(dict.fromkeys(namespace for namespace, _ in places if namespace)),
        tuple(dict.fromkeys(binding for _, binding in places)),
        tuple(sorted(names)) if all(grant.names for grant in accesses.values()) else (),
    )


def _their_own(holding: Holding, grant: Grant) -> bool:
    """Whether it is the business of those who own a namespace, and given to some of them."""
    subject = holding.subject
    if not holding.access.delegable or not grant.namespace or subject in EVERYBODY:
        return False
    if subject.kind == SERVICE_ACCOUNT:
        return subject.namespace == grant.namespace
    accounts = f"{SERVICE_ACCOUNTS}:"
    if subject.kind == GROUP_OF_USERS and subject.name.startswith(accounts):
        return subject.name == f"{accounts}{grant.namespace}"
    return True
