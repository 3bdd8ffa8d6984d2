"""What the shippers of a control plane are to do: levels, redaction and routes for every namespace.

Everything that a namespace's policies ask for, together: the sinks that any of them names get its records, and what any
of them wants taken out is taken out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.plan.contributions import contribution_of
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.sinks import existing_sinks, sinks_of
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import URLS, Table, build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.plan.planning import Plan
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.contribution import Contribution

TOO_LARGE = "shipped-as-recorded"

Sinks = frozenset[ObjectRef]


@dataclass(frozen=True, slots=True)
class Shipping:
    """What the shippers of one control plane are to do.

    Attributes:
        table: decides about every event.
        routes: sinks by route; ``""`` is the route of events of namespaces that nobody has seen.
        findings: what cannot be done as asked, for the control plane.
    """

    table: Table
    routes: Mapping[str, tuple[ObjectRef, ...]]
    findings: tuple[Finding, ...]

    @property
    def sinks(self) -> tuple[ObjectRef, ...]:
        """Every sink that something is sent to, in order."""
        return tuple(sorted({sink for sinks in self.routes.values() for sink in sinks}, key=str))


@dataclass(frozen=True, slots=True)
class _Member:
    """A policy of the control plane, with what it contributes and where its records may go."""

    contribution: Contribution
    sinks: Sinks


def shipping(snapshot: Snapshot, planned: Plan, plane: str) -> Shipping | None:
    """What the shippers of a control plane are to do; None where no policy ships anywhere."""
    members = tuple(_members(snapshot, planned, plane))
    if not any(each.sinks for each in members):
        return None
    everywhere = frozenset[ObjectRef]().union(*(each.sinks for each in members if _is_cluster_wide(each.contribution)))
    by_namespace: defaultdict[str, set[ObjectRef]] = defaultdict(set)
    for each in members:
        for namespace in each.contribution.reach.namespaces:
            by_namespace[namespace] |= each.sinks
    names = frozenset(each.name for each in snapshot.namespaces)
    treatments = {name: Treatment(route=route_of(by_namespace[name])) for name in names}
    contributions = [each.contribution for each in members]
    table = build(classify(contributions, names, treatments, Treatment(route=route_of(everywhere))))
    targets = {frozenset(by_namespace[name]) for name in names} | {everywhere}
    routes = {route_of(each): tuple(sorted(each, key=str)) for each in targets}
    return Shipping(table, {**routes, "": tuple(sorted(everywhere, key=str))}, tuple(_findings(table)))


def route_of(sinks: Iterable[ObjectRef]) -> str:
    """The name of a route: it changes only with the sinks that it leads to."""
    named = "\n".join(sorted(map(str, sinks)))
    return f"route-{hashlib.sha256(named.encode()).hexdigest()[:10]}"


def _members(snapshot: Snapshot, planned: Plan, plane: str) -> Iterable[_Member]:
    existing, known = existing_sinks(snapshot), known_namespaces(snapshot)
    for policy in snapshot.policies():
        if planned.assigned.get(policy.ref) == plane:
            usable, _ = sinks_of(policy, snapshot, existing)
            yield _Member(contribution_of(policy, known), frozenset(usable))


def _is_cluster_wide(contribution: Contribution) -> bool:
    reach = contribution.reach
    return reach.cluster or reach.non_resource or reach.unseen_namespaces


def _findings(table: Table) -> Iterable[Finding]:
    for names in table.unenforced:
        where = names[0] if names == URLS else ", ".join(each or "(cluster scope)" for each in names[:5])
        yield Finding(
            TOO_LARGE,
            Severity.WARNING,
            f"the policies for {where} have too many combinations of users, groups and resources; their events are "
            "shipped as the API server has recorded them",
            mend="use fewer user groups in rules that also name verbs or resources",
        )
