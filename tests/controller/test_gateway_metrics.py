"""What Prometheus sees of a gateway."""

from __future__ import annotations

from http import HTTPStatus
from types import SimpleNamespace

from prometheus_client import CollectorRegistry, generate_latest

from audit_operator.controller.gateway_metrics import GatewayMetrics
from audit_operator.gateway.load import Load
from audit_operator.gateway.receiver import Figures


def test_figures_are_those_of_the_moment():
    figures = Figures()
    registry = CollectorRegistry()
    receiver = SimpleNamespace(figures=figures, load=Load(requests=2, bytes=10))
    registry.register(GatewayMetrics(receiver, SimpleNamespace(complaint="x")))
    figures.answers[HTTPStatus.OK] += 3
    figures.events = 7
    lines = generate_latest(registry).decode().splitlines()
    assert 'audit_operator_gateway_requests_total{status="200"} 3.0' in lines
    assert "audit_operator_gateway_events_total 7.0" in lines
    assert "audit_operator_gateway_in_flight_requests 2.0" in lines
    assert "audit_operator_gateway_in_flight_bytes 10.0" in lines
    assert "audit_operator_gateway_certificate_refused 1.0" in lines
