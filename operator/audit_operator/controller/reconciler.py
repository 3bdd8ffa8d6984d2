"""The one loop that acts: facts changed, so plan, deliver, and say in status what is true.

Level-triggered: it looks at everything each time, so that it never matters which event brought it here, or how many.

A defect of ours is no reason to end: whoever comes next would meet it again, and nobody's objects would be looked at
any more. What is in force stays, and the object that brings it out is set aside where it can be found.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, OWN_KINDS
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.cluster.status_writer import EncodedStatus
from audit_operator.controller.content import said_of_permissions, snapshot_of
from audit_operator.controller.quarantine import Quarantine
from audit_operator.plan import plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.compliance_status import counted
from audit_operator.plan.defect import unplanned
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.shipping import shipping
from audit_operator.plan.sinks import Sinks
from audit_operator.plan.snapshot import CountingLimits
from audit_operator.plan.status import statuses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from audit_operator.api.detection_times import DetectionTimes
    from audit_operator.api.findings import Finding, ObjectRef
    from audit_operator.api.permissions import Permissions
    from audit_operator.api.proof_observations import PlaceProof
    from audit_operator.api.retention_observations import RetentionObservation
    from audit_operator.api.seal_observations import SealObservation
    from audit_operator.api.store_observations import StoreObservation
    from audit_operator.api.way_figures import WayFigures
    from audit_operator.cluster.facts import Fact, FactStore
    from audit_operator.cluster.status_writer import StatusWriter
    from audit_operator.controller.alert_objects import AlertObjects
    from audit_operator.controller.delivery import Delivery
    from audit_operator.controller.detection_judging import DetectionJudging
    from audit_operator.controller.detection_probes import DetectionProbes
    from audit_operator.controller.live_probes import LiveProbes
    from audit_operator.controller.metrics import Metrics
    from audit_operator.controller.permission_checks import PermissionChecks
    from audit_operator.controller.report_objects import ReportObjects
    from audit_operator.controller.retention import RetentionRounds
    from audit_operator.controller.seals import SealLooks
    from audit_operator.controller.shipment import Shipment
    from audit_operator.controller.sidecars import Sidecars
    from audit_operator.controller.sink_checks import SinkChecks
    from audit_operator.controller.way_figures import WayMeasures
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.detection_answers import Told
    from audit_operator.plan.shipping_status import ShippingFacts
    from audit_operator.plan.sidecars import SidecarCount
    from audit_operator.policy.model import Policy

_T = TypeVar("_T")

_LOG = logging.getLogger(__name__)
_REMEMBERED = 16


@dataclass(slots=True)
class Dirty:
    """Whether facts have changed since they were last acted on, and since when. All times are in seconds."""

    quiet: float
    at_most: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _first: float = 0.0
    _last: float = 0.0

    def mark(self) -> None:
        """Something changed."""
        now = self.clock()
        if not self._event.is_set():
            self._first = now
            self._event.set()
        self._last = now

    def age(self) -> float:
        """Seconds since the oldest change that was not acted on; 0 if there is none."""
        return self.clock() - self._first if self._event.is_set() else 0.0

    async def settled(self) -> None:
        """Return, and start anew, when there is a change and it has been quiet for a while, or busy for long."""
        await self._event.wait()
        while (pause := min(self._last + self.quiet, self._first + self.at_most) - self.clock()) > 0:
            await self.sleep(pause)
        self._event.clear()


@dataclass(slots=True)
class Reconciler:
    """Plans and delivers whenever `dirty` says so. Nothing happens before every kind has been listed.

    `on_restart` is called when an API server was seen to come or go: watches may have missed something. `sinks` asks
    stores, `retention` what they keep, `seals` looks at theirs, `sidecars` looks after those in pods, `permissions`
    judges rights, `probes` sends live ones, `measures` the ways to sinks, `detecting` how long detections take,
    `reports` keeps report objects, `alerts` alerts of detections, `detections` judges whether these can fire; None
    where nobody does. `local_sinks` and `counting` are as in `Snapshot`. `status_of` asks the API server for the status
    of a control plane, and raises ApiError, ApiUnreachableError.
    """

    store: FactStore
    delivery: Delivery
    shipment: Shipment
    writer: StatusWriter
    metrics: Metrics
    dirty: Dirty
    server_version: Callable[[], str]
    fence: Callable[[], None]
    status_of: Callable[[ObjectRef], Awaitable[Mapping[str, Any]]]
    observe_every: float = 5.0
    local_sinks: bool = False
    counting: CountingLimits = field(default_factory=CountingLimits)
    on_restart: Callable[[], None] = lambda: None
    sinks: SinkChecks | None = None
    sidecars: Sidecars | None = None
    permissions: PermissionChecks | None = None
    detections: DetectionJudging | None = None
    retention: RetentionRounds | None = None
    seals: SealLooks | None = None
    probes: LiveProbes | None = None
    reports: ReportObjects | None = None
    alerts: AlertObjects | None = None
    measures: WayMeasures | None = None
    detecting: DetectionProbes | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))
    quarantine: Quarantine = field(default_factory=Quarantine)
    _earlier: dict[str, Policy] = field(default_factory=dict)
    _said: dict[ObjectRef, EncodedStatus] = field(default_factory=dict)
    _began: float | None = None

    def busy(self) -> float:
        """Seconds that the present reconciliation takes already; 0 where there is none."""
        return time.monotonic() - self._began if self._began is not None else 0.0

    async def run(self) -> None:
        """Reconcile for ever. Raises what `fence` raises."""
        failures = 0
        while True:
            await self.dirty.settled()
            if not self.store.synced:
                continue
            # A change during the work marks dirty again, so that it is not lost.
            self.fence()
            self._began = time.monotonic()
            pause = 0.0
            try:
                await self.reconcile()
                failures = 0
                self.metrics.reconciled.observe(self.busy())
            except Exception as error:  # noqa: BLE001 - see the top of this file
                await self._failed(error)
                pause = self.backoff.delay(failures)
                failures += 1
            self._began = None
            await asyncio.sleep(pause)

    async def _failed(self, error: Exception) -> None:
        self.fence()  # it may be this that went wrong
        self.dirty.mark()
        self.metrics.failed.inc()
        _LOG.error("Reconciliation failed", exc_info=error, extra={"reason": type(error).__name__})
        if not isinstance(error, (OSError, TimeoutError)):
            self.metrics.defects.inc()
            if not isinstance(error, _SetAsideError):
                await self._confess(error)

    async def watch_api_servers(self) -> None:
        """Look at the API servers every few seconds, for ever: what they run can change without any fact changing."""
        while True:
            await asyncio.sleep(self.observe_every)
            try:
                if await self.shipment.observe():
                    self.dirty.mark()
                if self.measures is not None and self.measures.look(self.shipment.facts):
                    self.dirty.mark()
                if await self.delivery.observe():
                    self.dirty.mark()
                    self.on_restart()
            except Exception as error:  # noqa: BLE001 - see the top of this file
                self.fence()
                self.metrics.defects.inc()
                _LOG.error("API servers not looked at", exc_info=error, extra={"reason": type(error).__name__})

    async def reconcile(self) -> None:
        """Once: from the facts as they are now to statuses."""
        basis: dict[ObjectRef, Fact] = {fact.ref: fact for kind in OWN_KINDS for fact in self.store.facts(kind)}
        found = snapshot_of(self.store, {}, self.server_version(), local_sinks=self.local_sinks, counting=self.counting)
        snapshot = self.quarantine.without(found)
        await self.delivery.follow(snapshot.control_planes)
        snapshot = replace(snapshot, observations=self.delivery.observations)
        planned = await self._made(snapshot, "plan", plan)
        self._remember(planned)
        wanted = {name: planned.compiled[name].desired for name in planned.deliverable}
        refused = await self.delivery.deliver(snapshot.control_planes, wanted)
        observed = replace(snapshot, observations=self.delivery.observations, earlier=dict(self._earlier))
        if _versions(observed) != _versions(snapshot):
            self.dirty.mark()  # the policy was made for others than those that have been seen now
        await self._ship(snapshot, planned)
        stores: Mapping[ObjectRef, StoreObservation] = {}
        if self.sinks is not None:
            follow_sinks = self.sinks.follow
            self._contained("Sinks", lambda: follow_sinks(Sinks.of(snapshot).in_use(snapshot.policies())))
            stores = dict(self.sinks.observations)
        pods: Mapping[ObjectRef, SidecarCount] | None = None
        if self.sidecars is not None:
            await self.sidecars.deliver(snapshot, planned)
            pods = self.sidecars.facts
        permissions: Mapping[str, Permissions] = {}
        if self.permissions is not None:
            self._contained("Permissions", partial(self.permissions.follow, snapshot))
            permissions = {**said_of_permissions(basis.values()), **self.permissions.results}
        kept: Mapping[ObjectRef, RetentionObservation] | None = None
        if self.retention is not None:
            follow_retention = self.retention.follow
            existing = frozenset(each.name for each in known_namespaces(snapshot))
            demanded = planned.retention.sinks
            self._contained("Retention", lambda: follow_retention(snapshot.sinks(), demanded, existing))
            kept = dict(self.retention.observations)
        sealed: Mapping[ObjectRef, SealObservation] | None = None
        if self.seals is not None:
            self._contained("Seals", partial(self.seals.follow, tuple(snapshot.sinks())))
            sealed = dict(self.seals.observations)
        proofs, detections = await self._probed(observed, planned), await self._judged(observed, planned)
        known = (self.shipment.facts, stores, pods, permissions, kept, sealed, proofs)
        seen = _Seen(refused, *known, *self._measured(), detections)
        encoded, controls = await self._made(observed, "status", partial(_encode, seen=seen), planned)
        self._contained("Metrics", partial(self.metrics.show, snapshot, planned))
        self._contained("Metrics", partial(self.metrics.show_compliance, controls))
        self.writer.submit(encoded, basis)
        self._tell_others(observed, planned, encoded)
        self._said = {ref: each for ref, each in encoded.items() if ref.kind == AUDIT_CONTROL_PLANE.kind}
        if not self.shipment.failed:
            self.quarantine.approve(snapshot)

    async def _probed(self, observed: Snapshot, planned: Plan) -> Mapping[str, Mapping[str, PlaceProof]]:
        """Probe on these facts; returns what is known of the proof."""
        if self.probes is None:
            return {}
        self._contained("Probes", partial(self.probes.follow, observed, planned))
        if self.detecting is not None:
            self.detecting.follow(observed, planned)
        return await self.probes.proved()

    def _measured(self) -> tuple[Mapping[str, Mapping[ObjectRef, WayFigures]], Mapping[str, DetectionTimes]]:
        """What was measured of ways to sinks, and of detections, by control plane."""
        figures = self.measures.said if self.measures is not None else {}
        return figures, self.detecting.times if self.detecting is not None else {}

    def _tell_others(self, observed: Snapshot, planned: Plan, encoded: Mapping[ObjectRef, EncodedStatus]) -> None:
        """Objects of other kinds say what ours say."""
        if self.alerts is not None:
            self._contained("Alerts", partial(self.alerts.follow, observed))
        if self.reports is not None:
            self.reports.follow(observed, planned, encoded)

    async def _judged(self, snapshot: Snapshot, planned: Plan) -> Mapping[ObjectRef, tuple[Told, ...]]:
        """What is known of detections. Nobody's events depend on it, so whatever it raises, the rest goes on."""
        if self.detections is None:
            return {}
        try:
            await self.detections.follow(snapshot, planned)
        except Exception as error:  # noqa: BLE001 - see the docstring
            self.metrics.defects.inc()
            _LOG.error("Detections not judged", exc_info=error, extra={"reason": type(error).__name__})
        self.metrics.show_detections(self.detections.said)
        return self.detections.said

    async def _ship(self, snapshot: Snapshot, planned: Plan) -> None:
        await self.shipment.deliver(snapshot, planned)
        for name in self.shipment.failed:
            self.metrics.defects.inc()
            if await self.quarantine.search(snapshot, f"shipping of {name}", partial(_shipped, plane=name)):
                self.dirty.mark()

    async def _made(self, snapshot: Snapshot, what: str, work: Callable[..., _T], *planned: Plan) -> _T:
        """What `work` makes of a snapshot, and of what was planned. If it raises, what brings that about is set aside.

        Raises:
            _SetAsideError: it raised, and will not the next time.
        """
        try:
            return await asyncio.to_thread(work, snapshot, *planned)
        except Exception as error:
            if await self.quarantine.search(snapshot, what, partial(_anew, work) if planned else work):
                raise _SetAsideError(what) from error
            raise

    def _contained(self, what: str, work: Callable[[], None]) -> None:
        """Do what nobody's events depend on; whatever it raises, the rest of a reconciliation goes on."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - see the docstring
            self.metrics.defects.inc()
            _LOG.error("%s not looked after", what, exc_info=error, extra={"reason": type(error).__name__})

    async def _confess(self, error: Exception) -> None:
        """Nothing can be planned, for a reason that is ours. What was told to whoever ships and records stays."""
        planes = {fact.ref: fact for fact in self.store.facts(AUDIT_CONTROL_PLANE)}
        former = {ref: await self._former(ref) for ref in planes}
        amended = {
            ref: EncodedStatus.of(unplanned(said, planes[ref].generation, type(error).__name__))
            for ref, said in former.items()
            if said is not None
        }
        self.writer.amend(amended, planes)

    async def _former(self, plane: ObjectRef) -> Mapping[str, Any] | None:
        """What status says of a control plane, also if a former leader has said it; None if nobody can tell."""
        if plane in self._said:
            said: Mapping[str, Any] = json.loads(self._said[plane].text)
            return said
        try:
            return await self.status_of(plane)
        except (ApiError, ApiUnreachableError) as error:
            extra = {"object": str(plane), "reason": type(error).__name__}
            _LOG.warning("Status not read, and so not amended: %s", error, extra=extra)
            return None

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


class _SetAsideError(Exception):
    """Objects were set aside, so that it is worth while to begin anew."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known besides the facts; see `statuses`."""

    refused: Mapping[str, tuple[Finding, ...]]
    shipped: Mapping[str, ShippingFacts]
    stores: Mapping[ObjectRef, StoreObservation]
    sidecars: Mapping[ObjectRef, SidecarCount] | None
    permissions: Mapping[str, Permissions]
    retention: Mapping[ObjectRef, RetentionObservation] | None
    seals: Mapping[ObjectRef, SealObservation] | None
    proofs: Mapping[str, Mapping[str, PlaceProof]]
    figures: Mapping[str, Mapping[ObjectRef, WayFigures]]
    detected: Mapping[str, DetectionTimes]
    detections: Mapping[ObjectRef, tuple[Told, ...]]


def _anew(work: Callable[[Snapshot, Plan], object], snapshot: Snapshot) -> None:
    work(snapshot, plan(snapshot))


def _shipped(snapshot: Snapshot, plane: str) -> None:
    """What shippers would be told, but for credentials, to see whether that can be worked out."""
    wanted = shipping(snapshot, plan(snapshot), plane)
    if wanted is not None:
        collector_files(wanted, snapshot, plane)


def _encode(
    snapshot: Snapshot, planned: Plan, seen: _Seen
) -> tuple[dict[ObjectRef, EncodedStatus], Mapping[tuple[str, str], int]]:
    """The statuses as they are written, and how many controls have which verdict; see `counted`."""
    documents = statuses(
        snapshot,
        planned,
        seen.refused,
        seen.shipped,
        seen.stores,
        seen.sidecars,
        seen.permissions,
        seen.retention,
        seen.seals,
        seen.proofs,
        seen.figures,
        seen.detections,
        seen.detected,
    )
    encoded = {id(each): EncodedStatus.of(each) for each in {id(each): each for each in documents.values()}.values()}
    return {ref: encoded[id(each)] for ref, each in documents.items()}, counted(documents.values())
