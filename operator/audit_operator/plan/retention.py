"""What each sink must keep, and for how long: the demands of all policies that ship there, by namespace.

Policies say how long in their own words; here they meet. Nobody hides their traces by writing a policy: where
cluster-wide policies ship a namespace's records, a maximum of the namespace's own counts only if one of those says how
long records are kept at the least. And a store that several sinks lead to keeps what any of them was promised.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.parsing import to_json
from audit_operator.api.sink import SinkType
from audit_operator.plan.contributions import contribution_of
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.sinks import Sinks
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Combined, Conflict, Wish, combine, period

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.plan.sinks import Sink
    from audit_operator.plan.snapshot import NamespaceFact, Snapshot

CONFLICT = "retention-conflict"
OVERRULED = "retention-maximum-not-applied"
NO_MAXIMUM = "retention-without-maximum"

_ARCHIVES = (SinkType.S3, SinkType.FILE)
"""Nobody can ask them for records, but by reading everything."""


@dataclass(frozen=True, slots=True)
class SinkDemands:
    """What is demanded of one sink.

    Attributes:
        classes: of the namespaces of which anything is demanded, in order of name.
        clusters: names under which control planes send records there; whatever else is in the store is foreign.
        of_policy: names of the classes that hold records of a policy, in order, by policy.
    """

    classes: tuple[RetentionClass, ...] = ()
    clusters: tuple[str, ...] = ()
    of_policy: Mapping[ObjectRef, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HotRecords:
    """Records of a policy that are to be searchable at once.

    Attributes:
        hours: for so long.
        namespaces: that it reaches.
        sinks: those that it ships to, and that can be searched.
    """

    hours: int
    namespaces: frozenset[str]
    sinks: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True)
class Retention:
    """What is demanded of sinks.

    Attributes:
        sinks: by sink; those of which nothing is demanded are absent.
        findings: what policies are to be told about it, by policy.
        asking: policies that ask for something.
        hot: what is to be searchable at once, by policy.
    """

    sinks: Mapping[ObjectRef, SinkDemands] = field(default_factory=dict)
    findings: Mapping[ObjectRef, tuple[Finding, ...]] = field(default_factory=dict)
    asking: frozenset[ObjectRef] = frozenset()
    hot: Mapping[ObjectRef, HotRecords] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Member:
    """A policy that ships: its wish, the namespaces that it reaches (``""``: records of none), and its sinks."""

    wish: Wish
    namespaces: frozenset[str]
    sinks: tuple[ObjectRef, ...]
    cluster: str

    @property
    def is_tenants(self) -> bool:
        return bool(self.wish.policy.namespace)


def retention(snapshot: Snapshot, assigned: Mapping[ObjectRef, str]) -> Retention:
    """What every sink must keep. `assigned` has the control plane of each policy that has one."""
    sinks = Sinks.of(snapshot)
    members = tuple(_members(snapshot, sinks, assigned))
    if not any(_asks(each.wish) or each.wish.unlimited for each in members):
        return Retention()
    reached: defaultdict[ObjectRef, defaultdict[str, list[_Member]]] = defaultdict(lambda: defaultdict(list))
    for member in members:
        for sink in member.sinks:
            for namespace in member.namespaces:
                reached[sink][namespace].append(member)
    neighbours = _neighbours(sinks.existing[each] for each in reached)
    told: defaultdict[ObjectRef, dict[Finding, None]] = defaultdict(dict)
    for each in members:
        told[each.wish.policy].update(dict.fromkeys(_without_end(each.wish)))
    unclear = _Unclear.of(snapshot, assigned)
    made = {
        sink: _demands({name: _meeting(sink, name, reached, neighbours[sink]) for name in theirs}, unclear, told)
        for sink, theirs in reached.items()
    }
    findings = {ref: tuple(each) for ref, each in told.items() if each}
    asking = frozenset(each.wish.policy for each in members if _asks(each.wish))
    hot = {each.wish.policy: _hot(each, sinks) for each in members if each.wish.hot}
    return Retention({sink: each for sink, each in made.items() if each.classes}, findings, asking, hot)


def _members(snapshot: Snapshot, sinks: Sinks, assigned: Mapping[ObjectRef, str]) -> Iterator[_Member]:
    known = known_namespaces(snapshot)
    for policy in sorted(snapshot.policies(), key=lambda each: each.ref):
        usable, _ = sinks.of_policy(policy)
        cluster = assigned.get(policy.ref)
        if usable and cluster is not None:
            yield _Member(_wish(policy), _reached(policy, known), usable, cluster)


def _reached(policy: AuditPolicy | ClusterAuditPolicy, known: Iterable[NamespaceFact]) -> frozenset[str]:
    reach = contribution_of(policy, known).reach
    return reach.namespaces | (frozenset({""}) if reach.cluster or reach.non_resource else frozenset[str]())


def _wish(policy: AuditPolicy | ClusterAuditPolicy) -> Wish:
    frameworks = policy.spec.compliance.frameworks if policy.spec.compliance else ()
    return Wish.of(policy.ref, policy.spec.retention, frameworks)


def _hot(member: _Member, sinks: Sinks) -> HotRecords:
    searched = tuple(each for each in member.sinks if sinks.existing[each].spec.type not in _ARCHIVES)
    return HotRecords(member.wish.hot, member.namespaces, searched)


def _asks(wish: Wish) -> bool:
    return combine([wish]).demand.asks_for_something


def _meeting(
    sink: ObjectRef,
    namespace: str,
    reached: Mapping[ObjectRef, Mapping[str, list[_Member]]],
    neighbours: Iterable[ObjectRef],
) -> tuple[_Member, ...]:
    """All whose records of a namespace lie in the store of a sink; what came there another way only ever lengthens."""
    own = reached[sink][namespace]
    others = [each for other in neighbours for each in reached[other].get(namespace, ()) if each not in own]
    return (*own, *(replace(each, wish=replace(each.wish, maximum=None, confirmed=False)) for each in others))


def _demands(
    meetings: Mapping[str, tuple[_Member, ...]], unclear: _Unclear, told: Mapping[ObjectRef, dict[Finding, None]]
) -> SinkDemands:
    known: dict[tuple[_Member, ...], Combined] = {}
    classes: defaultdict[str, list[tuple[str, Combined]]] = defaultdict(list)
    of_policy: defaultdict[ObjectRef, set[str]] = defaultdict(set)
    for namespace, members in meetings.items():
        if (made := known.get(members)) is None:
            made = known[members] = combine(_heard(members, told))
            for ref, finding in _conflicting(made.conflict):
                told[ref][finding] = None
        if made.demand.asks_for_something:
            classes[made.demand.name].append((namespace, made))
            for each in members:
                of_policy[each.wish.policy].add(made.demand.name)
    return SinkDemands(
        tuple(_class_of(each, unclear) for _, each in sorted(classes.items())),
        tuple(sorted({each.cluster for members in meetings.values() for each in members})),
        {ref: tuple(sorted(names)) for ref, names in of_policy.items()},
    )


def _class_of(members: list[tuple[str, Combined]], unclear: _Unclear) -> RetentionClass:
    names = tuple(sorted(name for name, _ in members))
    return RetentionClass(
        members[0][1].demand,
        names,
        confirmed=frozenset(name for name, made in members if made.confirmed),
        unclear=frozenset(each for each in names if unclear.holds(each)),
        conflicting=any(made.conflict is not None for _, made in members),
    )


def _heard(members: tuple[_Member, ...], told: Mapping[ObjectRef, dict[Finding, None]]) -> Iterator[Wish]:
    """The wishes that count: a tenant's maximum does not where those who ship the same say nothing of a minimum."""
    others = [each.wish for each in members if not each.is_tenants]
    silent = bool(others) and not any(each.minimum for each in others)
    for each in members:
        wish = each.wish
        if each.is_tenants and silent and wish.maximum is not None:
            told[wish.policy][_overruled(wish, others[0].policy)] = None
            wish = replace(wish, maximum=None, confirmed=False)
        yield wish


def _overruled(wish: Wish, other: ObjectRef) -> Finding:
    return Finding(
        OVERRULED,
        Severity.WARNING,
        f"records are not deleted after {period(wish.maximum or 0)}: {other} ships them to the same store, and says "
        "not how long they are kept at the least",
        f"let its owner set spec.retention.minimum in {other}; no policy of a namespace deletes below that",
        path="spec.retention.maximum",
    )


def _conflicting(conflict: Conflict | None) -> Iterator[tuple[ObjectRef, Finding]]:
    if conflict is None:
        return
    for wish, path in ((conflict.keeps, "spec.retention.minimum"), (conflict.deletes, "spec.retention.maximum")):
        mend = "lengthen the maximum, or shorten the minimum; until then, the minimum counts"
        yield wish.policy, Finding(CONFLICT, Severity.WARNING, str(conflict), mend, path=path)


def _without_end(wish: Wish) -> Iterator[Finding]:
    endless = [str(each) for each in wish.unlimited]
    if endless and wish.maximum is None:
        said = f"{', '.join(endless)}: records must not be kept for ever, and no maximum is set"
        yield Finding(NO_MAXIMUM, Severity.WARNING, said, "set spec.retention.maximum", path="spec.retention.maximum")


@dataclass(frozen=True, slots=True)
class _Unclear:
    """Where nobody knows what is demanded, so that nothing is deleted meanwhile.

    A policy there cannot be read, and may ask for more than is known of it; or it belongs to no control plane for now;
    or a control plane or a sink cannot be read, through which others may have been promised more.
    """

    everywhere: bool
    namespaces: frozenset[str]

    @classmethod
    def of(cls, snapshot: Snapshot, assigned: Mapping[ObjectRef, str]) -> _Unclear:
        broken = [each.ref for each in snapshot.invalid]
        known = known_namespaces(snapshot)
        adrift = [each for each in snapshot.policies() if each.ref not in assigned and each.spec.sink_refs]
        return cls(
            any(not each.namespace for each in broken),
            frozenset(each.namespace for each in broken).union(*(_reached(each, known) for each in adrift)),
        )

    def holds(self, namespace: str) -> bool:
        return self.everywhere or namespace in self.namespaces


def _neighbours(sinks: Iterable[Sink]) -> dict[ObjectRef, tuple[ObjectRef, ...]]:
    """Other sinks that lead to the same store, by sink."""
    by_store: defaultdict[str, list[ObjectRef]] = defaultdict(list)
    for each in sinks:
        by_store[store_of(each)].append(each.ref)
    return {ref: tuple(sorted(set(refs) - {ref}, key=str)) for refs in by_store.values() for ref in refs}


def store_of(sink: Sink) -> str:
    """What tells the store of a sink from others: its type and address, without what shows no difference there."""
    spec = sink.spec
    section = (
        spec.victoria_logs
        or spec.loki
        or spec.s3
        or spec.otlp
        or spec.open_search
        or spec.elasticsearch
        or getattr(spec, "file", None)
    )
    said = to_json(section) if section is not None else {}
    parts = [f"{key}={_address(str(value)) if key in {'url', 'endpoint'} else value}" for key, value in said.items()]
    return " ".join([spec.type.value, *sorted(parts)])


def _address(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}{parts.path.rstrip('/')}"
