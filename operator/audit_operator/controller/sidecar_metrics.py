"""Pods with and without their sidecar, as Prometheus sees them. docs/metrics.md explains each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.sidecars import SidecarCount


@dataclass(frozen=True, slots=True)
class SidecarMetrics(Collector):
    """The counts of all policies that collect application logs; labels of what is gone go with it."""

    facts: Callable[[], Mapping[ObjectRef, SidecarCount]]

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
