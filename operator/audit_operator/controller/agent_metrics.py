"""What Prometheus sees of a node agent. docs/metrics.md explains each one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge

from audit_operator.controlplane.static_pod.report import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.controlplane.static_pod.report import NodeReport


def agent_metrics(report: Callable[[], NodeReport]) -> CollectorRegistry:
    """Gauges that show the agent's report as it is at each scrape."""
    registry = CollectorRegistry()
    states = Gauge("audit_operator_agent_state", "1 for what the agent does now.", ("state",), registry=registry)
    for state in NodeState:
        states.labels(state.value).set_function(lambda state=state: float(report().state is state))  # type: ignore[misc]
    ready = Gauge("audit_operator_agent_api_server_ready", "1 while the API server is ready.", registry=registry)
    ready.set_function(lambda: float(report().ready))
    failed = Gauge("audit_operator_agent_failures", "Configurations that are not tried again.", registry=registry)
    failed.set_function(lambda: float(len(report().failures)))
    return registry
