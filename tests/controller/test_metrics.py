"""Every metric is documented."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from prometheus_client import CollectorRegistry, generate_latest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import (
    ExporterFigures,
    ExporterObservation,
    Flow,
    ShipperFigures,
    ShipperObservation,
)
from audit_operator.api.store_observations import Drop, StoreFigures, StoreObservation, StoreState
from audit_operator.cluster.status_writer import StatusStats
from audit_operator.controller.agent_metrics import agent_metrics
from audit_operator.controller.gateway_metrics import GatewayMetrics
from audit_operator.controller.metrics import Metrics
from audit_operator.controller.reader_metrics import ReaderMetrics
from audit_operator.controller.report_objects import ReportFigures
from audit_operator.controlplane.shipper.counts import Counts, text_of
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState
from audit_operator.gateway.handover import Handover
from audit_operator.gateway.receiver import Receiver
from audit_operator.plan import plan
from audit_operator.plan.compliance_status import counted
from audit_operator.plan.shipping_status import ShippingFacts
from audit_operator.reading.server import Reader
from tests.plan.test_planning import SNAPSHOT, seen

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_every_metric_is_documented_and_none_that_there_is_not():
    metrics = Metrics()
    metrics.follow("dirty_age_seconds", "x", lambda: 0.0)
    metrics.follow("sync_age_seconds", "x", lambda: 0.0)
    metrics.follow("detections_waiting", "x", lambda: 0)
    metrics.follow_statuses(StatusStats(), lambda: 0)
    metrics.follow_shipping(dict)
    metrics.follow_sidecars(dict, dict)
    metrics.follow_stores(dict)
    metrics.follow_permissions(dict)
    metrics.follow_retention(dict)
    metrics.follow_seals(dict)
    metrics.follow_reports(ReportFigures(), lambda: 0)
    metrics.probe_counts()
    metrics.follow_probes(dict, dict)
    metrics.follow_error_rates(dict)
    metrics.follow_alerts(dict)
    gateway = CollectorRegistry()
    gateway.register(GatewayMetrics(Receiver(Handover(None, str)), SimpleNamespace(complaint="")))
    gateway.register(ReaderMetrics(Reader(None, None, ()), SimpleNamespace(complaint="")))
    registries = metrics.registry, agent_metrics(NodeReport), gateway
    detections = text_of([("main", Counts((), 1.0))]).decode()
    text = "".join(generate_latest(each).decode() for each in registries) + detections
    served = {name for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) if not name.endswith("_created")}
    assert served == set(re.findall(r"^\| `(\S+)`", DOCUMENTATION, re.MULTILINE))


def test_an_agent_shows_its_state():
    text = generate_latest(agent_metrics(lambda: NodeReport(state=NodeState.BLOCKED, ready=True))).decode()
    assert 'audit_operator_agent_state{state="Blocked"} 1.0' in text
    assert 'audit_operator_agent_state{state="Running"} 0.0' in text
    assert "audit_operator_agent_api_server_ready 1.0" in text


def test_one_plan_is_shown():
    metrics = Metrics()
    metrics.show(SNAPSHOT, plan(SNAPSHOT))
    text = generate_latest(metrics.registry).decode()
    assert 'audit_operator_objects{kind="AuditPolicy"} 2.0' in text
    assert 'audit_operator_policy_rules{control_plane="main"}' in text


def test_api_servers_count_as_programmed_only_if_they_are_ready_with_the_digest():
    metrics = Metrics()
    snapshot = replace(SNAPSHOT, observations=seen(ready=False))
    metrics.show(snapshot, plan(snapshot))
    assert (
        'audit_operator_api_servers{control_plane="main",programmed="false"} 1.0'
        in generate_latest(metrics.registry).decode()
    )


def test_what_shippers_have_counted_is_shown_by_sink():
    metrics = Metrics()
    way = ExporterObservation(
        "otlp_http/clusterauditsink.central", Flow.LOSSY, ExporterFigures(sent=5, failed=2, queue=7, capacity=9, cut=3)
    )
    shipper = ShipperObservation("n1", healthy=True, exporters=(way,), figures=ShipperFigures(received=8, dropped=1))
    metrics.follow_shipping(lambda: {"main": ShippingFacts(shippers=(shipper,))})
    text = generate_latest(metrics.registry).decode()
    where = 'shipper="n1",sink="clusterauditsink.central"'
    assert f'audit_operator_sink_records_total{{control_plane="main",outcome="sent",{where}}} 5.0' in text
    assert f'audit_operator_sink_records_total{{control_plane="main",outcome="failed",{where}}} 2.0' in text
    assert f'audit_operator_sink_cut_records_total{{control_plane="main",{where}}} 3.0' in text
    assert f'audit_operator_sink_queue_bytes{{control_plane="main",{where}}} 7.0' in text
    assert 'audit_operator_shipper_events_total{control_plane="main",outcome="dropped",shipper="n1"} 1.0' in text
    assert 'audit_operator_shipper_healthy{control_plane="main",shipper="n1"} 1.0' in text


def test_what_stores_say_is_shown_by_sink_and_nothing_of_those_that_cannot_be_asked():
    metrics = Metrics()
    figures = StoreFigures(up=True, seconds=0.25, dropped={Drop.TOO_OLD: 3})
    seen_stores = {
        ObjectRef("AuditSink", "own", "payments"): StoreObservation(StoreState.TAKING, figures=figures),
        ObjectRef("ClusterAuditSink", "files"): StoreObservation(StoreState.NOT_ASKED),
    }
    metrics.follow_stores(lambda: seen_stores)
    text = generate_latest(metrics.registry).decode()
    assert 'audit_operator_sink_up{sink="auditsink.payments.own"} 1.0' in text
    assert 'audit_operator_sink_check_seconds{sink="auditsink.payments.own"} 0.25' in text
    assert 'audit_operator_sink_rows_dropped_total{reason="too_old",sink="auditsink.payments.own"} 3.0' in text
    assert "files" not in text


def test_controls_are_counted_over_policies_and_go_with_them():
    said = {"framework": "CIS", "passed": 1, "failed": 2}
    metrics = Metrics()
    metrics.show_compliance(counted([{"compliance": [said]}, {"compliance": [said]}, {}]))
    text = generate_latest(metrics.registry).decode()
    assert 'audit_operator_compliance_controls{framework="CIS",verdict="Fail"} 4.0' in text
    assert 'audit_operator_compliance_controls{framework="CIS",verdict="CannotBeJudged"} 0.0' in text
    metrics.show_compliance(counted([]))
    assert "audit_operator_compliance_controls{" not in generate_latest(metrics.registry).decode()
