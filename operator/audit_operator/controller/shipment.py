"""The shippers of the control planes that there are, and what is known of them.

Shipping never holds up auditing: it comes after the delivery of the audit policy, and whatever goes wrong here ends in
a finding and in the log.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Driver as DriverName
from audit_operator.api.findings import Finding, Severity
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.counts import text_of
from audit_operator.controlplane.shipper.nodes import NOT_TOLD
from audit_operator.plan.collector_files import CollectorFiles, collector_files
from audit_operator.plan.shares import no_room
from audit_operator.plan.shipping import Shipping, shipping
from audit_operator.plan.shipping_status import NO_COLLECTOR, ShippingFacts
from audit_operator.plan.sink_shipping import cuts, losses, quarantined, uncounted
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.unreadable_lines import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.findings import ObjectRef
    from audit_operator.controller.credentials import SinkSecrets
    from audit_operator.controlplane.shipper.shippers import Shippers
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.credentials import SinkCredentials

    Credentials = Mapping[ObjectRef, SinkCredentials | Finding]
    Render = Callable[[Credentials], CollectorFiles]
    MakeShippers = Callable[[AuditControlPlane], Shippers | Finding | None]

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Shipment:
    """Hands files to shippers and collects what they see.

    `make` returns the shippers of a control plane, or None if this process has none for it, or, if they serve others, a
    finding. `secrets` reads what sinks need. `tries` says whether shippers try what is new before they use it. `facts`
    has what is known, by control plane; a control plane is absent where shipping is not ours.
    `failed` names the control planes for which a defect kept anything from being delivered the last time.
    """

    make: MakeShippers
    secrets: SinkSecrets
    tries: bool = True
    facts: dict[str, ShippingFacts] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    _shippers: dict[str, tuple[AuditControlPlane, Shippers]] = field(default_factory=dict)
    _made: dict[str, _Made] = field(default_factory=dict)
    _recalled: set[str] = field(default_factory=set)

    async def deliver(self, snapshot: Snapshot, planned: Plan) -> None:
        """Hand over what is planned for each control plane, and note what is known of it. Raises nothing."""
        planes = {each.metadata.name: each for each in snapshot.control_planes}
        for name in self._shippers.keys() - planes.keys():
            try:
                await self._end(name)
            except Exception as error:  # noqa: BLE001 - as below
                await self._give_up(name, error)
        facts, failed = {}, []
        for name, plane in planes.items():
            try:
                known = await self._deliver(plane, snapshot, planned)
            except Exception as error:  # noqa: BLE001 - whatever it is, audit policies must go on being delivered
                known = await self._give_up(name, error)
                failed.append(name)
            if known is not None:
                facts[name] = known
        self.facts, self.failed = facts, tuple(failed)

    async def observe(self) -> bool:
        """Look at what shippers have counted; what is true of them, they say by themselves when it changes.

        Returns whether losses, records that were cut, lines in quarantine, or what was not counted have reached another
        step, which no shipper knows of, or something is to be tried again.
        """
        before = self._steps()
        for name, (_, shippers) in list(self._shippers.items()):
            if name not in self.facts:
                continue
            try:
                self.facts[name] = replace(self.facts[name], shippers=await shippers.observe())
            except Exception as error:  # noqa: BLE001 - as above
                self.facts[name] = await self._give_up(name, error)
        return self._steps() != before or not self._recalled.issuperset(self._shippers)

    def _steps(self) -> dict[str, tuple[object, ...]]:
        seen = {name: each.shippers for name, each in self.facts.items()}
        return {
            name: (losses(each), cuts(each), quarantined(each), uncounted(each), Unreadable.of(each).steps())
            for name, each in seen.items()
        }

    async def counts(self) -> bytes:
        """What collectors of ours have counted for detections, as Prometheus reads it."""
        shippers = [(name, each) for name, (_, each) in self._shippers.items()]
        found = [(name, await each.counts()) for name, each in shippers]
        return text_of((name, each) for name, each in found if each is not None)

    async def aclose(self) -> None:
        """Stop working; what runs keeps running."""
        for name in list(self._shippers):
            await self._close(name)

    async def _deliver(self, plane: AuditControlPlane, snapshot: Snapshot, planned: Plan) -> ShippingFacts | None:
        name = plane.metadata.name
        shippers = await self._of(plane)
        if isinstance(shippers, Finding):
            return ShippingFacts(refused=(shippers,)) if _is_asked_for(name, snapshot, planned) else None
        if shippers is None:
            lacking = plane.spec.driver is DriverName.PROCESS and _is_asked_for(name, snapshot, planned)
            return ShippingFacts(refused=(_NO_COLLECTOR,)) if lacking else None
        if not await self._recall(name, shippers):
            return ShippingFacts(refused=(_UNKNOWN,), shippers=await shippers.observe())
        made = await self._files(name, snapshot, planned, shippers)
        refused = await shippers.deliver(made.files)
        return ShippingFacts(made.files, refused, made.remarks, await shippers.observe())

    async def _recall(self, name: str, shippers: Shippers) -> bool:
        """Whether it is known what shippers hold: without that, they might be told to forget it."""
        if name not in self._recalled:
            try:
                self.secrets.recall(await shippers.held())
            except BoardUnavailable as error:
                _LOG.warning("Shippers are told later: %s", error, extra={"object": name, "reason": "BoardUnavailable"})
                return False
            self._recalled.add(name)
        return True

    async def _of(self, plane: AuditControlPlane) -> Shippers | Finding | None:
        """The shippers of a control plane; others where it is not the same any more."""
        name = plane.metadata.name
        if (known := self._shippers.get(name)) is not None:
            if known[0].spec.driver is not plane.spec.driver:
                await self._end(name)
            elif (known[0].metadata.uid, known[0].spec.log) != (plane.metadata.uid, plane.spec.log):
                await self._close(name)
        if name not in self._shippers:
            made = self.make(plane)
            if made is None or isinstance(made, Finding):
                return made
            self._shippers[name] = plane, made
        return self._shippers[name][1]

    async def _files(self, name: str, snapshot: Snapshot, planned: Plan, shippers: Shippers) -> _Made:
        """What was planned; made anew only where something that it depends on is not the same."""
        basis = (
            snapshot.audit_policies,
            snapshot.cluster_audit_policies,
            snapshot.audit_sinks,
            snapshot.cluster_audit_sinks,
            snapshot.namespaces,
            snapshot.layouts,
            dict(planned.assigned),
            shippers.places,
        )
        known = self._made.get(name)
        if known is None or known.basis != basis:
            known = _Made(basis, await asyncio.to_thread(shipping, snapshot, planned, name))
        existing = Sinks.of(snapshot).existing
        used = [existing[ref] for ref in known.wanted.sinks] if known.wanted else []
        credentials = await self.secrets.of(name, used)
        if known.wanted is not None and (known.files is None or known.credentials != credentials):
            render = partial(collector_files, known.wanted, snapshot, name, shippers.places, tries=self.tries)
            made = await asyncio.to_thread(_that_fit, render, credentials, shippers)
            known = replace(known, credentials=credentials, files=made)
        self._made[name] = known
        return known

    async def _give_up(self, name: str, error: Exception) -> ShippingFacts:
        """Note a bug, and begin anew with what runs at the next opportunity."""
        _LOG.error("Shipping failed: %s", error, exc_info=error, extra={"object": name, "reason": type(error).__name__})
        await self._close(name)  # of two that keep the same collector, one would take back what the other does
        return ShippingFacts(refused=(_FAILED,))

    async def _end(self, name: str) -> None:
        """The control plane has gone, or is not ours any more: its shippers end, too."""
        self.secrets.forget(name)
        await self._shippers[name][1].deliver(None)
        await self._close(name)

    async def _close(self, name: str) -> None:
        """Let go of a control plane's shippers, whatever state they are in."""
        self._made.pop(name, None)
        self._recalled.discard(name)
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
    """What was made for a control plane, and from what."""

    basis: tuple[object, ...]
    wanted: Shipping | None
    credentials: Mapping[ObjectRef, SinkCredentials | Finding] = field(default_factory=dict)
    files: CollectorFiles | None = None

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """What cannot be done as policies ask."""
        return (*(self.wanted.findings if self.wanted else ()), *(self.files.remarks if self.files else ()))


def _that_fit(render: Render, credentials: Credentials, shippers: Shippers) -> CollectorFiles:
    """Files that shippers can be told: without tenants' sinks where there is no room, the last by name first.

    If that is not enough, with all of them: shippers say then why they are not told. Blocks.
    """
    files, fitting = render(credentials), None
    if shippers.fits(files):
        return files
    tenants = sorted((ref for ref in files.sinks if ref.namespace), key=str)
    at_least, too_many = 0, len(tenants)
    while at_least < too_many:
        kept = (at_least + too_many) // 2
        tried = render({**credentials, **{ref: no_room(ref) for ref in tenants[kept:]}})
        if shippers.fits(tried):
            fitting, at_least = tried, kept + 1
        else:
            too_many = kept
    return fitting or files


def _is_asked_for(name: str, snapshot: Snapshot, planned: Plan) -> bool:
    theirs = [each for each in snapshot.policies() if planned.assigned.get(each.ref) == name]
    return any(each.spec.sink_refs or each.spec.detections for each in theirs)


_NO_COLLECTOR = Finding(
    id=NO_COLLECTOR,
    severity=Severity.WARNING,
    message="this operator has no collector, so that nothing is shipped, and nothing counted for detections",
    mend="set AUDIT_OPERATOR_COLLECTOR, or run one by hand with what `audit-operator shipper render` writes",
)
_UNKNOWN = Finding(
    id=NOT_TOLD,
    severity=Severity.ERROR,
    message="what shippers were told last cannot be read: they might be told to forget credentials that are good",
    mend="nothing, if the API server is back soon; else see that the operator may get the Secret of the shippers",
)
_FAILED = Finding(
    id="shipping-failed",
    severity=Severity.ERROR,
    message="the shippers could not be told what to do",
    mend="see the log of the operator",
)
