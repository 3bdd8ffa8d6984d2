"""Which detections of policies the shippers of a control plane count, and which they do not.

Detections that select alike, and tell apart alike, are one condition, however many namespaces ask for it: so what
counting costs does not grow with namespaces. There is room for so many conditions. Cluster-wide policies' come first;
what is left, namespaces share: the first of each, then the second of each, so that nobody takes the place of others by
asking for more. Each namespace's events are compared with so many conditions, and half of the series are cluster-wide
policies', so that no objects of a namespace make a shipper slow, or what the cluster's owner counts blind.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.detections.counted import event_count
from audit_operator.detections.own import resolve
from audit_operator.detections.series import condition_id, keys_of
from audit_operator.shipping.collector.counting import tells_apart
from audit_operator.shipping.pipeline import Counting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.detection import Detection
    from audit_operator.api.findings import ObjectRef
    from audit_operator.detections.own import OwnDetection
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.shipping.pipeline import EventCount

NOT_COUNTED = "detection-not-counted"
SHORTEST_MEMORY, LONGEST_MEMORY = 3600, 24 * 3600
"""Seconds for which a series is remembered at least, and at most: no window may be longer."""
_LARGEST, _LARGEST_OF_TENANTS, _ROOM_OF_TENANTS = 64 * 1024, 8 * 1024, 192 * 1024
"""Characters of a condition in the collector's configuration; of one of a namespace's; of all of these."""
_MOST_OF_A_NAMESPACE, _ROOM_OF_A_NAMESPACE = 16, 32 * 1024
"""Conditions of one namespace, and characters of these: what an event of it can cost."""
_FEWEST_SERIES, _MOST_NAMESPACES = 100, 2**20
"""Series of a condition that tells apart what senders choose, at least; of one that tells only namespaces apart."""
_HAVE_IT_COUNTED = (
    "have the chart's networkPolicy.metricsFrom say who may read users and sources of all namespaces at /metrics; "
    "without the chart, AUDIT_OPERATOR_DETECTION_CONDITIONS"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the shippers of one control plane count.

    Attributes:
        counting: for the shippers.
        by_namespace: ids of the conditions that are counted in a namespace, because of its own policies.
        findings: of policies with detections that are not counted.
        conditions: what is counted, by the id of its condition.
    """

    counting: Counting = field(default_factory=Counting)
    by_namespace: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    findings: Mapping[ObjectRef, tuple[Finding, ...]] = field(default_factory=dict)
    conditions: Mapping[str, OwnDetection] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A detection as policies have it; `place` is where it stands in them."""

    place: int
    id: str
    own: OwnDetection
    longest: int

    @property
    def lasts(self) -> bool:
        """Whether series are remembered for as long as it looks back."""
        return self.own.window <= self.longest


_Wishes = tuple[_Wish, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Cluster-wide policies, or namespaces, that wish for the same: most of them do.

    Attributes:
        wishes: one for each condition, in their order, of those that can be counted.
        names: whose they are.
        beyond: ids of those for which a namespace alone has no room.
    """

    wishes: _Wishes
    names: tuple[str, ...]
    beyond: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The conditions for which there is room, by id; and those that are too large for any."""

    conditions: Mapping[str, OwnDetection]
    too_large: frozenset[str]


def counted(policies: Iterable[AuditPolicy | ClusterAuditPolicy], snapshot: Snapshot) -> Counted:
    """What is counted of these policies' detections, all of one control plane."""
    wishes = {
        each.ref: _wishes(each.spec.detections, namespaced=bool(each.metadata.namespace))
        for each in policies
        if each.spec.detections
    }
    limits = snapshot.counting
    of_cluster = _groups((ref.name, theirs) for ref, theirs in sorted(wishes.items()) if not ref.namespace)
    of_namespaces = [
        _first(each)
        for each in _groups((ref.namespace, theirs) for ref, theirs in sorted(wishes.items()) if ref.namespace)
    ]
    chosen = _choose(of_cluster, of_namespaces, limits.conditions)
    everywhere = {each.id for group in of_cluster for each in group.wishes}
    crowds = {each for each, own in chosen.conditions.items() if tells_apart(keys_of(own))}
    most = _most(limits.series, len(everywhere & crowds), len(crowds - everywhere))
    sizes = {each: _size(own) for each, own in chosen.conditions.items() if each not in everywhere}
    of_namespaces = [_within_room(each, sizes) for each in of_namespaces]
    kept = _kept([*of_cluster, *of_namespaces], chosen.conditions)
    counts = (
        _rendered(
            own,
            namespaced=each not in everywhere,
            kept=kept,
            most=most[each not in everywhere] if each in crowds else _MOST_NAMESPACES,
        )
        for each, own in sorted(chosen.conditions.items(), key=lambda item: item[0])
    )
    return Counted(
        Counting(tuple(counts), limits.prober),
        _by_namespace(of_namespaces, chosen.conditions.keys() - everywhere),
        _findings(wishes, chosen, limits.conditions, _beyond(of_namespaces, everywhere)),
        chosen.conditions,
    )


def _most(series: int, everywhere: int, namespaced: int) -> dict[bool, int]:
    """How many series a condition may have, by whether it is a namespace's."""
    half = series // 2 if everywhere and namespaced else series
    return {of: max(_FEWEST_SERIES, half // max(1, number)) for of, number in ((False, everywhere), (True, namespaced))}


@lru_cache(maxsize=4096)  # most policies have the same
def _wishes(detections: tuple[Detection, ...], *, namespaced: bool) -> _Wishes:
    longest = SHORTEST_MEMORY if namespaced else LONGEST_MEMORY
    known = (resolved(each, namespaced=namespaced) for each in detections)
    return tuple(_Wish(place, identity, own, longest) for place, (own, identity) in enumerate(known))


@lru_cache(maxsize=4096)  # those of namespaces are mostly the same presets
def resolved(detection: Detection, *, namespaced: bool) -> tuple[OwnDetection, str]:
    """A policy's detection, complete, and the id of its condition; `namespaced` says whether it is an AuditPolicy's."""
    own = resolve(detection)
    return own, condition_id(own, namespaced=namespaced)


@lru_cache(maxsize=4096)  # of one plan there are far fewer
def _rendered(own: OwnDetection, *, namespaced: bool, kept: int, most: int) -> EventCount:
    return event_count(own, namespaced=namespaced, kept=kept, most=most)


def _size(own: OwnDetection) -> int:
    made = _rendered(own, namespaced=False, kept=0, most=0)
    return len(made.where) + sum(map(len, made.reads)) + len(made.then) + len(made.before)


def _groups(wishes: Iterable[tuple[str, _Wishes]]) -> list[_Group]:
    """By what they wish for together; several policies may have one name."""
    by_name: defaultdict[str, list[_Wishes]] = defaultdict(list)
    for name, theirs in wishes:
        by_name[name].append(theirs)
    alike: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, lists in by_name.items():
        alike[tuple(map(id, lists))].append(name)  # to compare them would take longer than all else
    return [_Group(_distinct(by_name[names[0]]), tuple(names)) for names in alike.values()]


def _distinct(lists: list[_Wishes]) -> _Wishes:
    found: dict[str, _Wish] = {}
    for each in (each for wishes in lists for each in wishes if each.lasts):
        found.setdefault(each.id, each)
    return tuple(found.values())


def _first(group: _Group) -> _Group:
    """The same with no more conditions than one namespace may have."""
    most = _MOST_OF_A_NAMESPACE
    return replace(group, wishes=group.wishes[:most], beyond=frozenset(each.id for each in group.wishes[most:]))


def _within_room(group: _Group, sizes: Mapping[str, int]) -> _Group:
    """The same with no more characters than one namespace may have; `sizes` has those of conditions that count."""
    room, beyond = _ROOM_OF_A_NAMESPACE, set(group.beyond)
    for each in group.wishes:
        if (size := sizes.get(each.id, 0)) > room:
            beyond.add(each.id)
        else:
            room -= size
    kept = tuple(each for each in group.wishes if each.id not in beyond)
    return replace(group, wishes=kept, beyond=frozenset(beyond))


def _beyond(groups: Iterable[_Group], everywhere: Collection[str]) -> dict[str, frozenset[str]]:
    """By namespace, of those that have some."""
    return {name: found for each in groups if (found := each.beyond - set(everywhere)) for name in each.names}


def _choose(of_cluster: list[_Group], of_namespaces: list[_Group], most: int) -> _Chosen:
    conditions: dict[str, OwnDetection] = {}
    too_large: set[str] = set()
    room = _ROOM_OF_TENANTS
    turns = ((False, _in_turns(of_cluster)), (True, _in_turns(of_namespaces)))
    for namespaced, each in ((namespaced, each) for namespaced, wishes in turns for each in wishes):
        if len(conditions) >= most:
            break
        if each.id in conditions:
            continue
        size = _size(each.own)
        if size > (_LARGEST_OF_TENANTS if namespaced else _LARGEST):
            too_large.add(each.id)
        elif not namespaced or size <= room:
            conditions[each.id] = each.own
            room -= size if namespaced else 0
    return _Chosen(conditions, frozenset(too_large))


def _in_turns(groups: list[_Group]) -> Iterator[_Wish]:
    """The first of each, then the second of each; in a turn, what most of them wish for comes first."""
    wanted: defaultdict[str, int] = defaultdict(int)
    for group in groups:
        for each in group.wishes:
            wanted[each.id] += len(group.names)
    for turn in range(max((len(each.wishes) for each in groups), default=0)):
        theirs = {group.wishes[turn].id: group.wishes[turn] for group in groups if turn < len(group.wishes)}
        yield from sorted(theirs.values(), key=lambda each: (-wanted[each.id], each.id))


def _kept(groups: Iterable[_Group], chosen: Collection[str]) -> int:
    """For how long series are remembered: as long as the longest window.

    All of them, since where they are shown, all are shown equally long: what a counter forgets before, others take the
    room of, and more series would be shown than there is room for.
    """
    windows = (each.own.window for group in groups for each in group.wishes if each.id in chosen)
    return max((SHORTEST_MEMORY, *windows))


def _by_namespace(groups: Iterable[_Group], chosen: Collection[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        ids = tuple(sorted(each.id for each in group.wishes if each.id in chosen))
        found |= dict.fromkeys(group.names, ids) if ids else {}
    return found


def _findings(
    wishes: Mapping[ObjectRef, _Wishes], chosen: _Chosen, most: int, beyond: Mapping[str, frozenset[str]]
) -> dict[ObjectRef, tuple[Finding, ...]]:
    said: dict[tuple[int, frozenset[str]], tuple[Finding, ...]] = {}
    found = {}
    for ref, theirs in wishes.items():
        key = id(theirs), beyond.get(ref.namespace, frozenset())
        if key not in said:
            said[key] = tuple(_not_counted(theirs, chosen, most, key[1]))
        if said[key]:
            found[ref] = said[key]
    return found


def _not_counted(wishes: _Wishes, chosen: _Chosen, most: int, beyond: Collection[str]) -> Iterator[Finding]:
    for each in wishes:
        if not each.lasts:
            why = f"its window is longer than {each.longest // 3600}h", "shorten the window"
        elif each.id in chosen.too_large:
            why = "its condition is too large for the configuration of shippers", "ask for less"
        elif not most:
            why = "the installation counts none", _HAVE_IT_COUNTED
        elif each.id in beyond:
            why = "the namespace asks for more than is counted of one", "ask for fewer detections, or for less of each"
        elif each.id not in chosen.conditions:
            mend = "ask for what others ask for, such as a preset; or have AUDIT_OPERATOR_DETECTION_CONDITIONS raised"
            why = f"others came first in the {most} conditions that are counted", mend
        else:
            continue
        message = f"shippers do not count what detection {each.own.name} is about, so that nothing alerts: {why[0]}"
        yield Finding(NOT_COUNTED, Severity.WARNING, message, why[1], path=f"spec.detections[{each.place}]")
