"""The namespaces in which a right is more than what it says, because of what lies there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.sink import ClusterAuditSink


class Place(StrEnum):
    """Where an access counts.

    Operator: the namespaces of the operator and its agents. Stores: those of stores and of the Secrets that the
    platform's sinks name. System: kube-system, whose service accounts are Kubernetes' own controllers. HostPath: those
    whose pods may mount folders of a node. Everywhere: all. Cluster: objects without a namespace.
    """

    OPERATOR = "Operator"
    STORES = "Stores"
    SYSTEM = "System"
    HOST_PATH = "HostPath"
    EVERYWHERE = "Everywhere"
    CLUSTER = "Cluster"


SYSTEM_NAMESPACE = "kube-system"
_ENFORCED = "pod-security.kubernetes.io/enforce"
_WITHOUT_HOST_PATH = frozenset({"baseline", "restricted"})


@dataclass(frozen=True, slots=True)
class Places:
    """Which namespaces are which.

    Attributes:
        operator: of the operator, its agents, shippers and gateway.
        stores: of stores, and of the Secrets that cluster-wide sinks name.
        labels: of every namespace that is known. One that is not admits what a namespace without labels admits.
    """

    operator: frozenset[str]
    stores: frozenset[str] = frozenset()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def holds(self, place: Place, namespace: str) -> bool:
        """Whether a namespace is such a place."""
        match place:
            case Place.OPERATOR:
                return namespace in self.operator
            case Place.STORES:
                return namespace in self.stores
            case Place.SYSTEM:
                return namespace == SYSTEM_NAMESPACE
            case Place.HOST_PATH:
                return self.labels.get(namespace, {}).get(_ENFORCED) not in _WITHOUT_HOST_PATH
            case Place.EVERYWHERE:
                return True
            case _:
                return False

    def exists(self, place: Place) -> bool:
        """Whether there is such a place at all, for rights that hold in every namespace."""
        match place:
            case Place.STORES:
                return bool(self.stores)
            case Place.HOST_PATH:
                return not self.labels or any(self.holds(place, each) for each in self.labels)
            case _:
                return True


def stores_of(sinks: Iterable[ClusterAuditSink], namespaces: Iterable[str]) -> frozenset[str]:
    """The namespaces of the stores of cluster-wide sinks, as far as their addresses say so, and of their Secrets.

    Sinks of tenants are left out: whoever writes one could otherwise choose which namespaces are looked at.
    """
    known = frozenset(namespaces)
    return frozenset(each for sink in sinks for each in _of_sink(sink, known))


def _of_sink(sink: ClusterAuditSink, known: frozenset[str]) -> Iterator[str]:
    spec = sink.spec.model_dump()
    for section in spec.values():
        if not isinstance(section, dict):
            continue
        for value in (section, *section.values()):
            if isinstance(value, dict) and {"namespace", "name"} <= value.keys():
                yield value["namespace"]
        yield from _of_host(section, known)


def _of_host(section: Mapping[str, object], known: frozenset[str]) -> Iterator[str]:
    """The namespace in ``http://service.namespace.svc:9428``; without ``svc`` only if there is such a namespace."""
    for value in section.values():
        host = _host(value) if isinstance(value, str) and "://" in value else ""
        match = re.fullmatch(r"[^.]+\.([^.]+)(\.svc(\..+)?)?", host)
        if match and (match[2] or match[1] in known):
            yield match[1]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets around what is no IPv6 address
        return ""
