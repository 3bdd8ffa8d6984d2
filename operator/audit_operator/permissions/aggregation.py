"""Rules of aggregated ClusterRoles, for objects in files.

In a cluster a controller writes them into the role, and the API server decides on what is written there. In files, that
role is usually empty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.selector import selector_matches
from audit_operator.permissions.rbac import Rbac

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.permissions.rbac import Role, Rule


def aggregated(rbac: Rbac) -> Rbac:
    """With each aggregated ClusterRole as its controller would fill it.

    The controller replaces rules by those of all other ClusterRoles that any selector picks, without repeating one
    (pkg/controller/clusterroleaggregation), and again whenever one of these changes: so roles may build on each other.
    """
    roles = dict(rbac.roles)
    targets = [ref for ref, each in roles.items() if each.aggregates and ref.kind == "ClusterRole"]
    # Each round carries rules one role further, so that there are never more rounds than roles.
    for _ in targets:
        rounds = {ref: replace(roles[ref], rules=tuple(dict.fromkeys(_picked(roles[ref], roles)))) for ref in targets}
        if all(rounds[ref].rules == roles[ref].rules for ref in targets):
            break
        roles |= rounds
    return Rbac(roles, rbac.bindings)


def _picked(role: Role, roles: Mapping[ObjectRef, Role]) -> Iterator[Rule]:
    for ref in sorted(roles):
        if ref.kind != "ClusterRole" or ref == role.ref:
            continue
        if any(selector_matches(each, roles[ref].labels) for each in role.aggregates):
            yield from roles[ref].rules
