"""What the sidecar says for itself, because it may import nothing, is what the rest says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from audit_operator.controller.sidecar_objects import SECRET_KEY
from audit_operator.controlplane.shipper import telemetry
from audit_operator.plan.application_logs import CONFIG_FILE, Places
from audit_operator.shipping.application import configuration as application
from audit_operator.shipping.collector import configuration
from audit_operator.shipping.injection import figures, names
from audit_operator.sidecar import collector, counted, places, wanted
from tools.image import debian


def test_names_and_places_are_the_operators():
    assert collector.ARGUMENTS == configuration.ARGUMENTS
    assert collector.HEALTH_VARIABLE == configuration.HEALTH_VARIABLE
    assert collector.METRICS_PORT_VARIABLE == configuration.METRICS_PORT_VARIABLE
    settings = {"GOGC": collector.COLLECTS_GARBAGE_AT, "GOMAXPROCS": collector.PROCESSORS}
    assert settings == application.ENVIRONMENT
    assert (wanted.CONFIG_FILE, wanted.SECRET_FILE) == (CONFIG_FILE, SECRET_KEY)
    mounted, planned = places.Places.from_environment({}), Places()
    assert str(mounted.config) == names.CONFIG_FOLDER == planned.config
    assert str(mounted.secret) == names.SECRET_FOLDER
    assert str(mounted.credentials) == names.CREDENTIALS_FOLDER == planned.credentials
    assert str(mounted.state) == names.STATE_FOLDER == planned.state
    assert planned.logs == names.LOGS_FOLDER


def test_nothing_but_the_standard_library_is_imported():
    code = "import sys, audit_operator.sidecar.supervisor; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())
    ours = {each for each in loaded if each.startswith("audit_operator.")}
    assert all(each.startswith("audit_operator.sidecar") for each in ours)
    assert loaded.isdisjoint({"pydantic", "yaml", "asyncio", "aiohttp", "logging", "ssl"})
    # Each costs every pod some hundred kilobytes.
    assert loaded.isdisjoint({"shutil", "random", "base64", "typing"})


def test_paths_in_a_secret_lead_nowhere_else(tmp_path):
    (tmp_path / "sidecar.json").write_text('{"files": {"../a": "YQ==", "/b": "YQ==", "c/d": "YQ==", "": "YQ=="}}')
    assert wanted.read(tmp_path, tmp_path).files == {"c/d": b"a"}


def test_credentials_that_no_configuration_names_are_deleted(tmp_path):
    wanted.lay_out({"a/1/key": b"old", "a/2/key": b"new"}, tmp_path)
    wanted.clear_out(f"file: {tmp_path}/a/2/key", tmp_path)
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["a", "a/2", "a/2/key"]


def test_the_injected_command_is_one_that_the_image_has():
    [program, *arguments] = names.COMMAND
    assert program == f"/usr/bin/{debian.PYTHON}"
    assert arguments == ["-I", "-m", "audit_operator.sidecar"]


METRICS = """\
# TYPE otelcol_exporter_sent_log_records counter
otelcol_exporter_sent_log_records{exporter="otlp_http/logs"} 118
otelcol_exporter_sent_log_records{exporter="search_bulk/refuses"} 21
otelcol_exporter_sent_log_records{exporter="search_bulk/takes_none"} 200
# TYPE otelcol_exporter_send_failed_log_records counter
otelcol_exporter_send_failed_log_records{exporter="otlp_http/logs"} 2
otelcol_exporter_send_failed_log_records{exporter="search_bulk/refuses"} 3
# TYPE otelcol_exporter_enqueue_failed_log_records counter
otelcol_exporter_enqueue_failed_log_records{exporter="otlp_http/logs"} 5
# TYPE otelcol_exporter_indexed_log_records counter
otelcol_exporter_indexed_log_records{exporter="search_bulk/refuses"} 17
otelcol_exporter_indexed_log_records{exporter="search_bulk/takes_none"} 0
# TYPE otelcol_exporter_refused_log_records counter
otelcol_exporter_refused_log_records{exporter="search_bulk/refuses"} 4
otelcol_exporter_refused_log_records{exporter="search_bulk/takes_none"} 200
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{exporter="otlp_http/logs"} 7
# TYPE otelcol_exporter_queue_capacity gauge
otelcol_exporter_queue_capacity{exporter="otlp_http/logs"} 100
# TYPE otelcol_processor_held_up gauge
otelcol_processor_held_up 0
# TYPE otelcol_processor_waits_for gauge
otelcol_processor_waits_for{exporter="otlp_http/logs"} 1
# TYPE target_info gauge
target_info{service_instance_id="753a"} 1
"""


def test_what_became_of_records_is_reckoned_from_metrics_as_it_is_of_other_shippers():
    told = {"pod": "u", "policy": "ns/p", "runs": True, **counted.condensed(METRICS.splitlines())}
    expected = telemetry.parse(METRICS).exporters
    assert (expected["search_bulk/takes_none"].sent, expected["search_bulk/takes_none"].failed) == (0, 200)
    assert figures.parse(json.dumps(told).encode(), "u", "ns/p", (), expected.keys()).sinks == expected


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("", ""),
        ("held_up 0", "held_up 1"),
        ("held_up 0", "other 0"),
        ('exporter_queue_size{exporter="otlp_http/logs"} 7', 'exporter_queue_size{exporter="otlp_http/logs"} 50'),
        ('exporter_queue_size{exporter="otlp_http/logs"} 7', 'exporter_queue_size{exporter="otlp_http/logs"} 51'),
        ('exporter_queue_size{exporter="otlp_http/logs"} 7', 'exporter_queue_size{exporter="search_bulk/refuses"} 99'),
        ('waits_for{exporter="otlp_http/logs"}', 'waits_for{exporter="otlp_http/unknown"}'),
        ('queue_capacity{exporter="otlp_http/logs"} 100', 'queue_capacity{exporter="otlp_http/logs"} 0'),
        ("exporter_", "else_"),
    ],
)
def test_a_collector_is_held_up_where_other_shippers_would_be(was, now):
    assert was in METRICS
    changed = METRICS.replace(was, now) if was else METRICS
    assert counted.is_held_up(changed.splitlines()) == telemetry.parse(changed).held_up
