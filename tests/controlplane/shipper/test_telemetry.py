"""What the collector says of itself, as collector 0.157 was heard to say it."""

from __future__ import annotations

import pytest

from audit_operator.api.observations import ExporterFigures
from audit_operator.controlplane.shipper.telemetry import NoAnswer, parse

HEARD = """\
# HELP lookup_source_reloads Number of successful reloads of a file-based lookup source.
# TYPE lookup_source_reloads counter
lookup_source_reloads 4
# TYPE otelcol_exporter_queue_capacity gauge
otelcol_exporter_queue_capacity{data_type="logs",exporter="otlp_http/clusterauditsink.central"} 4.294967296e+09
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{data_type="logs",exporter="otlp_http/clusterauditsink.central"} 14912
# TYPE otelcol_exporter_sent_log_records counter
otelcol_exporter_sent_log_records{exporter="otlp_http/clusterauditsink.central",server_address="127.0.0.1",\
server_port="21999",url_path="/insert/opentelemetry/v1/logs"} 21
# TYPE otelcol_exporter_send_failed_log_records counter
otelcol_exporter_send_failed_log_records{error_permanent="true",exporter="otlp_http/clusterauditsink.central"} 2
otelcol_exporter_send_failed_log_records{error_permanent="false",exporter="otlp_http/clusterauditsink.central"} 1
# TYPE otelcol_processor_filter_logs_filtered counter
otelcol_processor_filter_logs_filtered{filter="filter/levels"} 7
# TYPE otelcol_deltatocumulative_datapoints counter
otelcol_deltatocumulative_datapoints 90
otelcol_deltatocumulative_datapoints{error="limit"} 5
otelcol_deltatocumulative_datapoints{error="delta.ErrOutOfOrder"} 1
# TYPE otelcol_processor_held_up gauge
otelcol_processor_held_up 0
# TYPE otelcol_processor_waits_for gauge
otelcol_processor_waits_for{exporter="otlp_http/clusterauditsink.central"} 1
# TYPE otelcol_processor_incoming_items counter
otelcol_processor_incoming_items{otel_signal="logs",processor="lookup"} 30
otelcol_processor_incoming_items{otel_signal="logs",processor="transform/quarantine"} 1
otelcol_processor_incoming_items{otel_signal="logs",processor="transform/unread"} 4
otelcol_processor_incoming_items{otel_signal="logs",processor="filter/cut-otlp_http/clusterauditsink.central"} 2
# TYPE otelcol_receiver_accepted_log_records counter
otelcol_receiver_accepted_log_records{receiver="file_log",transport=""} 30
# TYPE otelcol_receiver_refused_log_records counter
otelcol_receiver_refused_log_records{receiver="file_log",transport=""} 3
# TYPE target_info gauge
target_info{audit_operator_config="abc",service_instance_id="753a",service_name="otelcol"} 1
"""


def test_all_figures_are_read():
    said = parse(HEARD)
    assert (said.epoch, said.config, said.table_reloads) == ("753a", "abc", 4)
    assert (said.received, said.refused, said.quarantined, said.dropped, said.uncounted) == (30, 3, 1, 7, 10)
    assert said.exporters == {
        "otlp_http/clusterauditsink.central": ExporterFigures(
            sent=21, failed=3, queue=14912, capacity=4294967296, cut=2
        )
    }


def test_what_a_sidecar_counts_by_file_is_one_sum():
    counted = 'otelcol_processor_incoming_items{otel_signal="logs",processor="transform/quarantine'
    by_file = HEARD.replace(f'{counted}"}} 1\n', f'{counted}/logs/a.log"}} 2\n{counted}/logs/b.log"}} 3\n')
    assert by_file != HEARD
    assert parse(by_file).quarantined == 5


def test_what_an_index_refuses_is_lost_and_not_sent():
    of_exporter = '{exporter="search_bulk/central"}'
    said = parse(
        f"{HEARD}otelcol_exporter_sent_log_records{of_exporter} 21\n"
        f"otelcol_exporter_send_failed_log_records{of_exporter} 3\n"
        f"otelcol_exporter_indexed_log_records{of_exporter} 17\n"
        f"otelcol_exporter_refused_log_records{of_exporter} 4\n"
    )
    assert said.exporters["search_bulk/central"] == ExporterFigures(sent=17, failed=7)


OF_TENANT = '{data_type="logs",exporter="otlp_http/auditsink.team.own"}'
WITH_TENANT = f"""\
{HEARD}\
otelcol_exporter_enqueue_failed_log_records{OF_TENANT} 500
otelcol_exporter_send_failed_log_records{OF_TENANT} 7
otelcol_exporter_queue_capacity{OF_TENANT} 1000
otelcol_exporter_queue_size{OF_TENANT} 1000
"""


@pytest.mark.parametrize(
    ("was", "now", "held_up"),
    [
        ("14912", "14912", False),
        ("processor_held_up 0", "processor_held_up 1", True),
        ("processor_held_up 0", "processor_other 0", True),
        ("14912", "4.2e+09", True),
        ("otelcol_exporter_sent_", "otelcol_exporter_enqueue_failed_", False),
        ('waits_for{exporter="otlp_http/clusterauditsink.central', 'waits_for{exporter="otlp_http/other', False),
    ],
    ids=[
        "a tenant's queue is full",
        "it waits",
        "it does not say",
        "a queue that it waits for is full",
        "its queue could not be written once",
        "it waits for one that has said nothing",
    ],
)
def test_what_holds_a_collector_up_now_is_seen_and_nothing_else(was, now, held_up):
    assert was in WITH_TENANT
    assert parse(WITH_TENANT.replace(was, now)).held_up == held_up


def test_a_collector_that_names_no_configuration_runs_none_of_ours():
    assert parse(HEARD.replace("audit_operator_config", "other")).config == ""


@pytest.mark.parametrize("text", ["", "<html>", "up 1\n", 'otelcol_exporter_queue_size{exporter="x"} NaN\n'])
def test_what_is_no_collector_is_not_taken_for_one(text):
    with pytest.raises(NoAnswer):
        parse(text)
