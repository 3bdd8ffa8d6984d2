"""What stores said of retention, as Prometheus sees it. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from audit_operator.plan.credentials import sink_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.retention_observations import RetentionObservation


@dataclass(frozen=True, slots=True)
class RetentionMetrics(Collector):
    """Figures of all stores of which policies demand something."""

    seen: Callable[[], Mapping[ObjectRef, RetentionObservation]]

    def collect(self) -> Iterator[Metric]:
        """The figures as they were seen last."""
        state = GaugeMetricFamily(
            "audit_operator_retention_state", "How it keeps a class of records.", labels=["sink", "class", "state"]
        )
        verified = GaugeMetricFamily(
            "audit_operator_retention_verified_timestamp_seconds", "When it last said so.", labels=["sink"]
        )
        overdue = GaugeMetricFamily(
            "audit_operator_retention_overdue_records", "Records older than allowed.", labels=["sink", "class"]
        )
        deleted = CounterMetricFamily(
            "audit_operator_retention_deleted_records", "Records deleted by order.", labels=["sink", "class"]
        )
        for ref, each in list(self.seen().items()):
            sink, figures = sink_name(ref), each.figures
            for one in each.status.classes:
                state.add_metric([sink, one.name, one.state.value], 1.0)
            if figures.verified:
                verified.add_metric([sink], figures.verified)
            for name, count in figures.overdue.items():
                overdue.add_metric([sink, name], count)
            for name, count in figures.deleted.items():
                deleted.add_metric([sink, name], count)
        yield from (state, verified, overdue, deleted)
