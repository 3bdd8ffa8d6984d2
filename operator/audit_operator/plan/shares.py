"""What tenants' sinks get of what all of them share: a node's disk, and the room for what shippers are told.

Tenants make as many AuditSinks as they like. Each costs the disk of every control-plane node a queue, and the Secret
that shippers read and the Leases that they report in a few hundred bytes, and all of these have an end.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.plan.credentials import NOT_USABLE
from audit_operator.shipping.exporters import Room

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.findings import ObjectRef

SINKS_OF_NAMESPACE = 4
"""AuditSinks of one namespace that one control plane's shippers write to."""
ON_DISK, LARGEST_ON_DISK = 4 * 2**30, 256 * 2**20
"""Bytes on a node's disk for the queues of all tenants' sinks together, and of one."""
IN_MEMORY, LARGEST_IN_MEMORY = 128 * 2**20, 64 * 2**20
"""Bytes of memory for the same. A collector that has no more memory takes nothing from anybody."""
SINKS_OF_TENANTS = 512
"""Their share of the disk is then 8 MiB each, and of memory a quarter of one: some hundred events."""


def beyond_bounds(sinks: Iterable[ObjectRef]) -> dict[ObjectRef, Finding]:
    """Why tenants' sinks among these are not written to: there are too many of their namespace, or of all.

    The first of a namespace, in order of name, go before the second of another: whoever has few does not pay for many.
    """
    ranked: dict[ObjectRef, int] = {}
    for theirs in _by_namespace(sinks).values():
        ranked.update({ref: rank for rank, ref in enumerate(theirs)})
    result = {ref: _too_many_of_namespace(ref) for ref, rank in ranked.items() if rank >= SINKS_OF_NAMESPACE}
    others = sorted(ranked.keys() - result.keys(), key=lambda ref: (ranked[ref], ref.namespace))
    return result | {ref: _too_many_of_all(ref) for ref in others[SINKS_OF_TENANTS:]}


def room_of(sinks: Iterable[ObjectRef], storage: str) -> Room:
    """What the shipper has for one sink of these, all of which it writes to.

    In steps, each half of the one before: every change is another configuration for everybody.
    """
    tenants = sum(1 for each in sinks if each.namespace)
    return Room(
        storage=storage,
        on_disk_of_tenant=_share(tenants, ON_DISK, LARGEST_ON_DISK),
        in_memory_of_tenant=_share(tenants, IN_MEMORY, LARGEST_IN_MEMORY),
    )


def _share(count: int, together: int, largest: int) -> int:
    size = largest
    while count * size > together:
        size //= 2
    return size


def no_room(ref: ObjectRef) -> Finding:
    """Why a tenant's sink is not written to where what shippers are told would be too large with it."""
    return Finding(
        NOT_USABLE,
        Severity.ERROR,
        "what shippers are told has a bound, and with this sink, and those before it in order of name, it is beyond",
        "use a sink that others use already, or keep less in its Secrets; or see the owner of the AuditControlPlane",
        object=ref,
    )


def _by_namespace(sinks: Iterable[ObjectRef]) -> Mapping[str, list[ObjectRef]]:
    found: defaultdict[str, list[ObjectRef]] = defaultdict(list)
    for ref in sorted(sinks, key=str):
        if ref.namespace:
            found[ref.namespace].append(ref)
    return found


def _too_many_of_namespace(ref: ObjectRef) -> Finding:
    said = f"shippers write to {SINKS_OF_NAMESPACE} AuditSinks of a namespace, the first in order of name"
    mend = "name fewer in the policies of this namespace, or a ClusterAuditSink that admits it"
    return Finding(NOT_USABLE, Severity.ERROR, said, mend, object=ref)


def _too_many_of_all(ref: ObjectRef) -> Finding:
    said = f"shippers write to {SINKS_OF_TENANTS} AuditSinks of all namespaces together, and there are more"
    return Finding(
        NOT_USABLE, Severity.ERROR, said, "ask for a ClusterAuditSink that admits this namespace", object=ref
    )
