"""The chart's alerts, as Prometheus' own tool evaluates them: each fires when it should, and none when all is well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.prometheus import promtool_says

CHECKOUT = Path(__file__).parents[2]
RULES = CHECKOUT / "charts" / "audit-operator" / "files" / "rules.yaml"
ALERTS = [
    rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if "alert" in rule
]

# A value for each minute: `1x99` is 1 all the time, `0+1x99` one more each minute.
WELL = {
    'audit_operator_leader{pod="a"}': "1x99",
    'audit_operator_leader{pod="b"}': "0x99",
    'audit_operator_api_servers{control_plane="main",programmed="true"}': "3x99",
    'audit_operator_api_servers{control_plane="main",programmed="false"}': "0x99",
    "audit_operator_reconcile_failures_total": "0x99",
    'audit_operator_sync_age_seconds{pod="a"}': "5x99",
    'audit_operator_dirty_age_seconds{pod="a"}': "0x99",
    'audit_operator_status_pending{pod="a"}': "3x99",
    'audit_operator_alert_objects{pod="a",state="Written"}': "3x99",
    'audit_operator_alert_objects{pod="a",state="Failed"}': "0x99",
    'audit_operator_shipper_healthy{control_plane="main",shipper="node-1"}': "1x99",
    'audit_operator_sink_records_total{control_plane="main",shipper="node-1",sink="s",outcome="sent"}': "0+60x99",
    'audit_operator_sink_records_total{control_plane="main",shipper="node-1",sink="s",outcome="failed"}': "7x99",
    'audit_operator_sink_queue_bytes{control_plane="main",shipper="node-1",sink="s"}': "100x99",
    'audit_operator_sink_queue_capacity_bytes{control_plane="main",shipper="node-1",sink="s"}': "1000x99",
    'audit_operator_shipper_lag_seconds{control_plane="main",shipper="node-1"}': "0x99",
    'audit_operator_sink_rows_dropped_total{sink="s",reason="too_large"}': "2x99",
    'audit_operator_application_log_lines_quarantined_total{namespace="n",policy="p",source="x"}': "4x99",
    'audit_operator_application_log_records_total{namespace="n",policy="p",sink="s",outcome="failed"}': "4x99",
    'audit_operator_permission_subjects{control_plane="main",effect="read",expected="false"}': "2x99",
    'audit_operator_seals_state{sink="s",state="Sealed"}': "1x99",
    'audit_operator_seals_state{sink="s",state="SealMissing"}': "0x99",
    'audit_operator_seals_up{sink="s"}': "1x99",
    'audit_operator_gateway_requests_total{namespace="a",pod="g",status="200"}': "0+9x99",
    'audit_operator_gateway_requests_total{namespace="a",pod="g",status="503"}': "1x99",
    'audit_operator_gateway_certificate_refused{namespace="a",pod="g"}': "0x99",
    'audit_operator_reader_requests_total{namespace="a",pod="r",status="200"}': "0+9x99",
    'audit_operator_reader_requests_total{namespace="a",pod="r",status="403"}': "0+1x99",
    'audit_operator_reader_requests_total{namespace="a",pod="r",status="502"}': "1x99",
    'audit_operator_reader_broken_total{namespace="a",pod="r"}': "0x99",
    'audit_operator_reader_certificate_refused{namespace="a",pod="r"}': "0x99",
}
WRONG = {
    "AuditOperatorHasNoLeader": {'audit_operator_leader{pod="a"}': "0x99"},
    "AuditPolicyNotProgrammed": {'audit_operator_api_servers{control_plane="main",programmed="false"}': "1x99"},
    "AuditOperatorFails": {"audit_operator_reconcile_failures_total": "0+1x99"},
    "AuditOperatorFactsAreOld": {'audit_operator_sync_age_seconds{pod="a"}': "0+60x99"},
    "AuditOperatorIsBehind": {'audit_operator_dirty_age_seconds{pod="a"}': "0+60x99"},
    "AuditDetectionsHaveNoAlerts": {'audit_operator_alert_objects{pod="a",state="Failed"}': "1x99"},
    "AuditShipperIsDown": {'audit_operator_shipper_healthy{control_plane="main",shipper="node-1"}': "0x99"},
    "AuditRecordsAreGivenUp": {
        'audit_operator_sink_records_total{control_plane="main",shipper="node-1",sink="s",outcome="failed"}': "0+1x99"
    },
    "AuditSinkIsBehind": {'audit_operator_sink_queue_bytes{control_plane="main",shipper="node-1",sink="s"}': "600x99"},
    "AuditShipperIsBehind": {'audit_operator_shipper_lag_seconds{control_plane="main",shipper="node-1"}': "300x99"},
    "AuditStoreThrowsRecordsAway": {'audit_operator_sink_rows_dropped_total{sink="s",reason="too_large"}': "0+1x99"},
    "AuditApplicationLinesBreakTheStandard": {
        'audit_operator_application_log_lines_quarantined_total{namespace="n",policy="p",source="x"}': "0+1x99"
    },
    "AuditApplicationRecordsAreGivenUp": {
        'audit_operator_application_log_records_total{namespace="n",policy="p",sink="s",outcome="failed"}': "0+1x99"
    },
    "AuditPermissionsHaveGrown": {
        'audit_operator_permission_subjects{control_plane="main",effect="read",expected="false"}': "2x60 3x39"
    },
    "AuditSealsAreNotAsTheyShouldBe": {
        'audit_operator_seals_state{sink="s",state="Sealed"}': "0x99",
        'audit_operator_seals_state{sink="s",state="SealMissing"}': "1x99",
    },
    "AuditSealsAreNotSeen": {'audit_operator_seals_up{sink="s"}': "0x99"},
    "AuditGatewayRefuses": {'audit_operator_gateway_requests_total{namespace="a",pod="g",status="503"}': "0+1x99"},
    "AuditGatewayCertificateRefused": {'audit_operator_gateway_certificate_refused{namespace="a",pod="g"}': "1x99"},
    "AuditReaderFails": {'audit_operator_reader_requests_total{namespace="a",pod="r",status="502"}': "0+1x99"},
    "AuditReaderAnswersAreNotWhole": {'audit_operator_reader_broken_total{namespace="a",pod="r"}': "0+5x99"},
    "AuditReaderIsProbed": {'audit_operator_reader_requests_total{namespace="a",pod="r",status="403"}': "0+9x99"},
    "AuditReaderCertificateRefused": {'audit_operator_reader_certificate_refused{namespace="a",pod="r"}': "1x99"},
}
AT = "95m"
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def scene(name, changed, firing):
    series = [{"series": each, "values": values} for each, values in {**WELL, **changed}.items()]
    samples = [{"labels": f'{{alertname="{each}"}}', "value": 1} for each in firing]
    expected = {"expr": FIRING, "eval_time": AT, "exp_samples": samples}
    return {"name": name, "interval": "1m", "input_series": series, "promql_expr_test": [expected]}


def tested(tmp_path, *scenes):
    file = tmp_path / "scenes.json"
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(scenes)}
    file.write_text(json.dumps(document))
    promtool_says("test", "rules", str(file))


def test_prometheus_reads_the_rules():
    assert f"{len(ALERTS)} rules found" in promtool_says("check", "rules", str(RULES))


def test_every_alert_is_tried():
    assert sorted(WRONG) == sorted(ALERTS)


def test_none_fires_where_all_is_well(tmp_path):
    tested(tmp_path, scene("well", {}, []))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_fires_where_what_it_is_about_is_wrong_and_no_other_does(tmp_path, alert):
    tested(tmp_path, scene(alert, WRONG[alert], [alert]))
