"""What the operator knows of the cluster, and when it may act on it.

Two sources feed the store: watch events, which are fast and lossy (an object that vanishes while a watch is down is
never reported), and complete lists, which are slow and exact. The rules by which they are merged:

* Nothing may be acted on before every kind has been listed once (`synced`).
* A list replaces all that arrived before the list *began*: it was read from the most recent state after that moment.
  Arrival order is local and cannot be confused by an API server that was restored from a backup.
* What arrived while the list was being read is older or newer than the list; here the resource versions decide, which
  are comparable within a kind (KEP-5504). That holds for deletions, too, so that a list cannot raise the dead.
* An event that is older than what is known is dropped.

The store is free of I/O and of clients: whatever watches and lists can be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.status import NO_STATUS, ObservedStatus, observe_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document, Listing


@dataclass(frozen=True, slots=True)
class Fact:
    """One object as last seen. `content` is what the store's decoder made of it."""

    ref: ObjectRef
    uid: str
    version: int
    generation: int
    content: object
    status: ObservedStatus = NO_STATUS


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A fact, or its absence (a deletion), with its place in the order of arrival."""

    fact: Fact | None
    version: int
    order: int


@dataclass(slots=True)
class _Kind:
    present: dict[ObjectRef, _Arrived] = field(default_factory=dict)
    deleted: dict[ObjectRef, _Arrived] = field(default_factory=dict)
    listed_version: int | None = None


class FactStore:
    """All objects of the watched kinds.

    Attributes:
        decode: makes the content that is kept of an object; it is given the content known so far, and returns that very
            object where nothing has changed, so that a change of status costs no parsing. It must not raise.
        on_content: called when something that a plan can depend on has changed.
        on_status: called with each object whose status changed, by us or by anybody.
    """

    def __init__(
        self,
        watched: Iterable[Resource],
        decode: Callable[[Resource, Document, object | None], object],
        *,
        on_content: Callable[[], None] = lambda: None,
        on_status: Callable[[Fact], None] = lambda _fact: None,
    ) -> None:
        self._kinds = {resource.kind: _Kind() for resource in watched}
        self.decode = decode
        self._order = 0
        self.on_content = on_content
        self.on_status = on_status

    @property
    def synced(self) -> bool:
        """Whether every kind has been listed completely at least once."""
        return all(kind.listed_version is not None for kind in self._kinds.values())

    def facts(self, resource: Resource) -> Iterator[Fact]:
        """All objects of a kind, in no particular order."""
        return (each.fact for each in self._kinds[resource.kind].present.values() if each.fact is not None)

    def count(self, resource: Resource) -> int:
        """How many objects of a kind there are."""
        return len(self._kinds[resource.kind].present)

    def get(self, ref: ObjectRef) -> Fact | None:
        """One object, or None where none is known."""
        arrived = self._kinds[ref.kind].present.get(ref)
        return arrived.fact if arrived else None

    def fact_of(self, resource: Resource, document: Document) -> Fact:
        """Reduce an object to what is kept of it."""
        metadata = document["metadata"]
        ref = ObjectRef(resource.kind, metadata["name"], metadata.get("namespace", ""))
        known = self.get(ref)
        return Fact(
            ref=known.ref if known else ref,
            uid=metadata.get("uid", ""),
            version=int(metadata["resourceVersion"]),
            generation=int(metadata.get("generation", 0)),
            content=self.decode(resource, document, known.content if known else None),
            status=observe_status(document.get("status")),
        )

    def observe(self, resource: Resource, document: Document) -> None:
        """An object was seen: in a watch event, or in the answer to a write."""
        kind, fact = self._kinds[resource.kind], self.fact_of(resource, document)
        known = kind.present.get(fact.ref) or kind.deleted.get(fact.ref)
        if known is not None and fact.version <= known.version:
            return
        if known is None and kind.listed_version is not None and fact.version <= kind.listed_version:
            return  # it was gone when the list was read, and this is from before
        self._report(self._put(kind, fact))

    def forget(self, resource: Resource, document: Document) -> None:
        """An object was reported as deleted."""
        metadata = document["metadata"]
        ref = ObjectRef(resource.kind, metadata["name"], metadata.get("namespace", ""))
        version = int(metadata["resourceVersion"])
        kind = self._kinds[resource.kind]
        known = kind.present.get(ref)
        if known is not None and version < known.version:
            return  # it was created anew since
        kind.deleted[ref] = _Arrived(None, version, self._tick())
        if kind.present.pop(ref, None) is not None:
            self.on_content()

    def begin_list(self) -> int:
        """Call this before the first request of a list, and give the result to `replace`."""
        return self._tick()

    def replace(self, resource: Resource, began: int, listing: Listing[Fact]) -> None:
        """A complete list has been read: what it lacks is gone."""
        kind = self._kinds[resource.kind]
        version = int(listing.resource_version)
        listed = {fact.ref: fact for fact in listing.items}
        first = kind.listed_version is None
        kind.listed_version = version
        gone = [
            ref
            for ref, known in kind.present.items()
            if ref not in listed and not (known.order > began and known.version > version)
        ]
        for ref in gone:
            del kind.present[ref]
        changes = [self._put(kind, fact) for fact in listed.values() if _wins(kind, fact, began)]
        kind.deleted = {ref: known for ref, known in kind.deleted.items() if known.order > began}
        self._report(*changes, anyway=bool(gone) or first)

    def _put(self, kind: _Kind, fact: Fact) -> tuple[Fact | None, Fact]:
        kind.deleted.pop(fact.ref, None)
        before = kind.present.get(fact.ref)
        kind.present[fact.ref] = _Arrived(fact, fact.version, self._tick())
        return (before.fact if before else None), fact

    def _report(self, *changes: tuple[Fact | None, Fact], anyway: bool = False) -> None:
        if anyway or any(_content_changed(before, after) for before, after in changes):
            self.on_content()
        for before, after in changes:
            if before is None or before.status != after.status:
                self.on_status(after)

    def _tick(self) -> int:
        self._order += 1
        return self._order


def _wins(kind: _Kind, listed: Fact, began: int) -> bool:
    known = kind.present.get(listed.ref) or kind.deleted.get(listed.ref)
    return known is None or known.order < began or known.version < listed.version


def _content_changed(before: Fact | None, after: Fact) -> bool:
    if before is None or before.uid != after.uid or before.generation != after.generation:
        return True
    return before.content is not after.content and before.content != after.content
