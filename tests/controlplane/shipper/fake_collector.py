"""A program that refuses, dies and serves as its configuration says: for faults that the real collector has not."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

config = Path(next(each for each in sys.argv if each.startswith("--config=")).removeprefix("--config="))
epoch = digest = text = ""


def read():
    global epoch, digest, text  # noqa: PLW0603  # a program of one page
    text = config.read_text()
    if "die-now" in text:
        sys.stdout.write("Error: no room\n")
        sys.stdout.flush()
        signal.raise_signal(signal.SIGKILL)
    epoch = str(uuid.uuid4())
    digest = re.findall(r'"audit_operator.config", "value": "([0-9a-f]+)"', text)[-1]


def answer():
    labels = f'service_instance_id="{epoch}",audit_operator_config="{digest}"'
    figures = {f"target_info{{{labels}}}": 1, "otelcol_processor_held_up": 0}
    if "full-queue" in text:
        figures |= {f'otelcol_exporter_queue_{name}{{exporter="x"}}': 1000 for name in ("size", "capacity")}
        figures |= {'otelcol_processor_waits_for{exporter="x"}': 1}
    return "".join(f"{name} {value}\n" for name, value in figures.items())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = answer().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if "validate" in sys.argv:
    if "refuse-me" in config.read_text():
        sys.exit("Error: unknown exporter")
    sys.exit()
read()
signal.signal(signal.SIGHUP, lambda *_: read())
health = os.environ["AUDIT_OPERATOR_COLLECTOR_HEALTH"].rpartition(":")[2]
ports = [int(health), int(os.environ["AUDIT_OPERATOR_COLLECTOR_METRICS_PORT"])]
try:
    servers = [ThreadingHTTPServer(("127.0.0.1", port), Handler) for port in ports]
except OSError:  # another test has taken it meanwhile
    sys.exit("Error: listen tcp: bind: address already in use")
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    # Not pause(): a signal that the kernel gives to another thread does not end it, and is then handled never.
    time.sleep(0.05)
