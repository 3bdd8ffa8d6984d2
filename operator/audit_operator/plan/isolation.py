"""Finds the objects without which a plan can be made, where a defect of ours keeps one from being made with them.

One tenant's object must not stop the rest. What has changed since the last plan is suspected, and of that as little as
possible is set aside: what it replaced stays in force. Nothing else may be left out, or API servers would be told to
record less for a reason that nobody gave: an object that is new is left out only if it is a tenant's own, which can
but add records of its namespace, and cluster-wide objects, whose limits protect others, never.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from audit_operator.plan.defect import defect
from audit_operator.plan.snapshot import InvalidObject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.kinds import AnyKind
    from audit_operator.plan.snapshot import Snapshot

    Aside = Sequence["Suspect"]

_FIELDS = ("audit_policies", "cluster_audit_policies", "audit_sinks", "cluster_audit_sinks", "control_planes")


@dataclass(frozen=True, slots=True)
class Suspect:
    """An object that may be set aside, and the version that takes its place; None: nothing does."""

    present: AnyKind
    former: AnyKind | None


def suspects(snapshot: Snapshot, good: Snapshot | None) -> tuple[Suspect, ...]:
    """What has changed since a snapshot of which a plan could be made, and may be set aside; `good` may be None."""
    before = _objects(good) if good is not None else {}
    return tuple(
        Suspect(each, before.get(ref))
        for ref, each in _objects(snapshot).items()
        if before.get(ref) is not each and (ref in before or ref.namespace)
    )


def without(snapshot: Snapshot, aside: Aside) -> Snapshot:
    """The snapshot with what takes the place of these objects; of those that are not in it any more, none is left."""
    if not aside:
        return snapshot
    replaced = {id(each.present): each for each in aside}
    fields: dict[str, Any] = {}
    broken = list(snapshot.invalid)
    for name in _FIELDS:
        kept = []
        for each in getattr(snapshot, name):
            suspect = replaced.get(id(each))
            if suspect is None:
                kept.append(each)
                continue
            broken.append(_said(suspect))
            if suspect.former is not None:
                kept.append(suspect.former)
        fields[name] = tuple(kept)
    return replace(snapshot, invalid=tuple(broken), **fields)


def present(snapshot: Snapshot, aside: Aside) -> tuple[Suspect, ...]:
    """Those of which the very version that was set aside is still in the snapshot."""
    there = {id(each) for each in _objects(snapshot).values()} if aside else ()
    return tuple(each for each in aside if id(each.present) in there)


def culprits(
    suspected: Aside, works: Callable[[Aside], bool], affordable: Callable[[], bool]
) -> tuple[Suspect, ...] | None:
    """As few suspects as possible without which it works; None if it does not without all of them, or for lack of time.

    Of suspects who are all innocent, none. `works` says whether it does without some of them; with k culprits among n
    it is asked about 2 k log(n / k) times (QuickXplain, Junker, AAAI 2004). `affordable` says whether it may be asked
    once more.
    """
    if not suspected or not works(suspected):
        return None

    def needed(beside: Aside, among: Aside) -> tuple[Suspect, ...]:
        if not affordable():
            raise _OutOfTimeError
        if works(beside):
            return ()
        if len(among) == 1:
            return tuple(among)
        left, right = among[: len(among) // 2], among[len(among) // 2 :]
        of_left = needed((*beside, *right), left)
        return (*of_left, *needed((*beside, *of_left), right))

    try:
        return needed((), suspected)
    except _OutOfTimeError:
        return None


class _OutOfTimeError(Exception):
    pass


def _objects(snapshot: Snapshot) -> dict[ObjectRef, AnyKind]:
    return {each.ref: each for name in _FIELDS for each in getattr(snapshot, name)}


def _said(suspect: Suspect) -> InvalidObject:
    ref, generation = suspect.present.ref, suspect.present.metadata.generation
    kept = "it takes no part" if suspect.former is None else "the version before this one stays in force"
    return InvalidObject(ref, generation, (defect(ref, f"no plan can be made with this object; {kept}"),))
