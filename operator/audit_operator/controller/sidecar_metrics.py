"""Pods with and without their sidecar, as Prometheus sees them. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.sidecar_figures import SidecarFigures
    from audit_operator.plan.sidecars import SidecarCount


@dataclass(frozen=True, slots=True)
class SidecarMetrics(Collector):
    """The counts of all policies that collect application logs; labels of what is gone go with it."""

    facts: Callable[[], Mapping[ObjectRef, SidecarCount]]
    figures: Callable[[], Mapping[ObjectRef, SidecarFigures]]

    def collect(self) -> Iterator[Metric]:
        """The counts as they were last."""
        pods = GaugeMetricFamily(
            "audit_operator_sidecar_pods", "Pods, by what they carry.", labels=["namespace", "policy", "state"]
        )
        for ref, counted in self.facts().items():
            pods.add_metric([ref.namespace, ref.name, "Injected"], counted.injected)
            for why, theirs in counted.lacking.items():
                pods.add_metric([ref.namespace, ref.name, why.value], len(theirs))
        yield pods
        yield from self._counted()

    def _counted(self) -> Iterator[Metric]:
        """What sidecars have counted; every label is a name that the policy has, and none that a pod has said."""
        of_policy = ["namespace", "policy"]
        answering = GaugeMetricFamily("audit_operator_sidecars_answering", "Sidecars that answer.", labels=of_policy)
        lines = CounterMetricFamily("audit_operator_application_log_lines", "Lines.", labels=[*of_policy, "outcome"])
        quarantined = CounterMetricFamily(
            "audit_operator_application_log_lines_quarantined", "Lines.", labels=[*of_policy, "source"]
        )
        by_sink = [*of_policy, "sink"]
        records = CounterMetricFamily(
            "audit_operator_application_log_records", "Records.", labels=[*by_sink, "outcome"]
        )
        waiting = GaugeMetricFamily("audit_operator_sidecar_queue_bytes", "Bytes that wait.", labels=by_sink)
        for ref, figures in self.figures().items():
            labels, totals = [ref.namespace, ref.name], figures.totals
            answering.add_metric(labels, figures.answering or 0)
            lines.add_metric([*labels, "received"], totals.received)
            lines.add_metric([*labels, "refused"], totals.refused)
            for source, count in totals.quarantined.items():
                quarantined.add_metric([*labels, source], count)
            for exporter, each in totals.sinks.items():
                sink = [*labels, exporter.partition("/")[2]]
                for outcome in ("sent", "failed", "not_queued"):
                    records.add_metric([*sink, outcome], getattr(each, outcome))
                waiting.add_metric(sink, each.queue)
        yield from (answering, lines, quarantined, records, waiting)
