"""The one loop that acts: facts changed, so plan, deliver, and say in status what is true.

Level-triggered: it looks at everything each time, so that it never matters which event brought it here, or how many.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.resources import OWN_KINDS
from audit_operator.cluster.status_writer import EncodedStatus
from audit_operator.controller.content import snapshot_of
from audit_operator.plan import plan
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.status import statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.findings import Finding, ObjectRef
    from audit_operator.api.store_observations import StoreObservation
    from audit_operator.cluster.facts import Fact, FactStore
    from audit_operator.cluster.status_writer import StatusWriter
    from audit_operator.controller.delivery import Delivery
    from audit_operator.controller.metrics import Metrics
    from audit_operator.controller.shipment import Shipment
    from audit_operator.controller.sidecars import Sidecars
    from audit_operator.controller.sink_checks import SinkChecks
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.shipping_status import ShippingFacts
    from audit_operator.plan.sidecars import SidecarCount
    from audit_operator.policy.model import Policy

_LOG = logging.getLogger(__name__)
_REMEMBERED = 16


@dataclass(slots=True)
class Dirty:
    """Whether facts have changed since they were last acted on, and since when."""

    quiet: float
    at_most: float
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _first: float = 0.0
    _last: float = 0.0

    def mark(self) -> None:
        """Something changed."""
        now = time.monotonic()
        if not self._event.is_set():
            self._first = now
            self._event.set()
        self._last = now

    def age(self) -> float:
        """Seconds since the oldest change that was not acted on; 0 if there is none."""
        return time.monotonic() - self._first if self._event.is_set() else 0.0

    async def settled(self) -> None:
        """Return, and start anew, when there is a change and it has been quiet for a while, or busy for long."""
        await self._event.wait()
        while (pause := min(self._last + self.quiet, self._first + self.at_most) - time.monotonic()) > 0:  # noqa: ASYNC110 - it is the clock that is waited for
            await asyncio.sleep(pause)
        self._event.clear()


@dataclass(slots=True)
class Reconciler:
    """Plans and delivers whenever `dirty` says so. Nothing happens before every kind has been listed.

    `on_restart` is called when an API server was seen to come or go: watches may have missed something. `sinks` asks
    stores, `sidecars` looks after those in pods; None where nobody does.
    """

    store: FactStore
    delivery: Delivery
    shipment: Shipment
    writer: StatusWriter
    metrics: Metrics
    dirty: Dirty
    server_version: Callable[[], str]
    fence: Callable[[], None]
    observe_every: float = 5.0
    on_restart: Callable[[], None] = lambda: None
    sinks: SinkChecks | None = None
    sidecars: Sidecars | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))
    _earlier: dict[str, Policy] = field(default_factory=dict)

    async def run(self) -> None:
        """Reconcile for ever. Raises what `fence` raises."""
        failures = 0
        while True:
            await self.dirty.settled()
            if not self.store.synced:
                continue
            # A change during the work marks dirty again, so that it is not lost.
            self.fence()
            started = time.monotonic()
            try:
                await self.reconcile()
                failures = 0
            except (OSError, TimeoutError) as error:
                self.dirty.mark()
                self.metrics.failed.inc()
                _LOG.exception("Reconciliation failed", extra={"reason": type(error).__name__})
                await asyncio.sleep(self.backoff.delay(failures))
                failures += 1
            else:
                self.metrics.reconciled.observe(time.monotonic() - started)

    async def watch_api_servers(self) -> None:
        """Look at the API servers every few seconds, for ever: what they run can change without any fact changing."""
        while True:
            await asyncio.sleep(self.observe_every)
            if await self.shipment.observe():
                self.dirty.mark()
            if await self.delivery.observe():
                self.dirty.mark()
                self.on_restart()

    async def reconcile(self) -> None:
        """Once: from the facts as they are now to statuses."""
        basis: dict[ObjectRef, Fact] = {fact.ref: fact for kind in OWN_KINDS for fact in self.store.facts(kind)}
        snapshot = snapshot_of(self.store, {}, self.server_version())
        await self.delivery.follow(snapshot.control_planes)
        snapshot = replace(snapshot, observations=self.delivery.observations)
        planned = await asyncio.to_thread(plan, snapshot)
        self._remember(planned)
        wanted = {name: planned.compiled[name].desired for name in planned.deliverable}
        refused = await self.delivery.deliver(snapshot.control_planes, wanted)
        observed = replace(snapshot, observations=self.delivery.observations, earlier=dict(self._earlier))
        if _versions(observed) != _versions(snapshot):
            self.dirty.mark()  # the policy was made for others than those that have been seen now
        await self.shipment.deliver(snapshot, planned)
        stores: Mapping[ObjectRef, StoreObservation] = {}
        if self.sinks is not None:
            self.sinks.follow(Sinks.of(snapshot).in_use(snapshot.policies()))
            stores = dict(self.sinks.observations)
        pods: Mapping[ObjectRef, SidecarCount] | None = None
        if self.sidecars is not None:
            await self.sidecars.deliver(snapshot, planned)
            pods = self.sidecars.facts
        encoded = await asyncio.to_thread(_encode, observed, planned, refused, self.shipment.facts, stores, pods)
        self.metrics.show(snapshot, planned)
        self.writer.submit(encoded, basis)

    def _remember(self, planned: Plan) -> None:
        """Keep the policies that API servers may be running; without them, all that is known is that they differ."""
        for compiled in planned.compiled.values():
            self._earlier.pop(compiled.desired.digest, None)
            self._earlier[compiled.desired.digest] = compiled.policy
        running = {server.running_digest for seen in self.delivery.observations.values() for server in seen}
        for digest in list(self._earlier)[:-_REMEMBERED]:
            if digest not in running:
                del self._earlier[digest]


def _versions(snapshot: Snapshot) -> dict[str, list[tuple[str, ...]]]:
    """What policies depend on of all that is seen of API servers, by control plane."""
    return {
        plane: [(each.name, each.version, each.version_at_least) for each in servers]
        for plane, servers in snapshot.observations.items()
    }


def _encode(  # noqa: PLR0913, PLR0917 - everything that is known
    snapshot: Snapshot,
    planned: Plan,
    refused: Mapping[str, tuple[Finding, ...]],
    shipped: Mapping[str, ShippingFacts],
    stores: Mapping[ObjectRef, StoreObservation],
    sidecars: Mapping[ObjectRef, SidecarCount] | None,
) -> dict[ObjectRef, EncodedStatus]:
    documents = statuses(snapshot, planned, refused, shipped, stores, sidecars)
    encoded = {id(each): EncodedStatus.of(each) for each in {id(each): each for each in documents.values()}.values()}
    return {ref: encoded[id(each)] for ref, each in documents.items()}
