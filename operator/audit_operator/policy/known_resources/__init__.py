"""Which API group serves which resource, as data: what a policy's resource names can and cannot mean.

The API server checks no resource name in an audit policy: `deployments` under the core group is accepted and matches
nothing. Whoever wants to say so needs to know what there is. Custom resources and aggregated APIs cannot be known
here; callers add theirs with `KnownResources.including`, and nobody may call a group wrong that is merely unknown.

`served.json` is written by `tools/known_resources.py`; `removed.json` is kept by hand, with its sources.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KubernetesVersion = tuple[int, int]
"""Major and minor, for example ``(1, 36)``."""

OBJECT_VERBS = frozenset({"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"})
"""Every verb that a request about a resource can have; `proxy` went with the URLs that it stood for (1.10)."""


@dataclass(frozen=True, slots=True)
class KnownResource:
    """One resource of an API group.

    Attributes:
        group: API group, ``""`` for core.
        name: plural name, as in URLs.
        kind: kind of its objects; empty if unknown.
        namespaced: whether its objects live in namespaces.
        verbs: verbs that the API server serves for it.
        subresources: verbs by name of the subresource.
        short_names: what kubectl takes in its place, and the API server does not.
    """

    group: str
    name: str
    kind: str = ""
    namespaced: bool = True
    verbs: frozenset[str] = OBJECT_VERBS
    subresources: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    short_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedResource:
    """A resource that newer API servers do not serve. `moved_to` is None if nothing took its place."""

    group: str
    name: str
    removed_in: KubernetesVersion
    moved_to: str | None = None


@dataclass(frozen=True, eq=False)
class KnownResources:
    """All resources that are known, and those that used to be. Compared by identity, so that results can be cached."""

    served: tuple[KnownResource, ...]
    removed: tuple[RemovedResource, ...] = ()

    @cached_property
    def groups(self) -> frozenset[str]:
        """Groups of which every resource is known."""
        return frozenset(each.group for each in self.served)

    @cached_property
    def _by_group(self) -> Mapping[str, Mapping[str, KnownResource]]:
        grouped: dict[str, dict[str, KnownResource]] = {}
        for each in self.served:
            grouped.setdefault(each.group, {})[each.name] = each
        return grouped

    def in_group(self, group: str) -> tuple[KnownResource, ...]:
        """The resources of one group; none if the group is not known."""
        return tuple(self._by_group.get(group, {}).values())

    def find(self, group: str, name: str) -> KnownResource | None:
        """The resource of that plural name in that group."""
        return self._by_group.get(group, {}).get(name)

    def groups_serving(self, name: str) -> tuple[str, ...]:
        """Every group with a resource of that plural name, sorted."""
        return tuple(sorted(each.group for each in self.served if each.name == name))

    def find_removed(self, group: str, name: str) -> RemovedResource | None:
        """The former resource of that name in that group."""
        return next((each for each in self.removed if (each.group, each.name) == (group, name)), None)

    def group_removed_in(self, group: str) -> KubernetesVersion | None:
        """The version from which on the whole group is not served any more; None if it is, or was never known."""
        if group in self.groups:
            return None
        return max((each.removed_in for each in self.removed if each.group == group), default=None)

    def including(self, resources: Iterable[KnownResource]) -> KnownResources:
        """The same with more resources, for example those of CustomResourceDefinitions; a later one replaces."""
        merged = {(each.group, each.name): each for each in (*self.served, *resources)}
        return KnownResources(tuple(merged.values()), self.removed)


@lru_cache(maxsize=1)
def known_resources() -> KnownResources:
    """The resources built into Kubernetes."""
    served = tuple(
        KnownResource(
            group=group,
            name=name,
            kind=each["kind"],
            namespaced=each["namespaced"],
            verbs=frozenset(each["verbs"]),
            subresources={sub: frozenset(verbs) for sub, verbs in each.get("subresources", {}).items()},
            short_names=tuple(each.get("shortNames", ())),
        )
        for group, resources in _read("served.json")["groups"].items()
        for name, each in resources.items()
    )
    removed = tuple(
        RemovedResource(group, name, _version(each["removedIn"]), each.get("movedTo"))
        for group, resources in _read("removed.json")["groups"].items()
        for name, each in resources.items()
    )
    return KnownResources(served, removed)


def _read(file: str) -> Any:
    return json.loads((files(__name__) / file).read_text(encoding="utf-8"))


def _version(text: str) -> KubernetesVersion:
    major, minor = text.split(".")
    return int(major), int(minor)
