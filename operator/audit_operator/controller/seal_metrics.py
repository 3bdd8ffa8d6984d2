"""What was seen of seals, as Prometheus sees it. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from audit_operator.plan.credentials import sink_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.seal_observations import SealObservation


@dataclass(frozen=True, slots=True)
class SealMetrics(Collector):
    """Figures of all sinks that say where their seals are."""

    seen: Callable[[], Mapping[ObjectRef, SealObservation]]

    def collect(self) -> Iterator[Metric]:
        """The figures as they were seen last."""
        up = GaugeMetricFamily("audit_operator_seals_up", "Whether the archive could be looked at.", labels=["sink"])
        state = GaugeMetricFamily("audit_operator_seals_state", "What is true of them.", labels=["sink", "state"])
        until = GaugeMetricFamily(
            "audit_operator_seals_until_timestamp_seconds", "Up to when everything is sealed.", labels=["sink"]
        )
        verified = GaugeMetricFamily(
            "audit_operator_seals_verified_timestamp_seconds", "When the last verification was made.", labels=["sink"]
        )
        findings = GaugeMetricFamily(
            "audit_operator_seals_findings", "What is wrong with seals and records.", labels=["sink", "finding"]
        )
        for ref, each in list(self.seen().items()):
            sink, figures = sink_name(ref), each.figures
            up.add_metric([sink], float(figures.up))
            if each.state is not None:
                state.add_metric([sink, each.state.value], 1.0)
            if figures.sealed:
                until.add_metric([sink], figures.sealed)
            if figures.verified:
                verified.add_metric([sink], figures.verified)
            for name, count in figures.findings.items():
                findings.add_metric([sink, name], count)
        yield from (up, state, until, verified, findings)
