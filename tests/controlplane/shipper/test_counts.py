"""What is shown of counts: they outlive the collector's new beginnings, and vanish in the end."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from audit_operator.controlplane.shipper import counts, crowding
from audit_operator.controlplane.shipper.counts import Counts, ShownCounts, text_of
from audit_operator.detections.series import ALL_EVENTS, CROWDED_EVENTS, EVENTS


@pytest.fixture
def collector():
    """What it shows, and the address where it does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(server.status)
            self.end_headers()
            lines = "".join(f"{each}\n" for each in ("# TYPE x counter", "x 1", *server.lines))
            self.wfile.write(f"{lines}{server.end}".encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.lines, server.since, server.end, server.status = [], 100.0, "", 200
    server.counts = ShownCounts(lambda: f"127.0.0.1:{server.server_port}", lambda: server.since)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sample(user, start, value):
    return f'{EVENTS}{{detection="d",start="{start}",user="{user}"}} {value}'


def test_what_the_collector_counts_is_shown_and_nothing_else(collector):
    collector.lines = [sample("a", 1, 3), sample('say \\"b c\\" 7', 1, 4)]
    assert collector.counts.look() == Counts(tuple(collector.lines), 100.0)


def test_where_nothing_is_counted_nothing_is_shown(collector):
    collector.since = None
    assert collector.counts.look() is None
    assert text_of([]) == b""


def test_what_was_counted_before_a_new_beginning_is_shown_for_some_minutes(collector, monkeypatch):
    collector.lines = [sample("a", 1, 3)]
    collector.counts.look()
    collector.lines = [sample("a", 2, 1)]
    assert set(collector.counts.look().lines) == {sample("a", 1, 3), sample("a", 2, 1)}
    assert set(collector.counts.look().lines) == {sample("a", 1, 3), sample("a", 2, 1)}
    monkeypatch.setattr(counts, "_SHOWN_FOR", 0.0)
    assert collector.counts.look().lines == (sample("a", 2, 1),)


def test_what_is_shown_counts_from_the_oldest_of_it_on(collector, monkeypatch):
    """Else a Prometheus that is new would take weeks of what has ended for new events."""
    collector.lines = [sample("a", 1, 500)]
    collector.counts.look()
    collector.lines, collector.since = [sample("a", 2, 1)], 9000.0
    assert collector.counts.look().since == 100.0
    monkeypatch.setattr(counts, "_SHOWN_FOR", 0.0)
    assert collector.counts.look().since == 9000.0


def test_counts_of_a_collector_that_is_down_are_shown_as_they_were(collector):
    collector.lines = [sample("a", 1, 3)]
    collector.counts.look()
    collector.lines = []
    assert collector.counts.look().lines == (sample("a", 1, 3),)
    collector.lines = [sample("a", 1, 5)]
    assert collector.counts.look().lines == (sample("a", 1, 5),)


def test_of_an_answer_that_is_too_long_no_half_is_taken_for_the_whole(collector, monkeypatch, caplog):
    collector.lines = [sample("a", 1, 3), sample("b", 1, 123)]
    collector.counts.look()
    collector.lines = [sample("a", 1, 4), sample("b", 1, 456)]
    monkeypatch.setattr(counts, "_MOST_BYTES", 130)
    assert collector.counts.look().lines == (sample("a", 1, 3), sample("b", 1, 123))
    assert "there is too much" in caplog.text
    assert collector.counts.hidden == 1


def test_what_has_ended_is_bounded(collector, monkeypatch):
    monkeypatch.setattr(counts, "_MOST_ENDED", 2)
    for start in range(5):
        collector.lines = [sample("a", start, 1)]
        collector.counts.look()
    assert len(collector.counts.look().lines) == 3


def test_the_text_is_prometheus_format(collector, monkeypatch):
    monkeypatch.setattr(crowding, "_BEHIND", 0.0)
    collector.counts.begin_anew()
    collector.lines = [f'{ALL_EVENTS}{{detection="d",start="1"}} 7', sample("a", 1, 3)]
    collector.counts.look()
    shown = text_of([("main", collector.counts.look()), ("other", Counts((), 7.0))]).decode()
    families = {each.name: each for each in text_string_to_metric_families(shown)}
    since, events, crowded_events = families.values()
    assert [(each.labels, each.value) for each in since.samples] == [
        ({"control_plane": "main"}, 100.0),
        ({"control_plane": "other"}, 7.0),
    ]
    assert [(each.name, each.labels["user"], each.value) for each in events.samples] == [(EVENTS, "a", 3.0)]
    assert [(each.name, each.labels["detection"], each.value) for each in crowded_events.samples] == [
        (CROWDED_EVENTS, "d", 4.0)
    ]
    assert collector.counts.crowded() == (("d", ""),)


def test_of_an_answer_that_was_cut_nothing_is_taken(collector):
    collector.lines = [sample("a", 1, 3)]
    collector.counts.look()
    collector.lines, collector.end = [sample("a", 1, 40)], "half"
    assert collector.counts.look().lines == (sample("a", 1, 3),)


def test_counts_are_not_younger_for_a_configuration_that_is_written_and_not_yet_loaded(collector):
    collector.lines = [sample("a", 1, 500)]
    collector.counts.look()
    collector.since = 9000.0
    assert collector.counts.look().since == 100.0
    collector.lines = [sample("a", 2, 1)]
    assert collector.counts.look().since == 100.0  # the former are still shown


def test_an_answer_that_is_an_error_is_none(collector):
    collector.lines = [sample("a", 1, 3)]
    collector.counts.look()
    collector.lines, collector.status = [], 500
    assert collector.counts.look().lines == (sample("a", 1, 3),)
