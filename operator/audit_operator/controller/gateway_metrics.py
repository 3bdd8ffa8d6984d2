"""What Prometheus sees of a gateway. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from audit_operator.gateway.listener import Listener
    from audit_operator.gateway.receiver import Receiver


@dataclass(frozen=True, slots=True, eq=False)
class GatewayMetrics(Collector):
    """Figures of what API servers have posted, read at each scrape."""

    receiver: Receiver
    listener: Listener

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        figures, load = self.receiver.figures, self.receiver.load
        answers = CounterMetricFamily("audit_operator_gateway_requests", "Requests by their answer.", labels=["status"])
        for status, number in sorted(figures.answers.items()):
            answers.add_metric([str(int(status))], number)
        yield answers
        yield CounterMetricFamily("audit_operator_gateway_events", "Events that were taken.", value=figures.events)
        yield CounterMetricFamily("audit_operator_gateway_bytes", "Of lists that were taken.", value=figures.bytes)
        yield GaugeMetricFamily("audit_operator_gateway_in_flight_requests", "Worked on now.", value=load.requests)
        yield GaugeMetricFamily("audit_operator_gateway_in_flight_bytes", "Of their bodies.", value=load.bytes)
        stale = float(bool(self.listener.complaint))
        yield GaugeMetricFamily(
            "audit_operator_gateway_certificate_refused", "1 while newer certificates cannot be used.", value=stale
        )
