"""What came of live probes, as Prometheus sees it. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from audit_operator.plan.credentials import sink_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.findings import ObjectRef

_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(slots=True)
class ProbeCounts:
    """Counts requests as they are done with."""

    registry: CollectorRegistry
    requests: Counter = field(init=False)
    delivery: Histogram = field(init=False)
    detection: Histogram = field(init=False)

    def __post_init__(self) -> None:
        self.requests = Counter(
            "audit_operator_probes",
            "Probes by what their sink had of them.",
            ["control_plane", "sink", "outcome"],
            registry=self.registry,
        )
        self.delivery = Histogram(
            "audit_operator_probe_delivery_seconds",
            "Time from a probe to all its records in a sink.",
            ["sink"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

        self.detection = Histogram(
            "audit_operator_detection_seconds",
            "Time from a probe to its count.",
            ["control_plane"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def count(self, plane: str, sink: ObjectRef, outcome: str, seconds: float | None) -> None:
        """One request in one sink; `seconds` until all its records were found, where they were."""
        self.requests.labels(plane, sink_name(sink), outcome).inc()
        if seconds is not None:
            self.delivery.labels(sink_name(sink)).observe(seconds)

    def forget(self, sink: ObjectRef) -> None:
        """Show nothing more of a sink that is gone."""
        for each in (self.requests, self.delivery):
            each.remove_by_labels({"sink": sink_name(sink)})


@dataclass(frozen=True, slots=True)
class ProbeStanding(Collector):
    """What is true now, by control plane."""

    oldest: Callable[[], Mapping[str, float]]
    error_rate: Callable[[], Mapping[str, float]]

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        oldest = GaugeMetricFamily(
            "audit_operator_probes_oldest_timestamp_seconds",
            "When the place was probed that waits longest.",
            labels=["control_plane"],
        )
        for plane, at in self.oldest().items():
            oldest.add_metric([plane], at)
        rate = GaugeMetricFamily(
            "audit_operator_probe_error_rate", "Part of probes lost or wrong.", labels=["control_plane"]
        )
        for plane, part in self.error_rate().items():
            rate.add_metric([plane], part)
        yield from (oldest, rate)


@dataclass(frozen=True, slots=True)
class ErrorRates(Collector):
    """What status says of policies, by control plane: probes and records together, also where none is probed."""

    rates: Callable[[], Mapping[str, float]]

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        rate = GaugeMetricFamily(
            "audit_operator_logging_error_rate", "Part of probes and records lost or wrong.", labels=["control_plane"]
        )
        for plane, part in self.rates().items():
            rate.add_metric([plane], part)
        yield rate
