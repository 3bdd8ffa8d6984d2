"""What the shippers of a control plane are to do: levels, redaction and routes for every namespace.

Everything that a namespace's policies ask for, together: the sinks that any of them names get its records, and what any
of them wants taken out is taken out. Except that no tenant blanks the records that cluster-wide policies ship: its own
patterns and pseudonyms count only where none does.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.redaction import Redaction
from audit_operator.plan.contributions import contribution_of
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.sinks import Sinks, has_folders
from audit_operator.shipping.collector.attributes import LONGEST
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import URLS, Table, build
from audit_operator.shipping.pipeline import Counting
from audit_operator.shipping.redaction.demand import RedactionDemand, together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from audit_operator.detections.own import OwnDetection
    from audit_operator.plan.planning import Plan
    from audit_operator.plan.snapshot import NamespaceFact, Snapshot
    from audit_operator.policy.contribution import Contribution
    from audit_operator.retention.folders import Layout

TOO_LARGE = "shipped-as-recorded"
NO_CLUSTER_WIDE_SINK = "no-cluster-wide-sink"
_MORE = "..."


@dataclass(frozen=True, slots=True)
class Shipping:
    """What the shippers of one control plane are to do.

    Attributes:
        table: decides about every event.
        routes: sinks by route; ``""`` is the route of events of namespaces that nobody has seen.
        redactions: what is taken out, by name; ``""`` is what is taken out of those events.
        folders: in which folder records lie, by name and then by sink.
        findings: what cannot be done as asked, for the control plane.
        counting: what is counted for detections.
        pseudonymous: namespaces in whose records some fields get pseudonyms; ``""`` stands for records without one.
        conditions: what is counted, by the id of its condition.
    """

    table: Table
    routes: Mapping[str, tuple[ObjectRef, ...]]
    redactions: Mapping[str, RedactionDemand]
    findings: tuple[Finding, ...]
    pseudonymous: tuple[str, ...] = ()
    folders: Mapping[str, Mapping[ObjectRef, str]] = field(default_factory=dict)
    counting: Counting = field(default_factory=Counting)
    conditions: Mapping[str, OwnDetection] = field(default_factory=dict)

    @property
    def sinks(self) -> tuple[ObjectRef, ...]:
        """Every sink that something is sent to, in order."""
        return _ordered({sink for sinks in self.routes.values() for sink in sinks})


@dataclass(frozen=True, slots=True)
class _Member:
    """A policy of the control plane: what it contributes, where its records may go, and what is to be taken out."""

    ref: ObjectRef
    contribution: Contribution
    sinks: frozenset[ObjectRef]
    redaction: RedactionDemand

    @property
    def is_tenants(self) -> bool:
        """Whether it is a policy for one namespace."""
        return bool(self.ref.namespace)

    @property
    def is_cluster_wide(self) -> bool:
        """Whether it is about more than namespaces that are known."""
        reach = self.contribution.reach
        return reach.cluster or reach.non_resource or reach.unseen_namespaces


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What several policies together want done with the same events."""

    sinks: frozenset[ObjectRef]
    redaction: RedactionDemand
    policies: str

    @classmethod
    def of(cls, members: Collection[_Member]) -> _Wishes:
        """Where no policy says anything, what the API takes for granted is taken out."""
        sinks = frozenset[ObjectRef]().union(*(each.sinks for each in members))
        shared = any(each.sinks and not each.is_tenants for each in members)
        wanted = [each.redaction.without_own if shared and each.is_tenants else each.redaction for each in members]
        return cls(sinks, together(wanted) if wanted else RedactionDemand(), _named(members))

    def treatment(self, folders: str, detections: tuple[str, ...] = ()) -> Treatment:
        """The same by name, in these folders, and counted for these detections."""
        return Treatment(self.redaction.id, route_of(self.sinks), folders, detections, self.policies)


def shipping(snapshot: Snapshot, planned: Plan, plane: str) -> Shipping | None:
    """What the shippers of a control plane are to do; None where no policy ships anywhere, or has anything counted."""
    members, counted = tuple(_members(snapshot, planned, plane)), planned.counted[plane]
    if not any(each.sinks for each in members) and not counted.counting.counts:
        return None
    otherwise, wishes = _wishes(members, snapshot.namespaces)
    folders = _Folders.of(snapshot, plane)
    treatments = {
        name: each.treatment(folders.named(name, each.sinks), counted.by_namespace.get(name, ()))
        for name, each in wishes.items()
    }
    of_none = otherwise.treatment(folders.named("", otherwise.sinks))
    table = build(classify([each.contribution for each in members], wishes, treatments, of_none))
    distinct = {otherwise, *wishes.values()}
    return Shipping(
        table,
        {"": _ordered(otherwise.sinks), **{route_of(each.sinks): _ordered(each.sinks) for each in distinct}},
        {"": otherwise.redaction, **{each.redaction.id: each.redaction for each in distinct}},
        tuple(_findings(table, everywhere=bool(otherwise.sinks))),
        tuple(sorted(name for name, each in {"": otherwise, **wishes}.items() if each.redaction.pseudonymize)),
        {name: dict(each) for each, name in folders.names.items()},
        counted.counting,
        counted.conditions,
    )


def _named(members: Iterable[_Member]) -> str:
    """As records name policies: those for the cluster, then those of the namespace. What is too long ends with dots."""
    names: list[str] = []
    room = LONGEST - len(_MORE)
    for ref in sorted((each.ref for each in members), key=lambda ref: (ref.namespace, ref.name)):
        name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
        room -= len(name) + 1
        if room < 0:
            return ",".join((*names, _MORE))
        names.append(name)
    return ",".join(names)


@dataclass(slots=True)
class _Folders:
    """Names for what namespaces have in common: in which folders their records lie."""

    plane: str
    layouts: Mapping[ObjectRef, Layout]
    names: dict[tuple[tuple[ObjectRef, str], ...], str] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, plane: str) -> _Folders:
        known = {each.ref: snapshot.layouts.get(each.ref) for each in snapshot.sinks() if has_folders(each)}
        return cls(plane, {ref: each for ref, each in known.items() if each is not None})

    def named(self, namespace: str, sinks: Iterable[ObjectRef]) -> str:
        """Empty where the records of a namespace lie in no folder of a class."""
        found = {ref: self.layouts[ref].folder(self.plane, namespace) for ref in sinks if ref in self.layouts}
        folders = tuple(sorted((ref, each) for ref, each in found.items() if each))
        return self.names.setdefault(folders, f"f{len(self.names)}") if folders else ""


def _ordered(sinks: Iterable[ObjectRef]) -> tuple[ObjectRef, ...]:
    return tuple(sorted(sinks, key=str))


def sinks_by_namespace(snapshot: Snapshot, planned: Plan, plane: str) -> dict[str, tuple[ObjectRef, ...]]:
    """Where records of each known namespace go; ``""``: those of none, and of namespaces that nobody has seen."""
    otherwise, wishes = _wishes(tuple(_members(snapshot, planned, plane)), known_namespaces(snapshot))
    return {name: _ordered(each.sinks) for name, each in {"": otherwise, **wishes}.items()}


def _wishes(members: Collection[_Member], namespaces: Iterable[NamespaceFact]) -> tuple[_Wishes, dict[str, _Wishes]]:
    """What is wanted done with events of none, and with those of each namespace."""
    reaching: defaultdict[str, list[_Member]] = defaultdict(list)
    for each in members:
        for namespace in each.contribution.reach.namespaces:
            reaching[namespace].append(each)
    otherwise = _Wishes.of([each for each in members if each.is_cluster_wide])
    return otherwise, {each.name: _Wishes.of(reaching[each.name]) for each in namespaces}


def route_of(sinks: Iterable[ObjectRef]) -> str:
    """The name of a route: it changes only with the sinks that it leads to."""
    named = "\n".join(sorted(map(str, sinks)))
    return f"route-{hashlib.sha256(named.encode()).hexdigest()[:10]}"


def _members(snapshot: Snapshot, planned: Plan, plane: str) -> Iterable[_Member]:
    sinks, known = Sinks.of(snapshot), known_namespaces(snapshot)
    for policy in snapshot.policies():
        if planned.assigned.get(policy.ref) == plane:
            usable, _ = sinks.of_policy(policy)
            contribution = contribution_of(policy, known)
            own = planned.patterns.get(policy.ref)
            redaction = policy.spec.redaction or Redaction()
            patterns, is_tenants = own.applied if own else (), bool(policy.metadata.namespace)
            demand = RedactionDemand(
                frozenset(redaction.profiles),
                () if is_tenants else patterns,
                frozenset(redaction.pseudonymize),
                patterns if is_tenants else (),
            )
            yield _Member(policy.ref, contribution, frozenset(usable), demand)


def _findings(table: Table, *, everywhere: bool) -> Iterable[Finding]:
    if not everywhere:
        yield Finding(
            NO_CLUSTER_WIDE_SINK,
            Severity.WARNING,
            "no cluster-wide policy ships: events of namespaces that nobody has seen, events without a namespace, and "
            "lines that cannot be read go to no sink; on nodes they stay in the API servers' files, and of what API "
            "servers post to a gateway they are kept nowhere",
            mend="name a ClusterAuditSink in spec.sinkRefs of a ClusterAuditPolicy",
        )
    for names in table.unenforced:
        where = names[0] if names == URLS else ", ".join(each or "(cluster scope)" for each in names[:5])
        yield Finding(
            TOO_LARGE,
            Severity.WARNING,
            f"the policies for {where} have too many combinations of users, groups and resources; their events are "
            "shipped as the API server has recorded them",
            mend="use fewer user groups in rules that also name verbs or resources",
        )
