"""What Prometheus sees of a reader. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from audit_operator.gateway.listener import Listener
    from audit_operator.reading.server import Reader


@dataclass(frozen=True, slots=True, eq=False)
class ReaderMetrics(Collector):
    """Figures of what callers were answered, read at each scrape."""

    reader: Reader
    listener: Listener

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        figures = self.reader.figures
        answers = CounterMetricFamily("audit_operator_reader_requests", "Requests by their answer.", labels=["status"])
        for status, number in sorted(figures.answers.items()):
            answers.add_metric([str(int(status))], number)
        yield answers
        yield CounterMetricFamily("audit_operator_reader_records", "Records that were sent.", value=figures.records)
        yield CounterMetricFamily("audit_operator_reader_broken", "Answers that were not whole.", value=figures.broken)
        yield GaugeMetricFamily("audit_operator_reader_in_flight", "Requests now.", value=self.reader.load.requests)
        stale = float(bool(self.listener.complaint))
        yield GaugeMetricFamily(
            "audit_operator_reader_certificate_refused", "1 while newer certificates cannot be used.", value=stale
        )
