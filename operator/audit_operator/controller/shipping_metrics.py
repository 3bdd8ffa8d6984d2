"""What shippers have counted, as Prometheus sees it. docs/metrics.md explains each one.

Read at each scrape: these are the figures that must not stand in any status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.observations import ShipperObservation
    from audit_operator.plan.shipping_status import ShippingFacts

_SHIPPER = ["control_plane", "shipper"]


@dataclass(frozen=True, slots=True)
class ShippingMetrics(Collector):
    """Figures of all shippers that were seen."""

    facts: Callable[[], Mapping[str, ShippingFacts]]

    def collect(self) -> Iterator[Metric]:
        """The figures as they were seen last."""
        healthy = GaugeMetricFamily("audit_operator_shipper_healthy", "Whether it runs and answers.", labels=_SHIPPER)
        restarts = CounterMetricFamily("audit_operator_shipper_restarts", "Restarts, unasked.", labels=_SHIPPER)
        events = CounterMetricFamily("audit_operator_shipper_events", "Events read.", labels=[*_SHIPPER, "outcome"])
        by_reason = [*_SHIPPER, "object_namespace", "reason"]
        unreadable = CounterMetricFamily("audit_operator_shipper_unreadable_lines", "Lines.", labels=by_reason)
        uncounted = CounterMetricFamily("audit_operator_detection_uncounted", "Had no room.", labels=_SHIPPER)
        unread = GaugeMetricFamily("audit_operator_shipper_unread_bytes", "Not read yet.", labels=_SHIPPER)
        daily = GaugeMetricFamily("audit_operator_shipper_daily_bytes", "In 24 hours, at least.", labels=_SHIPPER)
        lag = GaugeMetricFamily("audit_operator_shipper_lag_seconds", "Of the oldest, at least.", labels=_SHIPPER)
        by_sink = [*_SHIPPER, "sink"]
        records = CounterMetricFamily("audit_operator_sink_records", "Records.", labels=[*by_sink, "outcome"])
        cut = CounterMetricFamily("audit_operator_sink_cut_records", "Larger than it takes.", labels=by_sink)
        waiting = GaugeMetricFamily("audit_operator_sink_queue_bytes", "Bytes that wait.", labels=by_sink)
        capacity = GaugeMetricFamily("audit_operator_sink_queue_capacity_bytes", "Most that can.", labels=by_sink)
        for labels, shipper in self._shippers():
            figures = shipper.figures
            healthy.add_metric(labels, float(shipper.healthy))
            restarts.add_metric(labels, figures.restarts)
            for outcome in ("received", "refused", "quarantined", "dropped"):
                events.add_metric([*labels, outcome], getattr(figures, outcome))
            for each in figures.unreadable:
                unreadable.add_metric([*labels, each.namespace, each.reason], each.lines)
            uncounted.add_metric(labels, figures.uncounted)
            lag.add_metric(labels, max([shipper.unread_for, *(each.stalled for each in shipper.exporters)]))
            if figures.unread is not None:
                unread.add_metric(labels, figures.unread)
                daily.add_metric(labels, shipper.daily)
            for way in shipper.exporters:
                sink = [*labels, way.exporter.partition("/")[2]]
                for outcome in ("sent", "failed", "not_queued"):
                    records.add_metric([*sink, outcome], getattr(way.figures, outcome))
                cut.add_metric(sink, way.figures.cut)
                waiting.add_metric(sink, way.figures.queue)
                capacity.add_metric(sink, way.figures.capacity)
        yield from (healthy, restarts, events, unreadable, uncounted, unread, daily, lag)
        yield from (records, cut, waiting, capacity)

    def _shippers(self) -> Iterator[tuple[list[str], ShipperObservation]]:
        for plane, facts in self.facts().items():
            for shipper in facts.shippers:
                yield [plane, shipper.node], shipper
