"""What Prometheus sees of the operator. docs/metrics.md explains each one."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from audit_operator.api.policy_status import CanFire
from audit_operator.controller.alert_objects import AlertObjectState, counted
from audit_operator.controller.permission_metrics import PermissionMetrics
from audit_operator.controller.probe_metrics import ErrorRates, ProbeCounts, ProbeStanding
from audit_operator.controller.retention_metrics import RetentionMetrics
from audit_operator.controller.seal_metrics import SealMetrics
from audit_operator.controller.shipping_metrics import ShippingMetrics
from audit_operator.controller.sidecar_metrics import SidecarMetrics
from audit_operator.controller.sink_metrics import SinkMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.permissions import Permissions
    from audit_operator.api.retention_observations import RetentionObservation
    from audit_operator.api.seal_observations import SealObservation
    from audit_operator.api.store_observations import StoreObservation
    from audit_operator.cluster.status_writer import StatusStats
    from audit_operator.controller.report_objects import ReportFigures
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.detection_answers import Told
    from audit_operator.plan.shipping_status import ShippingFacts
    from audit_operator.plan.sidecar_figures import SidecarFigures
    from audit_operator.plan.sidecars import SidecarCount

_PREFIX = "audit_operator"


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"{_PREFIX}_{name}", text, labels, registry=registry)


@dataclass(slots=True)
class Metrics:
    """All metrics of one operator, in a registry of their own."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    reconciled: Histogram = field(init=False)
    failed: Counter = field(init=False)
    defects: Counter = field(init=False)
    objects: Gauge = field(init=False)
    findings: Gauge = field(init=False)
    rules: Gauge = field(init=False)
    size: Gauge = field(init=False)
    servers: Gauge = field(init=False)
    controls: Gauge = field(init=False)
    detections: Gauge = field(init=False)
    leading: Gauge = field(init=False)

    def __post_init__(self) -> None:
        registry = self.registry
        self.reconciled = Histogram(
            f"{_PREFIX}_reconcile_duration_seconds", "Time from facts to statuses.", registry=registry
        )
        self.failed = Counter(f"{_PREFIX}_reconcile_failures", "Reconciliations that failed.", registry=registry)
        self.defects = Counter(f"{_PREFIX}_defects", "Exceptions that nothing is made for.", registry=registry)
        self.objects = _gauge(registry, "objects", "Objects that take part in the plan.", "kind")
        self.findings = _gauge(registry, "findings", "Findings at objects.", "severity")
        self.rules = _gauge(registry, "policy_rules", "Rules of the compiled policy.", "control_plane")
        self.size = _gauge(registry, "policy_size_bytes", "Size of the compiled policy.", "control_plane")
        self.servers = _gauge(registry, "api_servers", "API servers by what they run.", "control_plane", "programmed")
        self.controls = _gauge(
            registry, "compliance_controls", "Controls of frameworks that policies name.", "framework", "verdict"
        )
        self.detections = _gauge(registry, "detections", "Detections of policies.", "can_fire")
        self.leading = _gauge(registry, "leader", "1 while this replica leads.")

    def follow(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is asked for at each scrape."""
        _gauge(self.registry, name, text).set_function(value)

    def follow_statuses(self, stats: StatusStats, pending: Callable[[], float]) -> None:
        """Show what the status writer does."""
        self.follow("status_pending", "Statuses that wait to be written.", pending)
        for name in ("written", "unchanged", "conflicts", "retries", "dropped"):
            self.follow(f"status_{name}", f"Statuses: {name}, since the start.", lambda n=name: getattr(stats, n))  # type: ignore[misc]

    def follow_reports(self, figures: ReportFigures, present: Callable[[], float]) -> None:
        """Show what becomes of report objects."""
        self.follow("report_objects", "Report objects that are there.", present)
        for name in ("written", "deleted", "failed"):
            self.follow(f"report_{name}", f"Report objects: {name}, since the start.", partial(getattr, figures, name))

    def follow_shipping(self, facts: Callable[[], Mapping[str, ShippingFacts]]) -> None:
        """Show what is known of shippers at each scrape."""
        self.registry.register(ShippingMetrics(facts))

    def follow_stores(self, seen: Callable[[], Mapping[ObjectRef, StoreObservation]]) -> None:
        """Show at each scrape what was found of the stores of sinks."""
        self.registry.register(SinkMetrics(seen))

    def follow_retention(self, seen: Callable[[], Mapping[ObjectRef, RetentionObservation]]) -> None:
        """Show at each scrape what stores said of retention."""
        self.registry.register(RetentionMetrics(seen))

    def follow_seals(self, seen: Callable[[], Mapping[ObjectRef, SealObservation]]) -> None:
        """Show at each scrape what was seen of seals."""
        self.registry.register(SealMetrics(seen))

    def probe_counts(self) -> ProbeCounts:
        """Where results of live probes are counted."""
        return ProbeCounts(self.registry)

    def follow_probes(
        self, oldest: Callable[[], Mapping[str, float]], error_rate: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show at each scrape what live probes have shown."""
        self.registry.register(ProbeStanding(oldest, error_rate))

    def follow_error_rates(self, rates: Callable[[], Mapping[str, float]]) -> None:
        """Show at each scrape the logging error rates of control planes."""
        self.registry.register(ErrorRates(rates))

    def follow_sidecars(
        self,
        facts: Callable[[], Mapping[ObjectRef, SidecarCount]],
        figures: Callable[[], Mapping[ObjectRef, SidecarFigures]],
    ) -> None:
        """Show at each scrape how many pods carry their sidecar, why others do not, and what sidecars have counted."""
        self.registry.register(SidecarMetrics(facts, figures))

    def follow_permissions(self, results: Callable[[], Mapping[str, Permissions]]) -> None:
        """Show at each scrape how many may read, write and disable."""
        self.registry.register(PermissionMetrics(results))

    def follow_alerts(self, states: Callable[[], Mapping[ObjectRef, AlertObjectState]]) -> None:
        """Show at each scrape how many PrometheusRules of policies are as they should be."""
        gauge = _gauge(self.registry, "alert_objects", "PrometheusRules of policies with detections.", "state")
        for state in AlertObjectState:
            gauge.labels(state.value).set_function(lambda state=state: counted(states()).get(state, 0))  # type: ignore[misc]

    def show_compliance(self, controls: Mapping[tuple[str, str], int]) -> None:
        """Show the counts of controls, by framework and verdict, of all policies together."""
        self.controls.clear()
        for labels, count in controls.items():
            self.controls.labels(*labels).set(count)

    def show_detections(self, said: Mapping[ObjectRef, tuple[Told, ...]]) -> None:
        """Show how many detections of all policies together can fire."""
        counts = Tally(each.verdict.can_fire.value for those in said.values() for each in those)
        for outcome in CanFire:
            self.detections.labels(outcome.value).set(counts[outcome.value])

    def show(self, snapshot: Snapshot, planned: Plan) -> None:
        """Show one plan; labels of what is gone go with it."""
        for gauge in (self.objects, self.findings, self.rules, self.size, self.servers):
            gauge.clear()
        kinds = {
            "AuditPolicy": snapshot.audit_policies,
            "ClusterAuditPolicy": snapshot.cluster_audit_policies,
            "AuditControlPlane": snapshot.control_planes,
            "Namespace": snapshot.namespaces,
            "invalid": snapshot.invalid,
        }
        for kind, objects in kinds.items():
            self.objects.labels(kind).set(len(objects))
        for found in planned.findings.values():
            for finding in found:
                self.findings.labels(finding.severity.value).inc()
        for name, compiled in planned.compiled.items():
            self.rules.labels(name).set(len(compiled.policy.rules))
            self.size.labels(name).set(len(compiled.desired.text.encode()))
            for server in snapshot.observations.get(name, ()):
                programmed = server.ready and server.running_digest == compiled.desired.digest
                self.servers.labels(name, str(programmed).lower()).inc()
