"""The shippers of the control planes that there are, and what is known of them.

Shipping never holds up auditing: it comes after the delivery of the audit policy, and whatever goes wrong here ends in
a finding and in the log.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Driver as DriverName
from audit_operator.api.findings import Finding, Severity
from audit_operator.plan.collector_files import CollectorFiles, Places, collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.plan.shipping_status import NO_COLLECTOR, ShippingFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.controlplane.shipper.shippers import Shippers
    from audit_operator.plan import Plan, Snapshot

    MakeShippers = Callable[[AuditControlPlane], Shippers | None]

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Shipment:
    """Hands files to shippers and collects what they see.

    `make` returns the shippers of a control plane, or None if this process has none for it. `facts` has what is known,
    by control plane; a control plane is absent where shipping is not ours.
    """

    make: MakeShippers
    facts: dict[str, ShippingFacts] = field(default_factory=dict)
    _shippers: dict[str, tuple[DriverName, Shippers]] = field(default_factory=dict)
    _made: dict[str, _Made] = field(default_factory=dict)

    async def deliver(self, snapshot: Snapshot, planned: Plan) -> None:
        """Hand over what is planned for each control plane, and note what is known of it. Raises nothing."""
        planes = {each.metadata.name: each for each in snapshot.control_planes}
        for name in self._shippers.keys() - planes.keys():
            try:
                await self._end(name)
            except Exception as error:  # noqa: BLE001 - as below
                await self._give_up(name, error)
        facts = {}
        for name, plane in planes.items():
            try:
                known = await self._deliver(plane, snapshot, planned)
            except Exception as error:  # noqa: BLE001 - whatever it is, audit policies must go on being delivered
                known = await self._give_up(name, error)
            if known is not None:
                facts[name] = known
        self.facts = facts

    async def observe(self) -> None:
        """Look at what shippers have counted; what is true of them, they say by themselves when it changes."""
        for name, (_, shippers) in list(self._shippers.items()):
            if name not in self.facts:
                continue
            try:
                self.facts[name] = replace(self.facts[name], shippers=await shippers.observe())
            except Exception as error:  # noqa: BLE001 - as above
                self.facts[name] = await self._give_up(name, error)

    async def aclose(self) -> None:
        """Stop working; what runs keeps running."""
        for name in list(self._shippers):
            await self._close(name)

    async def _deliver(self, plane: AuditControlPlane, snapshot: Snapshot, planned: Plan) -> ShippingFacts | None:
        name, driver = plane.metadata.name, plane.spec.driver
        if name in self._shippers and self._shippers[name][0] is not driver:
            await self._end(name)
        if name not in self._shippers:
            made = self.make(plane)
            if made is None:
                lacking = driver is DriverName.PROCESS and _is_asked_for(name, snapshot, planned)
                return ShippingFacts(refused=(_NO_COLLECTOR,)) if lacking else None
            self._shippers[name] = driver, made
        shippers = self._shippers[name][1]
        files, remarks = await self._files(name, snapshot, planned, shippers.places)
        refused = await shippers.deliver(files)
        return ShippingFacts(files, refused, remarks, await shippers.observe())

    async def _files(
        self, name: str, snapshot: Snapshot, planned: Plan, places: Places
    ) -> tuple[CollectorFiles | None, tuple[Finding, ...]]:
        """What was planned; made anew only where something that it depends on is not the same."""
        basis = (
            snapshot.audit_policies,
            snapshot.cluster_audit_policies,
            snapshot.audit_sinks,
            snapshot.cluster_audit_sinks,
            snapshot.namespaces,
            dict(planned.assigned),
            places,
        )
        known = self._made.get(name)
        if known is None or known.basis != basis:
            known = self._made[name] = await asyncio.to_thread(_make, basis, name, snapshot, planned, places)
        return known.files, known.remarks

    async def _give_up(self, name: str, error: Exception) -> ShippingFacts:
        """Note a bug, and begin anew with what runs at the next opportunity."""
        _LOG.error("Shipping failed: %s", error, exc_info=error, extra={"object": name, "reason": type(error).__name__})
        await self._close(name)  # of two that keep the same collector, one would take back what the other does
        return ShippingFacts(refused=(_FAILED,))

    async def _end(self, name: str) -> None:
        """The control plane has gone, or is not ours any more: its shippers end, too."""
        await self._shippers[name][1].deliver(None)
        await self._close(name)

    async def _close(self, name: str) -> None:
        """Let go of a control plane's shippers, whatever state they are in."""
        self._made.pop(name, None)
        _, shippers = self._shippers.pop(name, (None, None))
        if shippers is None:
            return
        try:
            await shippers.aclose()
        except asyncio.CancelledError:
            pass  # its task may have been cancelled already, by kopf on its way out
        except Exception as error:  # noqa: BLE001 - what it was working on is given up anyway
            _LOG.warning("Shipping ended with: %s", error, extra={"object": name, "reason": type(error).__name__})


@dataclass(frozen=True, slots=True)
class _Made:
    basis: tuple[object, ...]
    files: CollectorFiles | None
    remarks: tuple[Finding, ...]


def _is_asked_for(name: str, snapshot: Snapshot, planned: Plan) -> bool:
    return any(each.spec.sink_refs and planned.assigned.get(each.ref) == name for each in snapshot.policies())


def _make(basis: tuple[object, ...], name: str, snapshot: Snapshot, planned: Plan, places: Places) -> _Made:
    wanted = shipping(snapshot, planned, name)
    if wanted is None:
        return _Made(basis, None, ())
    return _Made(basis, collector_files(wanted, snapshot, name, places), wanted.findings)


_NO_COLLECTOR = Finding(
    id=NO_COLLECTOR,
    severity=Severity.WARNING,
    message="this operator has no collector, so that nothing is shipped",
    mend="set AUDIT_OPERATOR_COLLECTOR, or run one by hand with what `audit-operator shipper render` writes",
)
_FAILED = Finding(
    id="shipping-failed",
    severity=Severity.ERROR,
    message="the shippers could not be told what to do",
    mend="see the log of the operator",
)
