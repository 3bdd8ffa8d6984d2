"""What the sidecar tells, and whom: a stand-in for the collector says what is counted."""

from __future__ import annotations

import json
import socket
import urllib.request
import uuid
from urllib.error import HTTPError

import pytest

from audit_operator.shipping.injection import figures
from audit_operator.sidecar import answers
from audit_operator.sidecar.answers import Answers
from audit_operator.sidecar.counted import condensed

POLICY = "shop/orders"
ADDRESS = "127.83.19.7"  # of loopback; on 127.0.0.1, the collectors of other tests have ports of the same range
LINES = """\
# HELP otelcol_exporter_queue_capacity Fixed capacity of the retry queue.
target_info{config="x",service_instance_id="6f0a",service_version="0.157.0"} 1
otelcol_receiver_accepted_log_records_total{receiver="file_log",transport=""} 120
otelcol_receiver_refused_log_records_total{receiver="file_log",transport=""} 3
otelcol_processor_incoming_items_total{otel_signal="logs",processor="transform/quarantine/logs/*.log"} 2
otelcol_processor_incoming_items_total{otel_signal="logs",processor="transform/lines"} 120
otelcol_exporter_sent_log_records_total{data_type="logs",exporter="otlp_http/own"} 1.18e+02
otelcol_exporter_send_failed_log_records_total{exporter="otlp_http/own"} 1
otelcol_exporter_queue_size{data_type="logs",exporter="otlp_http/own"} 4096
otelcol_exporter_queue_capacity{data_type="logs",exporter="otlp_http/own"} 1.6777216e+07
otelcol_process_uptime_seconds_total{service="x"} 12.5
""".splitlines()


class Collector:
    def __init__(self, lines):
        self.lines = lines

    def metrics(self):
        return self.lines


@pytest.fixture
def pod(monkeypatch):
    """The UID of a pod whose address is loopback, and whose ports are free."""
    uid = str(uuid.uuid4())
    monkeypatch.setenv("AUDIT_SHIPPER_POD_UID", uid)
    monkeypatch.setenv("AUDIT_SHIPPER_POD_IP", ADDRESS)
    monkeypatch.setenv("AUDIT_SHIPPER_HOST_IP", "10.0.0.1")
    return uid


@pytest.fixture
def telling():
    made = []

    def make(lines=LINES):
        made.append(Answers(Collector(lines)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def wanted(policy=POLICY):
    return json.dumps({"policy": policy})


def listening(pod, policy=POLICY):
    found = []
    for port in answers.ports(pod, policy):
        with socket.socket() as trial:
            if trial.connect_ex((ADDRESS, port)) == 0:
                found.append(port)
    return found


def fetch(port, path=answers.PATH):
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}{path}", timeout=60) as answer:
        return answer.read()


def test_the_operator_knows_where_a_sidecar_listens_and_reads_what_it_says(pod, telling):
    telling().want(wanted())
    [port] = listening(pod)
    assert port in figures.ports(pod, POLICY)
    answer = figures.parse(fetch(port), pod, POLICY, {"logs/*.log", "logs/more"}, {"otlp_http/own"})
    assert (answer.runs, answer.epoch, answer.received, answer.refused) == (True, "6f0a", 120, 3)
    assert answer.quarantined == {"logs/*.log": 2}
    own = answer.sinks["otlp_http/own"]
    assert (own.sent, own.failed, own.not_queued, own.queue, own.capacity) == (118, 1, 0, 4096, 2**24)


@pytest.mark.parametrize("uid", ["", "5b1e8f0e-6d0d-4f6e-9a4f-0c6a0e6f7a11", "ü"])
def test_both_sides_compute_the_same_ports(uid):
    assert answers.PATH == figures.PATH
    assert tuple(answers.ports(uid, POLICY)) == figures.ports(uid, POLICY)
    assert set(figures.ports(uid, POLICY)) <= set(range(19000, 20000))


def test_no_application_is_kept_from_its_port_in_all_of_its_pods():
    assert len({figures.ports(str(n), POLICY)[0] for n in range(200)}) > 100


def test_a_port_that_is_taken_is_left_to_whoever_has_it(pod, telling):
    with socket.socket() as application:
        application.bind((ADDRESS, answers.ports(pod, POLICY)[0]))
        telling().want(wanted())
        assert listening(pod) == [answers.ports(pod, POLICY)[1]]


def test_two_policies_of_one_pod_are_told_apart(pod, telling):
    telling().want(wanted())
    telling().want(wanted("shop/payments"))
    told = json.loads(fetch(listening(pod, "shop/payments")[0]))
    assert told["policy"] == "shop/payments"


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "nonsense", '{"policy": ""}'])
def test_nobody_is_told_where_the_operator_does_not_ask(pod, telling, text):
    telling().want(text)
    assert listening(pod) == []


def test_a_sidecar_that_is_asked_no_more_listens_no_more(pod, telling):
    one = telling()
    one.want(wanted())
    assert listening(pod)
    one.want("")
    assert listening(pod) == []
    one.want(wanted())
    assert listening(pod)


def test_nothing_listens_in_the_network_of_a_node(pod, telling, monkeypatch):
    monkeypatch.setenv("AUDIT_SHIPPER_HOST_IP", ADDRESS)
    telling().want(wanted())
    assert listening(pod) == []


def test_a_collector_that_says_nothing_is_said_not_to_run(pod, telling):
    telling(lines=None).want(wanted())
    answer = figures.parse(fetch(listening(pod)[0]), pod, POLICY, (), ())
    assert answer == figures.SidecarAnswer(runs=False)


def test_whoever_connects_and_says_nothing_or_nonsense_holds_up_nobody(pod, telling):
    telling().want(wanted())
    [port] = listening(pod)
    silent = socket.create_connection((ADDRESS, port))
    with socket.create_connection((ADDRESS, port)) as rude:
        rude.sendall(b"\0" * 100_000)
    with pytest.raises(HTTPError, match="404"):
        fetch(port, "/metrics")
    assert json.loads(fetch(port))["received"] == 120
    silent.close()


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e", "", "-1"])
def test_a_sample_that_is_no_number_stops_nothing(value):
    line = f'otelcol_receiver_accepted_log_records_total{{receiver="file_log"}} {value}'
    assert condensed([line, *LINES])["received"] == 120
