"""The composition root: everything that the operator consists of, made and wired in one place."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import kopf

from audit_operator import handlers
from audit_operator.api.control_plane import AuditControlPlane
from audit_operator.api.control_plane import Driver as DriverName
from audit_operator.api.findings import Finding, Severity
from audit_operator.cluster.connection import Connection, connect
from audit_operator.cluster.events import EventRecorder
from audit_operator.cluster.facts import Fact, FactStore
from audit_operator.cluster.lease import LeadershipLostError, LeaseElector, LeaseTiming
from audit_operator.cluster.pods import PodStore
from audit_operator.cluster.probing import ProbeSender
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, GROUP, WATCHED
from audit_operator.cluster.rest import RestClient
from audit_operator.cluster.resync import Resync
from audit_operator.cluster.secrets import SecretReader
from audit_operator.cluster.status_writer import StatusWriter
from audit_operator.controller import logs
from audit_operator.controller.alert_objects import AlertObjects
from audit_operator.controller.board import ClusterBoard
from audit_operator.controller.config_maps import ConfigMaps
from audit_operator.controller.content import OwnObject, decode
from audit_operator.controller.credentials import SinkSecrets
from audit_operator.controller.delivery import Delivery
from audit_operator.controller.detection_judging import DetectionJudging
from audit_operator.controller.detection_probes import DetectionProbes, DetectionTiming, counted_probes
from audit_operator.controller.health import HealthServer
from audit_operator.controller.injection_webhook import InjectionWebhook
from audit_operator.controller.lifetime import stop_on_signals
from audit_operator.controller.live_probes import LiveProbes, ProbeTimes, nameless_limit, new_marks
from audit_operator.controller.metrics import Metrics
from audit_operator.controller.notices import notice_of
from audit_operator.controller.permission_checks import PermissionChecks
from audit_operator.controller.proof_memory import ProofMemory
from audit_operator.controller.reconciler import Dirty, Reconciler
from audit_operator.controller.report_objects import ReportObjects
from audit_operator.controller.retention import RetentionRounds, RoundTimes
from audit_operator.controller.seals import LookTimes, SealLooks
from audit_operator.controller.shipment import Shipment
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.controller.sidecar_objects import SidecarObjects
from audit_operator.controller.sidecar_questions import SidecarQuestions
from audit_operator.controller.sidecar_trials import SidecarTrials
from audit_operator.controller.sidecars import Sidecars
from audit_operator.controller.sink_access import Stores
from audit_operator.controller.sink_checks import CheckTimes, SinkChecks
from audit_operator.controller.way_figures import WayMeasures
from audit_operator.controller.webhook_trust import WebhookTrust
from audit_operator.controller.workload_restarts import WorkloadRestarts
from audit_operator.controlplane.api_server import ApiServer
from audit_operator.controlplane.configmap import ConfigMapDriver
from audit_operator.controlplane.observe import ObserveDriver
from audit_operator.controlplane.process import ProcessDriver
from audit_operator.controlplane.shipper.collector import FOLDER as SHIPPER_FOLDER
from audit_operator.controlplane.shipper.collector import files_of, places_of
from audit_operator.controlplane.shipper.keeper import ShipperTimes
from audit_operator.controlplane.shipper.local import LocalShipper
from audit_operator.controlplane.shipper.nodes import NodeShippers
from audit_operator.controlplane.shipper.pseudonym_keys import KeyAges
from audit_operator.controlplane.static_pod.audit_flags import LogSettings
from audit_operator.controlplane.static_pod.driver import StaticPodDriver
from audit_operator.permissions.expected import Installation
from audit_operator.plan.alert_rules import AlertSettings
from audit_operator.plan.error_rate import error_rates
from audit_operator.plan.shipping_status import NOT_SERVED
from audit_operator.plan.snapshot import CountingLimits
from audit_operator.proof.selecting import prober_in
from audit_operator.settings import SettingsError, ShipperMode
from audit_operator.shipping.injection.template import SidecarTemplate, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from audit_operator.api.findings import ObjectRef
    from audit_operator.controlplane.driver import Driver
    from audit_operator.controlplane.shipper.board import ShipperBoard
    from audit_operator.controlplane.shipper.shippers import Shippers
    from audit_operator.settings import Settings

FIELD_MANAGER = "audit-operator"
LOST_LEADERSHIP = 3
"""Exit status after losing the lease."""

_LOG = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConnectionConfigError: there are no usable credentials.
    """
    logs.configure(settings.log_level)
    stop = stop_on_signals()
    connection = await connect(settings.kubeconfig, settings.context)
    operator = Operator(settings, connection)
    try:
        return await operator.run(stop)
    finally:
        await operator.aclose()
        await connection.aclose()


@dataclass(slots=True)
class Operator:
    """One replica: serves its health, waits for its turn to lead, then leads until it is told to stop."""

    settings: Settings
    connection: Connection
    metrics: Metrics = field(default_factory=Metrics)
    version: str = ""
    elector: LeaseElector = field(init=False)
    store: FactStore = field(init=False)
    resync: Resync = field(init=False)
    writer: StatusWriter = field(init=False)
    events: EventRecorder = field(init=False)
    delivery: Delivery = field(init=False)
    credentials: SinkSecrets = field(init=False)
    shipment: Shipment = field(init=False)
    dirty: Dirty = field(init=False)
    sinks: SinkChecks | None = field(init=False)
    retention: RetentionRounds | None = field(init=False)
    seals: SealLooks | None = field(init=False)
    sidecars: Sidecars | None = field(init=False)
    restarts: WorkloadRestarts | None = field(init=False)
    webhook: InjectionWebhook | None = field(init=False)
    permissions: PermissionChecks | None = field(init=False)
    detections: DetectionJudging = field(init=False)
    measures: WayMeasures = field(init=False)
    probes: LiveProbes | None = field(init=False)
    detecting: DetectionProbes | None = field(init=False)
    reports: ReportObjects | None = field(init=False)
    alerts: AlertObjects | None = field(init=False)
    reconciler: Reconciler = field(init=False)
    health: HealthServer = field(init=False)
    _serving: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        settings, session = self.settings, self.connection.session()
        timing = LeaseTiming(settings.lease_seconds, settings.lease_seconds * 2 / 3, settings.lease_seconds * 2 / 15)
        self.elector = LeaseElector(
            RestClient(session, attempts=1), settings.namespace, settings.lease, settings.identity, timing
        )
        client = RestClient(session, fence=self.elector.check)
        self.dirty = Dirty(settings.quiet_seconds, settings.debounce_seconds)
        self.store = FactStore(WATCHED, decode, on_content=self.dirty.mark)
        self.resync = Resync(client, self.store, WATCHED, settings.resync_seconds)
        rate = RateLimit(settings.statuses_per_second, burst=int(settings.statuses_per_second))
        self.writer = StatusWriter(client, self.store, rate, FIELD_MANAGER, _now, on_drift=self.dirty.mark)
        self.store.on_status = self.writer.observed
        self.writer.on_written = self._tell
        self.events = EventRecorder(client, f"{GROUP}/operator", settings.identity)
        board = ClusterBoard(client, settings.namespace, FIELD_MANAGER)
        self.delivery = Delivery(_DriverMaker(settings, ConfigMaps(client, FIELD_MANAGER), board, self.dirty))
        shippers = ClusterShipperBoard(client, settings.namespace, FIELD_MANAGER)
        secrets = SecretReader(client)
        self.credentials = SinkSecrets(secrets, self.dirty.mark)
        self.shipment = Shipment(
            _ShippersMaker(settings, shippers, self.dirty), self.credentials, tries=settings.shipper_canary
        )
        stores = Stores(secrets, files=_LocalFiles(settings, self.store))
        self.sinks = _sink_checks(settings, stores, self.dirty)
        self.retention = _retention(settings, client, stores, self.dirty, self.elector.check)
        template = _template(settings)
        self.seals = _seals(settings, client, stores, self.dirty)
        self.sidecars = _sidecars(settings, template, client, self.credentials, self.dirty)
        if self.sidecars is not None:
            self.sidecars.on_defect = self.metrics.defects.inc
        self.restarts = _restarts(settings, template, client, self.sidecars)
        self.webhook = _webhook(settings, template, client)
        self.permissions = _permission_checks(settings, client, self.dirty)
        self.detections = DetectionJudging(self.dirty.mark, self.metrics.defects.inc)
        self.measures = WayMeasures(self.metrics.probe_counts(), waits=bool(settings.probe_seconds))
        self.probes = self._probes(client, stores)
        self.detecting = self._detection_probes()
        self.reports = _reports(settings, client)
        self.alerts = _alerts(settings, client)
        self.reconciler = Reconciler(
            self.store,
            self.delivery,
            self.shipment,
            self.writer,
            self.metrics,
            self.dirty,
            server_version=lambda: self.version,
            fence=self.elector.check,
            status_of=partial(_status_of, client),
            observe_every=settings.observe_seconds,
            local_sinks=settings.local_sinks,
            counting=CountingLimits(
                settings.detection_conditions,
                settings.detection_series,
                prober_in(settings.namespace, settings.prober).name,
            ),
            on_restart=self.resync.hurry,
            sinks=self.sinks,
            retention=self.retention,
            seals=self.seals,
            sidecars=self.sidecars,
            permissions=self.permissions,
            detections=self.detections,
            probes=self.probes,
            alerts=self.alerts,
            measures=self.measures,
            detecting=self.detecting,
            reports=self.reports,
        )
        ready = {"leader-or-candidate": self._unable}
        self.health = HealthServer(self.metrics.registry, {"sync": self._stale}, ready, self.shipment.counts)
        self._show()

    def _show(self) -> None:
        """All that is to be seen at scrapes."""
        self.metrics.follow("dirty_age_seconds", "Age of the oldest change not acted on.", self.dirty.age)
        self.metrics.follow("sync_age_seconds", "Age of the oldest complete list.", self._sync_age)
        self.metrics.follow_shipping(lambda: self.shipment.facts)
        questions = self.sidecars.questions if self.sidecars else None
        self.metrics.follow_sidecars(
            lambda: self.sidecars.facts if self.sidecars else {}, lambda: questions.facts if questions else {}
        )
        self.metrics.follow_stores(lambda: self.sinks.observations if self.sinks else {})
        self.metrics.follow(
            "detections_waiting", "Policies of which a detection waits to be judged.", lambda: self.detections.waiting
        )
        self.metrics.follow_permissions(lambda: self.permissions.results if self.permissions else {})
        self.metrics.follow_retention(lambda: self.retention.observations if self.retention else {})
        self.metrics.follow_seals(lambda: self.seals.observations if self.seals else {})
        if self.alerts is not None:
            alerts = self.alerts
            self.metrics.follow_alerts(lambda: alerts.states)
        if self.probes is not None:
            self.metrics.follow_probes(self.probes.oldest, self.probes.error_rate)
        self.metrics.follow_error_rates(
            lambda: error_rates(self.probes.observations if self.probes else {}, self.measures.said)
        )
        if self.reports is not None:
            reports = self.reports
            self.metrics.follow_reports(reports.figures, lambda: reports.present)
        self.metrics.follow_statuses(self.writer.stats, lambda: self.writer.pending)

    async def run(self, stop: asyncio.Event) -> int:
        """Lead when it is our turn, until `stop` is set; returns the exit status."""
        port = await self.health.start(self.settings.listen_host, self.settings.listen_port)
        _LOG.info("Serving health and metrics on port %d", port, extra={"reason": "Started"})
        self._serve(stop)
        if not await _first(stop.wait(), self.elector.acquire()):
            return 0
        self.metrics.leading.set(1)
        await self._read_version()
        return await self._lead(stop)

    def _serve(self, stop: asyncio.Event) -> None:
        """Inject, whoever leads."""
        if self.webhook is not None:
            serving = self.webhook.run(self.settings.listen_host, self.settings.webhook_port)
            self._serving = asyncio.create_task(serving, name="webhook")
            self._serving.add_done_callback(lambda _: stop.set())

    async def _lead(self, stop: asyncio.Event) -> int:
        stop_kopf = asyncio.Event()
        registry = handlers.register(self.store, self.connection.server, self.connection.session, self.resync.hurry)
        watching = kopf.operator(
            registry=registry, settings=handlers.settings(), standalone=True, clusterwide=True, stop_flag=stop_kopf
        )
        work: dict[str, Coroutine[Any, Any, object]] = {
            "stop": stop.wait(),
            "lease": self.elector.hold(),
            "resync": self.resync.run(),
            "status": self.writer.run(),
            "events": self.events.run(),
            "reconcile": self.reconciler.run(),
            "observe": self.reconciler.watch_api_servers(),
            "credentials": self.credentials.watch(),
            **({"trust": self.webhook.trust.keep()} if self.webhook is not None else {}),
            **({"figures": self.sidecars.questions.run()} if self.sidecars and self.sidecars.questions else {}),
            **({"restarts": self.restarts.run()} if self.restarts is not None else {}),
            **({"probes": self.probes.run()} if self.probes is not None else {}),
            **({"detecting": self.detecting.run()} if self.detecting is not None else {}),
            **({"reports": self.reports.run()} if self.reports is not None else {}),
            "detections": self.detections.run(),
            **({"permissions": self.permissions.run()} if self.permissions is not None else {}),
            **({"alerts": self.alerts.run()} if self.alerts is not None else {}),
            "watch": watching,
        }
        tasks = {name: asyncio.create_task(each, name=name) for name, each in work.items()}
        done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task.exception() is not None]
        for task in failed:
            error = task.exception()
            _LOG.error("%s ended: %s", task.get_name(), error, exc_info=error, extra={"reason": type(error).__name__})
            if isinstance(error, LeadershipLostError):
                # Another replica may be writing already: nothing of ours may go on, not even an orderly end.
                logging.shutdown()
                os._exit(LOST_LEADERSHIP)
        # kopf comes last: when it ends, it cancels every task that was made after it, the drivers' among them.
        ours = [task for name, task in tasks.items() if name != "watch"]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
        if self.sinks is not None:
            await self.sinks.aclose()
        if self.retention is not None:
            await self.retention.aclose()
        if self.seals is not None:
            await self.seals.aclose()
        if self.sidecars is not None:
            await self.sidecars.aclose()
        await self.shipment.aclose()
        await self.delivery.aclose()
        stop_kopf.set()
        await asyncio.gather(tasks["watch"], return_exceptions=True)
        await self.elector.release()
        return int(bool(failed))

    async def aclose(self) -> None:
        """End what was started; API servers and shippers keep running."""
        await self.shipment.aclose()
        await self.delivery.aclose()
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        await self.health.aclose()

    def _probes(self, client: RestClient, stores: Stores) -> LiveProbes | None:
        settings = self.settings
        if not settings.probe_seconds:
            return None
        return LiveProbes(
            ProbeSender(client, self.connection.bare_session(), settings.namespace, settings.prober),
            stores,
            prober_in(settings.namespace, settings.prober),
            self.measures,
            RateLimit(settings.probes_per_second, burst=max(1, int(settings.probes_per_second))),
            self.dirty.mark,
            ProbeTimes(
                every=settings.probe_seconds,
                patience=settings.probe_patience_seconds,
                settle=settings.probe_settle_seconds,
                per_second=settings.probes_per_second,
            ),
            tenants=settings.sink_check_tenants,
            memory=ProofMemory(ConfigMaps(client, FIELD_MANAGER), settings.namespace, settings.proof_memory),
            nameless=nameless_limit(settings.probes_without_name),
        )

    def _detection_probes(self) -> DetectionProbes | None:
        if self.probes is None:
            return None
        return DetectionProbes(
            self.probes,
            self.probes.sender,
            lambda plane: counted_probes(self.shipment.facts.get(plane)),
            self.measures.counts.detection,
            new_marks,
            DetectionTiming(
                # Probes wait meanwhile, so that this is nothing to do all the time.
                every=max(self.settings.probe_seconds, 60.0),
                patience=self.settings.probe_patience_seconds,
            ),
        )

    def _tell(self, before: Fact, status: Mapping[str, Any]) -> None:
        notice = notice_of(before.status, status)
        if notice is not None:
            self.events.record(before, notice)

    async def _read_version(self) -> None:
        with suppress(OSError, ValueError):
            async with self.connection.session().get("/version") as response:
                self.version = str((await response.json()).get("gitVersion", ""))

    def _sync_age(self) -> float:
        return self.resync.age(asyncio.get_running_loop().time())

    def _stale(self) -> str:
        """A leader whose facts are old, or that does not act on them, is stuck; a candidate is not."""
        limit = self.settings.stale_seconds
        if not self.elector.leading:
            return ""
        if self.store.synced and self._sync_age() > limit:
            return f"facts are older than {limit:.0f} s"
        if max(self.dirty.age(), self.reconciler.busy()) > limit:
            return f"changes wait for more than {limit:.0f} s"
        return ""

    def _unable(self) -> str:
        if self.elector.leading:
            return "" if self.store.synced else "not everything has been listed yet"
        age = self.elector.clock() - self.elector.contact_at
        return "" if age < self.settings.lease_seconds else "the API server does not answer"


def _sink_checks(settings: Settings, stores: Stores, dirty: Dirty) -> SinkChecks | None:
    if not settings.sink_check_seconds:
        return None
    times = CheckTimes(every=settings.sink_check_seconds)
    return SinkChecks(stores, dirty.mark, times, tenants=settings.sink_check_tenants)


def _retention(
    settings: Settings, client: RestClient, stores: Stores, dirty: Dirty, fence: Callable[[], None]
) -> RetentionRounds | None:
    if not settings.retention_seconds:
        return None
    times = RoundTimes(every=settings.retention_seconds)
    return RetentionRounds(client, stores, dirty.mark, fence, times, tenants=settings.sink_check_tenants)


def _seals(settings: Settings, client: RestClient, stores: Stores, dirty: Dirty) -> SealLooks | None:
    if not settings.seal_seconds:
        return None
    return SealLooks(client, stores, dirty.mark, LookTimes(every=settings.seal_seconds))


def _reports(settings: Settings, client: RestClient) -> ReportObjects | None:
    if not settings.report_seconds:
        return None
    rate = RateLimit(settings.reports_per_second, burst=max(1, int(settings.reports_per_second)))
    return ReportObjects(client, f"{FIELD_MANAGER}-reports", settings.report_owner, rate, settings.report_seconds)


def _permission_checks(settings: Settings, client: RestClient, dirty: Dirty) -> PermissionChecks | None:
    if not settings.permission_seconds:
        return None
    agents = settings.agent_namespace or f"{settings.namespace}-agent"
    installation = Installation(settings.namespace, agents, settings.lease, settings.service_account)
    return PermissionChecks(client, installation, dirty.mark, settings.permission_seconds)


def _alerts(settings: Settings, client: RestClient) -> AlertObjects | None:
    """Who writes alerts of detections; None where nobody does. Raises SettingsError."""
    if not settings.alert_objects:
        return None
    pairs = [each.strip().partition("=") for each in settings.alert_object_labels.split(",") if each.strip()]
    if not all(name and equals for name, equals, _ in pairs):
        raise SettingsError("AUDIT_OPERATOR_ALERT_OBJECT_LABELS must be name=value with commas between")
    labels = {name: value for name, _, value in pairs}
    common = AlertSettings(settings.namespace, settings.runbook_url, labels)
    return AlertObjects(client, FIELD_MANAGER, common, RateLimit(20.0, burst=20), settings.resync_seconds)


def _template(settings: Settings) -> SidecarTemplate | None:
    """What sidecars are made from; None where there are none. Raises SettingsError."""
    if not settings.sidecar:
        return None
    try:
        return SidecarTemplate.parse(settings.sidecar)
    except TemplateError as error:
        raise SettingsError(f"AUDIT_OPERATOR_SIDECAR is no template: {error}") from error


def _sidecars(
    settings: Settings, template: SidecarTemplate | None, client: RestClient, credentials: SinkSecrets, dirty: Dirty
) -> Sidecars | None:
    if template is None:
        return None
    every = settings.sidecar_figures_seconds
    objects = SidecarObjects(client, FIELD_MANAGER, settings.namespace, asks=bool(every))
    questions = SidecarQuestions(every) if every else None
    in_process = settings.process_folder and settings.process_folder / "sidecar-trials"
    trials = SidecarTrials(settings.collector, dirty.mark, settings.trial_folder or in_process)
    return Sidecars(
        template,
        PodStore(client),
        objects,
        credentials,
        dirty.mark,
        look_every=settings.resync_seconds,
        questions=questions,
        trials=trials if settings.shipper_canary else None,
    )


def _restarts(
    settings: Settings, template: SidecarTemplate | None, client: RestClient, sidecars: Sidecars | None
) -> WorkloadRestarts | None:
    if template is None or sidecars is None or not settings.restart_workloads:
        return None
    return WorkloadRestarts(client, template, sidecars.counted, sidecars.restarts_held_back)


def _webhook(settings: Settings, template: SidecarTemplate | None, client: RestClient) -> InjectionWebhook | None:
    if template is None or not settings.webhook:
        return None
    return InjectionWebhook(client, template, WebhookTrust(client, settings.namespace, settings.webhook))


@dataclass(frozen=True, slots=True)
class _DriverMaker:
    settings: Settings
    config_maps: ConfigMaps
    board: ClusterBoard
    dirty: Dirty

    def __call__(self, plane: AuditControlPlane) -> Driver | None:
        spec = plane.spec
        if spec.driver is DriverName.CONFIG_MAP and spec.config_map is not None:
            return ConfigMapDriver(self.config_maps, spec.config_map, LogSettings.from_spec(spec.log))
        if spec.driver is DriverName.STATIC_POD:
            return StaticPodDriver(plane.metadata.name, spec, self.board, plane.metadata.uid)
        if spec.driver is DriverName.PROCESS and self.settings.process_folder is not None:
            return ProcessDriver(self.settings.process_folder, self.dirty.mark)
        if spec.driver is DriverName.OBSERVE:
            return ObserveDriver()
        return None


@dataclass(frozen=True, slots=True)
class _ShippersMaker:
    settings: Settings
    board: ShipperBoard
    dirty: Dirty

    def __call__(self, plane: AuditControlPlane) -> Shippers | Finding | None:
        if plane.spec.driver is DriverName.PROCESS:
            return self._local()
        if self.settings.shippers is ShipperMode.NONE:
            return None
        served = [each.strip() for each in self.settings.shipper_control_planes.split(",") if each.strip()]
        return self._elsewhere(plane) if not served or plane.metadata.name in served else _not_served(served)

    def _local(self) -> Shippers | None:
        folder, collector = self.settings.process_folder, self.settings.collector
        if folder is None or collector is None:
            return None
        return LocalShipper(
            folder / SHIPPER_FOLDER,
            collector,
            ApiServer(folder).audit_log,
            self.dirty.mark,
            times=ShipperTimes(look_every=self.settings.observe_seconds),
        )

    def _elsewhere(self, plane: AuditControlPlane) -> Shippers:
        gateway = self.settings.shippers is ShipperMode.GATEWAY
        return NodeShippers(
            plane.metadata.name,
            plane.metadata.uid,
            self.board,
            places_of(LogSettings.from_spec(plane.spec.log).path, claims=False, webhook=gateway),
            None if gateway else self.settings.shipper_node_selector,
            self.dirty.mark,
            look_every=self.settings.observe_seconds,
            key_ages=KeyAges.of_days(self.settings.pseudonym_rotation_days, self.settings.pseudonym_keep_days),
        )


@dataclass(frozen=True, slots=True)
class _LocalFiles:
    """Where sinks of type File are, of control planes whose collector is on this machine (driver Process)."""

    settings: Settings
    store: FactStore

    def __call__(self, sink: ObjectRef, clusters: tuple[str, ...]) -> Path | None:
        folder = self.settings.process_folder
        known = (each.content for each in self.store.facts(AUDIT_CONTROL_PLANE))
        planes = (each.model for each in known if isinstance(each, OwnObject))
        ours = {
            each.metadata.name
            for each in planes
            if isinstance(each, AuditControlPlane) and each.spec.driver is DriverName.PROCESS
        }
        if folder is None or self.settings.collector is None or not ours.issuperset(clusters):
            return None
        return files_of(folder / SHIPPER_FOLDER, sink)


def _not_served(served: list[str]) -> Finding:
    return Finding(
        NOT_SERVED,
        Severity.ERROR,
        f"no shipper serves this control plane: those of this installation serve {', '.join(served)}",
        "install the chart once more for it, with shipper.controlPlane or gateway.controlPlane; or run shippers by "
        "hand that may read its Secret, and add it to AUDIT_OPERATOR_SHIPPER_CONTROL_PLANES",
    )


async def _status_of(client: RestClient, plane: ObjectRef) -> Mapping[str, Any]:
    """The status that a control plane has. Raises ApiError, ApiUnreachableError."""
    status: Mapping[str, Any] = (await client.get(AUDIT_CONTROL_PLANE, name=plane.name)).get("status") or {}
    return status


async def _first(stopping: Coroutine[Any, Any, object], wanted: Coroutine[Any, Any, object]) -> bool:
    """Wait for either; whether it was the wanted one."""
    tasks = [asyncio.create_task(stopping), asyncio.create_task(wanted)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
    return tasks[1] in done


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
