"""Who may do what to auditing, counted, as Prometheus sees it. docs/metrics.md explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from audit_operator.api.permissions import Permissions


@dataclass(frozen=True, slots=True)
class PermissionMetrics(Collector):
    """The counts of all control planes that were judged; never a name."""

    results: Callable[[], Mapping[str, Permissions]]

    def collect(self) -> Iterator[Metric]:
        """The counts as they were last."""
        subjects = GaugeMetricFamily(
            "audit_operator_permission_subjects",
            "Subjects of bindings, by what they may do.",
            labels=["control_plane", "effect", "expected"],
        )
        for plane, found in self.results().items():
            for effect, held in (("read", found.readers), ("write", found.writers), ("disable", found.can_disable)):
                if held is not None:
                    subjects.add_metric([plane, effect, "false"], held.unexpected)
                    subjects.add_metric([plane, effect, "true"], held.subjects - held.unexpected)
        yield subjects
