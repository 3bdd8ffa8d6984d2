"""How far a real collector is behind its files, as the kernel tells it."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audit_operator.controlplane.shipper.reading import Reading, open_files
from audit_operator.shipping.exporters import Exporter
from tests.integration.shipping.sidecar import Sidecar

LINE = b'{"time":"2026-01-01T12:00:00Z","user":"ann","action":"pay","result":"ok","id":"%d","correlationId":"c"}\n'
PATIENCE = 180.0


class Door(BaseHTTPRequestHandler):
    """A sink that takes nothing until it is opened."""

    is_open = False

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if Door.is_open else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def sink():
    Door.is_open = False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_what_a_collector_cannot_take_in_is_seen_to_wait_in_its_files_until_it_has_read_it(tmp_path, sink):
    queue = {"enabled": True, "sizer": "bytes", "queue_size": 300_000, "storage": "file_storage/queues"}
    retry = {"enabled": True, "initial_interval": "100ms", "max_interval": "200ms", "max_elapsed_time": "0s"}
    config = {
        "logs_endpoint": f"http://127.0.0.1:{sink}/v1/logs",
        "sending_queue": {**queue, "block_on_overflow": True},
        "retry_on_failure": retry,
    }
    with Sidecar(tmp_path, exporters=(Exporter("otlp_http/x", config, detached=False),)) as sidecar:
        reading = Reading()

        def waited():
            """Seconds, and bytes."""
            files = list(open_files(sidecar.pid, tmp_path / "state"))
            return reading.see(time.monotonic(), files), reading.unread(files)

        def until(condition):
            deadline = time.monotonic() + PATIENCE
            while not condition(seen := waited()):
                assert time.monotonic() < deadline, seen
                time.sleep(0.2)

        sidecar.write("audit.log", LINE % 0)
        until(lambda seen: seen == (0.0, 0))
        sidecar.write("audit.log", b"".join(LINE % n for n in range(20_000)))
        until(lambda seen: seen[0] > 2.0)
        assert waited()[1] > 1_000_000
        (sidecar.logs / "audit.log").rename(sidecar.logs / "audit.log.1")
        sidecar.write("audit.log", LINE % 20_001)
        until(lambda seen: seen[0] > 3.0 and seen[1] > 1_000_000)
        Door.is_open = True
        until(lambda seen: seen == (0.0, 0))
