"""What the status of control planes says of the rights that people have."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from audit_operator.api.permissions import Holders, PermissionFinding, Permissions
from audit_operator.api.policy_status import MAX_FINDINGS
from audit_operator.permissions.accesses import Effect
from audit_operator.permissions.evaluation import evaluate
from audit_operator.permissions.expected import Expected
from audit_operator.permissions.findings import unexpected
from audit_operator.permissions.places import Places, stores_of
from audit_operator.permissions.rbac import Subject
from audit_operator.permissions.summary import holders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.permissions.expected import Installation
    from audit_operator.permissions.findings import Unexpected
    from audit_operator.permissions.rbac import Rbac
    from audit_operator.plan.snapshot import Snapshot

_ACCESSES = 10


@dataclass(frozen=True, slots=True)
class PermissionBasis:
    """What roles and bindings are judged on, besides themselves.

    Attributes:
        expected: whom each control plane, by name, names as expected.
    """

    installation: Installation
    places: Places
    expected: Mapping[str, frozenset[Subject]]

    @classmethod
    def of(cls, snapshot: Snapshot, installation: Installation) -> Self:
        """The basis, as facts are now."""
        labels = {each.name: each.labels for each in snapshot.namespaces}
        places = Places(
            frozenset({installation.namespace, installation.agents}),
            stores_of(snapshot.cluster_audit_sinks, labels),
            labels,
        )
        planes = {each.metadata.name: expected_of(each) for each in snapshot.control_planes}
        return cls(installation, places, planes)


def expected_of(plane: AuditControlPlane) -> frozenset[Subject]:
    """Those whom a control plane names as expected."""
    named = plane.spec.permissions.expected if plane.spec.permissions is not None else ()
    return frozenset(Subject.of(each.kind.value, each.name, each.namespace or "") for each in named)


def judged(rbac: Rbac, basis: PermissionBasis) -> dict[str, Permissions]:
    """The part of status that is about permissions, for each control plane by name."""
    planes: defaultdict[frozenset[Subject], list[str]] = defaultdict(list)
    for name, declared in basis.expected.items():
        planes[declared].append(name)
    return {
        name: said
        for declared, names in planes.items()
        for said in [_judged(rbac, basis.places, Expected(basis.installation, declared))]
        for name in names
    }


def _judged(rbac: Rbac, places: Places, expected: Expected) -> Permissions:
    holdings = evaluate(rbac, places, expected)
    found = unexpected(holdings)
    counts = {
        effect: Holders(subjects=each.subjects, unexpected=each.unexpected)
        for effect, each in holders(holdings, found).items()
    }
    return Permissions(
        readers=counts[Effect.READ],
        writers=counts[Effect.WRITE],
        can_disable=counts[Effect.DISABLE],
        findings=tuple(map(_finding, found[:MAX_FINDINGS])),
        more=max(len(found) - MAX_FINDINGS, 0),
    )


def _finding(found: Unexpected) -> PermissionFinding:
    return PermissionFinding(
        severity=found.severity,
        subject=str(found.subject)[:1024],
        may=tuple(each.id for each in found.accesses[:_ACCESSES]),
        more=max(len(found.accesses) - _ACCESSES, 0),
        where=found.where[:1024],
        through=found.through[:1024],
        mend=f"{found.accesses[0].mend}; or name them in spec.permissions.expected",
    )
