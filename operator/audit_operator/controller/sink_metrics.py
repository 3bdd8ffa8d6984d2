"""What was found of the stores of sinks, as Prometheus sees it. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from audit_operator.api.store_observations import StoreState
from audit_operator.plan.credentials import sink_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.store_observations import StoreObservation


@dataclass(frozen=True, slots=True)
class SinkMetrics(Collector):
    """Figures of all stores that were asked."""

    seen: Callable[[], Mapping[ObjectRef, StoreObservation]]

    def collect(self) -> Iterator[Metric]:
        """The figures as they were seen last."""
        up = GaugeMetricFamily("audit_operator_sink_up", "Whether its store takes writes.", labels=["sink"])
        seconds = GaugeMetricFamily(
            "audit_operator_sink_check_seconds", "How long its store took to answer.", labels=["sink"]
        )
        dropped = CounterMetricFamily(
            "audit_operator_sink_rows_dropped", "Records its store threw away.", labels=["sink", "reason"]
        )
        for ref, observation in list(self.seen().items()):
            if observation.state is StoreState.NOT_ASKED:
                continue
            sink, figures = sink_name(ref), observation.figures
            up.add_metric([sink], float(figures.up))
            seconds.add_metric([sink], figures.seconds)
            for reason, count in figures.dropped.items():
                dropped.add_metric([sink, reason.value], count)
        yield from (up, seconds, dropped)
